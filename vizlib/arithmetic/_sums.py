"""Outputs of one shape that are added value by value, as around a residual block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from vizlib.arithmetic._readers import Node, NoReaderError, Reader, Seen, Source
from vizlib.arithmetic._steps import Place, Step
from vizlib.arithmetic._words import equation, named_term
from vizlib.capture import Constant, Value

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SumStep(Step):
    """Two outputs added value by value, as around a residual block: total = Σ terms.

    - `terms`: (2,) float64, the two values.
    - `names`: the stages that gave them; a parameter has its own name, and a number is "constant".
    """

    terms: Tensor
    names: tuple[str, ...]
    total: float

    def __repr__(self) -> str:
        """Return the sum in one line."""
        parts = (
            f"{value:.6g} ({name})" for value, name in zip(self.terms, self.names, strict=True)
        )
        return f"SumStep({' + '.join(parts)} = {self.total:.6g})"

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
            raise NoReaderError(f"multiplies what it adds by {node.setting('alpha')}")
        befores = iter(zip(range(len(node.befores)), node.befores, strict=True))
        self.terms = [self._term(given, befores) for given in node.arguments[:2]]

    def _term(self, given: Any, befores: Iterator[tuple[int, Tensor]]) -> tuple[int | None, Tensor]:
        """Return which output a term is, None for a constant, and its values."""
        if isinstance(given, Constant):
            return None, self.node.constants[given].detach().cpu().double()
        if isinstance(given, Value):
            return next(befores)
        return None, torch.tensor(float(given), dtype=torch.float64)

    def step(self, place: Place) -> tuple[float, SumStep]:
        """Return the sum at a place."""
        terms = torch.stack([values[_within(values, place)] for _, values in self.terms])
        names = tuple(
            str(given) if isinstance(given, Value) else "constant"
            for given in self.node.arguments[:2]
        )
        total = terms.sum().item()
        return total, SumStep(terms, names, total)

    def source(self, place: Place, step: SumStep) -> Source:
        """Return the larger of the outputs, of either sign; the first of equals."""
        outputs = [
            (abs(term.item()), which, _within(values, place))
            for term, (which, values) in zip(step.terms, self.terms, strict=True)
            if which is not None
        ]
        _, which, source = max(outputs, key=lambda output: output[0])
        return which, source

    def seen(self, seen: Seen) -> list[Seen]:
        """Return the same positions of each output, and the only one where it is repeated."""
        return [
            [
                kept if size > 1 else {0}
                for kept, size in zip(_last(seen, before), before.shape, strict=True)
            ]
            for before in self.node.befores
        ]


def _within(values: Tensor, place: Place) -> Place:
    """Return the place in values that are repeated along axes of one position."""
    return tuple(
        at if size > 1 else 0 for at, size in zip(_last(place, values), values.shape, strict=True)
    )


def _last(axes: Sequence[T], values: Tensor) -> Sequence[T]:
    return axes[len(axes) - values.dim() :]
