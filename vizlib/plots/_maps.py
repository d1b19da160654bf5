"""What is seen as an image: digits, the feature maps of a layer, the kernels of a convolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from vizlib.plots import _style
from vizlib.plots._mosaic import Mosaic
from vizlib.plots._style import BOX, GAP, INK, LETTER, LINE, SIGNED, WIDTH, Figure, short, styled

_KERNELS = (BOX[0] - 0.5, 3.6)  # inches for the kernels of all pairs of channels
_LEGEND = 0.8  # inches that the legend takes at the right
_PRINTED = 256  # values that a table has room for
_WITH_ENDS = 24  # maps that have room for the end of their own scale above them
_VOLUME, _BATCH = 3, 4  # axes of (C, H, W) and of (N, C, H, W)


@styled
def images(
    images: Any,
    titles: Sequence[object] | None = None,
    *,
    columns: int | None = None,
    limit: int = 100,
    boxes: Sequence[Sequence[int]] | None = None,
) -> Figure:
    """Draw digits side by side: black is the smallest value and white the largest.

    `images` are (N, H, W) or (N, 1, H, W), or one image (H, W); (N, 3, H, W) is drawn in its own
    red, green and blue. Bytes (uint8) are dark at 0 and full at 255; floats are dark at their
    least and full at their greatest value over all images, so normalized ones may be drawn too.
    `titles` are short texts above them, such as labels; where they are long, there are fewer than
    `columns` images in a row. At most `limit` images are drawn, and the
    figure's title then says of how many. `boxes` has a (top, left, bottom, right) for each image,
    as `arithmetic.receptive_field` returns them: an orange frame on the outermost pixels in it.

    Raises ValueError for another shape, or where there are not as many titles or boxes as images.

    >>> images(np.zeros((3, 28, 28), np.uint8), titles=[7, 2, 1])
    <Figure size 728x278 with 1 Axes>
    >>> images(np.zeros((28, 28), np.uint8), boxes=[(9, 9, 14, 14)])
    <Figure size 420x418 with 1 Axes>
    """
    values = _as_images(images)
    texts = _as_titles(titles, len(values))[: _style.at_least_one("limit", limit)]
    frames = _one_each(boxes, len(values), "boxes")[:limit]
    shown = _as_colours(values)[:limit]
    mosaic = _with_room(len(shown), shown.shape[1:3], columns, _longest(texts))
    part = f"the first {limit} of {len(values):,} images" if len(values) > limit else None
    figure, axes = mosaic.sheet(part)
    axes.imshow(mosaic.build(shown).data)
    mosaic.write(axes, texts)
    for tile, box in enumerate(frames):
        mosaic.mark(axes, tile, box)
    return figure


def _with_room(count: int, shape: tuple[int, ...], columns: int | None, letters: int) -> Mosaic:
    """Return a mosaic whose tiles are as wide as their titles, and as high as that takes."""
    mosaic = Mosaic(count, shape, columns, letters=letters)
    if mosaic.has_room or not letters:
        return mosaic
    width = LETTER * letters * 1.1
    columns = max(1, min(columns or count, int(BOX[0] / width)))
    height = ceil(count / columns) * (width * shape[0] / shape[1] + LINE) * 1.1
    return Mosaic(count, shape, columns, letters=letters, box=(BOX[0], max(BOX[1], height)))


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _as_images(images: Any) -> np.ndarray:
    """Return the images as (N, H, W) or (N, H, W, 3)."""
    values = _style.array(images)
    shape = values.shape
    if values.ndim == _BATCH and shape[1] in {1, 3}:
        values = values[:, 0] if shape[1] == 1 else np.moveaxis(values, 1, -1)
    elif values.ndim == _VOLUME - 1:
        values = values[None]
    elif values.ndim != _VOLUME:
        raise ValueError(f"images have the shape (N, H, W) or (N, 1, H, W), but these had {shape}")
    if 0 in shape:
        raise ValueError(f"there is no image to draw: their shape is {shape}")
    return _style.finite(values, "the images")


def _as_colours(values: np.ndarray) -> np.ndarray:
    """Return images as uint8 (N, H, W, 4); the last is opacity, which the gaps lack."""
    if values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        values = np.round((values - low) / (high - low or 1.0) * 255).astype(np.uint8)
    if values.ndim == _VOLUME:
        values = values[..., None].repeat(3, axis=-1)
    return np.concatenate([values, np.full_like(values[..., :1], 255)], axis=-1)


def _as_titles(titles: Sequence[object] | None, count: int) -> list[str]:
    return [str(title) for title in _one_each(titles, count, "titles")]


def _one_each(given: Sequence[Any] | None, count: int, what: str) -> list[Any]:
    if given is not None and len(given) != count:
        raise ValueError(f"there are {count} images, but {len(given)} {what}; give one for each")
    return [] if given is None else list(given)


def largest(*maps: Any) -> float:
    """Return the greatest absolute value of all maps: the number for one scale over many layers.

    `maps` are arrays, tensors or stages, or collections of them, such as `recording.values()`.

    >>> largest([np.array([1.0, -3.0]), np.array([[2.0]])])
    3.0
    """
    return max((float(np.abs(_style.array(each)).max()) for each in _flat(maps)), default=0.0)


def _flat(maps: Iterable[Any]) -> Iterable[Any]:
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

    `maps` are (C, H, W) or (1, C, H, W) floats, or a `capture.Stage` of one image. A vector (F,)
    or (1, F) becomes a table that is read like lines of text: the value in row 30, column +7 is
    number 37. Up to 256 values are printed in it.

    White is zero, blue positive and orange negative, the darker the further from zero. The legend
    at the right has the numbers at its ends; it starts at zero where no value is negative. Light
    grey lies between the maps. `scale` says which values get the darkest colours:

    - "layer", the default: plus and minus the greatest absolute value of all channels, so that
      channels can be compared;
    - "map": the greatest absolute value of each channel by itself, which shows faint maps too; it
      is printed above each of up to 24 maps;
    - a number: plus and minus that number, for layers or images on one scale; see `largest`.
      Values beyond it have the colours of the ends.

    A black frame marks the channel `highlight`. Only the first `limit` channels are drawn, if it
    is given, and the title then says of how many; the scale still is that of all. Where maps are
    too small for numbers, each row has the number of its first channel at its left.

    Raises ValueError for another shape or scale, and for values that are nan or infinite.

    >>> feature_maps(np.random.default_rng(0).normal(size=(6, 24, 24)), title="conv1")
    <Figure size 635x442 with 1 Axes>
    """
    values = _as_maps(maps)
    if values.ndim == 1:
        return _table(values, scale, title, highlight)
    ends = _ends(values, scale)
    texts = _captions(ends, scale)[: _style.at_least_one("limit", limit)]
    mosaic = Mosaic(len(texts), values.shape[1:], columns, letters=_longest(texts))
    heading = _heading(title, len(texts), len(values))
    figure, axes = mosaic.sheet(heading, right=_LEGEND, below=LINE)
    painted, end = (values / ends, 1.0) if scale == "map" else (values, float(ends[0, 0, 0]))
    image = _paint(axes, mosaic.build(painted[:limit]), end)
    mosaic.write(axes, texts) if mosaic.has_room else mosaic.number_rows(axes, mosaic.firsts)
    _legend(axes, image, mosaic.size[0], signed=values.min() < 0, own=scale == "map")
    axes.set_xlabel(_meaning(scale), loc="right", fontsize=8)
    if highlight is not None:
        mosaic.frame(axes, _channel(highlight, len(texts)))
    return figure


def _as_maps(maps: Any) -> np.ndarray:
    values = _style.array(maps)
    what = getattr(maps, "name", None) or "the maps"
    shape = values.shape
    if values.ndim in {_BATCH, _VOLUME - 1} and len(values) == 1:
        values = values[0]
    if values.ndim not in {1, _VOLUME} or 0 in shape:
        raise ValueError(
            f"feature maps have the shape (C, H, W), or (F,) after a linear layer, but {what} had "
            f"{shape}; choose one image with maps[0], or add the channel axis with maps[None]"
        )
    return _style.finite(values.astype(np.float64), what)


def _ends(values: np.ndarray, scale: str | float) -> np.ndarray:
    """Return the absolute value at the ends of each channel's scale, (C, 1, 1); never zero."""
    ends = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    if scale == "layer":
        ends = np.full_like(ends, ends.max())
    elif not isinstance(scale, str | bool | None) and 0 < float(scale) < np.inf:
        ends = np.full_like(ends, float(scale))
    elif scale != "map":
        raise ValueError(
            f'scale must be "map", "layer" or a number above zero, but was {scale!r}; for one '
            "scale over the whole network give the number plots.largest(recording.values())"
        )
    return np.where(ends == 0, 1.0, ends)


def _captions(ends: np.ndarray, scale: str | float) -> list[str]:
    own = scale == "map" and len(ends) <= _WITH_ENDS
    return [f"{c} ±{short(end, 2)}" if own else str(c) for c, end in enumerate(ends.flat)]


def _heading(title: str | None, shown: int, count: int) -> str:
    part = f"the first {shown} of {count} channels" if shown < count else ""
    return ": ".join(filter(None, [title, part]))


def _paint(axes: Axes, values: np.ndarray, end: float) -> AxesImage:
    axes.set_facecolor(GAP)
    return axes.imshow(values, cmap=SIGNED, vmin=-end, vmax=end)


def _meaning(scale: str | float) -> str:
    own = {"map": "each has its own scale (±)", "layer": "one scale for all"}
    return own.get(str(scale), "a given scale")


def _legend(
    axes: Axes, image: AxesImage, inches: float, *, signed: bool, own: bool = False
) -> None:
    """Draw the legend, out of the picture's own colours and limits, beside axes so wide."""
    end = image.get_clim()[1]
    beside = axes.inset_axes([1 + 0.08 / inches, 0, 0.16 / inches, 1])
    bar = axes.get_figure().colorbar(image, cax=beside)
    number = "own" if own else short(end)
    bar.set_ticks([-end, 0, end], labels=[f"−{number}", "0", f"+{number}"])
    beside.set_ylim(-end if signed else 0, end)
    bar.outline.set_edgecolor(_style.LIGHT)


def _channel(highlight: int, count: int) -> int:
    if not 0 <= highlight < count:
        raise ValueError(f"highlight must be a channel from 0 to {count - 1}, but was {highlight}")
    return highlight


def _table(
    values: np.ndarray, scale: str | float, title: str | None, highlight: int | None
) -> Figure:
    """Draw a vector as a table with every value printed in its cell."""
    end = float(_ends(values[None], scale)[0, 0])
    printed = len(values) <= _PRINTED
    shape = _table_shape(len(values), printed=printed)
    cells = np.ma.MaskedArray(np.zeros(shape), mask=True)
    cells.flat[: len(values)] = values
    height = max(0.23 * shape[0], 0.5) if printed else BOX[1]
    figure, axes = _style.sheet(WIDTH - 0.1, height + LINE, title=title)
    _style.bare(axes)
    image = _paint(axes, cells, end)
    axes.set_aspect("auto")
    _number_cells(axes, shape)
    if printed:
        _style.print_cells(axes, shape, _rounded(values, end), np.abs(values) > end / 2)
    _legend(axes, image, BOX[0], signed=values.min() < 0)
    if highlight is not None:
        y, x = divmod(_channel(highlight, len(values)), shape[1])
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec=INK, linewidth=2.5))
    return figure


def _table_shape(count: int, *, printed: bool) -> tuple[int, int]:
    columns = 64 if not printed else 10 if count <= _PRINTED / 2 else 16
    return ceil(count / columns), min(columns, count)


def _number_cells(axes: Axes, shape: tuple[int, int]) -> None:
    """Number rows by their first value, and columns by what is to be added."""
    rows, columns = shape
    some = slice(None, None, ceil(rows / 16)), slice(None, None, ceil(columns / 16))
    plus = "+" if rows > 1 else ""
    axes.set_xticks(range(columns)[some[1]], [f"{plus}{x}" for x in range(columns)[some[1]]])
    if rows > 1:
        axes.set_yticks(range(rows)[some[0]], [str(y * columns) for y in range(rows)[some[0]]])
    axes.tick_params(labelsize=8, labeltop=True, labelbottom=False)


def _rounded(values: np.ndarray, end: float) -> list[str]:
    """Return the values with as many decimals each as the largest needs for three digits."""
    decimals = 2 - floor(log10(end))
    if not 0 <= decimals <= _VOLUME:
        return [short(value, 2) for value in values]
    return [f"{value:.{decimals}f}".replace("-", "−") if value else "0" for value in values]


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
    <Figure size 420x612 with 1 Axes>
    """
    values = _as_kernels(weight)
    if values.shape[1] == 1:
        return feature_maps(values[:, 0], scale=_or_layer(scale), title=title, limit=limit)
    shown = values[:limit, :limit]
    rows, columns, *shape = shown.shape
    mosaic = Mosaic(rows * columns, tuple(shape), columns, box=_KERNELS)
    part = f"{rows} × {columns} of {len(values)} × {values.shape[1]}"
    heading = [title, part if shown.size < values.size else None]
    figure, axes = mosaic.sheet(": ".join(filter(None, heading)), right=_LEGEND + 0.5, below=0.4)
    end = float(_ends(values[None], _or_layer(scale)).item())
    image = _paint(axes, mosaic.build(shown.reshape(-1, *shape)), end)
    mosaic.number_columns(axes)
    mosaic.number_rows(axes, range(rows))
    axes.set(xlabel="input channel", ylabel="output channel")
    _legend(axes, image, mosaic.size[0], signed=True)
    return figure


def _or_layer(scale: float | None) -> str | float:
    return "layer" if scale is None else scale


def _as_kernels(weight: Any) -> np.ndarray:
    values = _style.array(getattr(weight, "weight", weight))
    if values.ndim != _BATCH or 0 in values.shape:
        raise ValueError(
            "kernels are the weight (O, I, kh, kw) of a two-dimensional convolution, such as "
            f"model.conv1.weight, but this had the shape {values.shape}"
        )
    return _style.finite(values.astype(np.float64), "the kernels")
