"""What one batch teaches a network: the arithmetic of a step, for every way of doing it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class RunningMean:
    """The running mean of a network's weights, as a network of its own.

    `keep` is the share of the old mean that each step keeps. Whole numbers, such as the batches
    that a normalization has counted, are copied.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        """Begin before the first step: that one is copied."""
        self.model, self.source, self.keep, self.count = deepcopy(model), model, keep, 0

    def weight(self) -> float:
        """Return what the newest weights count for in the mean, in 0…1.

        A young mean forgets faster, or it would carry the random start for hundreds of steps.
        """
        return 1 - min(self.keep, (1 + self.count) / (10 + self.count)) if self.count else 1.0

    def update(self, weight: float | Tensor) -> None:
        """Move the mean towards the weights as they are now; a tensor can be filled anew."""
        pairs = list(zip(_tensors(self.model), _tensors(self.source), strict=True))
        for mean, value in pairs:
            if not _has_fractions(mean):
                mean.copy_(value)
        means, values = zip(*(pair for pair in pairs if _has_fractions(pair[0])), strict=True)
        if isinstance(weight, float):
            torch._foreach_lerp_(means, values, weight)
        else:  # the same, in operations that take a tensor
            change = torch._foreach_sub(values, means)  # noqa: SLF001 - in place it has no _
            torch._foreach_mul_(change, weight)
            torch._foreach_add_(means, change)


@dataclass(frozen=True)
class Step:
    """The ordinary step: forward, backward, optimizer, running mean, then the schedule."""

    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    mean: RunningMean | None
    smoothing: float
    is_bfloat16: bool
    kind: str

    def __call__(self, images: Tensor, labels: Tensor, scale: float) -> Tensor:
        """Learn from a batch; return the sum of its losses and its right answers, as (2,).

        The gradients are those of the summed loss times `scale`.
        """
        counts = self.learn(images, labels, scale, self.mean.weight() if self.mean else 0.0)
        self.advance()
        return counts

    def learn(self, images: Tensor, labels: Tensor, scale: float, weight: float | Tensor) -> Tensor:
        """Do all that the device does in a step. No value is read here: a GPU would wait."""
        with torch.autocast(
            images.device.type, torch.bfloat16, enabled=self.is_bfloat16, cache_enabled=False
        ):
            logits = self.model(images)
        loss = F.cross_entropy(
            logits.float(), labels, label_smoothing=self.smoothing, reduction="sum"
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward(torch.full_like(loss, scale))
        self.optimizer.step()
        if self.mean:
            self.mean.update(weight)
        return torch.stack([loss.detach(), (logits.argmax(1) == labels).sum().float()])

    def advance(self) -> None:
        """Count the step: the learning rate and the running mean go on."""
        self.schedule.step()
        if self.mean:
            self.mean.count += 1


def _tensors(model: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(model.parameters(), model.buffers())]


def _has_fractions(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
