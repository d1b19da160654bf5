"""Ask a model what its channels are good for: switch them off, look for what excites them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.capture._kinds import Layer, unwrapped
from vizlib.capture._record import record, run
from vizlib.capture._restore import restored
from vizlib.capture._stages import Stage, UnknownStageError, channel_axis, no_such
from vizlib.capture._tensors import first_tensor
from vizlib.capture._watch import Watch
from vizlib.data import Digits


@contextmanager
def edit(model: nn.Module, changes: Mapping[str, Mapping[int, float]]) -> Iterator[nn.Module]:
    """Scale channels of layers while the `with` block runs; the rest of the network answers.

    `changes` maps a stage's name to factors by channel: 0 silences the channel, 1 leaves it. The
    channels are those of the layer's output, axis C of (N, C, H, W) and F of (N, F). A recording
    made inside the block or around it shows what the changed network does. Only this thread's
    calls change.

    Raises UnknownStageError for a name that the model does not have, and IndexError, during the
    forward pass, for a channel that the layer does not have.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with edit(model, {"1": {0: 0.0, 2: 0.0}}):
    ...     int((model(torch.ones(1, 2)) != 0).sum()) <= 1
    True
    """
    model = unwrapped(model)
    met: set[str] = set()
    watch = Watch(model, partial(_edited, changes, met), list(changes))
    watch.refuse_unknown()
    # Each forward pass has a first call of its own.
    with model.register_forward_pre_hook(watch.restart, prepend=True), watch.before_others():
        yield model
    if watch.seen:
        watch.refuse_unmatched()
        _refuse_unmet(changes.keys() - met, watch)


def _refuse_unmet(names: Iterable[str], watch: Watch) -> None:
    for name in names:
        raise UnknownStageError(no_such(name, dict.fromkeys([*watch.survey.names(), *watch.seen])))


def _edited(
    changes: Mapping[str, Mapping[int, float]],
    met: set[str],
    layer: Layer,
    output: Tensor,
    _inputs: Any,
    module: nn.Module | None,
) -> Tensor | None:
    # A name such as "relu" is that of a kind as well, and the watch meets them all.
    if layer.path not in changes:
        return None
    met.add(layer.path)
    axis = channel_axis(output, layer.kind, module)
    edited = output.clone()
    for channel, factor in changes[layer.path].items():
        _refuse_channel(layer.path, channel, edited.shape[axis])
        edited.select(axis, channel).mul_(factor)
    return edited


def _refuse_channel(name: str, channel: int, count: int) -> None:
    if not -count <= channel < count:
        raise IndexError(
            f"channel {channel} of {name!r} was asked for, but it has {count}, "
            f"numbered from 0 to {count - 1}"
        )


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
    with restored(unwrapped(model)):
        model.eval()
        batches = digits.batches(split, batch_size)
        parts = [_excitation(record(model, x, layers=stage)[stage], channel) for x, _ in batches]
    values = torch.cat(parts)
    values, indices = values.topk(min(k, len(values)))
    return TopImages(indices, values, *digits.split(split)[indices])


def _excitation(stage: Stage, channel: int) -> Tensor:
    """Return a channel's greatest value on each image, (N,)."""
    axis = channel_axis(stage.output, stage.kind, stage.module)
    _refuse_channel(stage.name, channel, stage.output.shape[axis])
    values = stage.output.select(axis, channel)
    return values.reshape(len(values), -1).amax(1)


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
    ValueError for a model whose forward pass calls no `nn.Linear`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> parts = contributions(model, torch.randn(3, 1, 2, 2))
    >>> parts.units.shape
    torch.Size([3, 2, 4])
    >>> bool((parts.units.sum(-1) + parts.bias + parts.rounding == parts.logits).all())
    True
    """
    kept: list[Contributions] = []
    model = unwrapped(model)
    watch = Watch(model, partial(_take_apart, kept), "linear")
    run(watch, model, x)
    watch.refuse_unmatched()
    return kept[-1]


def _take_apart(
    kept: list[Contributions], layer: Layer, logits: Tensor, inputs: Any, module: nn.Module | None
) -> None:
    if not isinstance(module, nn.Linear):
        return
    values, weight, logits = map(_exact, (first_tensor(inputs), module.weight, logits))
    bias = logits.new_zeros(len(weight)) if module.bias is None else _exact(module.bias)
    units = values.unsqueeze(-2) * weight
    parts = Contributions(layer.path, units, bias, logits - (units.sum(-1) + bias), logits)
    kept[:] = [parts]


def _exact(values: Tensor) -> Tensor:
    return values.detach().cpu().double()
