"""Ask a model what its channels are good for: what excites them, what the scores are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.capture._run import run
from vizlib.capture._stages import Call, channel_axis
from vizlib.capture._watch import Watch
from vizlib.data import Digits
from vizlib.models import eval_mode


@dataclass(frozen=True)
class TopImages:
    """The images that excite a channel most, the strongest first.

    `indices` (k,) are their places in the split, `values` (k,) the channel's greatest value on
    each; `images` uint8 (k, 28, 28) and `labels` int64 (k,) are as in the data set.
    """

    indices: Tensor
    values: Tensor
    images: Tensor
    labels: Tensor


def top_images(
    model: nn.Module,
    digits: Digits,
    stage: str,
    channel: int,
    k: int = 9,
    *,
    split: str = "test",
    batch_size: int = 256,
) -> TopImages:
    """Return the `k` images of a split on which a channel's greatest value is greatest.

    Runs the model in evaluation mode, in batches, and leaves it as it was. Raises
    UnknownStageError for a stage and IndexError for a channel that the model does not have.

    >>> from vizlib import data, models
    >>> lenet, digits = models.build("lenet", seed=0), data.load("digits")
    >>> top = top_images(lenet, digits, "relu1", channel=3, k=4)
    >>> top.images.shape, bool((top.values.diff() <= 0).all())
    (torch.Size([4, 28, 28]), True)
    """
    with eval_mode(model):
        parts = [
            _excitation(model, x, stage, channel) for x, _ in digits.batches(split, batch_size)
        ]
    values = torch.cat(parts)
    values, indices = values.topk(min(k, len(values)))
    return TopImages(indices, values, *digits.split(split)[indices])


def _excitation(model: nn.Module, x: Tensor, stage: str, channel: int) -> Tensor:
    """Return a channel's greatest value on each image, (N,)."""
    found: list[Tensor] = []

    def measure(call: Call) -> None:
        axis = channel_axis(call)
        refuse_channel(call.name, channel, call.output.shape[axis])
        values = call.output.select(axis, channel)
        found.append(values.reshape(len(values), -1).amax(1).cpu())

    watch = Watch(model, measure, stage)
    run(watch, (x,), {})
    watch.names.refuse_unmatched()
    return found[0]


def refuse_channel(name: str, channel: int, count: int) -> None:
    """Raise where a layer of so many channels does not have this one."""
    if not -count <= channel < count:
        raise IndexError(
            f"channel {channel} of {name!r} was asked for, but it has {count}, "
            f"numbered from 0 to {count - 1}"
        )


@dataclass(frozen=True)
class Contributions:
    """How the scores of the last linear layer, called `stage`, come about.

    `units` float64 (N, scores, F) holds each input unit's value times its weight, `bias` (scores,)
    what is added, `logits` (N, scores) what the layer gave. `rounding` (N, scores) is what the
    layer lost by computing in its own precision: `units.sum(-1) + bias + rounding` is `logits`.
    """

    stage: str
    units: Tensor
    bias: Tensor
    rounding: Tensor
    logits: Tensor


def contributions(model: nn.Module, x: Any) -> Contributions:
    """Return what each unit before the last linear layer adds to each score.

    The products of two float32 numbers are exact in float64, in which they are summed. Raises
    UnknownStageError for a model whose forward pass calls no linear layer.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> parts = contributions(model, torch.randn(3, 1, 2, 2))
    >>> parts.units.shape
    torch.Size([3, 2, 4])
    >>> bool((parts.units.sum(-1) + parts.bias + parts.rounding == parts.logits).all())
    True
    """
    last: list[tuple[str, nn.Linear, Tensor, Tensor]] = []

    def keep(call: Call) -> None:
        if isinstance(call.module, nn.Linear):
            last[:] = [(call.name, call.module, _exact(call.given), _exact(call.output))]

    watch = Watch(model, keep, "linear")
    run(watch, x if isinstance(x, tuple) else (x,), {})
    watch.names.refuse_unmatched()
    name, layer, values, logits = last[0]
    weight = _exact(layer.weight)
    bias = logits.new_zeros(len(weight)) if layer.bias is None else _exact(layer.bias)
    units = values.unsqueeze(-2) * weight
    return Contributions(name, units, bias, logits - (units.sum(-1) + bias), logits)


def _exact(values: Tensor) -> Tensor:
    return values.detach().cpu().double()
