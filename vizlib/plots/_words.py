"""The arithmetic behind one value in words: every number rounded for the eye, none before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from vizlib import arithmetic
from vizlib.plots._style import short

# More values under a window are not listed one by one, and no more products are written out.
_LISTED, _WRITTEN_OUT = 12, 9


def in_words(step: Any, most: int = 8) -> str:
    """Return how a step's result comes about, as one line with its numbers.

    `step` is what `arithmetic` returned for one value: a ConvStep, LinearStep, PoolStep, NormStep,
    ActivationStep, SumStep or NeuronStep; of SoftmaxSteps the label's probability, or the winner's,
    is told, and of a Backpropagation the gradient of every weight, a line for each. Of many input
    channels (of a linear layer: inputs) `most` are named, those with the largest contributions of
    either sign, the largest first; the rest is one term that counts in full. Of a single channel,
    and of a neuron that learns, up to nine products are written out. Numbers are rounded to be
    read, the result is that of the full ones. Raises TypeError where `step` is none of these.

    >>> from vizlib import arithmetic
    >>> in_words(arithmetic.pool_step([[1, 5], [3, 4]], row=0, col=0))
    'the largest of 1, 5, 3, 4 is 5'
    >>> print(in_words(arithmetic.conv2d_step([[3, -1]], [[2, 4]], [0.5], row=0, col=0)))
    3·2 + (−1)·4 + 0.5...(bias) =...2.5
    >>> in_words(arithmetic.activation("relu", -0.5))
    'relu(−0.5) = 0, where relu(x) = max(0, x)'
    >>> print(in_words(arithmetic.linear_step([1.0, 2.0, 3.0], [0.5, -4.0, 1.0]), most=1))
    −8...(input...1) + 3.5...(2...others) =...−4.5
    >>> in_words(arithmetic.softmax_steps([2.0, 1.0, 0.0], label=1))
    'P1 = e^(−1) / 1.503 = 0.2447, and the loss is −ln 0.2447 = 1.408'
    """
    if type(step) in _TOLD:
        return _TOLD[type(step)](step)
    match step:
        case arithmetic.NeuronStep() if len(step.products) <= _WRITTEN_OUT:
            terms = _pairs(step.inputs, step.weights)
        case arithmetic.LinearStep() | arithmetic.NeuronStep():
            names = [f"input\u00a0{number}" for number in range(len(step.products))]
            terms = _largest(step.products, names, most)
        case arithmetic.ConvStep() if _is_short(step):
            terms = _pairs(step.patch, step.kernel)
        case arithmetic.ConvStep():
            names = [f"input\u00a0{number}" for number in step.channels]
            terms = _largest(step.channel_sums, names, most)
        case _:
            raise TypeError(
                "step must be what a function of arithmetic returned for one value, such as "
                f"conv2d_step, but was a {type(step).__name__}"
            )
    return _summed(step, terms)


def summed(step: arithmetic.ConvStep, shown: Sequence[int]) -> str:
    """Return the sum of the channels that are drawn, the others and the bias."""
    terms = [short(step.channel_sums[number].item(), 4) for number in shown]
    terms += _others(step.channel_sums, shown)
    return _summed(step, terms, always=True)


def _summed(
    step: arithmetic.ConvStep | arithmetic.LinearStep | arithmetic.NeuronStep,
    terms: Sequence[str],
    *,
    always: bool = False,
) -> str:
    bias = [f"{short(step.bias)}\u00a0(bias)"] if step.bias or always else []
    # A line that is too long breaks between two terms or before the result.
    return f"{added([*terms, *bias])} =\u00a0{short(step.total, 6)}"


def _largest(values: Tensor, names: Sequence[str], most: int) -> list[str]:
    """Return the largest terms of either sign, with their names, and the rest as one."""
    named = values.abs().argsort(descending=True, stable=True)[:most].tolist()
    terms = [f"{short(values[k].item(), 4)}\u00a0({names[k]})" for k in named]
    return terms + _others(values, named)


def _others(values: Tensor, named: Sequence[int]) -> list[str]:
    rest = len(values) - len(named)
    others = values.sum() - values[list(named)].sum()
    return [f"{short(others.item(), 4)}\u00a0({rest}\u00a0other{'s' * (rest > 1)})"] if rest else []


def _is_short(step: arithmetic.ConvStep) -> bool:
    return len(step.channels) == 1 and step.products.numel() <= _WRITTEN_OUT


def _pairs(values: Tensor, weights: Tensor) -> list[str]:
    pairs = zip(values.flatten().tolist(), weights.flatten().tolist(), strict=True)
    return [f"{_factor(value)}·{_factor(weight)}" for value, weight in pairs]


def _factor(value: float) -> str:
    return f"({short(value)})" if value < 0 else short(value)


def added(terms: Sequence[str]) -> str:
    """Join terms with + and −."""
    text = " + ".join(terms)
    return text.replace("+ −", "− ")


def checked(total: float, expected: float | None) -> list[str]:
    """Return the result beside PyTorch's own, if that is known."""
    if expected is None:
        return []
    values = f"PyTorch: {short(expected, 8)}, here: {short(total, 8)}"
    return [f"{values}, difference {short(total - expected, 2)}"]


def afterwards(after: Iterable[Any]) -> list[str]:
    """Tell what the layers that follow make of the value, up to the next that reads many."""
    lines = []
    for entry in after:
        step = entry.step if isinstance(entry, arithmetic.Traced) else entry
        name = entry.stage if isinstance(entry, arithmetic.Traced) else ""
        if isinstance(step, arithmetic.ConvStep | arithmetic.LinearStep):
            return [*lines, f"then {name or 'the next layer'} reads it, with much else"]
        if step is not None:
            lines.append(f"then {name}: {in_words(step)}".replace("then :", "then"))
    return lines


def _added(step: arithmetic.SumStep) -> str:
    pairs = zip(step.terms.tolist(), step.names, strict=True)
    terms = [f"{short(value, 4)}\u00a0({name})" for value, name in pairs]
    return f"{added(terms)} =\u00a0{short(step.total, 4)}"


def _bent(step: arithmetic.ActivationStep) -> str:
    x, y = short(step.x.item(), 4), short(step.total, 4)
    return f"{step.name}({x}) = {y}, where {step.name}(x) = {step.formula}"


def _likely(steps: arithmetic.SoftmaxSteps) -> str:
    k = int(steps.probabilities.argmax()) if steps.label is None else steps.label
    share = short(steps.probabilities[k].item(), 4)
    power = _factor(steps.shifted[k].item())
    text = f"P{k} = e^{power} / {short(steps.total, 4)} = {share}"
    if steps.loss is None:
        return text
    return f"{text}, and the loss is −ln {share} = {short(steps.loss, 4)}"


def forwards(step: arithmetic.Backpropagation) -> list[str]:
    """Return how each neuron in a row comes to its sum z and its output y, and last the loss.

    >>> step = arithmetic.backpropagation([1.0, 2.0], [([0.5, 0.25], 1.0)], 5.0, activation="relu")
    >>> print("; ".join(forwards(step)))
    z1 = 1·0.5 + 2·0.25 + 1...(bias) =...2, and y1 = 2; loss = (2 − 5)² = 9
    """
    lines = [
        f"z{number} = {in_words(neuron)}, and y{number} = {short(neuron.output, 4)}"
        for number, neuron in enumerate(step.neurons, start=1)
    ]
    error = added([short(step.output, 4), short(-step.target, 4)])
    return [*lines, f"loss = ({error})² = {short(step.loss, 4)}"]


def _chained(step: arithmetic.Backpropagation) -> str:
    lines = []
    for number, neuron in enumerate(step.neurons):
        for weight, gradient in enumerate(neuron.weight_gradient.tolist()):
            factors = step.factors(weight, number).values()
            product = " · ".join(_factor(value) for value in factors)
            lines.append(f"∂loss/∂w{number + 1}[{weight}] = {product} = {short(gradient, 4)}")
    return "\n".join(lines)


def _normalized(step: arithmetic.NormStep) -> str:
    scale = f"√({short(step.variance)} + {step.eps:g})"
    centred = added([short(step.x.item(), 4), short(-step.mean)])
    scaled = added([f"({centred}) / {scale} · {short(step.weight)}", short(step.bias)])
    return f"{scaled} = {short(step.total, 4)}"


def pooled(step: arithmetic.PoolStep) -> str:
    """Return which values the window holds and what becomes of them."""
    values = [
        v for v, out in zip(step.patch.ravel(), step.is_padding.ravel(), strict=True) if not out
    ]
    texts = [short(value.item(), 4) for value in values]
    if len(texts) > _LISTED:
        texts = [*texts[:4], "…", *texts[-4:]]
    if step.kind == "avg":
        return f"({added(texts)}) / {short(step.divisor)} = {short(step.total, 6)}"
    if len(values) < 2:  # noqa: PLR2004 - nothing to compare
        return f"{short(step.total, 6)} is alone under the window"
    return f"the largest of {', '.join(texts)} is {short(step.total, 6)}"


def winner(step: arithmetic.PoolStep) -> list[str]:
    """Return where the winner of max pooling stands."""
    if step.source is None:
        return []
    row, column = (0, *step.source)[-2:]
    return [f"it stands in row {row}, column {column} of the input"]


_TOLD: dict[type, Callable[[Any], str]] = {
    arithmetic.PoolStep: pooled,
    arithmetic.NormStep: _normalized,
    arithmetic.ActivationStep: _bent,
    arithmetic.SumStep: _added,
    arithmetic.SoftmaxSteps: _likely,
    arithmetic.Backpropagation: _chained,
}
