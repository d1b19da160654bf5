"""Outputs of one shape that are added value by value, as around a residual block."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vizlib.arithmetic._steps import Step
from vizlib.arithmetic._words import equation, named_term


@dataclass(frozen=True, eq=False)
class SumStep(Step):
    """Two outputs added value by value, as around a residual block: total = Σ terms.

    `terms` (2,) float64 are the values of the two stages called `names`.
    """

    terms: Tensor
    names: tuple[str, str]
    total: float

    @property
    def largest(self) -> int:
        """Which of the two matters most, of either sign; the first of equals."""
        return int(self.terms.abs().argmax())

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
