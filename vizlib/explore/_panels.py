"""What a frame is made of: maps, pictures, bars, lines and words, as the browser gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from vizlib import plots

# (row, column, height, width) in cells, framed; a place behind an edge may be outside of the map.
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One part of a frame. `before` stands at its left, such as "×"; `below` starts a new row."""

    title: str = ""
    before: str = ""
    below: bool = False


@dataclass(frozen=True)
class Maps(Panel):
    """Signed values (C, H, W): white is zero, blue positive, orange negative.

    `limit` is the number with the darkest colours (the greatest absolute value if None), `chosen`
    a map in a black frame, `boxes` black frames inside of the chosen map. The outermost `padding`
    cells (top, left, bottom, right) are hatched. Cells that are large enough have their values in
    them. `pick` names the sliders that a click on a cell moves:
    "row", "col", "channel", or "cell" for row · W + column. Of one map only the first `known`
    cells may be there yet: the others are blank. `width` is in CSS pixels.
    """

    values: Any
    limit: float | None = None
    chosen: int | None = None
    boxes: Sequence[Box] = ()
    padding: Sequence[int] = (0, 0, 0, 0)
    pick: Mapping[str, str] = field(default_factory=dict)
    known: int | None = None
    width: int = 200

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        values = _floats(self.values)
        values = values.reshape(-1, *values.shape[-2:])
        largest = float(np.nan_to_num(np.abs(values), nan=0, posinf=0).max(initial=0))
        return {
            "kind": "maps",
            "shape": values.shape,
            "limit": self.limit or largest or 1.0,
            "chosen": self.chosen,
            "boxes": [list(map(int, box)) for box in self.boxes],
            "padding": list(self.padding),
            "pick": dict(self.pick),
            "known": self.known,
            "width": self.width,
            "data": values.tobytes(),
        }


@dataclass(frozen=True)
class Picture(Panel):
    """An image for the eye, uint8 (H, W) or (H, W, 3), with orange frames at `boxes`."""

    pixels: Any
    boxes: Sequence[Box] = ()
    pick: Mapping[str, str] = field(default_factory=dict)
    width: int = 160

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        pixels = np.ascontiguousarray(self.pixels, np.uint8)
        return {
            "kind": "picture",
            "shape": (*pixels.shape, 1)[:3],
            "boxes": [list(map(int, box)) for box in self.boxes],
            "pick": dict(self.pick),
            "width": self.width,
            "data": pixels.tobytes(),
        }


@dataclass(frozen=True)
class Bars(Panel):
    """Probabilities (K,): the winner is the blue bar, the label is underlined."""

    values: Any
    label: int | None = None
    names: Sequence[str] = ()
    width: int = 220

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from; of many classes the ten likeliest."""
        values = _floats(self.values).ravel()
        shown = np.arange(len(values))
        if len(values) > _BARS:
            shown = (-values).argsort(kind="stable")[:_BARS]
        names = [str(self.names[k]) if self.names else f"P{k}" for k in shown]
        label = np.flatnonzero(shown == self.label).tolist() if self.label is not None else []
        return {
            "kind": "bars",
            "names": names,
            "label": label,
            "width": self.width,
            "data": values[shown].tobytes(),
        }


_BARS = 10


@dataclass(frozen=True)
class Lines(Panel):
    """Series over x = `start`, `start` + `step`, …, each with its name at its end.

    A line stands at value number `at`. The series differ by colour and dash, of which there is a
    sample before each name, since lines may end in the same place. A value that is nan
    is not drawn. `percent` writes shares as percentages. `ends` are the least and the greatest
    value of the axis, those of the series if None; `height` is 0.62 of the width if None.
    """

    series: Mapping[str, Sequence[float]]
    along: str = "epoch"
    start: float = 0
    step: float = 1
    at: int | None = None
    percent: bool = False
    ends: tuple[float, float] | None = None
    width: int = 360
    height: int | None = None

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        values = [_floats(list(each)) for each in self.series.values()]
        return {
            "kind": "lines",
            "names": list(self.series),
            "lengths": [len(each) for each in values],
            "along": self.along,
            "start": self.start,
            "step": self.step,
            "at": self.at,
            "percent": self.percent,
            "ends": self.ends,
            "width": self.width,
            "height": self.height or 0.62 * self.width,
            "data": b"".join(each.tobytes() for each in values),
        }


@dataclass(frozen=True)
class Words(Panel):
    """Lines of text, such as an equation; they keep their spaces.

    With a `width` in CSS pixels they take the room that is left in their row, if it is as wide.
    """

    lines: Sequence[str]
    width: int | None = None

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        return {"kind": "words", "lines": list(self.lines), "width": self.width}


@dataclass(frozen=True)
class Frame:
    """What is seen at one place of the sliders.

    `says` is for who cannot see it: one sentence. `counts` are how many places the sliders over
    numbers have there.
    """

    panels: Sequence[Panel]
    says: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        panels = [
            {"title": each.title, "before": each.before, "below": each.below, **each.packed()}
            for each in self.panels
        ]
        last = {name: max(0, count - 1) for name, count in self.counts.items()}
        return {"panels": panels, "says": self.says, "last": last}


def _floats(values: Any) -> np.ndarray:
    values = values.detach().cpu().float().numpy() if torch.is_tensor(values) else values
    return np.ascontiguousarray(values, np.float32)


def palette() -> bytes:
    """Return the 255 colours from the least to the greatest value, in RGB."""
    return plots.colours(np.linspace(-1, 1, 255), 1).tobytes()
