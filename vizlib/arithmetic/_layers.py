"""What a convolution or a pooling layer reads, and a reader for each kind of layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from vizlib.arithmetic._convolution import ConvStep, conv_axes, conv_step
from vizlib.arithmetic._pooling import PoolStep, max_step, mean_step, pool_axes
from vizlib.arithmetic._readers import (
    Activation,
    Linear,
    NoReaderError,
    Norm,
    Reader,
    Reshape,
    Seen,
    Softmax,
    operation,
)
from vizlib.arithmetic._steps import Place, Step, largest_place
from vizlib.arithmetic._transposed import transposed_axes, transposed_step
from vizlib.arithmetic._windows import Adaptive, Axis, outside
from vizlib.capture import Stage

# The widest window of a pooling function that is looked for.
_WIDEST = 8


class Windowed(Reader):
    """A layer whose values read what lies under a window: convolution and pooling."""

    passes_on = False
    axes: Sequence[Axis]

    def seen(self, seen: Seen) -> Seen:
        """Return the positions under all windows."""
        return [
            {pixel for index in kept for pixel in axis.sources(index)} - {None}
            for axis, kept in zip(self.axes, seen, strict=True)
        ]


class Convolution(Windowed):
    """A convolution, transposed or not, in one, two or three dimensions."""

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Read the window off the module."""
        super().__init__(stage, before)
        layer = self.module
        if layer is None:
            raise NoReaderError("is called as a function, which keeps its weights to itself")
        self.kernels = layer.weight.detach().cpu().double()
        size, kernel = before.shape[1:], layer.kernel_size
        settings = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        if layer.transposed:
            settings["output_padding"] = layer.output_padding
            self.make, self.axes = transposed_step, transposed_axes(size, kernel, **settings)
        else:
            settings["mode"] = layer.padding_mode
            self.make, self.axes = conv_step, conv_axes(size, kernel, **settings)

    def step(self, place: Place) -> tuple[float, Step]:
        """Return the sum of one value."""
        bias, groups = self.module.bias, self.module.groups
        step = self.make(self.before, self.kernels, bias, self.axes, place=place, groups=groups)
        return step.total, step

    def behind(self, _place: Place, step: ConvStep) -> Place | None:
        """Return the input pixel with the largest product, of either sign."""
        best = largest_place(step.products, outside(step.sources))
        return best and (step.channels[best[0]], *_pixels(step, best[1:]))


class Pooling(Windowed):
    """Max or average pooling, adaptive or not."""

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Read the window off the module, or off the sizes where there is none."""
        super().__init__(stage, before)
        self.name = operation(stage)
        if not self.name.removeprefix("adaptive_").startswith(("max_pool", "avg_pool")):
            name = self.name if self.module is None else type(self.module).__name__
            raise NoReaderError(f"is {name}; only max and average pooling are taken apart")
        self.kind = "max" if "max" in self.name else "avg"
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        self.settings = {n: getattr(self.module, n) for n in names if hasattr(self.module, n)}
        size = before.shape[1:]
        if "adaptive" in self.name:
            self.axes = [Adaptive(n, count) for n, count in zip(size, self.shape[1:], strict=True)]
            return
        if self.module is None:
            self.settings = self._found(stage.output)
        settings = dict(self.settings)
        self.axes = pool_axes(size, settings.pop("kernel_size"), kind=self.kind, **settings)

    def _found(self, output: Tensor) -> dict[str, int]:
        """Return the kernel and stride that make this output: a function keeps them to itself."""
        function = getattr(F, self.name)
        pairs = [(k, s) for s in range(1, _WIDEST + 1) for k in range(s, _WIDEST + 1)]
        # Windows side by side are tried first, as nearly all are.
        for kernel, stride in sorted(pairs, key=lambda pair: pair[0] - pair[1]):
            fits = self._has_size(kernel, stride)
            if fits and equal(
                function(self.before[None], kernel, stride), output.double(), output.dtype
            ):
                return {"kernel_size": kernel, "stride": stride}
        raise NoReaderError(
            f"is {self.name} called as a function, which keeps its window to itself; make it a "
            f"module, such as nn.{'Max' if self.kind == 'max' else 'Avg'}Pool2d(2)"
        )

    def _has_size(self, kernel: int, stride: int) -> bool:
        sizes = self.before.shape[1:]
        counts = tuple((size - kernel) // stride + 1 for size in sizes)
        return min(sizes) >= kernel and counts == self.shape[1:]

    def rerun(self, x: Tensor) -> Tensor:
        """Return everything, pooled."""
        if self.module is not None:
            output = self.module(x)
            return output[0] if isinstance(output, tuple) else output
        function = getattr(F, self.name)
        if "adaptive" in self.name:
            return function(x, self.shape[1:])
        return function(x, **self.settings)

    def step(self, place: Place) -> tuple[float, Step]:
        """Return the choice or the mean behind one value."""
        if self.kind == "max":
            step = max_step(self.before, self.axes, place)
        else:
            names = ("count_include_pad", "divisor_override")
            settings = {n: getattr(self.module, n) for n in names if hasattr(self.module, n)}
            step = mean_step(self.before, self.axes, place, **settings)
        return step.total, step

    def behind(self, place: Place, step: PoolStep) -> Place | None:
        """Return the winner, or the largest share of a mean, of either sign."""
        best = step.winner or largest_place(step.patch, step.is_padding)
        return best and (place[0], *_pixels(step, best))


def _pixels(step: ConvStep | PoolStep, taps: Place) -> list[int]:
    return [axis[tap] for axis, tap in zip(step.sources, taps, strict=True)]


_READERS: dict[str, type[Reader]] = {
    "conv": Convolution,
    "pool": Pooling,
    "linear": Linear,
    "softmax": Softmax,
    "relu": Activation,
    "activation": Activation,
    "norm": Norm,
    "flatten": Reshape,
    "dropout": Reader,
    "identity": Reader,
}


def reader(stage: Stage, before: Tensor) -> Reader:
    """Return what reads for that stage; raise NoReaderError where there is no such thing."""
    if stage.kind not in _READERS:
        raise NoReaderError(
            f"is of the kind {stage.kind!r}, which does more than read the layer before it"
        )
    if prod(stage.input_shape[1:]) != before.numel():
        raise NoReaderError("does not read the layer before it: the sizes differ")
    return _READERS[stage.kind](stage, before)


def equal(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Return whether two computations agree, but for what a layer of that precision rounds."""
    if one.shape != other.shape:
        return False
    largest = other.nan_to_num(0, 0, 0).abs().max().item()
    near = min(max(100 * torch.finfo(dtype).eps, 1e-9), 0.05) * largest
    return bool(torch.allclose(one, other, rtol=0, atol=near, equal_nan=True))
