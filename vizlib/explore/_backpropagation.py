"""Neurons in a row that learn: every number of every step, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from math import isfinite
from typing import Any

from torch import Tensor

from vizlib import arithmetic, plots
from vizlib.explore._panels import Frame, Lines, Maps, Panel, Words
from vizlib.explore._sliders import Slider
from vizlib.explore._view import View
from vizlib.words import counted, short

_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
# A loss of so much, or so many times the first one, has left the map: later steps show nothing new.
_LOST = 1e6
# CSS pixels: a cell, a column with its name, the chart's height and the words beside it.
_CELL, _NARROWEST, _CHART, _ROOM = 46, 76, 150, 400


def backpropagation(
    inputs: Any,
    neurons: Sequence[tuple[Any, float]],
    target: float,
    *,
    activation: str = "sigmoid",
    rate: float = 0.01,
    steps: int = 20,
    state: str | None = None,
) -> View:
    """Return sliders over the steps in which one neuron, or several in a row, learn an example.

    `inputs`, `neurons`, `target` and `activation` are those of `arithmetic.backpropagation`: pairs
    of weights and bias, of which each after the first reads the output of the one before, and the
    loss (output − target)². Step 0 is how they were given; each of `steps` goes against the
    gradient, as `torch.optim.SGD` does: weight − rate · gradient. Back, Next and Play go through
    them, `rate` chooses another learning rate. Where the loss grows beyond a million, or a million
    times the first one, the steps end.

    Each row is a neuron: inputs × weights = products, and the gradient of the loss with respect to
    each weight. White is zero, blue positive, orange negative; each column has one scale for all
    steps of a rate. Below are the loss of all steps, with a line at this one, and the sums: the
    way forwards, the loss, then each gradient as a product, from the loss backwards, in the factors
    that `Backpropagation.factors` names, and what the next step makes of the first weight.

    `.figure()` draws the step for print, `.state` is the place, which `state=` opens again.

    Raises ValueError for what `arithmetic.backpropagation` refuses, for a rate that is not above
    zero and for no step at all.

    >>> backpropagation([1.0, 2.0], [([0.5, 0.25], 1.0), ([2.0], 0.0)], 5.0, activation="relu")
    backpropagation(2 neurons)
    """
    if not rate > 0 or steps < 1:
        raise ValueError(
            f"rate must be above 0 and steps at least 1, but they were {rate:g} and {steps}"
        )
    rates = sorted({*_RATES, rate})
    take = partial(arithmetic.backpropagation, inputs, target=target, activation=activation)

    @cache
    def made(at: int) -> list[arithmetic.Backpropagation]:
        return _steps(take, neurons, rates[at], steps)

    def show(*, step: int, rate: int) -> Frame:
        return _frame(made(rate), step, rates[rate])

    def draw(*, step: int, rate: int) -> plots.Figure:
        at = min(step, len(made(rate)) - 1)
        title = f"{_after(at)}, rate {rates[rate]:g}"
        return plots.backpropagation(made(rate)[at], title=title)

    here = rates.index(rate)
    sliders = [
        Slider("step", len(made(here)), stepped=True),
        Slider("rate", [f"{each:g}" for each in rates], here),
    ]
    name = f"backpropagation({counted(len(neurons), 'neuron')})"
    return View(name, sliders, show, draw, state=state)


def _steps(
    take: Callable[..., arithmetic.Backpropagation], neurons: Any, rate: float, most: int
) -> list[arithmetic.Backpropagation]:
    """Return the steps at a learning rate, until the loss leaves the map."""
    made: list[arithmetic.Backpropagation] = []
    for _ in range(most + 1):
        step = take(neurons)
        if made and not (isfinite(step.loss) and step.loss <= _LOST * max(made[0].loss, 1)):
            break
        made.append(step)
        neurons = [
            (n.weights - rate * n.weight_gradient, n.bias - rate * n.bias_gradient)
            for n in step.neurons
        ]
    return made


def _frame(made: Sequence[arithmetic.Backpropagation], step: int, rate: float) -> Frame:
    """Return what is seen of a step, or of the last one."""
    at = min(step, len(made) - 1)
    now, losses = made[at], [each.loss for each in made]
    rows = [panel for number in range(len(now.neurons)) for panel in _row(made, at, number)]
    chart = Lines({"loss": losses}, along="step", scale="log", at=at, height=_CHART, below=True)
    loss = f"{_after(at)}: loss {short(now.loss, 4)}"
    told = [*now.forwards(), *now.backwards(), _next(now, rate)]
    words = Words(told, title=loss, width=_ROOM)
    return Frame([*rows, chart, words], f"{loss}, rate {rate:g}", {"step": len(made)})


def _after(steps: int) -> str:
    return f"after {counted(steps, 'step')}" if steps else "before the first step"


def _row(made: Sequence[arithmetic.Backpropagation], at: int, number: int) -> list[Panel]:
    """Return the numbers of one neuron, each column on the scale of all steps."""
    name = number + 1
    columns = {
        "inputs": (f"y{number}" if number else "inputs", ""),
        "weights": (f"weights w{name}", "×"),
        "products": ("products", "="),
        "weight_gradient": (f"∂loss/∂w{name}", ""),
    }
    panels: list[Panel] = []
    for attribute, (title, before) in columns.items():
        all_steps: list[Tensor] = [getattr(each.neurons[number], attribute) for each in made]
        values, limit = all_steps[at][None], plots.largest(all_steps)
        width, below = max(_NARROWEST, _CELL * values.shape[1]), number > 0 and not panels
        panels.append(Maps(values, limit, title=title, before=before, below=below, width=width))
    return panels


def _next(step: arithmetic.Backpropagation, rate: float) -> str:
    weight, gradient = step.neurons[0].weights[0].item(), step.neurons[0].weight_gradient[0].item()
    made = short(weight - rate * gradient, 4)
    sign, taken = "−" if gradient >= 0 else "+", f"{rate:g} · {short(abs(gradient), 4)}"
    return f"next step: w1[0] = {short(weight, 4)} {sign} {taken} = {made}"
