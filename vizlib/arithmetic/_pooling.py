"""One value of a pooling layer: the largest under the window, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, prod
from typing import Any

from torch import Tensor

from vizlib.arithmetic._steps import Parts, Place, Step, place_in
from vizlib.arithmetic._windows import (
    SIDES,
    Axis,
    Sliding,
    Sources,
    as_grid,
    gather,
    one_image,
    outside,
    per_axis,
    pixels_at,
    refuse_outside,
    whole_number,
    window_at,
)
from vizlib.arithmetic._words import LISTED, added
from vizlib.words import short


@dataclass(frozen=True, eq=False)
class PoolStep(Step):
    """How one value of a pooling layer comes about.

    Of a signal all places have one number instead of two.

    - `kind`: either "max" or "avg"
    - `patch`: (kh, kw) float64: the input under the window; padding is −∞ for "max" and 0 for
      "avg"
    - `is_padding`: (kh, kw) bool: the cells that lie outside the input
    - `winner`: the place of the largest value in the patch, of the first of equals; None for
      "avg"
    - `source`: the place of the winner in the input map; None for "avg"
    - `divisor`: what the sum of the patch is divided by; None for "max"
    - `place`: the row and column of the value in its map
    - `places`: the input rows, and the input columns, under the window
    - `sources`: the same, None outside the input
    """

    kind: str
    patch: Tensor
    is_padding: Tensor
    winner: Place | None
    source: Place | None
    divisor: float | None
    total: float
    channel: int
    place: Place
    places: Sources
    sources: Sources

    def __repr__(self) -> str:
        """Return the choice, or the mean, in one line."""
        where = ", ".join(map(str, self.place))
        how = f"/ {self.divisor:g}" if self.kind == "avg" else f"won by {self.source}"
        return (
            f"PoolStep({self.kind} of {len(self._values)} values for channel {self.channel} at "
            f"({where}) {how} = {self.total:.6g})"
        )

    @property
    def _values(self) -> list[float]:
        return self.patch[~self.is_padding].tolist()

    def in_words(self, most: int = LISTED) -> str:
        """Return which values the window holds, and what becomes of them.

        >>> pool_step([[1, 5], [3, 4]], row=0, col=0).in_words()
        'the largest of 1, 5, 3, 4 is 5'
        """
        total, texts = short(self.total, 6), [short(value, 4) for value in self._values]
        if len(texts) > most:
            texts = [*texts[:4], "…", *texts[-4:]]
        if self.divisor is not None:
            return f"({added(texts)}) / {short(self.divisor)} = {total}"
        if len(texts) < 2:  # noqa: PLR2004 - nothing to compare
            return f"{total} is alone under the window"
        return f"the largest of {', '.join(texts)} is {total}"

    def made_of(self) -> str:
        """Return how many values the window holds."""
        return f"{'largest' if self.kind == 'max' else 'mean'} of {len(self._values)}"

    def parts(self, _source: Place | None = None) -> Parts:
        """Return the window, with the winner."""
        winner = self.winner and (0, *self.winner)[-2:]
        window = as_grid(self.patch.masked_fill(self.is_padding, nan))
        return Parts({"window": window}, as_grid(self.is_padding), winner)


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

    - `x`: one image's maps (C, H, W), or a map (H, W).
    - `kind`: "max" or "avg".
    - `stride`: None for the kernel's size.
    - `padding`, `dilation`, `ceil_mode`, `count_include_pad`, `divisor_override`: as in
      `torch.nn.MaxPool2d` and `torch.nn.AvgPool2d`, and so is the result.

    Raises ValueError for a window that does not fit, and IndexError for a place that the output
    does not have.

    >>> step = pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1)
    >>> step.patch.tolist(), step.winner, step.source, step.total
    ([[0.0, 2.0], [9.0, 1.0]], (1, 0), (1, 2), 9.0)
    >>> pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1, kind="avg")
    PoolStep(avg of 4 values for channel 0 at (0, 1) / 4 = 3)
    """
    maps = one_image(x)
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
    return mean_step(
        maps,
        axes,
        (channel, row, col),
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )


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
    if kind == "avg" and any(apart != 1 for apart in per_axis("dilation", dilation, len(size))):
        raise ValueError("average pooling has no dilation; leave it at 1")
    settings = {
        "kernel": kernel,
        "stride": kernel if stride is None else stride,
        "padding": padding,
        "dilation": dilation,
    }
    columns = [per_axis(name, value, len(size)) for name, value in settings.items()]
    found = []
    for n, k, step, pad, apart, side in zip(size, *columns, SIDES[len(size)], strict=True):
        if pad > whole_number("kernel", k, 1) // 2:
            raise ValueError(
                f"a padding of {pad} is more than half of the kernel of {k}; pooling takes at "
                f"most {k // 2}"
            )
        found.append(Sliding(n, k, step, pad, pad, apart, bool(ceil_mode), side=side))
    return found


def max_step(maps: Tensor, axes: Sequence[Axis], place: Place) -> PoolStep:
    """Return one value of max pooling, in any number of dimensions."""
    places, sources, patch = _read(maps, axes, place, empty=-inf)
    missing = outside(sources)
    winner = source = None
    if not missing.all():
        # As in torch, what is no number wins, and of equals the first.
        ranked = patch.nan_to_num(nan=inf).masked_fill(missing, -inf)
        winner = place_in(patch, int(ranked.argmax()))
        source = pixels_at(sources, winner)
    total = patch[winner].item() if winner else -inf
    return PoolStep(
        "max", patch, missing, winner, source, None, total, place[0], place[1:], places, sources
    )


def mean_step(
    maps: Tensor,
    axes: Sequence[Axis],
    place: Place,
    *,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> PoolStep:
    """Return one value of average pooling, in any number of dimensions."""
    places, sources, patch = _read(maps, axes, place, empty=0.0)
    missing = outside(sources)
    divisor: float
    if divisor_override is not None:
        divisor = whole_number("divisor_override", divisor_override, 1)
    elif count_include_pad:
        divisor = prod([_padded_taps(axis, taps) for axis, taps in zip(axes, places, strict=True)])
    else:
        divisor = int((~missing).sum())
    total = patch.sum().item() / divisor
    return PoolStep(
        "avg", patch, missing, None, None, divisor, total, place[0], place[1:], places, sources
    )


def _padded_taps(axis: Axis, taps: Sequence[int | None]) -> int:
    """Return the taps within the padded input: with ceil_mode a window may reach beyond it."""
    if not isinstance(axis, Sliding):
        return len(taps)
    return sum(tap is not None and tap < axis.size + axis.after for tap in taps)


def _read(
    maps: Tensor, axes: Sequence[Axis], place: Place, empty: float
) -> tuple[Sources, Sources, Tensor]:
    refuse_outside("channel", place[0], len(maps), f"there are {len(maps)} maps")
    places, sources = window_at(axes, place[1:])
    return places, sources, gather(maps[place[0] : place[0] + 1], sources, empty)[0]
