"""From scores to probabilities, and to the loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._linear import vector
from vizlib.arithmetic._readers import Node, Reader, whole
from vizlib.arithmetic._steps import Place, Step, factor
from vizlib.arithmetic._windows import refuse_outside
from vizlib.words import short


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxSteps:
    """From scores to probabilities, their logarithms and the loss of a label; all (K,) float64.

    - `shifted`: scores − the largest: nothing changes but that no exponential can overflow
    - `exponentials`: their powers of e
    - `total`: the sum of these
    - `probabilities`: exponentials / total
    - `log_probabilities`: shifted − log(total)
    - `loss`: the negative log-likelihood of the label, as CrossEntropyLoss makes it of the scores
    - `gradient`: how the loss changes with each score: probabilities, less 1 at the label

    `loss` and `gradient` are None where no label is given.
    """

    scores: Tensor
    label: int | None
    shifted: Tensor
    exponentials: Tensor
    total: float
    probabilities: Tensor
    log_probabilities: Tensor
    loss: float | None = None
    gradient: Tensor | None = None

    def __repr__(self) -> str:
        """Return how the label's probability comes about, or the winner's."""
        return f"SoftmaxSteps({self.in_words()})"

    def in_words(self) -> str:
        """Return how the label's probability comes about, or the winner's, and the loss.

        >>> softmax_steps([2.0, 1.0, 0.0], label=1).in_words()
        'P1 = e^(−1) / 1.503 = 0.2447, and the loss is −ln 0.2447 = 1.408'
        """
        index = int(self.probabilities.argmax()) if self.label is None else self.label
        text = self.probability(index)
        if self.loss is None:
            return text
        share = short(self.probabilities[index].item(), 4)
        return f"{text}, and the loss is −ln {share} = {short(self.loss, 4)}"

    def probability(self, index: int) -> str:
        """Return how one class's probability comes about."""
        power, share = self.shifted[index].item(), self.probabilities[index].item()
        return f"P{index} = e^{factor(power)} / {short(self.total, 4)} = {short(share, 4)}"


def softmax_steps(logits: Any, label: int | None = None) -> SoftmaxSteps:
    """Return every step from scores (K,) or (1, K) to probabilities, and to the loss of `label`.

    p[k] = e^z[k] / Σ e^z, and the loss is −log p[label]. As in every careful implementation, the
    largest score is subtracted first, and the loss takes the logarithm of the sum: a probability
    may be rounded to 0, which has no logarithm.

    Raises ValueError for another shape, IndexError for a label that has no score.

    >>> steps = softmax_steps([2.0, 1.0, 0.0], label=0)
    >>> [round(p, 3) for p in steps.probabilities.tolist()], round(steps.loss, 4)
    ([0.665, 0.245, 0.09], 0.4076)
    """
    scores = vector(logits, "logits")
    shifted = scores - scores.max()
    exponentials = shifted.exp()
    total = exponentials.sum().item()
    probabilities, logs = exponentials / total, shifted - log(total)
    steps = SoftmaxSteps(scores, label, shifted, exponentials, total, probabilities, logs)
    if label is None:
        return steps
    refuse_outside("label", label, len(scores), f"there are {len(scores)} scores")
    gradient = probabilities - torch.eye(len(scores))[label]
    return replace(steps, loss=-logs[label].item(), gradient=gradient)


@dataclass(frozen=True, eq=False, repr=False)
class ProbabilityStep(Step):
    """One class's probability, or its logarithm: what a layer makes of all scores."""

    steps: SoftmaxSteps
    channel: int
    is_log: bool
    total: float

    def in_words(self, _most: int = 8) -> str:
        """Return how the probability, or its logarithm, comes from the scores."""
        if not self.is_log:
            return self.steps.probability(self.channel)
        shifted, total = self.steps.shifted[self.channel].item(), short(self.steps.total, 4)
        return f"ln P{self.channel} = {short(shifted, 4)} − ln {total} = {short(self.total, 4)}"

    def made_of(self) -> str:
        """Return that all scores are read."""
        return "from all scores"


class Softmax(Reader):
    """Softmax over the scores along one axis, or its logarithm."""

    def __init__(self, node: Node) -> None:
        """Find the axis of the scores."""
        super().__init__(node)
        if node.operation not in {"softmax", "log_softmax"}:
            raise node.refusal(f"is {node.operation}")
        rank, given = self.before.dim(), node.setting("dim")
        # What torch takes for granted where nobody says it.
        usual = 0 if rank in {0, 1, 3} else 1
        self.axis = (usual if given is None else given) % rank
        self.reach[self.axis] = whole(self.before.shape[self.axis])

    def step(self, place: Place) -> ProbabilityStep:
        """Return one class's probability."""
        axis = self.axis
        scores = self.before.movedim(axis, -1)[(*place[:axis], *place[axis + 1 :])]
        is_log = self.node.operation == "log_softmax"
        steps = softmax_steps(scores)
        values = steps.log_probabilities if is_log else steps.probabilities
        return ProbabilityStep(steps, place[axis], is_log, values[place[axis]].item())
