"""What a layer reads of those before it: the face of every reader, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from vizlib import capture
from vizlib.arithmetic._steps import Place, Step
from vizlib.arithmetic._windows import Axis
from vizlib.capture import Constant, Value

# For each axis of an output, the batch's too, the positions that are meant.
Seen = list[set[int]]
# From the positions along one axis after a layer to those before it that they depend on.
Reach = Callable[[set[int]], set[int]]
# Which of the outputs that a layer reads, and the place in it.
Source = tuple[int, Place]

# The arguments of functions by position, as torch calls them.
_ARGUMENTS = {
    "conv": "input weight bias stride padding dilation groups",
    "conv_transpose": "input weight bias stride padding output_padding groups dilation",
    "linear": "input weight bias",
    "max_pool": "input kernel_size stride padding dilation ceil_mode",
    "avg_pool": "input kernel_size stride padding ceil_mode count_include_pad",
    "softmax": "input dim",
    "log_softmax": "input dim",
    "mean": "input dim keepdim",
    "prelu": "input weight",
    "leaky_relu": "input negative_slope",
    "elu": "input alpha",
    "hardtanh": "input min_val max_val",
    "softplus": "input beta threshold",
}
# How the image is called among the steps, one of which may be called "input".
IMAGE = ""


class NoReaderError(ValueError):
    """A layer that is not followed back; the message says which one and why."""


@dataclass(frozen=True, eq=False)
class Node:
    """One step of a forward pass, with the values that it read, in float64.

    - `name`, `kind`, `module`: as of a `capture.Stage`.
    - `step`: what was called, and with which arguments.
    - `names`, `befores`: what it read, and the values there, with the batch's axis; those that no
      layer gave have none.
    - `constants`: the parameters and buffers of the model, by name.
    """

    name: str
    kind: str
    module: nn.Module | None
    step: capture.Step
    names: tuple[str, ...]
    befores: tuple[Tensor, ...]
    constants: Mapping[str, Tensor]

    @property
    def operation(self) -> str:
        """What was called, in one word."""
        return self.step.operation

    def setting(self, name: str, usual: Any = None) -> Any:
        """Return what a module is set to, or what a function was given."""
        if self.module is not None:
            return getattr(self.module, name, usual)
        names = _ARGUMENTS.get(self.operation.rstrip("123d"), "").split()
        given = {**dict(zip(names, self.step.arguments, strict=False)), **self.step.options}
        value = given.get(name, usual)
        return self.constants.get(value) if isinstance(value, Constant) else value

    def weights(self) -> Tensor:
        """Return the layer's weights; refuse those that nobody knows."""
        weight = self.setting("weight")
        if weight is None or isinstance(weight, Value):
            raise self.refusal("is called as a function, which keeps its weights to itself")
        return weight.detach().cpu()

    def refusal(self, reason: str) -> NoReaderError:
        """Return the error that says why the step is not followed back."""
        before = [name for name in self.names if name != IMAGE]
        choice = f"a stage up to {before[-1]!r}" if before else "another stage"
        return NoReaderError(
            f"{self.name} {reason}; what is not taken apart cannot be followed back: "
            f"choose {choice}"
        )


class Reader:
    """What a layer reads. This one reads one output, and makes of each value one value."""

    def __init__(self, node: Node) -> None:
        """Look at a step of the network; raise NoReaderError where it is not taken apart."""
        if not node.befores or len(node.befores) < len(node.names):
            raise node.refusal("reads what no layer gave, such as numbers from outside of torch")
        self.node, self.before = node, node.befores[0]
        # For each axis of `before`, what a position after the layer depends on.
        self.reach: list[Reach] = [same] * self.before.dim()

    def step(self, place: Place) -> Step | None:
        """Return how the value at a place comes about; None where it only moves."""
        raise NotImplementedError

    def source(self, place: Place, _step: Any) -> Source | None:
        """Return what the value owes most to; None where that is padding."""
        return 0, place

    def seen(self, seen: Seen) -> list[Seen]:
        """Return which positions of each output before can change those after the layer."""
        return [[reach(kept) for reach, kept in zip(self.reach, seen, strict=True)]]


class Windowed(Reader):
    """Maps (N, C, …) or (C, …) under windows that slide along the axes behind the channels."""

    def _slide(self, axes: Sequence[Axis], channels: Reach) -> None:
        self.axes = axes
        # An image may come without the batch's axis.
        self.lead = self.before.dim() - len(axes) - 1
        self.reach = [same] * self.lead + [channels] + [under(axis) for axis in axes]

    def _maps(self, place: Place) -> tuple[Tensor, Place]:
        """Return the image that a place lies in, and the place in that."""
        return self.before[place[: self.lead]], place[self.lead :]


def same(kept: set[int]) -> set[int]:
    """Each position depends on itself."""
    return kept


def whole(size: int) -> Reach:
    """Each position depends on all `size` of them."""
    everything = set(range(size))
    return lambda kept: everything if kept else kept


def shared(after: int, before: int) -> Reach:
    """Each of `after` positions in a group depends on the `before` positions of the group."""

    def reach(kept: set[int]) -> set[int]:
        groups = {position // after for position in kept}
        return {group * before + position for group in groups for position in range(before)}

    return reach


def under(axis: Axis) -> Reach:
    """Each place of a window depends on the pixels under it."""
    return lambda kept: {
        pixel for index in kept for pixel in axis.sources(index) if pixel is not None
    }
