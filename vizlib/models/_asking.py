"""How a network is asked: in eval mode, and what its scores say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_ROUNDING = 1e-3  # a sum of probabilities in half precision is this close to 1


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode within the `with` block, and give each module its mode back.

    A frozen script has no mode, and stays as it is.

    >>> model = nn.Dropout().train()
    >>> with eval_mode(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    # Module by module: one flag for the whole model would wake a frozen BatchNorm, and what
    # torch.export makes raises in eval().
    modes = {module: module.training for module in model.modules() if hasattr(module, "training")}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def as_input(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return `x` on the device and in the precision of the model's first real parameter.

    Integers and complex numbers among the parameters say nothing about the images; of a network
    without any other `x` stays as it is.

    >>> as_input(nn.Linear(1, 1).double(), torch.zeros(1, 1)).dtype
    torch.float64
    """
    real = (p for p in model.parameters() if p.is_floating_point())
    first = next(real, x)
    return x.to(first.device, first.dtype)


def probabilities(scores: torch.Tensor) -> torch.Tensor:
    """Return the probability of each class, float32 in 0…1, from what a network ends in.

    `scores` is (K,) or (N, K), one score for each class: logits, log-probabilities (of
    log-softmax) or probabilities (of softmax). Those that are probabilities already stay as they
    are, since the softmax of a softmax is almost flat.

    >>> logits = torch.tensor([2.0, 0.0, -1.0])
    >>> once = probabilities(logits)
    >>> torch.equal(probabilities(once), once)
    True
    >>> torch.allclose(probabilities(logits.log_softmax(0)), once)
    True
    """
    scores = scores.detach().float()
    for form in (scores, scores.exp()):
        if (form >= 0).all() and ((form.sum(-1) - 1).abs() < _ROUNDING).all():
            return form
    return scores.softmax(-1)
