"""What every step can tell about itself, so that no picture needs to know the kinds of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vizlib import words
from vizlib.arithmetic._words import short

# (channel, row, column) of maps, (channel, position) of a signal, (index,) of a vector.
Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Parts:
    """The numbers behind a value as they are laid out in a picture.

    - `numbers`: by name, (kh, kw) under a window or (F,) of a vector. Where there are three, they
      are values × weights = products.
    - `is_padding`: bool (kh, kw), the cells that lie outside the input; None where none can.
    - `chosen`: the place in `numbers` of the value that won, or that adds most; None where there
      is none.
    - `channel`: the input channel that they belong to; None where there are no channels.
    """

    numbers: Mapping[str, Tensor]
    is_padding: Tensor | None = None
    chosen: Place | None = None
    channel: int | None = None


class Step:
    """One value of a layer, taken apart."""

    total: float
    """The value, computed in float64 from the numbers in the step."""

    mixes = False
    """Whether the value is a weighted sum of many, as of a convolution or a neuron."""

    def in_words(self, most: int = 8) -> str:
        """Return how the value comes about, as one line with its numbers.

        Numbers are rounded to be read; the result is that of the full ones. Of many terms `most`
        are named, those with the largest contributions of either sign, the largest first; the rest
        is one term that counts in full.
        """
        raise NotImplementedError

    def in_short(self) -> str:
        """Return the same with few numbers, for a line among others."""
        return self.in_words()

    def made_of(self) -> str:
        """Return in three words what the value is made of."""
        raise NotImplementedError

    def parts(self, source: Place | None = None) -> Parts | None:  # noqa: ARG002 - most have none
        """Return the numbers that the value is made of, or None where there is only one.

        `source` is a place in what the layer reads: of many input channels its channel is shown,
        without it the one that adds most.
        """
        return None


class WeightedSum(Step):
    """A value that is Σ products + bias."""

    products: Tensor
    bias: float
    mixes = True

    def in_short(self) -> str:
        """Return how many products there are, their sum with the bias, and the largest."""
        largest = self.products.flatten()[self.products.abs().argmax()].item()
        made = f"{words.counted(self.products.numel(), 'product')}{' + bias' * bool(self.bias)}"
        return f"{made} = {short(self.total, 4)}, the largest {short(largest, 4)}"

    def made_of(self) -> str:
        """Return how many terms there are."""
        return f"{self.products.numel()} terms{' + bias' * bool(self.bias)}"

    def with_bias(self, terms: list[str], *, always: bool = False) -> list[str]:
        """Return the terms and the bias, which is left out where it is 0, unless `always`."""
        told = [f"{short(self.bias)}\u00a0(bias)"] if self.bias or always else []
        return [*terms, *told]


def largest_place(values: Tensor, missing: Tensor | None = None) -> Place | None:
    """Return the place of the largest value of either sign; None where all are missing."""
    size = values.abs() if missing is None else values.abs().masked_fill(missing, -1)
    if missing is not None and missing.all():
        return None
    return place_in(values, int(size.argmax()))


def place_in(values: Tensor, number: int) -> Place:
    """Return the place of value number `number`, counted row by row."""
    return tuple(int(index) for index in torch.unravel_index(torch.tensor(number), values.shape))
