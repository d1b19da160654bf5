"""What every step can tell about itself, and the way of steps from a value back to the image.

No picture needs to know the kinds of layers: it asks the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vizlib.words import short

# (channel, row, column) of maps, (channel, position) of a signal, (index,) of a vector.
Place = tuple[int, ...]

# A sum of more products than these is told by its largest terms.
WRITTEN_OUT = 9
# A line may break between two terms, but not between a term and its name.
NBSP = "\u00a0"


class Step:
    """One value of a layer, taken apart."""

    total: float
    """The value, computed in float64 from the numbers in the step."""

    mixes = False
    """Whether the value is a weighted sum of many, as of a convolution or a neuron."""

    def __repr__(self) -> str:
        """Return how the value comes about."""
        return f"{type(self).__name__}({self.in_words()})"

    def in_words(self, most: int = 8) -> str:
        """Return how the value comes about, as one line with its numbers.

        Numbers are rounded to be read; the result is that of the full ones. Of many terms `most`
        are named, those with the largest contributions of either sign, the largest first; the rest
        is one term that counts in full.
        """
        raise NotImplementedError

    def made_of(self) -> str:
        """Return in three words what the value is made of."""
        raise NotImplementedError


class WeightedSum(Step):
    """A value that is Σ products + bias."""

    products: Tensor
    bias: float
    mixes = True

    def made_of(self) -> str:
        """Return how many terms there are."""
        return f"{self.products.numel()} terms{' + bias' * bool(self.bias)}"

    def written_out(self, values: Tensor, weights: Tensor) -> str:
        """Return the sum with every product as two factors."""
        pairs = zip(values.flatten().tolist(), weights.flatten().tolist(), strict=True)
        return self._sum([f"{factor(value)}·{factor(weight)}" for value, weight in pairs])

    def by_size(self, terms: Tensor, inputs: Sequence[int], most: int) -> str:
        """Return the sum with the `most` largest terms, named after inputs, and the rest as one."""
        largest = terms.abs().argsort(descending=True, stable=True)[:most].tolist()
        told = [named_term(terms[k].item(), f"input {inputs[k]}") for k in largest]
        if rest := len(terms) - len(largest):
            others = terms.sum() - terms[largest].sum()
            told.append(named_term(others.item(), f"{rest} other{'s' * (rest > 1)}"))
        return self._sum(told)

    def _sum(self, terms: list[str]) -> str:
        """Return the terms with the bias, where there is one, and the total."""
        bias = [named_term(self.bias, "bias", 3)] if self.bias else []
        return equation([*terms, *bias], self.total)


class Box(NamedTuple):
    """Rows top…bottom − 1 and columns left…right − 1 of an image: `x[..., top:bottom, left:right]`.

    >>> Box(2, 0, 7, 5).height
    5
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left


@dataclass(frozen=True, eq=False)
class Traced:
    """One value on the way back to the image.

    - `stage`: the stage's name, "input" for the image itself
    - `place`: (channel, row, column), (channel, position), or (index,) of a vector. Where the
      layer gave more than one image for one, the image's number stands before them
    - `value`: what the network computed
    - `total`: what the step here computed in float64 from the values before the layer
    - `step`: how the value comes about; None where it only moves
    - `field`: the input pixels that this value can depend on
    - `before`: what the layer read, (C, H, W) or (F,) float64; of several outputs the one that
      the way goes on to. None for the image itself
    - `source`: the place in `before` that the way goes on to; None where that is padding
    """

    stage: str
    kind: str
    place: Place
    value: float
    total: float
    step: Step | None
    field: Box
    before: Tensor | None
    source: Place | None = None

    @property
    def difference(self) -> float:
        """The step's result minus the network's own: what float32 rounds away."""
        return self.total - self.value

    def __repr__(self) -> str:
        """Return name, place, value and field in one line."""
        where = ", ".join(map(str, self.place))
        top, left, bottom, right = self.field
        sees = f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"
        return f"{self.stage}[{where}] = {self.value:.6g}  sees {sees if self.field.width else '–'}"


class Trace(tuple[Traced, ...]):
    """The values from the one asked for to a pixel of the image, in this order."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a line for each value."""
        return "\n".join(map(repr, self))


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


def named_term(value: float, name: str, digits: int = 4) -> str:
    """Return a term with its name in brackets."""
    return f"{short(value, digits)}{NBSP}({name.replace(' ', NBSP)})"


def equation(terms: Sequence[str], total: float, digits: int = 6) -> str:
    """Return the terms, added, and what they make."""
    return f"{added(terms)} ={NBSP}{short(total, digits)}"


def largest_place(values: Tensor, missing: Tensor) -> Place | None:
    """Return the place of the largest value of either sign; None where all are missing."""
    if missing.all():
        return None
    return place_in(values, int(values.abs().masked_fill(missing, -1).argmax()))


def place_in(values: Tensor, number: int) -> Place:
    """Return the place of value number `number`, counted row by row."""
    return tuple(int(index) for index in torch.unravel_index(torch.tensor(number), values.shape))
