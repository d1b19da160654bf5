"""The functions that follow a neuron's sum, each with its formula and its derivative."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib import words
from vizlib.arithmetic._readers import Node, Reader
from vizlib.arithmetic._steps import Place, Step
from vizlib.arithmetic._windows import float64
from vizlib.words import counted, short


def _between(x: Tensor, low: float, high: float) -> Tensor:
    # At the ends the slope is 0, as torch has it.
    return torch.where((x > low) & (x < high), x, x.clamp(low, high))


def _elu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(torch.where(x > 0, 0 * x, x)))


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x.clamp(min=-700)))


# Written out rather than called, so that a formula here and torch's own can be compared.
_FORMULAS: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "identity": ("x", lambda x: x * 1),
    "relu": ("max(0, x)", lambda x: torch.where(x > 0, x, 0 * x)),
    "relu6": ("min(max(0, x), 6)", lambda x: _between(x, 0.0, 6.0)),
    "leaky_relu": (
        "x, or negative_slope · x below 0",
        lambda x, negative_slope=0.01: torch.where(x > 0, x, negative_slope * x),
    ),
    "prelu": (
        "x, or weight · x below 0",
        lambda x, weight=0.25: torch.where(x > 0, x, weight * x),
    ),
    "elu": ("x, or alpha · (eˣ − 1) below 0", lambda x, alpha=1.0: _elu(x, alpha)),
    "selu": (
        "1.0507 · (x, or 1.6733 · (eˣ − 1) below 0)",
        lambda x: 1.0507009873554804934193349852946 * _elu(x, 1.6732632423543772848170429916717),
    ),
    "sigmoid": ("1 / (1 + e⁻ˣ)", _sigmoid),
    "tanh": ("(e²ˣ − 1) / (e²ˣ + 1)", lambda x: 1 - 2 / (torch.exp(2 * x.clamp(max=350)) + 1)),
    "softplus": ("log(1 + eˣ)", lambda x: torch.logaddexp(x, 0 * x)),
    "softsign": ("x / (1 + |x|)", lambda x: x / (1 + x.abs())),
    "silu": ("x / (1 + e⁻ˣ)", lambda x: x * _sigmoid(x)),
    "gelu": (
        "x · Φ(x), Φ the normal distribution",
        lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    ),
    "hardtanh": (
        "min(max(min_val, x), max_val)",
        lambda x, min_val=-1.0, max_val=1.0: _between(x, min_val, max_val),
    ),
    "hardsigmoid": ("min(max(0, x + 3), 6) / 6", lambda x: _between(x + 3, 0.0, 6.0) / 6),
    "hardswish": ("x · min(max(0, x + 3), 6) / 6", lambda x: x * _between(x + 3, 0.0, 6.0) / 6),
}


@dataclass(frozen=True, eq=False, repr=False)
class ActivationStep(Step):
    """An activation of values x: y = f(x), and its derivative there, all float64 and of one shape.

    Where f has a corner, as ReLU has at 0, `slope` is what PyTorch takes: 0 for ReLU.
    """

    name: str
    formula: str
    x: Tensor
    y: Tensor
    slope: Tensor

    @property
    def total(self) -> float:  # type: ignore[override]  # computed from y
        """The result, where x is one number."""
        return self.y.item()

    def in_words(self, _most: int = 8) -> str:
        """Return what the function makes of x, and its formula.

        >>> activation("relu", -0.5).in_words()
        'relu(−0.5) = 0, where relu(x) = max(0, x)'
        """
        formula = f"{self.name}(x) = {self.formula}"
        if self.x.numel() != 1:
            return f"{formula} for {counted(self.x.numel(), 'value')}"
        return f"{self.name}({short(self.x.item(), 4)}) = {short(self.total, 4)}, where {formula}"

    def made_of(self) -> str:
        """Return the function and its x."""
        return f"{self.name}({short(self.x.item())})"


def activation(name: str, x: Any, **parameters: float) -> ActivationStep:
    """Return what an activation makes of values `x` of any shape, and its slope at each.

    - `name`: identity, relu, relu6, leaky_relu, prelu, elu, selu, sigmoid, tanh, softplus,
      softsign, silu, gelu, hardtanh, hardsigmoid or hardswish.
    - `parameters`: as in torch.nn.functional. prelu has `weight`, leaky_relu `negative_slope`, elu
      `alpha`, hardtanh `min_val` and `max_val`.

    Raises ValueError for another name.

    >>> activation("relu", [-2.0, 0.0, 3.0]).slope.tolist()
    [0.0, 0.0, 1.0]
    >>> activation("prelu", -2.0, weight=0.25)
    ActivationStep(prelu(−2) = −0.5, where prelu(x) = x, or 0.25 · x below 0)
    """
    if name not in _FORMULAS:
        raise ValueError(words.unknown("activation", name, list(_FORMULAS), "there are"))
    formula, function = _FORMULAS[name]
    values = float64(x).requires_grad_()
    with torch.enable_grad():
        y = function(values, **parameters)
        (slope,) = torch.autograd.grad(y.sum(), values)
    for setting, number in (_defaults(function) | parameters).items():
        if torch.as_tensor(number).numel() == 1:  # else there is another for each channel
            formula = formula.replace(setting, f"{float(number):.4g}".replace("-", "−"))
    return ActivationStep(name, formula, values.detach(), y.detach(), slope)


def _defaults(function: Callable[..., Tensor]) -> dict[str, float]:
    """Return a formula's settings with their usual values."""
    known = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in known if one.default is not one.empty}


# What a formula takes for granted.
_USUAL: dict[str, dict[str, Any]] = {
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1.0, "threshold": 20.0},
}


class Activation(Reader):
    """ReLU and its kin, one value at a time."""

    def __init__(self, node: Node) -> None:
        """Find the formula and its numbers."""
        super().__init__(node)
        name = node.operation
        if name not in _FORMULAS:
            raise node.refusal(f"is {name}, which has no formula here")
        for setting, usual in _USUAL.get(name, {}).items():
            if node.setting(setting, usual) != usual:
                raise node.refusal(
                    f"is {name} with {setting}={node.setting(setting)!r}; only {usual!r} is taken "
                    "apart"
                )
        known = _defaults(_FORMULAS[name][1]).items()
        self.settings = {setting: node.setting(setting, usual) for setting, usual in known}

    def step(self, place: Place) -> ActivationStep:
        """Return the activation of one value."""
        numbers = {name: self._number(value, place) for name, value in self.settings.items()}
        return activation(self.node.operation, self.before[place], **numbers)

    @staticmethod
    def _number(value: Any, place: Place) -> float:
        """Return the number of this value's channel, where each channel has its own."""
        if isinstance(value, Tensor):
            return value[place[1] if value.numel() > 1 else 0].item()
        return value
