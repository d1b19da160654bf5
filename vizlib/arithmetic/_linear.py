"""One neuron of a fully connected layer: inputs times weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._readers import Node, Reader, Source, whole
from vizlib.arithmetic._steps import Place, WeightedSum
from vizlib.arithmetic._windows import float64, refuse_outside


@dataclass(frozen=True, eq=False, repr=False)
class LinearStep(WeightedSum):
    """One neuron of a fully connected layer: total = Σ inputs · weights + bias; float64 (F,)."""

    inputs: Tensor
    weights: Tensor
    products: Tensor
    bias: float
    total: float
    channel: int

    def in_words(self, most: int = 8) -> str:
        """Return the sum with its largest products.

        >>> print(linear_step([1.0, 2.0, 3.0], [0.5, -4.0, 1.0]).in_words(most=1))
        −8...(input...1) + 3.5...(2...others) =...−4.5
        """
        return self.by_size(self.products, range(len(self.products)), most)


def linear_step(x: Any, weight: Any, bias: Any = None, *, channel: int = 0) -> LinearStep:
    """Return how neuron `channel` of a fully connected layer comes to its score.

    - `x`: the inputs (F,) or (1, F).
    - `weight`: (O, F) as in `torch.nn.Linear`, or (F,) for a single neuron.
    - `bias`: (O,), a number, or None.

    Raises ValueError where the lengths differ, IndexError where there is no such neuron.

    >>> linear_step([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]], [0.5, 0.5], channel=1)
    LinearStep(12...(input...1) + 5...(input...0) + 0.5...(bias) =...17.5)
    """
    inputs, weights = vector(x, "x"), torch.atleast_2d(float64(weight))
    if weights.dim() > 2 or weights.shape[1] != len(inputs):  # noqa: PLR2004 - outputs × inputs
        raise ValueError(
            f"each neuron multiplies {weights.shape[-1]} inputs by its weights, but got "
            f"{len(inputs)}; the weight is {tuple(weights.shape)}: outputs × inputs"
        )
    refuse_outside("channel", channel, len(weights), f"there are {len(weights)} neurons")
    products = inputs * weights[channel]
    offset = 0.0 if bias is None else torch.atleast_1d(float64(bias))[channel].item()
    total = products.sum().item() + offset
    return LinearStep(inputs, weights[channel], products, offset, total, channel)


def vector(x: Any, name: str) -> Tensor:
    """Return values (K,) in float64 from (K,) or (1, K)."""
    values = float64(x)
    if values.dim() == 2 and len(values) == 1:  # noqa: PLR2004 - a batch of one
        values = values[0]
    if values.dim() != 1 or not values.numel():
        raise ValueError(
            f"{name} must be a vector (K,), but had the shape {tuple(values.shape)}; "
            f"of a batch choose one with {name}[0]"
        )
    return values


class Linear(Reader):
    """A fully connected layer: each value reads all values along the last axis."""

    def __init__(self, node: Node) -> None:
        """Refuse products of two outputs, which have no weights."""
        if node.operation != "linear":
            raise node.refusal(f"is {node.operation}, which has no weights of its own")
        self.weights = node.weights()
        super().__init__(node)
        self.reach = [*self.reach[:-1], whole(self.before.shape[-1])]

    def step(self, place: Place) -> LinearStep:
        """Return the sum of one neuron."""
        # Only this neuron's weights become float64: all of them may be a gigabyte.
        inputs, channel, bias = self.before[place[:-1]], place[-1], self.node.setting("bias")
        own = linear_step(inputs, self.weights[channel], None if bias is None else bias[channel])
        return replace(own, channel=channel)

    def source(self, place: Place, step: LinearStep) -> Source:
        """Return the input with the largest contribution, of either sign."""
        return 0, (*place[:-1], int(step.products.abs().argmax()))
