"""Layers that only move values: flatten, slices, concatenate, dropout at rest; and what adds them.

Where each value comes from is found by moving numbers: torch itself moves 1, 2, 3, … in place of
the values, and what arrives says where it came from. 0 is what padding adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._pooling import PoolStep
from vizlib.arithmetic._readers import Node, Reader, Seen, Source
from vizlib.arithmetic._steps import Place, Step, equation, named_term, place_in
from vizlib.capture import Constant, Value

_STAY = "contiguous clone detach to type float double half bfloat16 cpu"
_MOVE = "view reshape flatten unflatten ravel view_as reshape_as permute transpose movedim "
_MOVE += "moveaxis swapaxes swapdims t squeeze unsqueeze expand expand_as repeat tile flip "
_MOVE += "fliplr flipud roll rot90 chunk split tensor_split unbind select narrow diagonal "
_MOVE += "repeat_interleave unfold cat concat concatenate stack hstack vstack dstack getitem "
_MOVE += "pixel_shuffle pixel_unshuffle channel_shuffle pad interpolate upsample"
_STAYS, _MOVES = set(_STAY.split()), set(_MOVE.split())
# Modules of these kinds move values, whatever torch calls them.
_KINDS = {"flatten", "dropout", "identity", "cat", "pad", "resize"}
_NEAREST = {"nearest", "nearest-exact"}


def only_moves(node: Node) -> bool:
    """Say whether a step only moves values."""
    return node.operation in _STAYS | _MOVES or node.kind in _KINDS


class Moves(Reader):
    """A layer that makes no new values: each of its values is one that it read, or padding."""

    def __init__(self, node: Node) -> None:
        """Move numbers as the layer moves values; of several outputs `chunk[1]` is the second."""
        super().__init__(node)
        self._refuse()
        self.sizes = [before.numel() for before in node.befores]
        numbers = torch.arange(1, sum(self.sizes) + 1, dtype=torch.float64).split(self.sizes)
        shaped = [n.view(b.shape) for n, b in zip(numbers, node.befores, strict=True)]
        moved = self._moved(shaped)
        if not isinstance(moved, Tensor):
            moved = moved[int(node.name.partition("[")[2].rstrip("]") or 0)]
        self.numbers = moved.long()
        if not torch.equal(self.numbers.double(), moved):
            raise node.refusal(f"is {node.operation}, which does more than to move values")

    def _refuse(self) -> None:
        node = self.node
        if node.operation == "getitem" and len(node.befores) > 1:
            raise node.refusal("chooses values by what is in another output")
        if node.kind == "resize" and node.setting("mode", "nearest") not in _NEAREST:
            raise node.refusal(f"resizes by {node.setting('mode')!r}")
        if node.kind == "pad" and (node.setting("value") or 0) != 0:
            raise node.refusal(f"pads with {node.setting('value')}")

    @torch.no_grad()
    def _moved(self, tensors: list[Tensor]) -> Any:
        """Do to other tensors what the layer did to its own."""
        node, given = self.node, iter(tensors)
        arguments, options = node.step.filled(
            lambda name: node.constants[name] if isinstance(name, Constant) else next(given)
        )
        if node.kind in {"dropout", "identity"} or node.operation in _STAYS:
            return arguments[0]
        if node.step.function is not None:
            return node.step.function(*arguments, **options)
        layer: Any = node.module
        # Past its hooks, which are for the network's own values.
        return type(layer).forward(layer, *arguments, **options)

    @property
    def values(self) -> Tensor:
        """All that the layer gave, in float64."""
        flat = torch.cat([torch.zeros(1), *(b.flatten() for b in self.node.befores)])
        return flat[self.numbers]

    def step(self, _place: Place) -> Step | None:
        """Return that a value only moves."""
        return None

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
        return last.reshape(*node.step.shape, *(self.before.shape[dim] for dim in self.over))

    def step(self, place: Place) -> PoolStep:
        """Return the mean behind one value: average pooling with one window."""
        patch = self.values[place]
        is_map = self.over == list(range(2, self.before.dim()))
        places = tuple(tuple(range(size)) for size in patch.shape) if is_map else ((), ())
        is_padding = torch.zeros(patch.shape, dtype=torch.bool)
        total, channel = patch.mean().item(), place[-1] if place else 0
        count = patch.numel()
        return PoolStep("avg", patch, is_padding, total, channel, (), places, divisor=count)

    def source(self, place: Place, step: PoolStep) -> Source:
        """Return the largest value of either sign."""
        number = self.numbers[place].flatten()[step.patch.abs().argmax()]
        return 0, place_in(self.before, int(number) - 1)


@dataclass(frozen=True, eq=False, repr=False)
class SumStep(Step):
    """Two outputs added value by value, as around a residual block: total = Σ terms.

    - `terms`: (2,) float64, the two values.
    - `names`: the stages that gave them; a parameter has its own name, and a number is "constant".
    """

    terms: Tensor
    names: tuple[str, ...]
    total: float

    def in_words(self, _most: int = 8) -> str:
        """Return the sum, each term with the name of its stage."""
        pairs = zip(self.terms.tolist(), self.names, strict=True)
        return equation([named_term(value, name) for value, name in pairs], self.total, 4)

    def made_of(self) -> str:
        """Return that two outputs are added."""
        return "sum of two"


class Sum(Reader):
    """Two outputs, or an output and a constant, added; the smaller one is repeated to fit."""

    def __init__(self, node: Node) -> None:
        """Refuse a sum in which one term is multiplied first."""
        super().__init__(node)
        if node.setting("alpha", 1) != 1:
            raise node.refusal(f"multiplies what it adds by {node.setting('alpha')}")
        befores = iter(enumerate(node.befores))
        given = node.step.arguments[:2]
        self.names = tuple(str(one) if isinstance(one, Value) else "constant" for one in given)
        self.terms = [self._term(one, befores) for one in given]

    def _term(self, given: Any, befores: Iterator[tuple[int, Tensor]]) -> tuple[int | None, Tensor]:
        """Return which output a term is, None for a constant, and its values."""
        if isinstance(given, Constant):
            return None, self.node.constants[given].detach().cpu().double()
        if isinstance(given, Value):
            return next(befores)
        return None, torch.tensor(float(given), dtype=torch.float64)

    def step(self, place: Place) -> SumStep:
        """Return the sum at a place."""
        terms = torch.stack([values[_within(values, place)] for _, values in self.terms])
        return SumStep(terms, self.names, terms.sum().item())

    def source(self, place: Place, step: SumStep) -> Source:
        """Return the larger of the outputs, of either sign; the first of equals."""
        outputs = zip(step.terms.abs().tolist(), self.terms, strict=True)
        known = [(size, which, values) for size, (which, values) in outputs if which is not None]
        _, which, values = max(known, key=lambda output: output[0])
        return which, _within(values, place)

    def seen(self, seen: Seen) -> list[Seen]:
        """Return the same positions of each output, and the only one where it is repeated."""
        pairs = [
            zip(seen[-before.dim() :], before.shape, strict=True) for before in self.node.befores
        ]
        return [[kept if size > 1 else {0} for kept, size in pair] for pair in pairs]


def _within(values: Tensor, place: Place) -> Place:
    """Return the place in values that are repeated along axes of one position."""
    own = place[len(place) - values.dim() :]
    return tuple(at if size > 1 else 0 for at, size in zip(own, values.shape, strict=True))
