"""Every number behind a pixel: sizes, sums and choices, step by step, equal to PyTorch's.

A *step* takes one value of one layer apart: which inputs it read, what they were multiplied by,
what came out. Steps are computed in float64 from the numbers themselves, never from rounded ones,
and without the layer that they explain.

>>> image = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0]]
>>> conv2d_step(image, [[0, 1, 2], [2, 2, 0], [0, 1, 2]], row=0, col=1)
ConvStep(3·0 + 2·1 + 1·2 + 3·2 + 2·2 + 1·0 + 3·0 + 2·1 + 1·2 =...18)

`trace` goes from a value at any depth of a network back to the image, one layer at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from vizlib.arithmetic._activations import ActivationStep, activation
from vizlib.arithmetic._backpropagation import Backpropagation, NeuronStep, backpropagation
from vizlib.arithmetic._chain import Chain, receptive_field, trace
from vizlib.arithmetic._convolution import ConvStep, conv2d_step, conv_transpose2d_step
from vizlib.arithmetic._linear import LinearStep, linear_step
from vizlib.arithmetic._moves import SumStep
from vizlib.arithmetic._norms import NormStep, norm_step
from vizlib.arithmetic._pooling import PoolStep, pool_step
from vizlib.arithmetic._readers import NoReaderError
from vizlib.arithmetic._softmax import ProbabilityStep, SoftmaxSteps, softmax_steps
from vizlib.arithmetic._steps import Box, Step, Trace, Traced
from vizlib.arithmetic._windows import per_axis, sliding, whole_number

__all__ = [
    "ActivationStep",
    "Backpropagation",
    "Box",
    "Chain",
    "ConvStep",
    "LinearStep",
    "NeuronStep",
    "NoReaderError",
    "NormStep",
    "Parameters",
    "PoolStep",
    "ProbabilityStep",
    "SoftmaxSteps",
    "Step",
    "SumStep",
    "Trace",
    "Traced",
    "activation",
    "backpropagation",
    "conv2d_step",
    "conv_transpose2d_step",
    "linear_step",
    "norm_step",
    "output_size",
    "parameters",
    "per_axis",
    "pool_step",
    "receptive_field",
    "size_formula",
    "softmax_steps",
    "trace",
]


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,  # noqa: FBT001, FBT002 - the order of torch's own arguments
) -> int:
    """Return how many values a convolution or a pooling layer makes of `size` along one axis.

    floor((W + 2P − D·(F − 1) − 1) / S) + 1 for an input W, kernel F, padding P on both sides,
    dilation D and stride S; without dilation this is floor((W − F + 2P) / S) + 1. With `ceil_mode`
    the quotient is rounded up, unless the last window would begin behind the input.

    Raises ValueError where no window fits, or a number is out of its range.

    >>> output_size(28, 5), output_size(24, 2, stride=2), output_size(28, 3, stride=2, padding=1)
    (24, 12, 14)
    >>> output_size(9, 5, dilation=3)
    Traceback (most recent call last):
    ValueError: kernel 5 with dilation 3 spans 13 pixels, wider than the input of 9; make the kernel
    smaller or the padding larger
    """
    return sliding(size, kernel, stride, padding, padding, dilation, ceil_mode=ceil_mode).count


def size_formula(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,  # noqa: FBT001, FBT002 - as output_size
) -> str:
    """Return the formula of `output_size` with the numbers filled in, down to the rounding.

    >>> print(size_formula(28, 3, stride=2, padding=1))
    floor((28 + 2·1 − 1·(3 − 1) − 1) / 2) + 1 = floor(27 / 2) + 1 = floor(13.5) + 1 = 13 + 1 = 14
    """
    count = output_size(size, kernel, stride, padding, dilation, ceil_mode)
    rounding = "ceil" if ceil_mode else "floor"
    top = size + 2 * padding - dilation * (kernel - 1) - 1
    steps = -(-top // stride) if ceil_mode else top // stride
    dropped = " − 1 that begins behind the input" if steps + 1 > count else ""
    return (
        f"{rounding}(({size} + 2·{padding} − {dilation}·({kernel} − 1) − 1) / {stride}) + 1"
        f" = {rounding}({top} / {stride}) + 1 = {rounding}({top / stride:.4g}) + 1"
        f" = {steps} + 1{dropped} = {count}"
    )


@dataclass(frozen=True)
class Parameters:
    """How many weights four ways of connecting an image to a layer need.

    `full`: each hidden unit reads the whole image. `local`: each reads a patch of its own, with
    weights of its own. `shared`: all units use the same weights, one kernel. `kernels`: several
    such kernels, each of which makes a map of its own.
    """

    full: int
    local: int
    shared: int
    kernels: int


def parameters(
    image: int | Sequence[int] = (200, 200),
    hidden: int = 10_000,
    patch: int | Sequence[int] = (4, 4),
    kernels: int = 100,
    *,
    channels: int = 1,
    bias: bool = False,
) -> Parameters:
    """Count the weights between an image of (height, width) and a layer of `hidden` units.

    With `bias` each unit has one more parameter, and each kernel one for all its units.

    Raises ValueError where the patch is larger than the image or a number is below 1.

    >>> parameters()
    Parameters(full=400000000, local=160000, shared=16, kernels=1600)
    >>> parameters(patch=10).kernels
    10000
    """
    sides, patches = per_axis("image", image, 2), per_axis("patch", patch, 2)
    for side, width in zip(sides, patches, strict=True):
        sliding(side, width)
    for name, number in {"hidden": hidden, "kernels": kernels, "channels": channels}.items():
        whole_number(name, number, 1)
    inputs, reads = prod(sides) * channels + bias, prod(patches) * channels + bias
    return Parameters(hidden * inputs, hidden * reads, reads, kernels * reads)
