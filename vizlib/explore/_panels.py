"""What a frame is made of: maps, pictures, bars, lines and words, as the browser gets them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch

from vizlib import plots

_BARS = 10  # of many classes so many, the likeliest, are shown
_PAPER = 1260  # pixels of a row in print


@dataclass(frozen=True, kw_only=True)
class Panel(ABC):
    """One part of a frame. `before` stands at its left, such as "×"; `below` starts a new row."""

    title: str = ""
    before: str = ""
    below: bool = False

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        return self._fields()

    def _fields(self, *others: str) -> dict[str, Any]:
        """Return the kind and all fields but some `others`."""
        fields = {name: value for name, value in vars(self).items() if name not in others}
        return {"kind": type(self).__name__.lower(), **fields}

    @abstractmethod
    def figure(self) -> plots.Figure:
        """Return the panel for print."""


@dataclass(frozen=True)
class Maps(Panel):
    """Signed values (C, H, W), or (F,): white is zero, blue positive, orange negative.

    `limit` is the number with the darkest colours (the greatest absolute value if None), `chosen`
    a map in a blue frame. Cells that are large enough have their values in them. `pick` names the
    sliders that a click on a cell moves: "row", "col", "channel", or "cell" for row · W + column.
    `width` is in CSS pixels.
    """

    values: Any
    limit: float | None = None
    chosen: int | None = None
    pick: Mapping[str, str] = field(default_factory=dict)
    width: int = 200

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        values = self._maps()
        limit = self.limit or plots.largest(values) or 1.0
        made = {"shape": values.shape, "limit": limit, "data": values.tobytes()}
        return self._fields("values") | made

    def figure(self) -> plots.Figure:
        """Return the maps for print."""
        maps = self._maps()
        values = maps.ravel() if maps[0].size == 1 else maps
        return plots.feature_maps(
            values, scale=self.limit or "layer", title=self.title, highlight=self.chosen
        )

    def _maps(self) -> np.ndarray:
        """Return (C, H, W); each value of a vector is a map of its own."""
        values = _floats(self.values)
        return values.reshape(-1, *(values.shape[-2:] if values.ndim > 1 else (1, 1)))


@dataclass(frozen=True)
class Picture(Panel):
    """An image for the eye, uint8 (H, W) or (H, W, 3)."""

    pixels: Any
    width: int = 160

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        pixels = np.asarray(self.pixels, np.uint8)
        made = {"shape": (*pixels.shape, 1)[:3], "pick": {}, "data": pixels.tobytes()}
        return self._fields("pixels") | made

    def figure(self) -> plots.Figure:
        """Return the image for print."""
        pixels = np.atleast_3d(np.asarray(self.pixels, np.uint8)).transpose(2, 0, 1)[None]
        return plots.images(pixels, titles=[self.title], boxes=None)


@dataclass(frozen=True)
class Bars(Panel):
    """Probabilities (K,): the winner is the blue bar, the label is underlined.

    A panel that `differs` has an orange bar and title.
    """

    values: Any
    label: int | None = None
    classes: Sequence[str] = ()
    differs: bool = False
    width: int = 220

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from; of many classes the ten likeliest."""
        values = _floats(self.values).ravel()
        shown = np.arange(len(values))
        if len(values) > _BARS:
            shown = (-values).argsort(kind="stable")[:_BARS]
        return self._fields("values", "classes") | {
            "names": [self.classes[k] if self.classes else f"P{k}" for k in shown.tolist()],
            "label": [at for at, k in enumerate(shown) if k == self.label],
            "data": values[shown].tobytes(),
        }

    def figure(self) -> plots.Figure:
        """Return the bars for print."""
        return _answers([self])


@dataclass(frozen=True)
class Lines(Panel):
    """Series over x = `start`, `start` + `step`, …, each with its name at its end.

    A line stands at value number `at`. The series differ by colour and dash, of which there is a
    sample before each name, since lines may end in the same place. A value that is nan
    is not drawn. `percent` writes shares as percentages. `scale` is that of `plots.lines`. `ends`
    are the least and the greatest value of the axis, those of the series if None.
    """

    series: Mapping[str, Sequence[float]]
    along: str = "epoch"
    start: float = 0
    step: float = 1
    at: int | None = None
    percent: bool = False
    scale: Literal["linear", "log", "errors"] = "linear"
    ends: tuple[float, float] | None = None
    width: int = 300
    height: int = 230

    def packed(self) -> dict[str, Any]:
        """Return what the browser draws it from."""
        values = [_floats(list(each)) for each in self.series.values()]
        return self._fields("series") | {
            "names": list(self.series),
            "lengths": [len(each) for each in values],
            "data": b"".join(each.tobytes() for each in values),
        }

    def figure(self) -> plots.Figure:
        """Return the lines for print."""
        return plots.lines(
            self.series,
            along=self.along,
            start=self.start,
            step=self.step,
            at=self.at,
            percent=self.percent,
            scale=self.scale,
            ends=self.ends,
            title=self.title,
        )


@dataclass(frozen=True)
class Words(Panel):
    """Lines of text, such as an equation; they keep their spaces.

    With a `width` in CSS pixels they take the room that is left in their row, if it is as wide.
    Words that are `prose` look like all others.
    """

    lines: Sequence[str]
    prose: bool = False
    width: int | None = None

    def figure(self) -> plots.Figure:
        """Return the words for print."""
        return plots.words(self.lines, title=self.title)


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
        panels = [each.packed() for each in self.panels]
        last = {name: max(0, count - 1) for name, count in self.counts.items()}
        return {"panels": panels, "says": self.says, "last": last}

    def figure(self) -> plots.Figure:
        """Return the frame for print, its rows as they are on the screen."""
        return plots.together(*(part for row in self._rows() for part in _broken(_figures(row))))

    def _rows(self) -> list[list[Panel]]:
        rows: list[list[Panel]] = [[]]
        for panel in self.panels:
            if panel.below:
                rows.append([])
            rows[-1].append(panel)
        return rows


def _figures(row: Sequence[Panel]) -> list[plots.Figure]:
    """Return the panels of a row for print; bars beside each other share their axis."""
    found: list[plots.Figure] = []
    for _, group in groupby(row, type):
        panels = list(group)
        bars = [each for each in panels if isinstance(each, Bars)]
        found += [_answers(bars)] if bars else [each.figure() for each in panels]
    return found


def _broken(row: Sequence[plots.Figure]) -> list[list[plots.Figure]]:
    """Return a row in pieces, if it is wider than the paper."""
    pieces: list[list[plots.Figure]] = [[]]
    for figure in row:
        if sum(each.bbox.width for each in (*pieces[-1], figure)) > _PAPER:
            pieces.append([])
        pieces[-1].append(figure)
    return pieces


def _answers(bars: Sequence[Bars]) -> plots.Figure:
    return plots.answers(
        {str(number): each.values for number, each in enumerate(bars)},
        label=bars[0].label,
        classes=bars[0].classes,
        headings=[each.title for each in bars],
    )


def _floats(values: Any) -> np.ndarray:
    values = values.detach().cpu().float().numpy() if torch.is_tensor(values) else values
    return np.ascontiguousarray(values, np.float32)


def palette() -> bytes:
    """Return the 255 colours from the least to the greatest value, in RGB."""
    return plots.colours(np.linspace(-1, 1, 255), 1).tobytes()
