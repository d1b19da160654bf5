"""The way back from every value of every layer to the image, and its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from vizlib import arithmetic
from vizlib.explore._lifetime import kept
from vizlib.explore._recordings import Recordings, largest, plain
from vizlib.words import short

AXES = ("channel", "row", "col")
_MOST = 1 << 28  # bytes: a trace computes all layers again in double precision


def strongest(maps: Tensor, given: Mapping[str, int]) -> dict[str, int]:
    """Return channel, row and column of the value farthest from zero, of those at the given ones.

    At the corner, where a view could as well open, a digit has nothing but its background.
    """
    values = maps.abs().reshape(*maps.shape, *[1] * (len(AXES) - maps.dim()))
    for axis, name in enumerate(AXES):
        values = values.narrow(axis, given[name], 1) if name in given else values
    found = torch.unravel_index(values.argmax(), values.shape)
    return {name: int(at) for name, at in zip(AXES, found, strict=True)} | dict(given)


class Traces:
    """The layers of a network and the way back from each of their values, for every image."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings, self.names = recordings, recordings.names

    def maps(self, image: int, layer: int) -> Tensor:
        """Return what a layer made of an image, as maps (C, H, W) or (F,)."""
        self.recordings.maps(image, layer)  # raises where the layer cannot be shown
        return _maps(self.recordings.stage(image, layer).output)

    def counts(self, layer: int) -> dict[str, int]:
        """Return how many channels, rows and columns a layer has; a vector has channels only."""
        shape = _maps(self.recordings.stage(0, layer).output).shape
        return dict(zip(AXES, (*(max(1, size) for size in shape), 1, 1), strict=False))

    def strongest(self, image: int, layer: int, given: Mapping[str, int]) -> dict[str, int]:
        """Return the place farthest from zero, or the first one of a layer that is not shown."""
        try:
            return strongest(self.maps(image, layer), given)
        except ValueError:
            return {**dict.fromkeys(AXES, 0), **given}

    @kept(256)
    def trace(self, image: int, layer: int, where: tuple[int, int, int]) -> arithmetic.Trace:
        """Return the way back from a value; raise ValueError where there is none."""
        return self._chain(image).trace(self.names[layer], *where)

    @kept(32)
    def _chain(self, image: int) -> arithmetic.Chain:
        recordings = self.recordings
        if (size := recordings.size(image)) > _MOST:
            raise ValueError(
                f"what the layers of {recordings.name} made has {size >> 20} MB, and values are "
                f"followed back through {_MOST >> 20} MB at most: give it smaller images"
            )
        return arithmetic.Chain(recordings.model, recordings.inputs[image : image + 1])


def _maps(output: Tensor) -> Tensor:
    """Return one map for each value of the first axis, which a value's place begins with."""
    # A layer may fold other axes into the batch's, or give a single number.
    values = plain(output[0] if output.dim() > 1 and len(output) == 1 else output)
    values = values if values.dim() else values[None]
    if values.dim() == len("CL"):
        return values[:, None]
    return values if values.dim() <= len("CHW") else values.flatten(0, -3)


def trace_lines(trace: arithmetic.Trace) -> list[str]:
    """Return the way back line by line: the whole sum of the first value, the others shorter."""
    first, *others = trace
    torchs, ours = short(first.value, 8), short(first.total, 8)
    difference = short(first.difference, 2)
    lines = [
        f"{place_of(first)}: {whole_line(first)}",
        f"torch says {torchs}, these numbers make {ours}: difference {difference}",
        *(
            _line(one)
            for one, behind in zip_longest(others, others[1:])
            if not _is_unchanged(one, behind)
        ),
    ]
    if trace[-1].kind != "input":
        lines.append("the way ends in padding, which is 0")
    return [*lines, *_largest_difference(others)]


def _largest_difference(trace: Sequence[arithmetic.Traced]) -> list[str]:
    """Say where on the way these numbers differ most from torch's."""
    steps = [one for one in trace if one.step is not None]
    if not steps:
        return []
    far = max(steps, key=lambda one: abs(one.difference))
    where = f", at {place_of(far)}" if far.difference else ""
    return [f"largest difference from torch on the way: {short(far.difference, 2)}{where}"]


def _is_unchanged(one: arithmetic.Traced, behind: arithmetic.Traced | None) -> bool:
    """Whether a layer, such as a dropout at rest, leaves the value where it is."""
    if behind is None or one.step is not None:
        return False
    return one.place == behind.place and one.value == behind.value


def place_of(one: arithmetic.Traced) -> str:
    """Return where a value stands: conv2[3, 0, 5]."""
    return f"{one.stage}[{', '.join(map(str, one.place))}]"


def whole_line(one: arithmetic.Traced) -> str:
    """Return how a value comes about, in one line."""
    return _unchanged_line(one) if one.step is None else one.step.in_words()


def _line(one: arithmetic.Traced) -> str:
    if one.kind == "input":
        what = "a pixel" if len(one.place) > 1 else "an input"
        return f"{place_of(one)} = {short(one.value, 4)}, {what}"
    return f"{place_of(one)}: {_unchanged_line(one) if one.step is None else one.step.in_short()}"


def _unchanged_line(one: arithmetic.Traced) -> str:
    return f"{short(one.value, 4)}, the value before it unchanged"


def first_sum(trace: arithmetic.Trace) -> tuple[arithmetic.Traced, arithmetic.Parts] | None:
    """Return the first layer on the way that reads many values, and the ones to be shown."""
    for one in trace:
        parts = one.step and one.step.parts(one.source)
        if parts:
            return one, parts
    return None


def peak(*maps: Tensor) -> float | None:
    """Return the greatest absolute value, or None where there is only zero."""
    return max(map(largest, maps)) or None
