"""One step of learning in a row of neurons, with every factor of the chain rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vizlib.arithmetic._activations import activation as activate
from vizlib.arithmetic._linear import LinearStep, linear_step
from vizlib.arithmetic._steps import WRITTEN_OUT, added, factor
from vizlib.arithmetic._windows import float64, refuse_outside, whole_number
from vizlib.words import short


@dataclass(frozen=True, eq=False, repr=False)
class NeuronStep(LinearStep):
    """One neuron forwards and backwards: output = f(total), total = Σ inputs · weights + bias.

    - `arriving`: ∂loss/∂output: what comes from the neurons behind it
    - `slope`: f'(total)
    - `delta`: arriving · slope = ∂loss/∂total
    - `weight_gradient`: delta · inputs
    - `bias_gradient`: delta
    - `input_gradient`: delta · weights: what arrives at the neuron before it
    """

    output: float
    arriving: float
    slope: float
    delta: float
    weight_gradient: Tensor
    bias_gradient: float
    input_gradient: Tensor

    def in_words(self, most: int = 8) -> str:
        """Return the sum, product by product if it is short."""
        if len(self.products) > WRITTEN_OUT:
            return super().in_words(most)
        return self.written_out(self.inputs, self.weights)


@dataclass(frozen=True, eq=False)
class Backpropagation:
    """One step of learning in a row of neurons, with every factor of the chain rule.

    - `neurons`: in the order in which they follow each other
    - `error`: output − target
    - `loss`: error²
    """

    neurons: tuple[NeuronStep, ...]
    target: float
    error: float
    loss: float

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
        """Return how output and target make the loss."""
        return f"Backpropagation({self.forwards()[-1]})"

    def forwards(self) -> list[str]:
        """Return how each neuron comes to its sum z and its output y, and last the loss.

        >>> step = backpropagation([1.0, 2.0], [([0.5, 0.25], 1.0)], 5.0, activation="relu")
        >>> print("; ".join(step.forwards()))
        z1 = 1·0.5 + 2·0.25 + 1...(bias) =...2, and y1 = 2; loss = (2 − 5)² = 9
        """
        lines = [
            f"z{number} = {neuron.in_words()}, and y{number} = {short(neuron.output, 4)}"
            for number, neuron in enumerate(self.neurons, start=1)
        ]
        error = added([short(self.output, 4), short(-self.target, 4)])
        return [*lines, f"loss = ({error})² = {short(self.loss, 4)}"]

    def backwards(self) -> list[str]:
        """Return the gradient of every weight as the product of its factors.

        >>> step = backpropagation([1.0, 2.0], [([0.5, 0.25], 1.0)], 5.0, activation="relu")
        >>> step.backwards()
        ['∂loss/∂w1[0] = (−6) · 1 · 1 = −6', '∂loss/∂w1[1] = (−6) · 1 · 2 = −12']
        """
        lines = []
        for number, neuron in enumerate(self.neurons):
            for weight, gradient in enumerate(neuron.weight_gradient.tolist()):
                product = " · ".join(map(factor, self.factors(weight, number).values()))
                lines.append(f"∂loss/∂w{number + 1}[{weight}] = {product} = {short(gradient, 4)}")
        return lines


def backpropagation(
    inputs: Any,
    neurons: Sequence[tuple[Any, float]],
    target: float,
    *,
    activation: str = "sigmoid",
) -> Backpropagation:
    """Return the forward and backward pass through one neuron, or several in a row.

    - `inputs`: what the first neuron reads, (F,).
    - `neurons`: pairs of weights and bias. Each neuron after the first reads one number, the output
      of the one before.
    - `target`: what the last neuron should say. The loss is (output − target)², as in
      `torch.nn.MSELoss`.
    - `activation`: a name that the function `activation` knows, the same for all neurons.

    Raises ValueError where a neuron has not as many weights as inputs.

    >>> step = backpropagation([1.0, 2.0], [([0.5, -0.25], 1.0), ([2.0], 0.0)], target=1.0,
    ...                        activation="relu")
    >>> step
    Backpropagation(loss = (2 − 1)² = 1)
    >>> step.neurons[0].weight_gradient.tolist(), step.neurons[1].weight_gradient.tolist()
    ([4.0, 8.0], [2.0])
    >>> step.factors()
    {'∂loss/∂y2': 2.0, '∂y2/∂z2': 1.0, '∂z2/∂y1': 2.0, '∂y1/∂z1': 1.0, '∂z1/∂w1[0]': 1.0}
    """
    whole_number("the number of neurons", len(neurons), 1)
    passes, values = [], float64(inputs)
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
        **vars(linear),
        output=output,
        arriving=arriving,
        slope=slope,
        delta=delta,
        weight_gradient=delta * linear.inputs,
        bias_gradient=delta,
        input_gradient=delta * linear.weights,
    )
