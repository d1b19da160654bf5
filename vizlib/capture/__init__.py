"""See what every layer of any PyTorch model did to its input.

>>> import torch
>>> from vizlib import models
>>> recording = record(models.build("lenet", seed=0), torch.zeros(1, 1, 28, 28))
>>> list(recording)[:4]
['conv1', 'relu1', 'pool1', 'conv2']
>>> recording["conv1"].output.shape
torch.Size([1, 6, 24, 24])
>>> recording["pool1"].inputs
('relu1',)

A *stage* is one call of one layer: of a module that has no modules inside, of a layer of torch's
own, or of a function such as `F.relu`. Its name is the path in the model (`conv1`, `features.3`);
a function takes its own name under the module that called it (`relu`, `block1.max_pool2d`), and
further calls are counted: `relu:2`. What happens inside a layer is that layer's own business.
Plain forward hooks mislead in three ways, and this module is built around them:

**In-place layers.** `nn.ReLU(inplace=True)` overwrites the output of the layer before it, so a
kept reference shows a convolution without a single negative value. A stage holds a copy, made
when the call returned: nothing that is written later shows in it.

>>> from torch import nn
>>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
>>> bool((record(model, torch.randn(1, 1, 8, 8))["0"].output < 0).any())
True

**Functions.** `F.relu(x)`, `x + y` and `torch.flatten(x)` are no modules, and no hook sees them.
Here they are stages.

>>> class Block(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.fc = nn.Linear(4, 4)
...     def forward(self, x):
...         return torch.relu(self.fc(x)) + x
>>> recording = record(nn.Sequential(Block(), nn.Softmax(1)), torch.ones(1, 4))
>>> list(recording)
['0.fc', '0.relu', '0.add', '1']
>>> recording["0.add"].inputs
('0.relu', 'input')

**Reuse.** One `nn.ReLU` that is called twice is two stages.

>>> relu = nn.ReLU()
>>> list(record(nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 2), relu), torch.ones(1, 4)))
['0', '1', '2', '1:2']

The parts, in the order in which to read them:

- `_kinds`: one table of words says what kind of layer a module or a function is
- `_flow`: names for tensors, so that a step can say what it read
- `_watch`: the hooks on modules and the mode for functions
- `_stages`: what is left in the end
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib.capture._flow import INPUT, Constant, Input, Step, Value, mapped, tensors
from vizlib.capture._kinds import KINDS, PLAIN, layers_of_chain
from vizlib.capture._stages import (
    Call,
    Channels,
    Program,
    Recording,
    Stage,
    UnknownStageError,
    channel_axis,
    real,
    refuse_number,
)
from vizlib.capture._watch import Watch
from vizlib.data import Digits, as_tensor, normalize
from vizlib.models import eval_mode, undisturbed

__all__ = [
    "Channels",
    "Constant",
    "Contributions",
    "Input",
    "Program",
    "Recording",
    "Stage",
    "Step",
    "TopImages",
    "UnknownStageError",
    "Value",
    "contributions",
    "edit",
    "listen",
    "program",
    "record",
    "top_images",
]


def record(
    model: nn.Module,
    x: Any,
    *,
    layers: str | Sequence[str] | None = None,
    samples: int | Sequence[int] | None = None,
    **keywords: Any,
) -> Recording:
    """Run `model` on `x` once and return what every layer did.

    - `x`: a batch, such as images (N, C, H, W), or a tuple of several inputs; `keywords` are
      handed to the model too. Tensors and arrays are moved to the model's device.
    - `layers`: stages to keep, by name, pattern (`features.*`) or kind; all of them by default
    - `samples`: images of the batch to keep, by number; all of them by default

    The model runs in the mode it is in, without gradients, and comes back as it was: hooks,
    training flags, buffers, gradients and random numbers, also where the forward pass raises.

    Raises UnknownStageError (a KeyError) where an entry of `layers` matches nothing, IndexError
    where the batch has no such sample, ValueError for a lazy layer that was never called,
    TypeError for what is no `nn.Module`. What the forward pass raises comes through, with a note
    saying how far it got.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> record(model, torch.ones(2, 4), layers="relu", samples=0)
    1 (relu): (2, 3) → (1, 3)
    """
    everything = layers is None and samples is None and not keywords
    if everything and not isinstance(x, tuple) and (chain := layers_of_chain(model)):
        return _record_chain(model, chain, _moved(x, model))
    watch, recording = _recorder(model, layers, samples)
    with _telling(recording):
        _run(watch, x, keywords)
        recording.wait()
    watch.names.refuse_unmatched()
    return recording


def program(model: nn.Module, x: Any, **keywords: Any) -> Program:
    """Run `model` on `x` once and return what torch computed, step by step, layers opened.

    `x`, `keywords` and the way in which the model comes back are as in `record`. See `Program`
    for what it holds.

    >>> found = program(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(1, 4))
    >>> for step in found.steps.values():
    ...     print(step.name, step.operation, step.arguments, step.options)
    0.linear linear (<input>, <0.weight>, <0.bias>) {}
    1.relu relu (<0.linear>,) {'inplace': False}
    >>> found.stages
    {'0': '0.linear', '1': '1.relu'}
    """
    watch = Watch(model, lambda _call: None, inside=True)
    output = _run(watch, x, keywords)
    return Program(
        watch.flow.steps,
        {stage: str(step) for stage, step in watch.origins.items()},
        watch.flow.tensors,
        tuple(str(watch.flow.origin(tensor)) for tensor in tensors(output)),
    )


@contextmanager
def listen(
    model: nn.Module,
    *,
    layers: str | Sequence[str] | None = None,
    samples: int | Sequence[int] | None = None,
) -> Iterator[Recording]:
    """Record the forward passes that you run yourself inside the `with` block.

    Nothing is held back: gradients flow, BatchNorm learns. `layers` and `samples` are as in
    `record`. Calls of the model in other threads are not recorded.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> with listen(model) as recording:
    ...     model(torch.ones(2, 4)).sum().backward()
    >>> list(recording), model[0].weight.grad is not None
    (['0', '1'], True)
    """
    watch, recording = _recorder(model, layers, samples)
    with _telling(recording), watch:
        yield recording
    if watch.names.seen:
        watch.names.refuse_unmatched()


def _recorder(
    model: nn.Module, layers: str | Sequence[str] | None, samples: int | Sequence[int] | None
) -> tuple[Watch, Recording]:
    """Return a watch, and the recording that it fills with copies."""
    wanted, chosen = _several("layers", layers, str), _several("samples", samples, Integral)

    def keep(call: Call) -> None:
        recording.add(call if chosen is None else _some(call, chosen))

    watch = Watch(model, keep, wanted)
    recording = Recording(watch.flow.steps)
    return watch, recording


def _several(what: str, given: Any, kind: type) -> list | None:
    """Return one or several as a list; None for all of them."""
    if given is None:
        return None
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not all(isinstance(each, kind) for each in several):
        one = "a text" if kind is str else "a whole number"
        raise TypeError(f"{what} must be {one} or a list of these, but was {given!r}")
    return several


def _some(call: Call, samples: list[int]) -> Call:
    """Return the call with some images of the batch, where the first axis is the batch's."""
    for sample in samples:
        refuse_number(f"sample {sample}", sample, "the batch", call.batch)
    output = call.output
    if output.dim() == 0 or len(output) != call.batch:
        return call
    rows = torch.tensor(samples, device=output.device) % call.batch
    return call._replace(output=output[rows])


@contextmanager
def _telling(recording: Recording) -> Iterator[None]:
    """Note on an error how far the forward pass got."""
    try:
        yield
    except Exception as error:
        last = next(reversed(list(recording)), None)
        error.add_note(f"The last layer recorded is {last!r}." if last else "No layer is recorded.")
        if "grad" in str(error):
            error.add_note("`record` runs without gradients: run the model inside `listen`.")
        if "should be the same" in str(error) or "same dtype" in str(error):
            error.add_note(
                "The input has another type of numbers than the model: data.normalize(images) "
                "makes floats of bytes, x.float(), x.double() or x.half() others."
            )
        raise


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

    def change(call: Call) -> Tensor:
        axis, changed = channel_axis(call), call.output.clone()
        for channel, factor in changes[call.name].items():
            refuse_number(f"channel {channel} of {call.name!r}", channel, "it", changed.shape[axis])
            changed.select(axis, channel).mul_(factor)
        return changed

    watch = Watch(model, change, list(changes), edits=True)
    watch.names.refuse_unknown()
    with watch:
        yield watch.model
    if watch.names.seen:
        watch.names.refuse_unmatched()


# --- Running a model -----------------------------------------------------------------------


def _run(watch: Watch, x: Any, kwargs: dict[str, Any]) -> Any:
    """Run a watched model once on an input, or a tuple of several, and return its answer."""
    _refuse_lazy(watch.layers)
    args, kwargs = _moved((x if isinstance(x, tuple) else (x,), kwargs), watch.model)
    with undisturbed(watch.model), watch:
        return watch.model(*args, **kwargs)


def _refuse_lazy(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            raise ValueError(
                f"{type(module).__name__} takes its shape from its first input, and would not be "
                "the same afterwards: call the model once yourself, then record it"
            )


def _moved(value: Any, model: nn.Module) -> Any:
    """Return inputs on the device of a model's first parameter; arrays become tensors."""
    device = next((parameter.device for parameter in model.parameters()), None)

    def move(part: Any) -> Any:
        part = as_tensor(part) if isinstance(part, np.ndarray) else part
        return part.to(device=device) if isinstance(part, Tensor) else part

    return mapped(move, value)


@torch.no_grad()
def _record_chain(model: nn.Module, layers: dict[str, nn.Module], x: Tensor) -> Recording:
    """Call the layers of a chain one by one, and record each."""
    steps: dict[str, Step] = {}
    recording = Recording(steps)
    with _telling(recording):
        if check := getattr(model, "check", None):
            check(x)
        read: Value = Input(INPUT)
        for name, layer in layers.items():
            given, x = x, layer(x)
            word = PLAIN[type(layer)]
            steps[name] = Step(name, word, (read,), {}, x.shape)
            recording.add(Call(name, KINDS[word], x, given, layer))
            read = Value(name)
    return recording


# --- Questions -----------------------------------------------------------------------------


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
    try:
        found = record(model, x, layers=stage)[stage]
    except RuntimeError as error:
        shape = tuple(x.shape)
        raise ValueError(f"the model cannot take images {shape}: {error}") from error
    axis, output = channel_axis(found), found.output
    refuse_number(f"channel {channel} of {stage!r}", channel, "it", output.shape[axis])
    if len(output) != len(x) or output.numel() == 0:
        shape = tuple(output.shape)
        raise ValueError(f"{stage!r} gave {shape}: no values for each of {len(x)} images")
    return real(output).select(axis, channel).reshape(len(x), -1).amax(1)


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
    _run(watch, x, {})
    watch.names.refuse_unmatched()
    name, layer, values, logits = last[0]
    weight = _exact(layer.weight)
    bias = logits.new_zeros(len(weight)) if layer.bias is None else _exact(layer.bias)
    units = values.unsqueeze(-2) * weight
    return Contributions(name, units, bias, logits - (units.sum(-1) + bias), logits)


def _exact(values: Tensor) -> Tensor:
    return values.detach().cpu().double()
