"""One value of a pooling layer: the largest under the window, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

from torch import Tensor

from vizlib.arithmetic._readers import Node, Source, Windowed, same
from vizlib.arithmetic._steps import Place, Step, added, largest_place, place_in
from vizlib.arithmetic._windows import (
    Axis,
    Sources,
    adaptive,
    gather,
    one_image,
    outside,
    pixels_at,
    pool_axes,
    refuse_outside,
    window_at,
)
from vizlib.words import short

# Of more values than these, the first and the last four are listed.
_LISTED = 12


@dataclass(frozen=True, eq=False, repr=False)
class PoolStep(Step):
    """How one value of a pooling layer comes about.

    Of a signal all places have one number instead of two.

    - `kind`: either "max" or "avg"
    - `patch`: (kh, kw) float64: the input under the window; padding is −∞ for "max" and 0 for
      "avg"
    - `is_padding`: (kh, kw) bool: the cells that lie outside the input
    - `place`: the row and column of the value in its map
    - `places`: the input rows, and the input columns, under the window
    - `winner`: the place of the largest value in the patch, of the first of equals; None for
      "avg"
    - `source`: the place of the winner in the input map; None for "avg"
    - `divisor`: what the sum of the patch is divided by; None for "max"
    """

    kind: str
    patch: Tensor
    is_padding: Tensor
    total: float
    channel: int
    place: Place
    places: Sources
    winner: Place | None = None
    source: Place | None = None
    divisor: float | None = None

    def in_words(self, most: int = _LISTED) -> str:
        """Return which values the window holds, and what becomes of them.

        >>> pool_step([[1, 5], [3, 4]], row=0, col=0).in_words()
        'the largest of 1, 5, 3, 4 is 5'
        """
        total, texts = short(self.total, 6), [short(value, 4) for value in self._values()]
        if len(texts) > most:
            texts = [*texts[:4], "…", *texts[-4:]]
        if self.divisor is not None:
            return f"({added(texts)}) / {short(self.divisor)} = {total}"
        if len(texts) < 2:  # noqa: PLR2004 - nothing to compare
            return f"{total} is alone under the window"
        return f"the largest of {', '.join(texts)} is {total}"

    def _values(self) -> list[float]:
        return self.patch[~self.is_padding].tolist()

    def made_of(self) -> str:
        """Return how many values the window holds."""
        return f"{'largest' if self.kind == 'max' else 'mean'} of {len(self._values())}"


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
) -> PoolStep:
    """Return which values of channel `channel` make the pooled value at `row`, `col`, and how.

    - `x`: one image's maps (C, H, W), or a map (H, W).
    - `kind`: "max" or "avg".
    - `stride`: None for the kernel's size.
    - `padding`, `dilation`, `ceil_mode`, `count_include_pad`: as in `torch.nn.MaxPool2d` and
      `torch.nn.AvgPool2d`, and so is the result.

    Raises ValueError for a window that does not fit, and IndexError for a place that the output
    does not have.

    >>> step = pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1)
    >>> step.patch.tolist(), step.winner, step.source, step.total
    ([[0.0, 2.0], [9.0, 1.0]], (1, 0), (1, 2), 9.0)
    >>> pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1, kind="avg")
    PoolStep((0 + 2 + 9 + 1) / 4 = 3)
    """
    maps = one_image(x)
    axes = pool_axes(maps.shape[1:], kernel, stride, padding, dilation, ceil_mode, kind)
    return _step(maps, axes, (channel, row, col), kind, count_include_pad=count_include_pad)


def _step(
    maps: Tensor,
    axes: Sequence[Axis],
    place: Place,
    kind: str,
    *,
    count_include_pad: bool,
    divisor: int | None = None,
) -> PoolStep:
    """Return one pooled value, in any number of dimensions."""
    channel, *where = place
    refuse_outside("channel", channel, len(maps), f"there are {len(maps)} maps")
    places, sources = window_at(axes, where)
    patch = gather(maps[channel : channel + 1], sources, -inf if kind == "max" else 0.0)[0]
    missing = outside(sources, maps.shape[1:])
    winner = source = None
    if kind == "avg":
        counted = _padded(axes, places) if count_include_pad else int((~missing).sum())
        divisor = divisor or counted
        total = patch.sum().item() / divisor
    else:
        # As in torch, what is no number wins, and of equals the first.
        ranked = patch.nan_to_num(nan=inf).masked_fill(missing, -inf)
        winner = None if missing.all() else place_in(patch, int(ranked.argmax()))
        source = winner and pixels_at(sources, winner)
        total = patch[winner].item() if winner else -inf
    return PoolStep(
        kind, patch, missing, total, channel, tuple(where), places, winner, source, divisor
    )


def _padded(axes: Sequence[Axis], places: Sources) -> int:
    """Return how many places of a window lie in the input or its padding.

    With `ceil_mode` a window may reach beyond the padding, where nothing is counted.
    """
    pairs = zip(axes, places, strict=True)
    return prod(sum(tap is not None and tap < axis.end for tap in taps) for axis, taps in pairs)


class Pooling(Windowed):
    """Max or average pooling, adaptive or not."""

    def __init__(self, node: Node) -> None:
        """Read the window off the module, or off what the function was given."""
        super().__init__(node)
        name = node.operation.removeprefix("adaptive_")
        if not name.startswith(("max_pool", "avg_pool")):
            called = node.operation if node.module is None else type(node.module).__name__
            raise node.refusal(f"is {called}, neither max nor average pooling")
        self.kind, rank = name[:3], int(name[-2])
        size = self.before.shape[-rank:]
        if name != node.operation:
            counts = node.step.shape[-rank:]
            axes = [adaptive(n, count) for n, count in zip(size, counts, strict=True)]
        else:
            kernel, stride = node.setting("kernel_size"), node.setting("stride") or None
            padding, dilation = node.setting("padding", 0), node.setting("dilation", 1)
            up = node.setting("ceil_mode", usual=False)
            axes = pool_axes(size, kernel, stride, padding, dilation, up, self.kind)
        self._slide(axes, same)

    def step(self, place: Place) -> PoolStep:
        """Return the choice or the mean behind one value."""
        maps, place = self._maps(place)
        padded = self.node.setting("count_include_pad", usual=True)
        divisor = self.node.setting("divisor_override")
        return _step(maps, self.axes, place, self.kind, count_include_pad=padded, divisor=divisor)

    def source(self, place: Place, step: PoolStep) -> Source | None:
        """Return the winner, or the largest share of a mean, of either sign."""
        best = step.winner or largest_place(step.patch, step.is_padding)
        if best is None:
            return None
        return 0, (*place[: self.lead + 1], *pixels_at(step.places, best))
