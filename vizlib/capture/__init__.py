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
- `_run`: runs a model and puts back what that changed
- `_stages`: what is left in the end
- `_probe`: questions asked of a model with these tools
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.capture._flow import Constant, Step, Value, tensors
from vizlib.capture._probe import (
    Contributions,
    TopImages,
    contributions,
    top_images,
)
from vizlib.capture._run import layers_of_chain, moved, run, run_chain
from vizlib.capture._stages import (
    Call,
    Channels,
    Program,
    Recording,
    Stage,
    UnknownStageError,
    channel_axis,
    refuse_number,
)
from vizlib.capture._watch import Watch

__all__ = [
    "Channels",
    "Constant",
    "Contributions",
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
        recording = Recording()
        with _telling(recording), torch.no_grad():
            run_chain(model, chain, moved(x, model), recording)
        return recording
    watch, recording = _recorder(model, layers, samples)
    with _telling(recording):
        run(watch, x, keywords)
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
    output = run(watch, x, keywords)
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
    watch = Watch(model, partial(_changed, changes), list(changes), edits=True)
    watch.names.refuse_unknown()
    with watch:
        yield watch.model
    if watch.names.seen:
        watch.names.refuse_unmatched()


def _changed(changes: Mapping[str, Mapping[int, float]], call: Call) -> Tensor:
    axis = channel_axis(call)
    changed = call.output.clone()
    for channel, factor in changes[call.name].items():
        refuse_number(f"channel {channel} of {call.name!r}", channel, "it", changed.shape[axis])
        changed.select(axis, channel).mul_(factor)
    return changed
