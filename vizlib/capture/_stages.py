"""What a forward pass leaves behind: its stages and its steps, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

from vizlib import words
from vizlib.capture._flow import Step, numbered
from vizlib.capture._kinds import HIDDEN, Layer, function

_functorch = torch._C._functorch  # noqa: SLF001 - torch's only name for it

# Layers whose output carries its channels on the last axis where it has no image axes.
_CHANNELS_LAST = {"linear", "attention", "recurrent", "embedding"}


@dataclass(frozen=True)
class Program:
    """What torch computed in one forward pass, function by function.

    - `steps`: every operation, by name, in order, inside of layers too: `conv1.conv2d`
    - `stages`: which step gave the output of each stage that `record` has; "unknown", or a step
      whose `operation` is the layer's own, such as "scripted", where nobody saw what computed it
    - `tensors`: the parameters and buffers that were read, by path, and each "unknown" tensor,
      `unknown`, `unknown:2`, …: the model's own, not copies
    - `outputs`: the steps that gave what the model answered
    """

    steps: Mapping[str, Step]
    stages: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What one call of one layer did.

    - `name`: the layer's path in the model, with `:2`, `:3` … for further calls
    - `kind`: "conv", "relu", "activation", "pool", "linear", "norm", "dropout", "softmax",
      "flatten", …
    - `output`: what it gave then, on the CPU and in the layer's own precision: (N, C, H, W) after
      a convolution, (N, F) after a linear layer; of several outputs the first
    - `input_shape`: the shape of the first input
    - `module`: the layer itself, None for a function
    - `step`: what was called, and what it was given; see `Step`
    """

    name: str
    kind: str
    output: Tensor
    input_shape: tuple[int, ...]
    module: nn.Module | None
    step: Step | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what it read.

        These are stages, steps between stages (see `Recording.steps`), "input", or "unknown" where
        that cannot be said; see `Value`.
        """
        return self.step.inputs if self.step else ()

    @property
    def operation(self) -> str:
        """One word, "conv2d" or "add", for a module as for the function that it calls."""
        return self.step.operation if self.step else ""

    def __repr__(self) -> str:
        """Return one line: name, kind, and the shapes in and out."""
        return f"{self.name} ({self.kind}): {self.input_shape} → {tuple(self.output.shape)}"

    def channels(self) -> Channels:
        """Return what each channel holds, over all images and places.

        The channels' axis is 1, or the last one of a linear, attention or recurrent layer's
        (N, L, C). Complex values are measured by their absolute values. Raises ValueError for a
        stage that has no channels: a single number, or no values at all.

        >>> stage = Stage("relu", "relu", torch.tensor([[[[0.0, 4.0]], [[0.0, 0.0]]]]), (), None)
        >>> stage.channels().mean, stage.channels().dead
        (tensor([2., 0.]), tensor([False,  True]))
        """
        axis = channel_axis(self)
        if self.output.numel() == 0:
            raise ValueError(f"{self.name!r} gave no values: {tuple(self.output.shape)}")
        rows = real(self.output).movedim(axis, 0).flatten(1)
        low, high = rows.aminmax(dim=1)
        zero = rows == 0
        return Channels(low, high, rows.mean(1), zero.float().mean(1), zero.all(1))


def refuse_number(what: str, number: int, where: str, count: int) -> None:
    """Raise where there are not so many that this one is among them."""
    if not -count <= number < count:
        there = f"{count}, numbered from 0 to {count - 1}" if count else "none"
        raise IndexError(f"{what} was asked for, but {where} has {there}")


def real(output: Tensor) -> Tensor:
    """Return values as floats, and of complex ones the absolute values."""
    output = output.dequantize() if output.is_quantized else output
    return output.abs() if output.is_complex() else output.float()


def channel_axis(stage: Stage | Call) -> int:
    """Return the axis of a layer's output that its channels lie on."""
    axes = stage.output.dim()
    if axes == 0:
        raise ValueError(f"{stage.name!r} gave a single number, which has no channels")
    last = stage.kind in _CHANNELS_LAST or isinstance(stage.module, nn.LayerNorm | nn.RMSNorm)
    if axes == 1:
        return 0
    return -1 if last and axes <= 3 else 1  # noqa: PLR2004 - N, L and C


@dataclass(frozen=True)
class Channels:
    """What each channel of a stage holds, over all images and places; every tensor is (C,).

    `min`, `max` and `mean` are in the stage's own unit; `zeros` is the share of exact zeros,
    0…1. A channel is `dead` if it never differs from zero.
    """

    min: Tensor
    max: Tensor
    mean: Tensor
    zeros: Tensor
    dead: Tensor


class Call(NamedTuple):
    """A call of a layer as it is met: its stage's name and kind, what it gave and was given.

    `given` is the first tensor that it was given, and `batch` the number of the model's images.
    """

    name: str
    kind: str
    output: Tensor
    given: Tensor | None
    module: nn.Module | None
    batch: int = 0


class Recording(Mapping[str, Stage]):
    """The stages of one forward pass, by name, in the order in which they were called."""

    def __init__(self, steps: dict[str, Step]) -> None:
        """Start empty; `record` and `listen` fill it."""
        # A network runs faster than stages are made: that waits for a reader.
        self._rows: dict[str, tuple[str, Tensor, tuple[int, ...], nn.Module | None]] = {}
        self._steps = steps
        self._devices: set[torch.device] = set()

    @property
    def steps(self) -> Mapping[str, Step]:
        """Every step of the forward pass, by name, in order.

        These are the stages, kept or not, and what lies between them.
        """
        return MappingProxyType(self._steps)

    def add(self, call: Call) -> None:
        """Add a stage, with a copy of what the layer gave and the shape of what it was given."""
        name, kind, output, given, module, _ = call
        shape = () if given is None or given.is_nested else given.shape
        if output.is_cuda:
            self._devices.add(output.device)
        self._rows[name] = kind, _copied(output), shape, module

    def wait(self) -> None:
        """Wait for the copies that are under way from a GPU."""
        while self._devices:
            torch.cuda.synchronize(self._devices.pop())

    def __getitem__(self, name: str) -> Stage:
        """Return the stage called `name`; raise KeyError with the names that there are."""
        self.wait()
        if name not in self._rows:
            raise UnknownStageError(words.unknown("stage", name, list(self), "this model has"))
        kind, output, shape, module = self._rows[name]
        return Stage(name, kind, output, tuple(shape), module, self._steps[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Return one line a stage."""
        return "\n".join(map(repr, self.values())) or "an empty recording"

    def kind(self, kind: str) -> list[Stage]:
        """Return the stages of one kind, such as "conv", in the order of their calls."""
        return [stage for stage in self.values() if stage.kind == kind]


def _copied(output: Tensor) -> Tensor:
    if _functorch.is_functorch_wrapped_tensor(output):
        with temporarily_clear_interpreter_stack():
            return _copied(_whole(output))
    output = output.detach() if output.requires_grad else output
    if output.is_cuda:
        # Nobody waits for this copy before somebody reads it.
        copy = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
        return copy.copy_(output, non_blocking=True)
    return output.clone() if output.is_cpu or output.is_meta else output.cpu()


def _whole(output: Tensor) -> Tensor:
    """Return what `vmap` shows sample by sample as one tensor, its batch axis in front."""
    axes: list[int] = []
    while _functorch.is_functorch_wrapped_tensor(output):
        axes.insert(0, _functorch.maybe_get_bdim(output))
        output = _functorch.get_unwrapped(output)
    for place, axis in enumerate(axis for axis in axes if axis >= 0):
        output = output.movedim(axis + place, place)
    return output


class Names:
    """Counts the calls of each path, and knows which stages are asked for.

    `wanted` holds names, with `exact`, or else patterns and kinds as well; all stages are asked
    for where it is None.
    """

    def __init__(self, layers: Iterable[Layer], wanted: list[str] | None, *, exact: bool) -> None:
        self._layers = list(layers)
        self._wanted, self._exact = wanted, exact
        # The stages so far, asked for or not, with their kinds.
        self.seen: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Count calls from one again."""
        self._first = {layer.path for layer in self._layers if layer.kind is not None}
        self._calls = dict.fromkeys(self._first, 1)

    def of(self, path: str, module: nn.Module | None = None) -> str:
        """Return the name of a call: `relu`, `relu:2`; a module's first call has its path."""
        if module is not None and path in self._first:
            self._first.discard(path)
            return path
        count = self._calls[path] = self._calls.get(path, 0) + 1
        return numbered(path, count)

    def wants(self, name: str, kind: str) -> bool:
        """Say whether a stage is asked for."""
        return self._wanted is None or any(self._asks(e, name, kind) for e in self._wanted)

    def _asks(self, entry: str, name: str, kind: str) -> bool:
        return entry == name if self._exact else kind == entry or fnmatchcase(name, entry)

    def refuse_unmatched(self) -> None:
        """Raise where an entry of `wanted` matched no stage at all."""
        for entry in self._wanted or []:
            if not any(self._asks(entry, *stage) for stage in self.seen.items()):
                self._refuse(entry)

    def refuse_unknown(self) -> None:
        """Raise where an entry can only be a module and there is none of that name."""
        for entry in self._wanted or []:
            base = entry.partition(":")[0]
            if base not in self._modules() and function(base.rpartition(".")[2])[1] is None:
                self._refuse(entry)

    def _refuse(self, entry: str) -> None:
        names = [*dict.fromkeys([*self.seen, *self._modules()])]
        if entry.partition(":")[0] in names:
            called = words.listed(self.seen)
            raise UnknownStageError(f"this forward pass did not call {entry!r}, only {called}")
        raise UnknownStageError(words.unknown("stage", entry, names, "this model has"))

    def _modules(self) -> list[str]:
        """Return the names of the stages that the modules can be."""
        names: list[str] = []
        for path, _, kind in self._layers:
            is_inside = names and path.startswith(f"{names[-1]}.")
            if kind not in {None, HIDDEN} and not is_inside:
                names.append(path)
        return names


class UnknownStageError(KeyError):
    """No stage has that name; the message lists those that there are."""

    def __str__(self) -> str:
        """Return the sentence itself, where KeyError would show it in quotes."""
        return self.args[0]
