"""Ask a model what its channels are good for: what excites them, what the scores are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.capture._run import run
from vizlib.capture._stages import Call, channel_axis, real, refuse_number
from vizlib.capture._watch import Watch
from vizlib.data import Digits, normalize
from vizlib.models import eval_mode


@dataclass(frozen=True)
class TopImages:
    """The images that excite a channel most, the strongest first.

    - `indices` (k,): their places in the split
    - `values` (k,): the channel's greatest value on each
    - `images`, `labels`: as in the data set, uint8 (k, 28, 28) and int64 (k,)
    """

    indices: Tensor
    values: Tensor
    images: Tensor
    labels: Tensor


def top_images(
    model: nn.Module,
    digits: Digits | tuple[Tensor, Tensor],
    stage: str,
    channel: int,
    k: int = 9,
    *,
    split: str = "test",
    batch_size: int = 256,
) -> TopImages:
    """Return the `k` images on which a channel's greatest value is greatest.

    - `digits`: a data set, of which the images of `split` are looked at, or any pair of images and
      labels (N,): bytes (N, 28, 28), normalized as MNIST's are, or floats (N, C, H, W)
    - `stage`, `channel`: a stage's name as `record` gives it, and which of its channels

    Runs the model in evaluation mode, in batches, and leaves it as it was. Raises
    UnknownStageError for a stage and IndexError for a channel that the model does not have, and
    ValueError for images that the model cannot take, or a stage with no value for each image.

    >>> from vizlib import data, models
    >>> lenet, digits = models.build("lenet", seed=0), data.load("digits")
    >>> top = top_images(lenet, digits, "relu1", channel=3, k=4)
    >>> top.images.shape, bool((top.values.diff() <= 0).all())
    (torch.Size([4, 28, 28]), True)
    """
    if isinstance(digits, Digits):
        part, normalized = digits.split(split), digits.normalize
        images, labels = part.images, part.labels
    else:
        (images, labels), normalized = digits, normalize
    with eval_mode(model):
        parts = [
            _excitation(model, normalized(x) if x.dtype == torch.uint8 else x, stage, channel)
            for x in images.split(batch_size)
        ]
    values, indices = torch.cat(parts).topk(min(k, len(images)))
    return TopImages(indices, values, images[indices], labels[indices])


def _excitation(model: nn.Module, x: Tensor, stage: str, channel: int) -> Tensor:
    """Return a channel's greatest value on each image, (N,)."""
    found: list[Tensor] = []

    def measure(call: Call) -> None:
        axis, output = channel_axis(call), call.output
        refuse_number(f"channel {channel} of {stage!r}", channel, "it", output.shape[axis])
        if len(output) != len(x) or output.numel() == 0:
            shape = tuple(output.shape)
            raise ValueError(f"{stage!r} gave {shape}: no values for each of {len(x)} images")
        values = real(output).select(axis, channel)
        found.append(values.reshape(len(x), -1).amax(1).cpu())

    watch = Watch(model, measure, [stage])
    try:
        run(watch, x, {})
    except RuntimeError as error:
        shape = tuple(x.shape)
        raise ValueError(f"the model cannot take images {shape}: {error}") from error
    watch.names.refuse_unmatched()
    return found[0]


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
        if isinstance(call.module, nn.Linear) and call.given is not None:
            last[:] = [(call.name, call.module, _exact(call.given), _exact(call.output))]

    watch = Watch(model, keep, ["linear"])
    run(watch, x, {})
    watch.names.refuse_unmatched()
    name, layer, values, logits = last[0]
    weight = _exact(layer.weight)
    bias = logits.new_zeros(len(weight)) if layer.bias is None else _exact(layer.bias)
    units = values.unsqueeze(-2) * weight
    return Contributions(name, units, bias, logits - (units.sum(-1) + bias), logits)


def _exact(values: Tensor) -> Tensor:
    return values.detach().cpu().double()
