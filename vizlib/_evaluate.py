"""How well a network does on a split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib.data import Digits

BATCH = 500


@dataclass(frozen=True)
class Metrics:
    """How well a network does on a split.

    `loss` is the mean cross-entropy in nats, `accuracy` the share that is right in 0…1, and
    `confusion` int64 (10, 10) counts images by [true digit, answer].
    """

    loss: float
    accuracy: float
    confusion: Tensor = field(repr=False)


@torch.no_grad()
def evaluate(
    model: nn.Module, digits: Digits, split: str = "test", *, first: int | None = None
) -> Metrics:
    """Measure the network on a split (or its `first` images), on the device the network is on.

    The model is put in eval mode for it and comes back in the mode it was in.

    >>> from vizlib import data, weights
    >>> metrics = evaluate(weights.load("lenet"), data.load("digits"))
    >>> metrics.confusion.shape, int(metrics.confusion.sum())
    (torch.Size([10, 10]), 360)
    """
    device = next(model.parameters()).device
    with _eval_mode(model):
        batches = digits.batches(split, BATCH, device=device)
        answers = [(model(images), labels) for images, labels in batches]
    logits = torch.cat([logits for logits, _ in answers]).float()[:first]
    labels = torch.cat([labels for _, labels in answers])[:first]
    given = logits.argmax(1)
    confusion = torch.bincount(labels * 10 + given, minlength=100).reshape(10, 10)
    accuracy = (given == labels).double().mean().item()
    return Metrics(F.cross_entropy(logits, labels).item(), accuracy, confusion.cpu())


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    # Module by module: one flag for the whole model would wake a frozen BatchNorm.
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
