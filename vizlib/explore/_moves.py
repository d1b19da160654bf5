"""Operations that only move values: where each value comes from, as a page is told it.

Torch itself moves 1, 2, 3, … in place of the values, and what arrives says where it came from. 0 is
what a padding adds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vizlib import capture

_MOVES = (
    "getitem select narrow diagonal chunk split tensor_split unbind stack hstack vstack dstack "
    "expand expand_as repeat tile repeat_interleave flip fliplr flipud roll rot90 movedim moveaxis "
    "unfold pixel_shuffle pixel_unshuffle channel_shuffle"
)
_NAMES = set(_MOVES.split())


def only_moves(step: capture.Step) -> bool:
    """Say whether a step only moves values."""
    return step.function is not None and step.operation in _NAMES


def moves(
    step: capture.Step, shapes: Mapping[str, Any], constants: Mapping[str, Tensor]
) -> tuple[list[capture.Value], list[dict[str, Any]]]:
    """Return what a step reads, and for each of its outputs a shape and the `runs` that fill it.

    Three numbers of the runs are a stretch: the place of its first value in all that is read, in a
    row and counted from 1, how many values there are, and how far apart they lie.
    """
    read: dict[capture.Value, Tensor] = {}

    def numbered(value: capture.Value) -> Tensor:
        if step.operation == "getitem" and value != step.arguments[0]:
            return constants[value]  # an index
        first = 1 + sum(each.numel() for each in read.values())
        places = torch.arange(first, first + math.prod(shapes[value]), dtype=torch.float64)
        return read.setdefault(value, places.view(shapes[value]))

    arguments, options = step.filled(numbered)
    function: Any = step.function
    moved = function(*arguments, **options)
    outputs = [moved] if isinstance(moved, Tensor) else moved
    return [*read], [{"shape": list(each.shape), "runs": _runs(each)} for each in outputs]


def _runs(places: Tensor) -> list[int]:
    """Return the stretches in which numbers follow each other evenly.

    >>> _runs(torch.tensor([4, 5, 6, 1, 1, 9]))
    [4, 3, 1, 1, 2, 0, 9, 1, 0]
    """
    numbers = places.flatten().long().numpy()
    steps = np.append(np.diff(numbers), 0)
    runs, start, last = [], 0, len(numbers) - 1
    for end in [*(np.flatnonzero(np.diff(steps[:-1])) + 1).tolist(), last]:
        if end > start or end == last >= 0:  # else a step led from one stretch to the next
            runs += [int(numbers[start]), end - start + 1, int(steps[start])]
            start = end + 1
    return runs
