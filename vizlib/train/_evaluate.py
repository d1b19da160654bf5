"""How well a network does on a split."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib.data import Digits
from vizlib.models import eval_mode
from vizlib.train._check import check_labels, check_scores


@dataclass(frozen=True)
class Metrics:
    """How well a network does on a split.

    `loss` is the mean cross-entropy in nats, `accuracy` the share that is right in 0…1, and
    `confusion` int64 (10, 10) counts images by [true digit, answer]; (K, K) for a network that
    tells K classes apart.
    """

    loss: float
    accuracy: float
    confusion: Tensor = field(repr=False)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    digits: Digits,
    split: str = "test",
    *,
    first: int | None = None,
    batch_size: int = 500,
) -> Metrics:
    """Measure the network on a split (or its `first` images), on the device the network is on.

    The model is put in eval mode for it and comes back in the mode it was in. `batch_size` decides
    how much memory that takes, not what comes out. Raises ValueError where there is no image, and
    for a network whose answers are no scores for the classes of these digits.

    >>> from vizlib import data, weights
    >>> metrics = evaluate(weights.load("lenet"), data.load("digits"))
    >>> metrics.confusion.shape, int(metrics.confusion.sum())
    (torch.Size([10, 10]), 360)
    """
    if first is not None and first < 1:
        raise ValueError(f"first must be at least 1, but was {first}")
    count = len(digits.split(split))
    if not count:
        raise ValueError(f"the split {split!r} is empty: there is nothing to measure")
    device = next((p.device for p in model.parameters()), "cpu")
    with eval_mode(model):
        batches = digits.batches(split, batch_size, device=device)
        enough = ceil(min(first or count, count) / batch_size)
        answers = [(model(images), labels) for images, labels in islice(batches, enough)]
    name = getattr(model, "name", type(model).__name__)
    check_scores(answers[0][0], name)
    logits = torch.cat([logits for logits, _ in answers]).float()[:first]
    labels = torch.cat([labels for _, labels in answers])[:first]
    classes = logits.shape[1]
    check_labels(labels, classes, name, split)
    given = logits.argmax(1)
    confusion = torch.bincount(labels * classes + given, minlength=classes**2)
    accuracy = (given == labels).double().mean().item()
    loss = F.cross_entropy(logits, labels).item()
    return Metrics(loss, accuracy, confusion.reshape(classes, classes).cpu())
