"""Feature maps and kernels: signed numbers as colours, many small pictures in one."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from vizlib.plots._board import print_cells, rounded
from vizlib.plots._figure import BOX, LINE, WIDTH, Figure, bare, sheet, styled
from vizlib.plots._images import Mosaic
from vizlib.plots._style import GAP, INK, LIGHT, SIGNED, array, at_least_one, largest, shaped
from vizlib.words import short

_KERNELS = (BOX[0] - 0.5, 2.9)  # inches for the kernels of all pairs of channels
_LEGEND = 0.8  # inches that the legend takes at the right
_PRINTED = 256  # values that a table has room for
_WITH_ENDS = 24  # maps that have room for the end of their own scale above them


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

    - `maps`: (C, H, W) or (1, C, H, W) floats, or a `capture.Stage` of one image. A vector (F,) or
      (1, F) becomes a table that is read like lines of text: the value in row 30, column +7 is
      number 37. Up to 256 values are printed in it.
    - `scale`: which values get the darkest colours.

      - "layer": plus and minus the greatest absolute value of all channels, so that channels can be
        compared;
      - "map": the greatest absolute value of each channel by itself, which shows faint maps too; it
        is printed above each of up to 24 maps;
      - a number: plus and minus that number, for layers or images on one scale; see `largest`.
        Values beyond it have the colours of the ends.

    - `highlight`: the channel in a black frame.
    - `columns`: maps in a row.
    - `limit`: only so many channels are drawn, and the title then says of how many. The scale is
      the same as for all.

    White is zero, blue positive and orange negative, the darker the further from zero. Light grey
    lies between the maps. The legend at the right has the numbers at its ends; it starts at zero
    where no value is negative. Where maps are too small for numbers, each row has the number of its
    first channel at its left.

    Raises ValueError for another shape or scale, and for values that are nan or infinite.

    >>> feature_maps(np.random.default_rng(0).normal(size=(6, 24, 24)), title="conv1")
    <Figure size 635x442 with 1 Axes>
    """
    values = _as_maps(maps)
    if values.ndim == 1:
        return _table(values, scale, title, highlight)
    ends = _ends(values, scale)
    own = scale == "map" and len(values) <= _WITH_ENDS
    texts = [f"{c} ±{short(end, 2)}" if own else str(c) for c, end in enumerate(ends.flat)]
    texts = texts[: at_least_one("limit", limit)]
    mosaic = Mosaic(len(texts), values.shape[1:], columns, texts=texts)
    part = f"the first {limit} of {len(values)} channels" if len(texts) < len(values) else ""
    heading = ": ".join(filter(None, [title, part]))
    figure, axes = mosaic.sheet(heading, right=_LEGEND, below=LINE)
    painted, end = (values / ends, 1.0) if scale == "map" else (values, float(ends[0, 0, 0]))
    image = _paint(axes, mosaic.build(painted[:limit]), end)
    mosaic.write(axes) if mosaic.has_room else mosaic.number_rows(axes, mosaic.firsts)
    _legend(figure, image, mosaic.size[0], signed=values.min() < 0, own=scale == "map")
    meanings = {"map": "each has its own scale (±)", "layer": "one scale for all"}
    axes.set_xlabel(meanings.get(str(scale), "a given scale"), loc="right", fontsize=8)
    if highlight is not None:
        mosaic.frame(axes, _channel(highlight, len(texts)))
    return figure


def _as_maps(maps: Any) -> np.ndarray:
    values = array(maps)
    if values.ndim in {len("FC"), len("NCHW")} and len(values) == 1:
        values = values[0]
    what = getattr(maps, "name", None) or "the maps"
    hint = "; choose one image with maps[0], or add the channel axis with maps[None]"
    return shaped(values, what, "(C, H, W) or (F,)", hint).astype(np.float64)


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


def _paint(axes: Axes, values: np.ndarray, end: float) -> AxesImage:
    axes.set_facecolor(GAP)
    return axes.imshow(values, cmap=SIGNED, vmin=-end, vmax=end)


def _legend(
    figure: Figure, image: AxesImage, inches: float, *, signed: bool, own: bool = False
) -> None:
    """Draw the legend beside axes of that width, from the colours and limits of the picture."""
    end = image.get_clim()[1]
    beside = figure.axes[0].inset_axes((1 + 0.08 / inches, 0, 0.16 / inches, 1))
    bar = figure.colorbar(image, cax=beside)
    number = "own" if own else short(end)
    bar.set_ticks([-end, 0, end], labels=[f"−{number}", "0", f"+{number}"])
    beside.set_ylim(-end if signed else 0, end)
    bar.outline.set_edgecolor(LIGHT)


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
    figure, axes = sheet(WIDTH - 0.1, height + LINE, title=title)
    bare(axes)
    image = _paint(axes, cells, end)
    axes.set_aspect("auto")
    _number_cells(axes, shape)
    if printed:
        print_cells(axes, rounded(values, 3, end), image.to_rgba(cells, bytes=True))
    _legend(figure, image, BOX[0], signed=values.min() < 0)
    if highlight is not None:
        y, x = divmod(_channel(highlight, len(values)), shape[1])
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec=INK, linewidth=2.5))
    return figure


def _table_shape(count: int, *, printed: bool) -> tuple[int, int]:
    columns = 64 if not printed else 10 if count <= _PRINTED / 2 else 16
    return ceil(count / columns), min(columns, count)


def _number_cells(axes: Axes, shape: tuple[int, int]) -> None:
    """Number each row by its first value, and each column by what to add to that."""
    rows, columns = shape
    some = slice(None, None, ceil(rows / 16)), slice(None, None, ceil(columns / 16))
    plus = "+" if rows > 1 else ""
    axes.set_xticks(range(columns)[some[1]], [f"{plus}{x}" for x in range(columns)[some[1]]])
    if rows > 1:
        axes.set_yticks(range(rows)[some[0]], [str(y * columns) for y in range(rows)[some[0]]])
    axes.tick_params(labelsize=8, labeltop=True, labelbottom=False)


@styled
def kernels(weight: Any, *, title: str | None = None, limit: int = 32) -> Figure:
    """Draw the weights of a convolution in the colours of `feature_maps`, on one scale.

    - `weight`: (O, I, kh, kw), or a layer that has such a `weight`.
    - `limit`: at most so many input and output channels are drawn, and the title then says so.

    With one input channel the kernels stand in a grid, each under the number of its output channel.
    With more, each row is one output channel and each column one input channel: a kernel is as deep
    as its input. White is zero, blue positive, orange negative.

    Raises ValueError for another shape.

    >>> kernels(np.zeros((16, 6, 5, 5)), title="conv2")
    <Figure size 420x514 with 1 Axes>
    """
    hint = "; give the weight of a two-dimensional convolution, such as model.conv1.weight"
    values = shaped(getattr(weight, "weight", weight), "the kernels", "(O, I, kh, kw)", hint)
    if values.shape[1] == 1:
        return feature_maps(values[:, 0], title=title, limit=limit)
    shown = values[:limit, :limit]
    rows, columns, *shape = shown.shape
    mosaic = Mosaic(rows * columns, tuple(shape), columns, box=_KERNELS)
    part = f"{rows} × {columns} of {len(values)} × {values.shape[1]}"
    heading = [title, part if shown.size < values.size else None]
    figure, axes = mosaic.sheet(": ".join(filter(None, heading)), right=_LEGEND + 0.5, below=0.4)
    image = _paint(axes, mosaic.build(shown.reshape(-1, *shape)), largest(values) or 1.0)
    mosaic.number_columns(axes)
    mosaic.number_rows(axes, range(rows))
    axes.set(xlabel="input channel", ylabel="output channel")
    _legend(figure, image, mosaic.size[0], signed=True)
    return figure
