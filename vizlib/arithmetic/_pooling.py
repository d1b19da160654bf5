"""One value of a pooling layer: the largest under the window, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import torch
from torch import Tensor

from vizlib.arithmetic._windows import (
    SIDES,
    Adaptive,
    Axis,
    Sliding,
    Sources,
    each,
    gather,
    one_image,
    outside,
    refuse_outside,
    under,
    whole,
)


@dataclass(frozen=True, eq=False)
class PoolStep:
    """How one value of a pooling layer comes about.

    In max pooling `winner` is the place of the largest value in the patch, of the first where two
    are equal, and `source` is its place in the input map; both are None in average pooling, where
    total = Σ patch / divisor. In one dimension all places have one number instead of two.
    """

    kind: str
    """Either "max" or "avg"."""
    patch: Tensor
    """(kh, kw) float64: the input under the window; padding is −∞ for "max" and 0 for "avg"."""
    is_padding: Tensor
    """(kh, kw) bool: the cells that lie outside the input."""
    winner: tuple[int, ...] | None
    source: tuple[int, ...] | None
    divisor: float | None
    total: float
    channel: int
    place: tuple[int, ...]
    """The row and column of the value in its map."""
    places: tuple[tuple[int, ...], ...]
    """The input rows, and the input columns, under the window."""
    sources: tuple[tuple[int | None, ...], ...]
    """The same, None outside the input."""

    def __repr__(self) -> str:
        """Return the choice, or the mean, in one line."""
        where = ", ".join(map(str, self.place))
        how = f"/ {self.divisor:g}" if self.kind == "avg" else f"won by {self.source}"
        count = int((~self.is_padding).sum())
        return (
            f"PoolStep({self.kind} of {count} values for channel {self.channel} at ({where}) "
            f"{how} = {self.total:.6g})"
        )


def pool_step(
    x: Any,
    kernel: int | Sequence[int] = 2,
    *,
    row: int,
    col: int,
    channel: int = 0,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    kind: str = "max",
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> PoolStep:
    """Return which values of channel `channel` make the pooled value at `row`, `col`, and how.

    `x` is one image's maps (C, H, W), or a map (H, W); `kind` is "max" or "avg". The other
    arguments are those of `torch.nn.MaxPool2d` and `torch.nn.AvgPool2d`, and so is the result; a
    `stride` of None is the kernel's size.

    Raises ValueError for a window that does not fit, and IndexError for a place that the output
    does not have.

    >>> step = pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1)
    >>> step.patch.tolist(), step.winner, step.source, step.total
    ([[0.0, 2.0], [9.0, 1.0]], (1, 0), (1, 2), 9.0)
    >>> pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1, kind="avg")
    PoolStep(avg of 4 values for channel 0 at (0, 1) / 4 = 3)
    """
    maps = one_image(x, 2)
    axes = pool_axes(
        maps.shape[1:],
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        kind=kind,
    )
    if kind == "max":
        return max_step(maps, axes, (channel, row, col))
    divided = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    return mean_step(maps, axes, (channel, row, col), **divided)


def pool1d_step(
    x: Any,
    kernel: int = 2,
    *,
    position: int,
    channel: int = 0,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    kind: str = "max",
    count_include_pad: bool = True,
) -> PoolStep:
    """Return how pooling in one dimension, over x (C, L) or (L,), makes the value at `position`.

    >>> pool1d_step([1, 5, 0, 2, 7], 3, position=1, padding=1)
    PoolStep(max of 3 values for channel 0 at (1) won by (4,) = 7)
    """
    maps = one_image(x, 1)
    axes = pool_axes(
        maps.shape[1:],
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        kind=kind,
    )
    if kind == "max":
        return max_step(maps, axes, (channel, position))
    return mean_step(maps, axes, (channel, position), count_include_pad=count_include_pad)


def pool_axes(
    size: Sequence[int],
    kernel: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    kind: str = "max",
) -> list[Sliding]:
    """Return how the window slides along each axis."""
    if kind not in {"max", "avg"}:
        raise ValueError(f'kind must be "max" or "avg", but was {kind!r}')
    if kind == "avg" and any(apart != 1 for apart in each("dilation", dilation, len(size))):
        raise ValueError("average pooling has no dilation; leave it at 1")
    columns = {"kernel": kernel, "stride": kernel if stride is None else stride,
               "padding": padding, "dilation": dilation}  # fmt: skip
    rows = zip(size, *(each(n, v, len(size)) for n, v in columns.items()), SIDES[len(size)],
               strict=True)  # fmt: skip
    return [
        Sliding(n, k, step, _half(pad, k), pad, apart, bool(ceil_mode), side=_side(side))
        for n, k, step, pad, apart, side in rows
    ]


def _side(side: str) -> str:
    return "" if side == "length" else side


def _half(padding: int, kernel: int) -> int:
    """Return the padding; raise where it is more than torch allows."""
    whole("kernel", kernel, 1)
    if padding > kernel // 2:
        raise ValueError(
            f"a padding of {padding} is more than half of the kernel of {kernel}; "
            f"pooling takes at most {kernel // 2}"
        )
    return padding


def max_step(maps: Tensor, axes: Sequence[Axis], place: tuple[int, ...]) -> PoolStep:
    """Return one value of max pooling, in any number of dimensions."""
    places, sources, patch = _read(maps, axes, place, empty=-inf)
    missing = outside(sources)
    winner = source = None
    if not missing.all():
        # As in torch, what is no number wins, and of equals the first.
        ranked = patch.nan_to_num(nan=inf).masked_fill(missing, -inf)
        best = int(ranked.argmax())
        winner = tuple(int(i) for i in torch.unravel_index(torch.tensor(best), patch.shape))
        source = tuple(pixels[i] for pixels, i in zip(sources, winner, strict=True))
    total = patch[winner].item() if winner else -inf
    return PoolStep(
        "max", patch, missing, winner, source, None, total, place[0], place[1:], places, sources
    )


def mean_step(
    maps: Tensor,
    axes: Sequence[Axis],
    place: tuple[int, ...],
    *,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> PoolStep:
    """Return one value of average pooling, in any number of dimensions."""
    places, sources, patch = _read(maps, axes, place, empty=0.0)
    missing = outside(sources)
    if divisor_override is not None:
        divisor = whole("divisor_override", divisor_override, 1)
    elif count_include_pad:
        divisor = prod(_padded_taps(axis, taps) for axis, taps in zip(axes, places, strict=True))
    else:
        divisor = int((~missing).sum())
    total = patch.sum().item() / divisor
    return PoolStep(
        "avg", patch, missing, None, None, divisor, total, place[0], place[1:], places, sources
    )


def _padded_taps(axis: Axis, taps: Sequence[int]) -> int:
    """Return the taps within the padded input: with ceil_mode a window may reach beyond it."""
    if isinstance(axis, Adaptive):
        return len(taps)
    return sum(tap < axis.size + axis.after for tap in taps)


def _read(
    maps: Tensor, axes: Sequence[Axis], place: tuple[int, ...], empty: float
) -> tuple[Sources, Sources, Tensor]:
    refuse_outside("channel", place[0], len(maps), f"there are {len(maps)} maps")
    places, sources = under(axes, place[1:])
    return places, sources, gather(maps[place[0] : place[0] + 1], sources, empty)[0]
