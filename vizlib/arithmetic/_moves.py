"""Layers that only move values: flatten, slices, permute, concatenate, dropout at rest; and means.

Where each value comes from is found by moving numbers: torch itself moves 1, 2, 3, … in place of
the values, and what arrives says where it came from. 0 is what padding adds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vizlib.arithmetic._pooling import PoolStep
from vizlib.arithmetic._readers import Node, NoReaderError, Reader, Seen, Source
from vizlib.arithmetic._steps import Place, Step, place_in
from vizlib.capture import Constant, Value

_STAYS = "contiguous clone detach to type float double half bfloat16 cpu"
_TENSOR = "view reshape flatten unflatten ravel view_as reshape_as permute transpose movedim "
_TENSOR += "moveaxis swapaxes swapdims t squeeze unsqueeze expand expand_as repeat tile flip "
_TENSOR += "fliplr flipud roll rot90 chunk split tensor_split unbind select narrow diagonal "
_TENSOR += "repeat_interleave unfold"
_TORCH = "cat concat concatenate stack hstack vstack dstack"
_FUNCTIONAL = "pixel_shuffle pixel_unshuffle channel_shuffle pad interpolate upsample"
_MOVES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_STAYS.split(), lambda x, *_args, **_options: x),
    **{name: getattr(torch.Tensor, name) for name in _TENSOR.split()},
    **{name: getattr(torch, name) for name in _TORCH.split()},
    **{name: getattr(F, name) for name in _FUNCTIONAL.split()},
    "getitem": operator.getitem,
}
_SIDE_BY_SIDE = {"cat", "concat", "concatenate"}
# Modules of these kinds move values, whatever torch calls them.
_KINDS = {"flatten", "dropout", "identity", "cat", "pad", "resize"}
_NEAREST = {"nearest", "nearest-exact"}


def only_moves(node: Node) -> bool:
    """Say whether a step only moves values."""
    return node.operation in _MOVES or node.kind in _KINDS


class Moves(Reader):
    """A layer that makes no new values: each of its values is one that it read, or padding."""

    def __init__(self, node: Node, output: int = 0) -> None:
        """Move numbers as the layer moves values; `output` is which of its outputs is meant."""
        super().__init__(node)
        self._refuse()
        self.sizes = [before.numel() for before in node.befores]
        numbers = torch.arange(1, sum(self.sizes) + 1, dtype=torch.float64).split(self.sizes)
        shaped = [n.view(b.shape) for n, b in zip(numbers, node.befores, strict=True)]
        moved = self._moved(shaped)
        moved = moved if isinstance(moved, Tensor) else moved[output]
        self.numbers = moved.long()
        if not torch.equal(self.numbers.double(), moved):
            raise NoReaderError(f"is {node.operation}, which does more than to move values")

    def _refuse(self) -> None:
        node = self.node
        if node.operation == "getitem" and len(node.befores) > 1:
            raise NoReaderError("chooses values by what is in another output")
        if node.kind == "resize" and node.setting("mode", "nearest") not in _NEAREST:
            raise NoReaderError(f"resizes by {node.setting('mode')!r}")
        if node.kind == "pad" and (node.setting("value") or 0) != 0:
            raise NoReaderError(f"pads with {node.setting('value')}")

    @torch.no_grad()
    def _moved(self, tensors: list[Tensor]) -> Any:
        """Do to other tensors what the layer did to its own."""
        node, given = self.node, iter(tensors)
        arguments = _filled(node.arguments, given)
        options = _filled(dict(node.options), given)
        if node.kind in {"dropout", "identity"}:
            return arguments[0]
        if node.module is None:
            return _MOVES[node.operation](*arguments, **options)
        # Past its hooks, which are for the network's own values.
        return type(node.module).forward(node.module, *arguments, **options)

    @property
    def values(self) -> Tensor:
        """All that the layer gave, in float64."""
        flat = torch.cat([torch.zeros(1), *(b.flatten() for b in self.node.befores)])
        return flat[self.numbers]

    def step(self, place: Place) -> tuple[float, Step | None]:
        """Return the value that arrives at a place."""
        source = self.source(place, None)
        if source is None:
            return 0.0, None
        which, before = source
        return self.node.befores[which][before].item(), None

    def source(self, place: Place, _step: Any) -> Source | None:
        """Return where it came from."""
        number = int(self.numbers[place]) - 1
        for which, size in enumerate(self.sizes):
            if 0 <= number < size:
                return which, place_in(self.node.befores[which], number)
            number -= size
        return None

    def seen(self, seen: Seen) -> list[Seen]:
        """Return the places that these came from."""
        if self.node.operation in _SIDE_BY_SIDE:
            return self._parted(seen)
        numbers = self.numbers
        for axis, kept in enumerate(seen):
            if len(kept) < numbers.shape[axis]:
                numbers = numbers.index_select(axis, torch.tensor(sorted(kept), dtype=torch.long))
        found, numbers = [], numbers.flatten() - 1
        for before, size in zip(self.node.befores, self.sizes, strict=True):
            own = numbers[(numbers >= 0) & (numbers < size)]
            places = torch.unravel_index(own, before.shape)
            found.append([set(axis.unique().tolist()) for axis in places])
            numbers = numbers[numbers >= size] - size
        return found

    def _parted(self, seen: Seen) -> list[Seen]:
        """Return the places in outputs that were put side by side; faster than by numbers."""
        axis, start, found = (self.node.setting("dim") or 0) % len(seen), 0, []
        for before in self.node.befores:
            own = {at - start for at in seen[axis]} & set(range(before.shape[axis]))
            found.append([*seen[:axis], own, *seen[axis + 1 :]])
            start += before.shape[axis]
        return found


class Mean(Moves):
    """The mean over some axes. The values that it reads are moved beside each other first."""

    def _refuse(self) -> None:
        """Take every mean."""

    def _moved(self, tensors: list[Tensor]) -> Tensor:
        node, rank = self.node, self.before.dim()
        given = node.setting("dim")
        dims = range(rank) if given is None else [given] if isinstance(given, int) else given
        self.over = sorted(dim % rank for dim in dims)
        last = tensors[0].movedim(self.over, list(range(-len(self.over), 0)))
        return last.reshape(*node.shape, *(self.before.shape[dim] for dim in self.over))

    def step(self, place: Place) -> tuple[float, PoolStep]:
        """Return the mean behind one value: average pooling with one window."""
        patch = self.values[place]
        is_map = self.over == list(range(2, self.before.dim()))
        places = tuple(tuple(range(size)) for size in patch.shape) if is_map else ((), ())
        return patch.mean().item(), PoolStep(
            kind="avg",
            patch=patch,
            is_padding=torch.zeros(patch.shape, dtype=torch.bool),
            winner=None,
            source=None,
            divisor=patch.numel(),
            total=patch.mean().item(),
            channel=place[-1] if place else 0,
            place=(),
            places=places,
            sources=places,
        )

    def source(self, place: Place, step: PoolStep) -> Source:
        """Return the largest value of either sign."""
        number = self.numbers[place].flatten()[step.patch.abs().argmax()]
        return 0, place_in(self.before, int(number) - 1)


def _filled(given: Any, tensors: Any) -> Any:
    """Put the next tensor in the place of each name of one."""
    if isinstance(given, Value) and not isinstance(given, Constant):
        return next(tensors)
    if isinstance(given, dict):
        return {name: _filled(value, tensors) for name, value in given.items()}
    if isinstance(given, list | tuple) and not isinstance(given, torch.Size):
        return type(given)(_filled(value, tensors) for value in given)
    return given
