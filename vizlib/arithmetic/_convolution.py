"""One value of a convolution, transposed or not: a patch times a kernel, product by product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vizlib.arithmetic._readers import Node, Source, Windowed, shared
from vizlib.arithmetic._steps import WRITTEN_OUT, Place, WeightedSum, largest_place
from vizlib.arithmetic._windows import (
    Axis,
    Sources,
    conv_axes,
    float64,
    gather,
    one_image,
    outside,
    pixels_at,
    refuse_outside,
    transposed_axes,
    whole_number,
    window_at,
)


@dataclass(frozen=True, eq=False, repr=False)
class ConvStep(WeightedSum):
    """How one value of a convolution comes about: total = Σ patch · kernel + bias.

    All tensors are float64, with one entry for each input channel that the kernel reads (C / groups
    of them). Of a signal, (C / groups, k) stands for (C / groups, kh, kw).

    - `patch`: (C / groups, kh, kw): the input under the kernel, padding filled in
    - `kernel`: (C / groups, kh, kw): the weights
    - `products`: (C / groups, kh, kw): patch · kernel
    - `channel_sums`: (C / groups,): the sum of each input channel's products
    - `channel`: the output channel
    - `place`: the row and column of the value in its map
    - `channels`: the input channels that are read
    - `places`: the input rows, and the input columns, under the kernel; outside the input in
      padding
    - `sources`: the rows and columns that are read there; None where padding is zero
    - `is_padding`: (kh, kw) bool: the cells that lie outside the input
    """

    patch: Tensor
    kernel: Tensor
    products: Tensor
    channel_sums: Tensor
    bias: float
    total: float
    channel: int
    place: Place
    channels: range
    places: Sources
    sources: Sources
    is_padding: Tensor

    def in_words(self, most: int = 8) -> str:
        """Return the sum: product by product if it is short, otherwise channel by channel.

        >>> print(conv2d_step([[3, -1]], [[2, 4]], [0.5], row=0, col=0).in_words())
        3·2 + (−1)·4 + 0.5...(bias) =...2.5
        """
        if len(self.channels) == 1 and self.products.numel() <= WRITTEN_OUT:
            return self.written_out(self.patch, self.kernel)
        return self.by_size(self.channel_sums, self.channels, most)


def conv2d_step(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    row: int,
    col: int,
    channel: int = 0,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> ConvStep:
    """Return how a convolution makes the value at `row`, `col` of output channel `channel`.

    - `x`: one image (C, H, W), or (H, W) with one channel. A signal (L,) is an image of one row,
      `x[None]`, and its kernel (k,) is `weight[None]`.
    - `weight`: the kernels (O, C / groups, kh, kw), or (kh, kw) for one of one channel.
    - `bias`: (O,) or None.
    - `stride`, `padding`, `dilation`, `groups`, `padding_mode`: as in `torch.nn.Conv2d`,
      `padding="same"` and all four padding modes among them.

    The sum is made in float64 and equals torch's:

    y[o, r, c] = bias[o] + Σ x[i, r·stride − padding + u·dilation, …] · weight[o, i, u, v]

    over the input channels i of the group and the kernel's rows u and columns v.

    Raises ValueError for shapes that do not fit together, and IndexError for a place that the
    output does not have.

    >>> image = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0]]
    >>> step = conv2d_step(image, [[0, 1, 2], [2, 2, 0], [0, 1, 2]], row=0, col=0)
    >>> step.products[0].int().tolist()
    [[0, 3, 4], [4, 6, 0], [0, 3, 4]]
    >>> step.total
    24.0
    """
    maps, kernels = one_image(x), as_kernels(weight)
    size, window = maps.shape[1:], kernels.shape[2:]
    axes = conv_axes(size, window, stride, padding, dilation, padding_mode)
    return conv_step(maps, kernels, bias, axes, (channel, row, col), groups)


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
    size, window = maps.shape[1:], kernels.shape[2:]
    settings = {"stride": stride, "padding": padding, "output_padding": output_padding}
    axes = transposed_axes(size, window, **settings, dilation=dilation)
    kernels = read_backwards(kernels, groups)
    return conv_step(maps, kernels, bias, axes, (channel, row, col), groups)


def conv_step(
    maps: Tensor, kernels: Tensor, bias: Any, axes: Sequence[Axis], place: Place, groups: int = 1
) -> ConvStep:
    """Return the value at `place` (channel, row, column), in any number of dimensions."""
    outputs, depth = kernels.shape[:2]
    _refuse_uneven(outputs, "kernels", groups)
    if depth * groups != len(maps):
        raise ValueError(
            f"the input has {len(maps)} channels, but the kernels are {depth} deep"
            + (f" in each of {groups} groups, which makes {depth * groups}" if groups > 1 else "")
            + "; a kernel is as deep as the channels that it reads"
        )
    channel = place[0]
    refuse_outside("channel", channel, outputs, f"there are {outputs} kernels")
    first = channel // (outputs // groups) * depth
    places, sources = window_at(axes, place[1:])
    patch, kernel = gather(maps[first : first + depth], sources), kernels[channel].double()
    sums = (patch * kernel).flatten(1).sum(1)
    offset = 0.0 if bias is None else float64(bias).flatten()[channel].item()
    return ConvStep(
        patch=patch,
        kernel=kernel,
        products=patch * kernel,
        channel_sums=sums,
        bias=offset,
        total=sums.sum().item() + offset,
        channel=channel,
        place=place[1:],
        channels=range(first, first + depth),
        places=places,
        sources=sources,
        is_padding=outside(places, maps.shape[1:]),
    )


def _refuse_uneven(count: int, what: str, groups: int) -> None:
    """Raise ValueError where groups cannot share so many evenly."""
    if count % whole_number("groups", groups, 1):
        raise ValueError(
            f"{count} {what} cannot be shared by {groups} groups: "
            f"{count} / {groups} leaves {count % groups}"
        )


def read_backwards(kernels: Tensor, groups: int) -> Tensor:
    """Return the kernels (C, O / groups, …) of a transposed convolution as (O, C / groups, …)."""
    _refuse_uneven(len(kernels), "input channels", groups)
    return kernels.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def as_kernels(weight: Any) -> Tensor:
    """Return the kernels (O, C, kh, kw) in float64, from (kh, kw) where there is one of them."""
    kernels = float64(weight)
    if kernels.dim() == len("HW"):
        kernels = kernels[None, None]
    if kernels.dim() != len("OCHW") or not kernels.numel():
        raise ValueError(
            "weight must have the shape (O, C, kh, kw), such as model.conv1.weight, "
            f"but had {tuple(kernels.shape)}"
        )
    return kernels


class Convolution(Windowed):
    """A convolution, transposed or not, in one, two or three dimensions."""

    def __init__(self, node: Node) -> None:
        """Read the window off the module, or off what the function was given."""
        self.kernels, self.groups = node.weights(), node.setting("groups", 1)
        super().__init__(node)
        window = self.kernels.shape[2:]
        size = self.before.shape[-len(window) :]
        settings = {"stride": node.setting("stride", 1), "padding": node.setting("padding", 0)}
        settings["dilation"] = node.setting("dilation", 1)
        if "transpose" in node.operation:
            settings["output_padding"] = node.setting("output_padding", 0)
            axes = transposed_axes(size, window, **settings)
            self.kernels = read_backwards(self.kernels, self.groups)
        else:
            axes = conv_axes(size, window, **settings, mode=node.setting("padding_mode", "zeros"))
        filters, depth = self.kernels.shape[:2]
        self._slide(axes, shared(filters // self.groups, depth))

    def step(self, place: Place) -> ConvStep:
        """Return the sum of one value."""
        maps, place = self._maps(place)
        bias = self.node.setting("bias")
        return conv_step(maps, self.kernels, bias, self.axes, place, self.groups)

    def source(self, place: Place, step: ConvStep) -> Source | None:
        """Return the input pixel with the largest product, of either sign."""
        missing = outside(step.sources, [axis.size for axis in self.axes])
        best = largest_place(step.products, missing)
        if best is None:
            return None
        pixels = pixels_at(step.sources, best[1:])
        return 0, (*place[: self.lead], step.channels[best[0]], *pixels)
