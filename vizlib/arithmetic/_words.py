"""Pieces of the sentences in which a step tells its numbers; rounded for the eye, never before."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vizlib.words import short

# A sum of more products than these is told by its largest terms.
WRITTEN_OUT = 9
# Of more values than these, the first and the last four are listed.
LISTED = 12
# A line may break between two terms, but not between a term and its name.
NBSP = "\u00a0"


def factor(value: float) -> str:
    """Return a number as it stands in a product: a negative one in brackets.

    >>> factor(2.5), factor(-1.0)
    ('2.5', '(−1)')
    """
    return f"({short(value)})" if value < 0 else short(value)


def added(terms: Sequence[str]) -> str:
    """Return terms with + and − between them.

    >>> added(["1", "−2", "3"])
    '1 − 2 + 3'
    """
    return " + ".join(terms).replace("+ −", "− ")


def product_terms(values: Tensor, weights: Tensor) -> list[str]:
    """Return every product as two factors."""
    pairs = zip(values.flatten().tolist(), weights.flatten().tolist(), strict=True)
    return [f"{factor(value)}·{factor(weight)}" for value, weight in pairs]


def named_term(value: float, name: str) -> str:
    """Return a term with its name in brackets."""
    return f"{short(value, 4)}{NBSP}({name.replace(' ', NBSP)})"


def largest_terms(values: Tensor, names: Sequence[str], most: int) -> list[str]:
    """Return the `most` largest terms of either sign, the largest first, and the rest as one."""
    largest = values.abs().argsort(descending=True, stable=True)[:most].tolist()
    terms = [named_term(values[k].item(), names[k]) for k in largest]
    return terms + rest_term(values, largest)


def rest_term(values: Tensor, told: Sequence[int]) -> list[str]:
    """Return the sum of the terms that are not told one by one, if there are any."""
    rest = len(values) - len(told)
    others = values.sum() - values[list(told)].sum()
    return [named_term(others.item(), f"{rest} other{'s' * (rest > 1)}")] if rest else []


def equation(terms: Sequence[str], total: float, digits: int = 6) -> str:
    """Return the terms, added, and what they make."""
    return f"{added(terms)} ={NBSP}{short(total, digits)}"
