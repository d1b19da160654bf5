"""The way back from every value of every layer, and what is told of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from vizlib import arithmetic, capture
from vizlib.explore._recordings import Recordings
from vizlib.words import short

AXES = ("channel", "row", "col")


def strongest(maps: Tensor, given: Mapping[str, int]) -> dict[str, int]:
    """Return channel, row and column of the value farthest from zero, of those at the given ones.

    At the corner, where a view could as well open, a digit has nothing but its background.
    """
    values = maps.abs().reshape(*maps.shape, *[1] * (len(AXES) - maps.dim()))
    for axis, name in enumerate(AXES):
        values = values.narrow(axis, given[name], 1) if name in given else values
    found = torch.unravel_index(values.argmax(), values.shape)
    return {name: int(at) for name, at in zip(AXES, found, strict=True)} | dict(given)


class Ways:
    """The layers of a network and the way back from each of their values, for every image."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings
        self.names = list(recordings[0])
        self._chain = functools.lru_cache(32)(self._made)  # a chain runs the network
        self.trace = functools.lru_cache(256)(self._trace)

    def stage(self, image: int, layer: int) -> capture.Stage:
        """Return what that layer made of that image."""
        return self.recordings[image][self.names[layer]]

    def maps(self, image: int, layer: int) -> Tensor:
        """Return the same as maps (C, H, W), or (F,) of a vector."""
        output = self.stage(image, layer).output
        # A layer may fold other axes into the batch's, or give a single number.
        values = (output[0] if output.dim() > 1 and len(output) == 1 else output).float()
        values = values if values.dim() else values[None]
        if values.dim() == len("CL"):
            return values[:, None]
        return values if values.dim() <= len("CHW") else values.flatten(0, -3)

    def counts(self, layer: int) -> dict[str, int]:
        """Return how many channels, rows and columns a layer has; a vector has channels only."""
        return dict(zip(AXES, (*self.maps(0, layer).shape, 1, 1), strict=False))

    def _trace(self, image: int, layer: int, where: tuple[int, int, int]) -> arithmetic.Trace:
        """Return the way back from a value; raise ValueError where there is none."""
        return self._chain(image).trace(self.names[layer], *where)

    def _made(self, image: int) -> arithmetic.Chain:
        return arithmetic.Chain(self.recordings.model, self.recordings.inputs[image : image + 1])


def told(trace: arithmetic.Trace) -> list[str]:
    """Return the way back line by line: the whole sum of the first value, the others shorter."""
    first, *others = trace
    torchs, ours = short(first.value, 8), short(first.total, 8)
    difference = short(first.difference, 2)
    lines = [
        f"{named(first)}: {_in_full(first)}",
        f"torch says {torchs}, these numbers make {ours}: difference {difference}",
        *(_line(one) for one, behind in zip_longest(others, others[1:]) if not _stays(one, behind)),
    ]
    if trace[-1].kind != "input":
        lines.append("the way ends in padding, which is 0")
    return [*lines, *_farthest(others)]


def _farthest(trace: Sequence[arithmetic.Traced]) -> list[str]:
    """Say where on the way these numbers differ most from torch's."""
    steps = [one for one in trace if one.step is not None]
    if not steps:
        return []
    far = max(steps, key=lambda one: abs(one.difference))
    where = f", at {named(far)}" if far.difference else ""
    return [f"largest difference from torch on the way: {short(far.difference, 2)}{where}"]


def _stays(one: arithmetic.Traced, behind: arithmetic.Traced | None) -> bool:
    """Whether a layer, such as a dropout at rest, leaves the value where it is."""
    if behind is None or one.step is not None:
        return False
    return one.place == behind.place and one.value == behind.value


def named(one: arithmetic.Traced) -> str:
    """Return where a value stands: conv2[3, 0, 5]."""
    return f"{one.stage}[{', '.join(map(str, one.place))}]"


def _in_full(one: arithmetic.Traced) -> str:
    return _moved(one) if one.step is None else one.step.in_words()


def _line(one: arithmetic.Traced) -> str:
    if one.kind == "input":
        what = "a pixel" if len(one.place) > 1 else "an input"
        return f"{named(one)} = {short(one.value, 4)}, {what}"
    return f"{named(one)}: {_moved(one) if one.step is None else one.step.in_short()}"


def _moved(one: arithmetic.Traced) -> str:
    return f"{short(one.value, 4)}, the value before it unchanged"


def read_by(trace: arithmetic.Trace) -> tuple[arithmetic.Traced, arithmetic.Parts] | None:
    """Return the first layer on the way that reads many values, and the ones to be shown."""
    for one in trace:
        parts = one.step and one.step.parts(one.source)
        if parts:
            return one, parts
    return None


def peak(*maps: Tensor) -> float | None:
    """Return the greatest absolute value, without what is nan or infinite."""
    return max(float(torch.nan_to_num(each, 0, 0, 0).abs().max()) for each in maps) or None
