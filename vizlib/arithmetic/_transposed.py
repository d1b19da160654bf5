"""One value of a transposed convolution, read backwards: which pixels reach it, through what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vizlib.arithmetic._convolution import ConvStep, as_kernels, check_groups, multiply
from vizlib.arithmetic._windows import (
    SIDES,
    Axis,
    Transposed,
    one_image,
    per_axis,
    refuse_outside,
)


def conv_transpose2d_step(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    row: int,
    col: int,
    channel: int = 0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> ConvStep:
    """Return how a transposed convolution makes the value at `row`, `col`.

    A transposed convolution writes each input pixel, times the whole kernel, into the output. Here
    it is read backwards: the patch holds, for each weight, the pixel that this weight brings to
    the place, and zero where it brings none. Such cells count as padding.

    - `x`: one image (C, H, W), or (H, W) with one channel.
    - `weight`: (C, O / groups, kh, kw), or (kh, kw).
    - `bias`: (O,) or None.
    - `stride`, `padding`, `output_padding`, `dilation`, `groups`: as in
      `torch.nn.ConvTranspose2d`.

    Raises ValueError for shapes that do not fit together, and IndexError for a place that the
    output does not have.

    >>> step = conv_transpose2d_step([[1, 2], [3, 4]], [[1, 10], [100, 1000]], row=1, col=1)
    >>> step.patch[0].int().tolist(), step.total
    ([[4, 3], [2, 1]], 1234.0)
    """
    maps, kernels = one_image(x), as_kernels(weight)
    axes = transposed_axes(
        maps.shape[1:],
        kernels.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    return transposed_step(maps, kernels, bias, axes, place=(channel, row, col), groups=groups)


def transposed_axes(
    size: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
) -> list[Transposed]:
    """Return how the kernel of a transposed convolution reaches each axis of its output."""
    settings = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
    }
    columns = [per_axis(name, value, len(size)) for name, value in settings.items()]
    rows = zip(size, kernel, *columns, SIDES[len(size)], strict=True)
    return [Transposed(*row) for row in rows]


def transposed_step(
    maps: Tensor,
    kernels: Tensor,
    bias: Any,
    axes: Sequence[Axis],
    *,
    place: tuple[int, ...],
    groups: int = 1,
) -> ConvStep:
    """Return the value at `place` (channel, row, column), in any number of dimensions."""
    inputs, share = kernels.shape[:2]
    outputs = share * groups
    check_groups(len(maps), outputs, groups)
    if inputs != len(maps):
        raise ValueError(f"the input has {len(maps)} channels, but the weight is for {inputs}")
    refuse_outside("channel", place[0], outputs, f"there are {outputs} kernels")
    group, own = divmod(place[0], share)
    depth = inputs // groups
    channels = range(group * depth, (group + 1) * depth)
    kernel = kernels[channels.start : channels.stop, own]
    return multiply(maps, kernel, bias, axes, place, channels)
