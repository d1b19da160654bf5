"""What one forward pass leaves behind: its stages, by name, and what their channels hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# The ends of the range of a bounded activation, by the name of its class or function.
_ENDS = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "hardtanh": (-1.0, 1.0),
}
_NEAR_AN_END, _MOSTLY = 0.01, 0.95
# Layers whose output carries its channels on the last axis where it has no image axes.
_CHANNELS_LAST = {"linear", "attention", "recurrent", "embedding"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What one call of one layer did.

    `name` is the layer's path in the model, with `:2`, `:3` … for further calls; `kind` is
    "conv", "relu", "activation", "pool", "linear", "norm", "dropout", "softmax", "flatten", …;
    `output` is what it gave then, on the CPU and in the layer's own precision: (N, C, H, W) after a
    convolution, (N, F) after a linear layer, and of several outputs the first. `input_shape` is
    the shape of the first input; `module` is None for a function.
    """

    name: str
    kind: str
    output: Tensor
    input_shape: tuple[int, ...]
    module: nn.Module | None

    def __repr__(self) -> str:
        """Return one line: name, kind, and the shapes in and out."""
        return f"{self.name} ({self.kind}): {self.input_shape} → {tuple(self.output.shape)}"

    def channels(self, axis: int | None = None) -> Channels:
        """Return what each channel holds, over all images and places.

        `axis` is the channels' axis: 1, or the last one of a linear, attention or recurrent
        layer's (N, L, C).

        >>> stage = Stage("relu", "relu", torch.tensor([[[[0.0, 4.0]], [[0.0, 0.0]]]]), (), None)
        >>> stage.channels().mean, stage.channels().dead
        (tensor([2., 0.]), tensor([False,  True]))
        """
        axis = channel_axis(self.output, self.kind, self.module) if axis is None else axis
        rows = self.output.movedim(axis, 0).flatten(1)
        rows = rows.dequantize() if rows.is_quantized else rows
        return _measured(rows.float(), self._ends())

    def _ends(self) -> tuple[float, float] | None:
        if isinstance(self.module, nn.Hardtanh):
            return self.module.min_val, self.module.max_val
        words = type(self.module).__name__ if self.module else self.name.partition(":")[0]
        return _ENDS.get(words.rpartition(".")[2].lower())


def channel_axis(output: Tensor, kind: str, module: nn.Module | None) -> int:
    """Return the axis of a layer's output that its channels lie on."""
    image_axes = output.dim() > 3  # noqa: PLR2004 - N, C, H and W
    last = kind in _CHANNELS_LAST or isinstance(module, nn.LayerNorm | nn.RMSNorm)
    return -1 if last and not image_axes else 1


@dataclass(frozen=True)
class Channels:
    """What each channel of a stage holds, over all images and places; every tensor is (C,).

    `min`, `max` and `mean` are in the stage's own unit; `zeros` is the share of exact zeros,
    0…1. A channel is `dead` if it never differs from zero, and `saturated` if at least 95 % of
    its values lie within 1 % of the range from one end of a bounded activation (sigmoid, tanh,
    ReLU6 …); the channels of all other stages are never saturated.
    """

    min: Tensor
    max: Tensor
    mean: Tensor
    zeros: Tensor
    dead: Tensor
    saturated: Tensor


def _measured(rows: Tensor, ends: tuple[float, float] | None) -> Channels:
    """Measure values (C, …), one channel a row."""
    zero = rows == 0
    saturated = torch.zeros(len(rows), dtype=torch.bool)
    if ends:
        margin = _NEAR_AN_END * (ends[1] - ends[0])
        near = (rows <= ends[0] + margin) | (rows >= ends[1] - margin)
        saturated = near.float().mean(1) >= _MOSTLY
    low, high = rows.aminmax(dim=1)
    return Channels(low, high, rows.mean(1), zero.float().mean(1), zero.all(1), saturated)


# The name and kind of a layer, what it gave, the shape of what it was given, and its module.
Row = tuple[tuple[str, str], Tensor, Sequence[int], nn.Module | None]


class Recording(Mapping[str, Stage]):
    """The stages of one forward pass, by name, in the order in which they were called."""

    def __init__(self) -> None:
        """Start empty; `record` and `listen` fill it."""
        # A network runs faster than names are counted and stages made: that waits for a reader.
        self.rows: list[Row] = []
        self._made: dict[str, Stage] = {}
        self._calls: dict[str, int] = {}

    def _stages(self) -> dict[str, Stage]:
        for (path, kind), output, shape, module in self.rows[len(self._made) :]:
            count = self._calls[path] = self._calls.get(path, 0) + 1
            name = numbered(path, count)
            self._made[name] = Stage(name, kind, output, tuple(shape), module)
        return self._made

    def __getitem__(self, name: str) -> Stage:
        """Return the stage called `name`; raise KeyError with the names that there are."""
        stages = self._stages()
        if name not in stages:
            raise UnknownStageError(no_such(name, stages))
        return stages[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._stages())

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Return one line a stage."""
        return "\n".join(map(repr, self.values())) or "an empty recording"

    def kind(self, kind: str) -> list[Stage]:
        """Return the stages of one kind, such as "conv", in the order of their calls."""
        return [stage for stage in self.values() if stage.kind == kind]


def numbered(path: str, count: int) -> str:
    """Return the name of a layer's first, second … call: `relu`, `relu:2`."""
    return path if count == 1 else f"{path}:{count}"


class UnknownStageError(KeyError):
    """No stage has that name; the message lists those that there are."""

    def __str__(self) -> str:
        """Return the sentence itself, where KeyError would show it in quotes."""
        return self.args[0]


def no_such(name: str, names: Iterable[str]) -> str:
    """Return the sentence that says so, with the closest names and the list."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"no stage is called {name!r}; {hint}this model has {', '.join(names) or 'none'}"
