"""One value that is normalized: less a mean, divided by a deviation, scaled and moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.arithmetic._readers import Node, Reach, Reader, same, shared, whole
from vizlib.arithmetic._steps import Place, Step, added, equation
from vizlib.arithmetic._windows import float64
from vizlib.words import short


@dataclass(frozen=True, eq=False, repr=False)
class NormStep(Step):
    """Values x, normalized, scaled and moved; all float64.

    normalized = (x − mean) / √(variance + eps), y = weight · normalized + bias.
    """

    x: Tensor
    mean: float
    variance: float
    eps: float
    normalized: Tensor
    weight: float
    bias: float
    y: Tensor

    @property
    def total(self) -> float:  # type: ignore[override]  # computed from y
        """The result, where x is one number."""
        return self.y.item()

    def in_words(self, _most: int = 8) -> str:
        """Return the formula with its numbers, rounded.

        >>> print(norm_step(3.0, mean=1.0, variance=4.0, bias=0.5, eps=0.0).in_words())
        (3 − 1) / √(4 + 0) · 1 + 0.5 =...1.5
        """
        is_one = self.x.numel() == 1
        centred = added([short(self.x.item(), 4) if is_one else "x", short(-self.mean)])
        deviation = f"√({short(self.variance)} + {self.eps:g})"
        scaled = f"({centred}) / {deviation} · {short(self.weight)}"
        terms = [scaled, short(self.bias)]
        return equation(terms, self.total, 4) if is_one else f"y = {added(terms)}"

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
    NormStep((3 − 1) / √(4 + 0) · 1 + 0.5 =...1.5)
    """
    values = float64(x)
    mean = values.mean() if mean is None else mean
    variance = values.var(correction=0) if variance is None else variance
    # Those of a layer are tensors, the weight and the bias with gradients that are not wanted here.
    mean, variance, weight, bias = (
        float64(number).item() for number in (mean, variance, weight, bias)
    )
    normalized = (values - mean) / (variance + eps) ** 0.5
    y = weight * normalized + bias
    return NormStep(values, mean, variance, eps, normalized, weight, bias, y)


class Norm(Reader):
    """A normalization of one value, with the mean and variance of others, or with running ones."""

    def __init__(self, node: Node) -> None:
        """Find out which values mean and variance are taken from."""
        super().__init__(node)
        if node.module is None:
            raise node.refusal("is called as a function, which keeps its weights to itself")
        self.is_running = getattr(node.module, "running_mean", None) is not None
        if not self.is_running:
            self.reach = self._reach(node.module, self.before.shape)

    @staticmethod
    def _reach(layer: nn.Module, shape: torch.Size) -> list[Reach]:
        """Return for each axis which positions share mean and variance with one."""
        wholes = [whole(size) for size in shape]
        match layer:
            case nn.LayerNorm() | nn.RMSNorm():
                own = len(shape) - len(layer.normalized_shape)
                return [same] * own + wholes[own:]
            case nn.GroupNorm():
                size = shape[1] // layer.num_groups
                return [same, shared(size, size), *wholes[2:]]
            case nn.InstanceNorm1d() | nn.InstanceNorm2d() | nn.InstanceNorm3d():
                return [same, same, *wholes[2:]]
            case nn.LocalResponseNorm():
                return [same, wholes[1], *[same] * (len(shape) - 2)]
        return [wholes[0], same, *wholes[2:]]

    def step(self, place: Place) -> NormStep:
        """Return the normalization of one value."""
        layer: Any = self.node.module
        if not hasattr(layer, "bias"):
            raise self.node.refusal(f"is {type(layer).__name__}")
        own = place[-len(layer.normalized_shape) :] if isinstance(layer, nn.LayerNorm) else place[1]
        if self.is_running:
            mean, variance = layer.running_mean[own], layer.running_var[own]
        else:
            group = self.before
            for axis, (reach, at) in enumerate(zip(self.reach, place, strict=True)):
                positions = sorted(reach({at}))
                group = group.narrow(axis, positions[0], len(positions))
            mean, variance = group.mean(), group.var(correction=0)
        return norm_step(
            self.before[place],
            mean=mean,
            variance=variance,
            weight=1.0 if layer.weight is None else layer.weight[own],
            bias=0.0 if layer.bias is None else layer.bias[own],
            eps=layer.eps,
        )
