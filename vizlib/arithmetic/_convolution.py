"""One value of a convolution: a patch times a kernel, product by product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._steps import Parts, Place, WeightedSum
from vizlib.arithmetic._windows import (
    PADDING_MODES,
    SIDES,
    Axis,
    Sliding,
    Sources,
    as_grid,
    float64,
    gather,
    one_image,
    per_axis,
    refuse_outside,
    whole_number,
    window_at,
)
from vizlib.arithmetic._words import (
    WRITTEN_OUT,
    equation,
    largest_terms,
    product_terms,
    rest_term,
)
from vizlib.words import short


@dataclass(frozen=True, eq=False)
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

    def __repr__(self) -> str:
        """Return the sum in one line."""
        where = ", ".join(map(str, self.place))
        return (
            f"ConvStep(channel {self.channel} at ({where}): {self.products.numel()} products "
            f"{self.products.sum().item():.6g} + bias {self.bias:.6g} = {self.total:.6g})"
        )

    def in_words(self, most: int = 8) -> str:
        """Return the sum: product by product if it is short, otherwise channel by channel.

        >>> print(conv2d_step([[3, -1]], [[2, 4]], [0.5], row=0, col=0).in_words())
        3·2 + (−1)·4 + 0.5...(bias) =...2.5
        """
        if len(self.channels) == 1 and self.products.numel() <= WRITTEN_OUT:
            return equation(self.with_bias(product_terms(self.patch, self.kernel)), self.total)
        names = [f"input {channel}" for channel in self.channels]
        return equation(self.with_bias(largest_terms(self.channel_sums, names, most)), self.total)

    def sum_of_channels(self, numbers: Sequence[int]) -> str:
        """Return the sum of those input channels, by their number here, the others and the bias."""
        terms = [short(self.channel_sums[number].item(), 4) for number in numbers]
        terms += rest_term(self.channel_sums, numbers)
        return equation(self.with_bias(terms, always=True), self.total)

    def parts(self, source: Place | None = None) -> Parts:
        """Return patch × kernel = products of one input channel."""
        sums = self.channel_sums.abs()
        number = int(sums.argmax()) if source is None else source[0] - self.channels[0]
        whole = {"patch": self.patch, "kernel": self.kernel, "products": self.products}
        numbers = {name: as_grid(values[number]) for name, values in whole.items()}
        return Parts(numbers, as_grid(self.is_padding), channel=self.channels[number])


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
    >>> step
    ConvStep(channel 0 at (0, 0): 9 products 24 + bias 0 = 24)
    """
    maps, kernels = one_image(x), as_kernels(weight)
    axes = conv_axes(
        maps.shape[1:],
        kernels.shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        mode=padding_mode,
    )
    return conv_step(maps, kernels, bias, axes, place=(channel, row, col), groups=groups)


def conv_axes(
    size: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    mode: str = "zeros",
) -> list[Sliding]:
    """Return how the kernel slides along each axis."""
    if mode not in PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {', '.join(PADDING_MODES)}, but was {mode!r}"
        )
    count = len(size)
    strides, dilations = per_axis("stride", stride, count), per_axis("dilation", dilation, count)
    before, after = _ends(padding, kernel, strides, dilations)
    rows = zip(size, kernel, strides, before, after, dilations, SIDES[count], strict=True)
    return [
        Sliding(n, k, step, low, high, apart, mode=mode, side=side)
        for n, k, step, low, high, apart, side in rows
    ]


def _ends(
    padding: Any, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the padding before and after the input, for each axis."""
    if padding == "valid":
        padding = 0
    if not isinstance(padding, str):
        both = per_axis("padding", padding, len(kernel))
        return both, both
    if padding != "same":
        raise ValueError(f'padding must be numbers, "same" or "valid", but was {padding!r}')
    if any(stride != 1 for stride in strides):
        raise ValueError(
            'padding="same" keeps the size, which only stride 1 can; '
            f"the stride was {', '.join(map(str, strides))}"
        )
    totals = [apart * (k - 1) for k, apart in zip(kernel, dilations, strict=True)]
    return [total // 2 for total in totals], [total - total // 2 for total in totals]


def conv_step(
    maps: Tensor,
    kernels: Tensor,
    bias: Any,
    axes: Sequence[Axis],
    *,
    place: tuple[int, ...],
    groups: int = 1,
) -> ConvStep:
    """Return the value at `place` (channel, row, column), in any number of dimensions."""
    outputs, depth = kernels.shape[:2]
    check_groups(len(maps), outputs, groups)
    if depth * groups != len(maps):
        raise ValueError(
            f"the input has {len(maps)} channels, but the kernels are {depth} deep"
            + (f" in each of {groups} groups, which makes {depth * groups}" if groups > 1 else "")
            + "; a kernel is as deep as the channels that it reads"
        )
    channel = place[0]
    refuse_outside("channel", channel, outputs, f"there are {outputs} kernels")
    first = channel // (outputs // groups) * depth
    return multiply(maps, kernels[channel], bias, axes, place, range(first, first + depth))


def multiply(
    maps: Tensor,
    kernel: Tensor,
    bias: Any,
    axes: Sequence[Axis],
    place: tuple[int, ...],
    channels: range,
) -> ConvStep:
    """Return the sum of one kernel's products with the pixels that its window reads."""
    places, sources = window_at(axes, place[1:])
    patch = gather(maps[channels.start : channels.stop], sources)
    kernel = kernel.double()
    products = patch * kernel
    channel_sums = products.flatten(1).sum(1)
    offset = 0.0 if bias is None else float64(bias).flatten()[place[0]].item()
    return ConvStep(
        patch=patch,
        kernel=kernel,
        products=products,
        channel_sums=channel_sums,
        bias=offset,
        total=channel_sums.sum().item() + offset,
        channel=place[0],
        place=place[1:],
        channels=channels,
        places=places,
        sources=sources,
        is_padding=_padding(places, maps.shape[1:]),
    )


def _padding(places: Sources, size: Sequence[int]) -> Tensor:
    padding = torch.zeros((), dtype=torch.bool)
    for positions, count in zip(places, size, strict=True):
        beyond = [p is None or not 0 <= p < count for p in positions]
        padding = padding[..., None] | torch.tensor(beyond)
    return padding


def check_groups(inputs: int, outputs: int, groups: int) -> None:
    """Raise ValueError where the channels cannot be shared evenly."""
    whole_number("groups", groups, 1)
    for what, count in {"input": inputs, "output": outputs}.items():
        if count % groups:
            raise ValueError(
                f"{count} {what} channels cannot be shared by {groups} groups: "
                f"{count} / {groups} leaves {count % groups}"
            )


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
