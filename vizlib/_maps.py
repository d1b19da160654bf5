"""Many small pictures as one array on one axes: digits, feature maps, kernels.

Sixty-four maps as sixty-four axes take twenty times as long to draw as one mosaic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from vizlib import _style
from vizlib._style import BOX, GAP, INK, SIGNED, Figure, short, styled

_LETTER, _LINE = 0.078, 0.17  # inches that a letter is wide and a line is tall
_SMALLEST = 0.25  # inches of a tile that is worth a number of its own
_CELLS_WITH_VALUES, _MAPS_WITH_ENDS = 256, 24


class Mosaic:
    """Where each of `count` tiles of (height, width) values goes, in rows of `columns`.

    Above each tile is a strip for its number or title, `letters` wide and at least a gap high.
    """

    def __init__(
        self, count: int, shape: tuple[int, ...], columns: int | None = None, letters: int = 0
    ) -> None:
        """Choose the columns that make the tiles largest, if none are given."""
        self.count, (self.height, self.width) = count, shape
        self.gap = ceil(max(shape) / 28)
        self.has_room = letters > 0 and self._arrange(columns, letters)
        if not self.has_room:
            self._arrange(columns, 0)
        self.strip = max(self.gap, ceil(_LINE / self.scale)) if self.has_room else self.gap

    def _arrange(self, columns: int | None, letters: int) -> bool:
        """Set columns, rows and scale; return whether so many letters fit above a tile."""
        wide = max(1, int(BOX[0] / (_LETTER * letters))) if letters else self.count
        self.columns = min(columns or self._best_columns(wide, letters), self.count)
        self.rows = ceil(self.count / self.columns)
        self.scale = self._scale(self.columns, letters)
        return self.scale * self.width >= max(_SMALLEST, _LETTER * letters)

    def _scale(self, columns: int, letters: int) -> float:
        """Return the inches of one value; each row of tiles has a line for the letters."""
        across = BOX[0] / (columns * (self.width + self.gap) + self.gap)
        line = _LINE if letters else 0.0
        down = (BOX[1] / ceil(self.count / columns) - line) / (self.height + self.gap)
        return max(min(across, down), 1e-4)

    def _best_columns(self, most: int, letters: int) -> int:
        """Return the columns with the largest tiles; full rows count for a quarter more."""

        def worth(columns: int) -> float:
            return self._scale(columns, letters) * (1.0 if self.count % columns else 1.25)

        return max(range(1, min(most, self.count) + 1), key=worth)

    def corner(self, tile: int) -> tuple[int, int]:
        """Return the row and the column of a tile's first value."""
        row, column = divmod(tile, self.columns)
        top, left = row * (self.height + self.strip), column * (self.width + self.gap)
        return top + self.strip, left + self.gap

    @property
    def firsts(self) -> range:
        """The number of each row's first tile."""
        return range(0, self.count, self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and columns of the whole array."""
        height, width = self.height + self.strip, self.width + self.gap
        return self.rows * height + self.gap, self.columns * width + self.gap

    def build(self, tiles: np.ndarray) -> np.ma.MaskedArray:
        """Return tiles (count, height, width) as one array, masked between the tiles."""
        whole = np.ma.MaskedArray(np.zeros(self.shape, tiles.dtype), mask=True)
        for number, tile in enumerate(tiles):
            top, left = self.corner(number)
            whole[top : top + self.height, left : left + self.width] = tile
        return whole

    def axes(self, right: float = 0.0, background: str = "white") -> tuple[Figure, Axes]:
        """Return a figure with bare axes for this array and `right` inches beside it."""
        height, width = (side * self.scale for side in self.shape)
        figure, axes = _style.sheet(max(width + right, 3.2), height + 0.4)
        _style.bare(axes, background)
        return figure, axes

    def write(self, axes: Axes, texts: Sequence[str]) -> None:
        """Write a text above each tile, starting at its left edge."""
        for tile, text in enumerate(texts):
            top, left = self.corner(tile)
            axes.text(left - 0.5, top - 0.5, text, va="bottom", fontsize=9)

    def number_rows(self, axes: Axes, numbers: Sequence[int]) -> None:
        """Write a number at the left of each row, of as many rows as there is room for."""
        tops = [self.corner(row * self.columns)[0] for row in range(self.rows)]
        middles = [top + (self.height - 1) / 2 for top in tops]
        every = slice(None, None, ceil(_LINE / (self.scale * (self.height + self.strip))))
        axes.set_yticks(middles[every], numbers[every], fontsize=8)

    def frame(self, axes: Axes, tile: int) -> None:
        """Draw a black frame around one tile."""
        top, left = self.corner(tile)
        corner = (left - 0.5 - self.gap / 2, top - 0.5 - self.gap / 2)
        size = (self.width + self.gap, self.height + self.gap)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=INK, linewidth=2))


@styled
def images(
    images: Any,
    titles: Sequence[object] | None = None,
    *,
    columns: int | None = None,
    limit: int = 100,
) -> Figure:
    """Draw digits side by side: black is the smallest value and white the largest.

    `images` are (N, H, W) or (N, 1, H, W), or one image (H, W). Bytes (uint8) are black at 0 and
    white at 255; floats are black at their least and white at their greatest value over all
    images. `titles` are short texts above them, such as labels. At most `limit` images are drawn,
    and the figure's title then says of how many.

    Raises ValueError for another shape, or where there are not as many titles as images.

    >>> images(np.zeros((3, 28, 28), np.uint8), titles=[7, 2, 1])
    <Figure size 714x316 with 1 Axes>
    """
    values = _as_images(_style.array(images))
    texts = _as_titles(titles, len(values))[:limit]
    low, high = (0, 255) if values.dtype == np.uint8 else (values.min(), values.max())
    mosaic = Mosaic(len(values[:limit]), values.shape[1:], columns, max(map(len, texts), default=0))
    figure, axes = mosaic.axes()
    axes.imshow(mosaic.build(values[:limit]), cmap="gray", vmin=low, vmax=high)
    mosaic.write(axes, texts)
    if len(values) > limit:
        axes.set_title(f"the first {limit} of {len(values):,} images")
    return figure


def _as_images(values: np.ndarray) -> np.ndarray:
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(
            f"images must have the shape (N, H, W) or (N, 1, H, W), but had {values.shape}"
        )
    return _style.finite(values, "the images")


def _as_titles(titles: Sequence[object] | None, count: int) -> list[str]:
    texts = [] if titles is None else [str(title) for title in titles]
    if titles is not None and len(texts) != count:
        raise ValueError(f"there are {count} images, but {len(texts)} titles; give one for each")
    return texts


def largest(*maps: Any) -> float:
    """Return the greatest absolute value of all maps: the number for one scale over many layers.

    `maps` are arrays, tensors or stages, or collections of them, such as `recording.values()`.

    >>> largest([np.array([1.0, -3.0]), np.array([[2.0]])])
    3.0
    """
    return max((float(np.abs(_style.array(each)).max()) for each in _flat(maps)), default=0.0)


def _flat(maps: Any) -> Iterable[Any]:
    for each in maps:
        if hasattr(each, "shape") or hasattr(each, "output"):
            yield each
        else:
            yield from _flat(each)


@styled
def feature_maps(
    maps: Any,
    *,
    scale: str | float = "layer",
    title: str | None = None,
    highlight: int | None = None,
    columns: int | None = None,
    limit: int | None = None,
) -> Figure:
    """Draw every channel of a layer's output, each under its number, in one mosaic.

    `maps` are (C, H, W) or (1, C, H, W) floats, or a `capture.Stage` of one image; a vector (F,)
    or (1, F) becomes a table with its values printed.

    White is zero, blue positive and orange negative, the darker the further from zero. The legend
    at the right has the numbers at its ends; it starts at zero where no value is negative. `scale`
    says which values get the darkest colours:

    - "layer", the default: plus and minus the greatest absolute value of all channels, so that
      channels can be compared;
    - "map": the greatest absolute value of each channel by itself, which shows faint maps too, and
      is printed above it;
    - a number: plus and minus that number, for layers or images on one scale; see `largest`.

    A black frame marks the channel `highlight`. Only the first `limit` channels are drawn, if it
    is given, and the title then says of how many; the scale still is that of all. Where tiles are
    too small for numbers, each row has the number of its first channel at its left.

    Raises ValueError for another shape or scale, and for values that are nan or infinite.

    >>> feature_maps(np.random.default_rng(0).normal(size=(6, 24, 24)), title="conv1")
    <Figure size 629x433 with 2 Axes>
    """
    values = _as_maps(maps)
    if values.ndim == 1:
        return _vector(values, scale, title, highlight)
    ends = _ends(values, scale)
    texts = _captions(ends, scale)[:limit]
    mosaic = Mosaic(len(texts), values.shape[1:], columns, max(map(len, texts)))
    figure, axes = mosaic.axes(right=0.9, background=GAP)
    painted, end = (values / ends, 1.0) if scale == "map" else (values, float(ends[0, 0, 0]))
    image = _paint(axes, mosaic.build(painted[:limit]), end)
    mosaic.write(axes, texts) if mosaic.has_room else mosaic.number_rows(axes, mosaic.firsts)
    _legend(figure, image, scale, end, signed=values.min() < 0)
    if highlight is not None:
        mosaic.frame(axes, _channel(highlight, len(texts)))
    axes.set_title(_title(title, len(texts), len(values)))
    return figure


def _as_maps(maps: Any) -> np.ndarray:
    values = _style.array(maps)
    what = getattr(maps, "name", None) or "the maps"
    if values.ndim in (2, 4) and values.shape[0] == 1:
        values = values[0]
    if values.ndim not in (1, 3) or 0 in values.shape:
        raise ValueError(
            f"feature maps have the shape (C, H, W), or (F,) after a linear layer, but {what} had "
            f"{values.shape}; choose one image with maps[0], or add the channel axis with maps[None]"
        )
    return _style.finite(values.astype(np.float64), what)


def _ends(values: np.ndarray, scale: str | float) -> np.ndarray:
    """Return the absolute value at the ends of each channel's scale, (C, 1, 1); never zero."""
    ends = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    if scale == "layer":
        ends = np.full_like(ends, ends.max())
    elif isinstance(scale, int | float) and 0 < scale < np.inf:
        ends = np.full_like(ends, scale)
    elif scale != "map":
        raise ValueError(
            f'scale must be "map", "layer" or a number above zero, but was {scale!r}; for one '
            "scale over the whole network give the number plots.largest(recording.values())"
        )
    return np.where(ends == 0, 1.0, ends)


def _captions(ends: np.ndarray, scale: str | float) -> list[str]:
    own = scale == "map" and len(ends) <= _MAPS_WITH_ENDS
    return [f"{c} ±{short(end, 2)}" if own else str(c) for c, end in enumerate(ends.flat)]


def _paint(axes: Axes, values: np.ndarray, end: float) -> AxesImage:
    """Draw values of -end…end; those beyond have the colours of the ends."""
    return axes.imshow(values, cmap=SIGNED, vmin=-end, vmax=end)


def _legend(
    figure: Figure, image: AxesImage, scale: str | float, end: float, *, signed: bool
) -> None:
    """Draw the legend out of the picture's own colours and limits."""
    bar = figure.colorbar(image, fraction=0.05, pad=0.02, aspect=14)
    number = "own end" if scale == "map" else short(end)
    bar.set_ticks([-end, 0, end], labels=[f"−{number}", "0", f"+{number}"])
    bar.ax.set_ylim(-end if signed else 0, end)
    bar.outline.set_edgecolor(_style.LIGHT)
    meaning = {"map": "each map: its own scale", "layer": "all maps: one scale"}
    bar.set_label(meaning.get(str(scale), "given scale"), fontsize=8)


def _channel(highlight: int, count: int) -> int:
    if not 0 <= highlight < count:
        raise ValueError(f"highlight must be a channel from 0 to {count - 1}, but was {highlight}")
    return highlight


def _title(title: str | None, shown: int, count: int, what: str = "channels") -> str:
    part = f"the first {shown} of {count} {what}" if shown < count else ""
    return ": ".join(filter(None, [title, part]))


def _vector(
    values: np.ndarray, scale: str | float, title: str | None, highlight: int | None
) -> Figure:
    """Draw a vector as a table, read like lines of text, with every value printed in its cell."""
    end = float(_ends(values[None], scale)[0, 0])
    printed = len(values) <= _CELLS_WITH_VALUES
    columns = min(len(values), (10 if len(values) <= 130 else 16) if printed else 64)
    shape = (ceil(len(values) / columns), columns)
    cells = np.ma.MaskedArray(np.zeros(shape), mask=True)
    cells.flat[: len(values)] = values
    row = 0.23 if printed else min(0.23, BOX[1] / len(cells))
    figure, axes = _style.sheet(_style.WIDTH, row * len(cells) + 0.7)
    _style.bare(axes, GAP)
    image = _paint(axes, cells, end)
    axes.set_aspect("auto")
    _number_cells(axes, cells.shape)
    if printed:
        _style.print_cells(axes, cells.shape, map(short, values), np.abs(values) > end / 2)
    _legend(figure, image, "layer", end, signed=values.min() < 0)
    if highlight is not None:
        y, x = divmod(_channel(highlight, len(values)), columns)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, linewidth=2))
    axes.set_title(title or "")
    return figure


def _number_cells(axes: Axes, shape: tuple[int, ...]) -> None:
    rows, columns = shape
    axes.set_yticks(range(rows), [str(row * columns) for row in range(rows)], fontsize=8)
    axes.set_xticks(range(columns), [f"+{column}" for column in range(columns)], fontsize=8)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)


@styled
def kernels(
    weight: Any, *, scale: float | None = None, title: str | None = None, limit: int = 32
) -> Figure:
    """Draw the weights of a convolution in the colours of `feature_maps`, on one scale.

    `weight` is (O, I, kh, kw), or a layer that has such a `weight`. With one input channel the
    kernels stand in a grid, each under the number of its output channel. With more, each row is
    one output channel and each column one input channel: a kernel is as deep as its input. At most
    `limit` channels of either are drawn, and the title then says so.

    White is zero, blue positive, orange negative; the darkest colours are plus and minus `scale`,
    or the greatest absolute weight. Raises ValueError for another shape.

    >>> kernels(np.zeros((16, 6, 5, 5)), title="conv2")
    <Figure size 448x438 with 2 Axes>
    """
    values = _as_kernels(weight)
    if values.shape[1] == 1:
        return feature_maps(values[:, 0], scale=scale or "layer", title=title, limit=limit)
    shown = values[:limit, :limit]
    end = float(_ends(values[None], scale or "layer").item())
    mosaic = Mosaic(shown.shape[0] * shown.shape[1], shown.shape[2:], shown.shape[1])
    figure, axes = mosaic.axes(right=1.4, background=GAP)
    image = _paint(axes, mosaic.build(shown.reshape(-1, *shown.shape[2:])), end)
    _number_sides(axes, mosaic)
    _legend(figure, image, "layer", end, signed=True)
    axes.set_title(_title(title, shown.size, values.size, "weights"))
    return figure


def _as_kernels(weight: Any) -> np.ndarray:
    values = _style.array(getattr(weight, "weight", weight))
    if values.ndim != 4 or 0 in values.shape:
        raise ValueError(
            "kernels are the weight (O, I, kh, kw) of a two-dimensional convolution, such as "
            f"model.conv1.weight, but this had the shape {values.shape}"
        )
    return _style.finite(values.astype(np.float64), "the kernels")


def _number_sides(axes: Axes, mosaic: Mosaic) -> None:
    """Number the rows as output channels and the columns as input channels."""
    lefts = [mosaic.corner(tile)[1] for tile in range(mosaic.columns)]
    middles = [left + (mosaic.width - 1) / 2 for left in lefts]
    every = slice(None, None, ceil(mosaic.columns / 16))
    axes.set_xticks(middles[every], range(mosaic.columns)[every], fontsize=8)
    mosaic.number_rows(axes, range(mosaic.rows))
    axes.set(xlabel="input channel", ylabel="output channel")
