"""What cannot be trained is told in one sentence, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from vizlib import words
from vizlib.data import Digits, Split
from vizlib.models import eval_mode


def check_numbers(*, steps: int | None, snapshot_every: int) -> None:
    """Raise ValueError for numbers that mean nothing."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, or None for all, but was {steps}")
    if snapshot_every < 0:
        raise ValueError(f"snapshot_every must be at least 0, but was {snapshot_every}")


def check_digits(digits: Digits) -> None:
    """Raise TypeError for no digits, and ValueError for splits that teach or measure nothing."""
    if not isinstance(digits, Digits):
        raise TypeError(
            f"digits must be vizlib's Digits, but was a {type(digits).__name__}: "
            "data.load() returns them, and data.Digits(name, train, val, test) makes yours"
        )
    for name in ("train", "val"):
        _check_split(name, digits.split(name))


def _check_split(name: str, split: Split) -> None:
    images, labels = split.images, split.labels
    complaint = ""
    if len(images) != len(labels):
        complaint = f"has {len(images):,} images and {len(labels):,} labels: give each image one"
    elif not len(labels):
        complaint = "is empty: take some images for it out of another split"
    elif labels.dtype != torch.int64 or labels.ndim != 1:
        complaint = (
            f"has labels of {_dtype(labels)} in the shape {tuple(labels.shape)}: "
            "make them int64 (N,), one class for each image"
        )
    elif labels.min() < 0:
        complaint = f"has the label {labels.min()}: classes are counted from 0"
    elif images.is_floating_point() and not images.isfinite().all():
        wrong = ~images.isfinite().flatten(1).all(1)
        complaint = (
            f"has NaN or infinity in {words.counted(int(wrong.sum()), 'image')}, the first at "
            f"{int(wrong.nonzero()[0])}: leave them out or mend them"
        )
    if complaint:
        raise ValueError(f"the split {name!r} {complaint}")


def check_model(model: nn.Module, digits: Digits, batch_size: int) -> None:
    """Raise TypeError for what is no network, and ValueError for one that cannot learn these."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but was a {type(model).__name__}")
    name = getattr(model, "name", type(model).__name__)
    for complaint in _complaints(list(model.parameters())):
        raise ValueError(f"{name} {complaint}")
    scores = _trial(model, digits, name)
    check_scores(scores, name)
    if not scores.isfinite().all():
        raise ValueError(
            f"{name} answers with NaN or infinity before any training: build it anew, or load "
            "weights that are whole"
        )
    for part in ("train", "val"):
        check_labels(digits.split(part).labels, scores.shape[1], name, part)
    if (len(digits.train) - 1) % batch_size == 0:
        _check_single(deepcopy(model).train(), digits, batch_size, name)


def _check_single(model: nn.Module, digits: Digits, batch_size: int, name: str) -> None:
    """Raise ValueError if the last batch is one image, and one BatchNorm too few."""
    images, _ = next(iter(digits.batches("train", 1, device=next(model.parameters()).device)))
    try:
        model(images)
    except ValueError as error:
        raise ValueError(
            f"{name} cannot learn from one image alone ({error}), and of {len(digits.train):,} "
            f"images in batches of {batch_size} the last is alone: choose another batch_size"
        ) from None


def _complaints(parameters: list[nn.Parameter]) -> Iterator[str]:
    if not parameters:
        yield "has no parameters: there is nothing to train"
    if any(isinstance(p, UninitializedParameter) for p in parameters):
        yield "has lazy layers without a size: run it once before, model(torch.zeros(1, 1, 28, 28))"
    if any(p.is_meta for p in parameters):
        yield "is on the device 'meta' and has no values: build it on the CPU"
    if any(p.is_inference() for p in parameters):
        yield "was built under torch.inference_mode() and cannot learn: build it outside"
    if not any(p.requires_grad for p in parameters):
        yield "is frozen: set model.requires_grad_(True), or that of some of its layers"
    other = [p for p in parameters if p.is_floating_point() and p.dtype != torch.float32]
    if other:
        yield f"computes in {_dtype(other[0])}, and images are float32: make it model.float()"


@torch.no_grad()
def _trial(model: nn.Module, digits: Digits, name: str) -> Any:
    """Return what the network answers to two images, in eval mode."""
    device = next(model.parameters()).device
    images, _ = next(iter(digits.batches("val", 2, device=device)))
    try:
        with eval_mode(model):
            return model(images)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name} cannot read images of {words.times(images.shape[1:])}: either its layers do "
            f"not fit together, or it was built for others ({str(error).splitlines()[0]})"
        ) from error


def check_scores(scores: Any, name: str) -> None:
    """Raise ValueError unless a network gives one score for each class, as (N, classes)."""
    if torch.is_tensor(scores) and scores.ndim == 2:  # noqa: PLR2004 - (N, classes)
        return
    is_tensor = torch.is_tensor(scores)
    what = f"a tensor {tuple(scores.shape)}" if is_tensor else f"a {type(scores).__name__}"
    raise ValueError(
        f"{name} gives {what}, where the scores of the classes are needed, a tensor "
        "(N, classes): let its forward return these alone"
    )


def check_labels(labels: Tensor, classes: int, name: str, split: str) -> None:
    """Raise ValueError where a label is none of the classes that a network tells apart."""
    most = int(labels.max())
    if most >= classes:
        raise ValueError(
            f"the split {split!r} has labels up to {most}, and {name} gives "
            f"{words.counted(classes, 'score')}: it needs {most + 1}, for the classes 0 to {most}"
        )


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
