"""One value that is normalized: less a mean, divided by a deviation, scaled and moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vizlib.arithmetic._steps import Step
from vizlib.arithmetic._windows import float64
from vizlib.arithmetic._words import added, equation
from vizlib.words import short


@dataclass(frozen=True, eq=False)
class NormStep(Step):
    """Values x, normalized in four steps; all float64.

    centred = x − mean, normalized = centred / √(variance + eps), y = weight · normalized + bias.
    """

    x: Tensor
    mean: float
    variance: float
    eps: float
    centred: Tensor
    normalized: Tensor
    weight: float
    bias: float
    y: Tensor

    @property
    def total(self) -> float:  # type: ignore[override]  # computed from y
        """The result, where x is one number."""
        return self.y.item()

    def __repr__(self) -> str:
        """Return the formula with its numbers."""
        x = f"{self.x.item():.6g}" if self.x.numel() == 1 else "x"
        end = f" = {self.total:.6g}" if self.x.numel() == 1 else f", {self.x.numel()} values"
        normalized = f"({x} − {self.mean:.6g}) / √({self.variance:.6g} + {self.eps:g})"
        return f"NormStep({normalized} · {self.weight:.6g} + {self.bias:.6g}{end})"

    def in_words(self, _most: int = 8) -> str:
        """Return the formula with its numbers, rounded.

        >>> print(norm_step(3.0, mean=1.0, variance=4.0, bias=0.5, eps=0.0).in_words())
        (3 − 1) / √(4 + 0) · 1 + 0.5 =...1.5
        """
        centred = added([short(self.x.item(), 4), short(-self.mean)])
        deviation = f"√({short(self.variance)} + {self.eps:g})"
        scaled = f"({centred}) / {deviation} · {short(self.weight)}"
        return equation([scaled, short(self.bias)], self.total, 4)

    def made_of(self) -> str:
        """Return that a value is normalized."""
        return "normalized"


def norm_step(
    x: Any,
    *,
    mean: float | Tensor | None = None,
    variance: float | Tensor | None = None,
    weight: float | Tensor = 1.0,
    bias: float | Tensor = 0.0,
    eps: float = 1e-5,
) -> NormStep:
    """Return what a normalization makes of values `x` of any shape, such as one channel's.

    - `mean`, `variance`: the running ones of a trained BatchNorm. Where they are None, those of `x`
      itself are taken, as in training: the variance is divided by the count, not by the count less
      one.
    - `weight`, `bias`: what the layer learnt for the channel.
    - `eps`: a small number, so that nothing is divided by 0.

    The formula is Ioffe and Szegedy's (2015), algorithm 1. LayerNorm, GroupNorm and InstanceNorm
    have the same one and differ in the values that mean and variance are taken from.

    >>> norm_step([1.0, 3.0], weight=2.0).y.round(decimals=3).tolist()
    [-2.0, 2.0]
    >>> norm_step(3.0, mean=1.0, variance=4.0, bias=0.5, eps=0.0)
    NormStep((3 − 1) / √(4 + 0) · 1 + 0.5 = 1.5)
    """
    values = float64(x)
    mean = values.mean() if mean is None else mean
    variance = values.var(correction=0) if variance is None else variance
    # Those of a layer are tensors, the weight and the bias with gradients that are not wanted here.
    mean, variance, weight, bias = (
        float64(number).item() for number in (mean, variance, weight, bias)
    )
    centred = values - mean
    normalized = centred / (variance + eps) ** 0.5
    y = weight * normalized + bias
    return NormStep(values, mean, variance, eps, centred, normalized, weight, bias, y)
