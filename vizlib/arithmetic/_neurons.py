"""Neurons and what is computed with their scores: sums, BatchNorm, softmax, back-propagation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._activations import activation as activate
from vizlib.arithmetic._windows import numbers, refuse_outside, whole


@dataclass(frozen=True, eq=False)
class LinearStep:
    """One neuron of a fully connected layer: total = Σ inputs · weights + bias; float64 (F,)."""

    inputs: Tensor
    weights: Tensor
    products: Tensor
    bias: float
    total: float
    channel: int

    def __repr__(self) -> str:
        """Return the sum in one line."""
        return (
            f"LinearStep(neuron {self.channel}: {len(self.products)} products "
            f"{self.products.sum().item():.6g} + bias {self.bias:.6g} = {self.total:.6g})"
        )


def linear_step(x: Any, weight: Any, bias: Any = None, *, channel: int = 0) -> LinearStep:
    """Return how neuron `channel` of a fully connected layer comes to its score.

    `x` is (F,) or (1, F), `weight` (O, F) as in `torch.nn.Linear` or (F,) for a single neuron, and
    `bias` (O,), a number or None. Raises ValueError where the lengths differ.

    >>> linear_step([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]], [0.5, 0.5], channel=1)
    LinearStep(neuron 1: 2 products 17 + bias 0.5 = 17.5)
    """
    inputs, weights = vector(x, "x"), torch.atleast_2d(numbers(weight))
    if weights.dim() > 2 or weights.shape[1] != len(inputs):  # noqa: PLR2004 - outputs × inputs
        raise ValueError(
            f"each neuron multiplies {weights.shape[-1]} inputs by its weights, but got "
            f"{len(inputs)}; the weight is {tuple(weights.shape)}: outputs × inputs"
        )
    refuse_outside("channel", channel, len(weights), f"there are {len(weights)} neurons")
    products = inputs * weights[channel]
    offset = 0.0 if bias is None else torch.atleast_1d(numbers(bias))[channel].item()
    total = products.sum().item() + offset
    return LinearStep(inputs, weights[channel], products, offset, total, channel)


def vector(x: Any, name: str) -> Tensor:
    """Return values (K,) in float64 from (K,) or (1, K)."""
    values = numbers(x)
    if values.dim() == 2 and len(values) == 1:  # noqa: PLR2004 - a batch of one
        values = values[0]
    if values.dim() != 1 or not values.numel():
        raise ValueError(
            f"{name} must be a vector (K,), but had the shape {tuple(values.shape)}; "
            f"of a batch choose one with {name}[0]"
        )
    return values


@dataclass(frozen=True, eq=False)
class NormStep:
    """BatchNorm of one channel's values x, in four steps; all float64.

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
    def total(self) -> float:
        """The result, where x is one number."""
        return self.y.item()

    def __repr__(self) -> str:
        """Return the formula with its numbers."""
        x = f"{self.x.item():.6g}" if self.x.numel() == 1 else "x"
        end = f" = {self.total:.6g}" if self.x.numel() == 1 else f", {self.x.numel()} values"
        normalized = f"({x} − {self.mean:.6g}) / √({self.variance:.6g} + {self.eps:g})"
        return f"NormStep({normalized} · {self.weight:.6g} + {self.bias:.6g}{end})"


def norm_step(
    x: Any,
    *,
    mean: float | Tensor | None = None,
    variance: float | Tensor | None = None,
    weight: float | Tensor = 1.0,
    bias: float | Tensor = 0.0,
    eps: float = 1e-5,
) -> NormStep:
    """Return what BatchNorm makes of one channel's values `x`, of any shape.

    `mean` and `variance` are the running ones that a trained layer uses; where they are None,
    those of `x` itself are taken, as in training (the variance is divided by the count, not by
    the count less one). The formula is Ioffe and Szegedy's (2015), algorithm 1.

    >>> norm_step([1.0, 3.0], weight=2.0).y.round(decimals=3).tolist()
    [-2.0, 2.0]
    >>> norm_step(3.0, mean=1.0, variance=4.0, bias=0.5, eps=0.0)
    NormStep((3 − 1) / √(4 + 0) · 1 + 0.5 = 1.5)
    """
    values = numbers(x)
    mean = values.mean() if mean is None else mean
    variance = values.var(correction=0) if variance is None else variance
    # Those of a layer are tensors, the weight and the bias with gradients that are not wanted here.
    mean, variance, weight, bias = (numbers(each).item() for each in (mean, variance, weight, bias))
    centred = values - mean
    normalized = centred / (variance + eps) ** 0.5
    y = weight * normalized + bias
    return NormStep(values, mean, variance, eps, centred, normalized, weight, bias, y)


@dataclass(frozen=True, eq=False)
class SoftmaxSteps:
    """From scores to probabilities, their logarithms and the loss; all (K,) float64."""

    scores: Tensor
    largest: float
    shifted: Tensor
    """scores − largest: nothing changes but that no exponential can overflow."""
    exponentials: Tensor
    total: float
    """The sum of the exponentials."""
    probabilities: Tensor
    """exponentials / total."""
    log_probabilities: Tensor
    """shifted − log(total)."""
    label: int | None
    loss: float | None
    """The negative log-likelihood of the label: what CrossEntropyLoss makes of the scores, and
    NLLLoss of the log_probabilities."""
    gradient: Tensor | None
    """How the loss changes with each score: probabilities, less 1 at the label."""

    def __repr__(self) -> str:
        """Return the winner, and the loss where there is a label."""
        winner = int(self.probabilities.argmax())
        loss = "" if self.loss is None else f", loss {self.loss:.6g} for label {self.label}"
        return f"SoftmaxSteps(P{winner} = {self.probabilities[winner].item():.6g}{loss})"


def softmax_steps(logits: Any, label: int | None = None) -> SoftmaxSteps:
    """Return every step from scores (K,) or (1, K) to probabilities, and to the loss of `label`.

    p[k] = e^z[k] / Σ e^z, and the loss is −log p[label]. As in every careful implementation the
    largest score is taken off first, and the logarithm is of the sum, not of a quotient that may
    have become 0.

    Raises ValueError for another shape, IndexError for a label that has no score.

    >>> steps = softmax_steps([2.0, 1.0, 0.0], label=0)
    >>> [round(p, 3) for p in steps.probabilities.tolist()], round(steps.loss, 4)
    ([0.665, 0.245, 0.09], 0.4076)
    """
    scores = vector(logits, "logits")
    largest = scores.max().item()
    shifted = scores - largest
    exponentials = shifted.exp()
    total = exponentials.sum()
    logs = shifted - total.log()
    probabilities = exponentials / total
    loss, gradient = _loss(logs, probabilities, label)
    return SoftmaxSteps(
        scores,
        largest,
        shifted,
        exponentials,
        total.item(),
        probabilities,
        logs,
        label,
        loss,
        gradient,
    )


def _loss(
    logs: Tensor, probabilities: Tensor, label: int | None
) -> tuple[float | None, Tensor | None]:
    if label is None:
        return None, None
    refuse_outside("label", label, len(logs), f"there are {len(logs)} scores")
    gradient = probabilities.clone()
    gradient[label] -= 1
    return -logs[label].item(), gradient


@dataclass(frozen=True, eq=False)
class NeuronStep:
    """One neuron forwards and backwards: output = f(total), total = Σ inputs · weights + bias.

    Backwards, `arriving` is ∂loss/∂output, `slope` is f'(total), `delta` = arriving · slope is
    ∂loss/∂total, and from it come the gradients: delta · inputs for the weights, delta for the
    bias, delta · weights for the inputs.
    """

    inputs: Tensor
    weights: Tensor
    products: Tensor
    bias: float
    total: float
    output: float
    arriving: float
    slope: float
    delta: float
    weight_gradient: Tensor
    bias_gradient: float
    input_gradient: Tensor


@dataclass(frozen=True, eq=False)
class Backpropagation:
    """One step of learning in a row of neurons, with every factor of the chain rule."""

    neurons: tuple[NeuronStep, ...]
    """In the order in which they follow each other."""
    target: float
    error: float
    """output − target."""
    loss: float
    """error²."""

    @property
    def output(self) -> float:
        """What the last neuron says."""
        return self.neurons[-1].output

    def factors(self, weight: int = 0, neuron: int = 0) -> dict[str, float]:
        """Return the factors whose product is the gradient of one weight, from the loss backwards.

        Neurons and outputs are numbered from 1 in the names, as on a blackboard, and z is a
        neuron's sum. `neuron` and `weight` are counted from 0.

        Raises IndexError where there is no such neuron or weight.

        >>> step = backpropagation([1.0, 2.0], [([0.5, -0.25], 1.0)], target=0.0, activation="relu")
        >>> step.factors(weight=1)
        {'∂loss/∂y1': 2.0, '∂y1/∂z1': 1.0, '∂z1/∂w1[1]': 2.0}
        """
        refuse_outside("neuron", neuron, len(self.neurons), f"there are {len(self.neurons)}")
        chosen = self.neurons[neuron]
        refuse_outside("weight", weight, len(chosen.weights), f"there are {len(chosen.weights)}")
        last = len(self.neurons)
        found = {f"∂loss/∂y{last}": 2 * self.error}
        for number in range(last, neuron, -1):
            step = self.neurons[number - 1]
            found[f"∂y{number}/∂z{number}"] = step.slope
            if number > neuron + 1:
                found[f"∂z{number}/∂y{number - 1}"] = step.weights[0].item()
        found[f"∂z{neuron + 1}/∂w{neuron + 1}[{weight}]"] = chosen.inputs[weight].item()
        return found

    def __repr__(self) -> str:
        """Return output, target and loss."""
        count = len(self.neurons)
        return (
            f"Backpropagation({count} neuron{'s' * (count > 1)}: output {self.output:.6g}, "
            f"target {self.target:.6g}, loss {self.loss:.6g})"
        )


def backpropagation(
    inputs: Any,
    neurons: Sequence[tuple[Any, float]],
    target: float,
    *,
    activation: str = "sigmoid",
) -> Backpropagation:
    """Return the forward and backward pass through one neuron, or several in a row.

    `inputs` are what the first neuron reads. `neurons` are pairs of weights and bias; each after
    the first reads one number, the output of the one before. The loss is (output − target)², as
    in `torch.nn.MSELoss`, and `activation` is a name that `activation` knows.

    Raises ValueError where a neuron has not as many weights as inputs.

    >>> step = backpropagation([1.0, 2.0], [([0.5, -0.25], 1.0), ([2.0], 0.0)], target=1.0,
    ...                        activation="relu")
    >>> step
    Backpropagation(2 neurons: output 2, target 1, loss 1)
    >>> step.neurons[0].weight_gradient.tolist(), step.neurons[1].weight_gradient.tolist()
    ([4.0, 8.0], [2.0])
    >>> step.factors()
    {'∂loss/∂y2': 2.0, '∂y2/∂z2': 1.0, '∂z2/∂y1': 2.0, '∂y1/∂z1': 1.0, '∂z1/∂w1[0]': 1.0}
    """
    whole("the number of neurons", len(neurons), 1)
    passes, values = [], numbers(inputs)
    for weights, bias in neurons:
        linear = linear_step(values, weights, bias)
        passes.append((linear, activate(activation, linear.total)))
        values = passes[-1][1].y[None]
    error = values.item() - target
    arriving, steps = 2 * error, []
    for linear, active in reversed(passes):
        steps.append(_backwards(linear, active.total, active.slope.item(), arriving))
        arriving = steps[-1].input_gradient[0].item()
    return Backpropagation(tuple(reversed(steps)), target, error, error**2)


def _backwards(linear: LinearStep, output: float, slope: float, arriving: float) -> NeuronStep:
    delta = arriving * slope
    return NeuronStep(
        linear.inputs,
        linear.weights,
        linear.products,
        linear.bias,
        linear.total,
        output,
        arriving,
        slope,
        delta,
        weight_gradient=delta * linear.inputs,
        bias_gradient=delta,
        input_gradient=delta * linear.weights,
    )
