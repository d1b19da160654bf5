"""Layers whose values read what lies under a window: convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vizlib.arithmetic._convolution import ConvStep, conv_axes, conv_step
from vizlib.arithmetic._pooling import PoolStep, max_step, mean_step, pool_axes
from vizlib.arithmetic._readers import (
    Node,
    NoReaderError,
    Reach,
    Reader,
    Source,
    same,
    shared,
)
from vizlib.arithmetic._steps import Place, largest_place
from vizlib.arithmetic._transposed import transposed_axes, transposed_step
from vizlib.arithmetic._windows import Adaptive, Axis, outside, pixels_at


def under(axis: Axis) -> Reach:
    """Each place of a window depends on the pixels under it."""
    return lambda kept: {
        pixel for index in kept for pixel in axis.sources(index) if pixel is not None
    }


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


class Convolution(Windowed):
    """A convolution, transposed or not, in one, two or three dimensions."""

    def __init__(self, node: Node) -> None:
        """Read the window off the module, or off what the function was given."""
        self.kernels, self.groups = node.weights(), node.setting("groups", 1)
        super().__init__(node)
        kernel, is_transposed = self.kernels.shape[2:], "transpose" in node.operation
        size = self.before.shape[-len(kernel) :]
        stride, padding = node.setting("stride", 1), node.setting("padding", 0)
        dilation = node.setting("dilation", 1)
        filters, depth = self.kernels.shape[:2]
        if is_transposed:
            self.make = transposed_step
            axes: Sequence[Axis] = transposed_axes(
                size,
                kernel,
                stride=stride,
                padding=padding,
                output_padding=node.setting("output_padding", 0),
                dilation=dilation,
            )
            channels = shared(depth, filters // self.groups)
        else:
            self.make = conv_step
            mode = node.setting("padding_mode", "zeros")
            axes = conv_axes(
                size, kernel, stride=stride, padding=padding, dilation=dilation, mode=mode
            )
            channels = shared(filters // self.groups, depth)
        self._slide(axes, channels)

    def step(self, place: Place) -> tuple[float, ConvStep]:
        """Return the sum of one value."""
        maps, place = self._maps(place)
        bias = self.node.setting("bias")
        step = self.make(maps, self.kernels, bias, self.axes, place=place, groups=self.groups)
        return step.total, step

    def source(self, place: Place, step: ConvStep) -> Source | None:
        """Return the input pixel with the largest product, of either sign."""
        best = largest_place(step.products, outside(step.sources))
        if best is None:
            return None
        pixels = pixels_at(step.sources, best[1:])
        return 0, (*place[: self.lead], step.channels[best[0]], *pixels)


class Pooling(Windowed):
    """Max or average pooling, adaptive or not."""

    def __init__(self, node: Node) -> None:
        """Read the window off the module, or off what the function was given."""
        super().__init__(node)
        name = node.operation.removeprefix("adaptive_")
        if not name.startswith(("max_pool", "avg_pool")):
            called = node.operation if node.module is None else type(node.module).__name__
            raise NoReaderError(f"is {called}, neither max nor average pooling")
        self.kind, rank = name[:3], int(name[-2])
        size = self.before.shape[-rank:]
        if name != node.operation:
            counts = node.shape[-rank:]
            axes: Sequence[Axis] = [Adaptive(n, c) for n, c in zip(size, counts, strict=True)]
        else:
            axes = pool_axes(
                size,
                node.setting("kernel_size"),
                stride=node.setting("stride") or None,
                padding=node.setting("padding", 0),
                dilation=node.setting("dilation", 1),
                ceil_mode=node.setting("ceil_mode", usual=False),
                kind=self.kind,
            )
        self._slide(axes, same)

    def step(self, place: Place) -> tuple[float, PoolStep]:
        """Return the choice or the mean behind one value."""
        maps, place = self._maps(place)
        if self.kind == "max":
            step = max_step(maps, self.axes, place)
        else:
            step = mean_step(
                maps,
                self.axes,
                place,
                count_include_pad=self.node.setting("count_include_pad", usual=True),
                divisor_override=self.node.setting("divisor_override"),
            )
        return step.total, step

    def source(self, place: Place, step: PoolStep) -> Source | None:
        """Return the winner, or the largest share of a mean, of either sign."""
        best = step.winner or largest_place(step.patch, step.is_padding)
        if best is None:
            return None
        return 0, (*place[: self.lead + 1], *pixels_at(step.sources, best))
