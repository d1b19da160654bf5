"""A figure: how it is made, in one style for all, and how it becomes a small picture.

A lesson holds twenty pictures and has to stay small. As PNG files with a palette they take a third
of what true colour takes: a figure has few colours that cover much, and thousands at the edges of
its letters, where a neighbouring colour does as well.
"""

from __future__ import annotations

import base64
import functools
import struct
import sys
import textwrap
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import ceil
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vizlib.plots._style import GREY, INK

_P = ParamSpec("_P")

# Sizes in points are matplotlib's own and stay small in proportion to a small figure; it is the
# resolution that makes a letter of 10 points 19 pixels tall, for the back row.
DPI = 140
# Inches: 840 pixels, about the width of a notebook beside its file browser on a small projector.
WIDTH = 6.0
# Inches that an image may take, so that legend and title still fit the screen beside it.
BOX = (WIDTH - 0.9, 2.7)
# Inches that a letter of 9 points is wide and a line of them tall.
LETTER = 0.078
LINE = 0.17

POINTS = 72  # in an inch

# Letters that a line holds, of text and of a title, and inches of the narrowest figure.
_LETTERS = 100
TITLE_LETTERS = 54
_NARROWEST = 3.0
# Greys for the edges of black letters on white, whatever else a picture is made of.
_GREYS = np.linspace(0, 255, 16, dtype=np.float32)[:, None].repeat(3, axis=1)
_FREQUENT = 48
_SIZE = 256

_OURS = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "text.color": INK,
    # A layer's name may have a $ in it, and is no formula.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "image.interpolation": "nearest",
}


class Figure(mpl.figure.Figure):
    """A figure that shows itself as the last line of a cell, with no set-up and no pyplot.

    Its picture is the same whether or not the notebook has imported pyplot, whose own way of
    showing a figure would cut its margins and depend on what was set elsewhere.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what matplotlib's figure takes."""
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)
        _tell_notebook()

    def to_png(self) -> bytes:
        """Return the picture as the bytes of a PNG file."""
        return png(self.pixels())

    def pixels(self) -> np.ndarray:
        """Return the picture as it is drawn, uint8 (height, width, 4) in RGBA."""
        canvas: Any = self.canvas
        with _settings():
            canvas.draw()
        return np.asarray(canvas.buffer_rgba()).copy()

    def _repr_png_(self) -> str:
        return base64.b64encode(self.to_png()).decode("ascii")


def _tell_notebook() -> None:
    """Tell IPython, if this is a notebook, to show our figures as we do, with pyplot or without."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, Figure._repr_png_)


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw in this style, whatever matplotlib is set to, and change none of its settings.

    The layout is found once and kept: found again at every drawing, it would move by a pixel.
    """

    @functools.wraps(draw)
    def in_style(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with _settings():
            figure = draw(*args, **kwargs)
            if figure.get_layout_engine():
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
            return figure

    return in_style


def _settings() -> AbstractContextManager[None]:
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_OURS}
    del settings["backend"]  # it belongs to the notebook
    return mpl.rc_context(settings)


def sheet(
    width: float, height: float, *, title: str | None = None, columns: int = 1
) -> tuple[Figure, Any]:
    """Return an empty white figure with axes of about so many inches, side by side.

    The title comes on top, and a figure too narrow for it becomes wider.
    """
    lines = textwrap.wrap(title or "", TITLE_LETTERS)
    width = max(width + 0.1, 0.105 * max(map(len, lines), default=0) + 0.2, _NARROWEST)
    height = height + 0.1 + 0.25 * len(lines)
    figure = Figure(figsize=(in_inches(width * DPI), in_inches(height * DPI)))
    axes = figure.subplots(1, columns)
    if lines:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", size=11, weight="bold")
    return figure, axes


def in_inches(pixels: float) -> float:
    """Return the inches of so many whole pixels."""
    # A trifle over, or inches times pixels per inch may fall a pixel short.
    return (ceil(pixels) + 1e-6) / DPI


def bare(axes: Axes) -> None:
    """Take the grid, the frame and the ticks off the axes of an image."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


@styled
def together(*rows: Sequence[Figure]) -> Figure:
    """Return rows of figures as one figure; each looks as it was, pixel for pixel.

    The figures of a row stand side by side, at the top of their row; the rows stand one below the
    other, at the left. Raises ValueError where there is no figure.

    >>> from vizlib import plots
    >>> digit = plots.images(np.zeros((28, 28), np.uint8))
    >>> whole = together([digit, digit], [digit])
    >>> whole.pixels().shape[1] == 2 * digit.pixels().shape[1]
    True
    """
    pictures = [[figure.pixels() for figure in row] for row in rows if row]
    if not pictures:
        raise ValueError("together needs at least one figure, in a row such as [figure]")
    heights = [max(len(picture) for picture in row) for row in pictures]
    width, height = max(sum(each.shape[1] for each in row) for row in pictures), sum(heights)
    whole = Figure(figsize=(in_inches(width), in_inches(height)), layout="none")
    for row, top in zip(pictures, np.cumsum(heights) - heights, strict=True):
        lefts = np.cumsum([0, *(picture.shape[1] for picture in row)])
        for picture, left in zip(row, lefts, strict=False):
            whole.figimage(picture, left, height - top - len(picture))
    return whole


def png(pixels: np.ndarray) -> bytes:
    r"""Return the bytes of a PNG file of pixels uint8 (H, W, 3 or more): red, green and blue.

    Up to 256 colours are exact. Of more, sixteen greys from black to white and the 48 colours that
    cover most are exact; the other 192 are chosen one by one, each where most pixels are furthest
    from what they would get.

    >>> png(np.zeros((2, 2, 3), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    colours, indexes = _palette(pixels)
    height, width = indexes.shape
    rows = np.pad(indexes, ((0, 0), (1, 0)))  # each row begins with its filter: 0 for none
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _palette(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most 256 colours uint8 (P, 3) and the number of each pixel's, uint8 (H, W)."""
    codes = pixels[..., :3].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1).astype(np.float32)
    palette, nearest = colours, np.arange(len(colours))
    if len(colours) > _SIZE:
        palette, nearest = _chosen(colours, counts)
    return palette.astype(np.uint8), nearest[which].reshape(codes.shape).astype(np.uint8)


def _chosen(colours: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the palette (P, 3) and, for each colour, the number of its nearest in it."""
    frequent = colours[np.argsort(-counts, kind="stable")[:_FREQUENT]]
    palette = list(np.concatenate([_GREYS, frequent]))
    nearest = np.zeros(len(colours), np.int64)
    distance = np.full(len(colours), np.inf)
    for number in range(_SIZE):
        if number == len(palette):
            palette.append(colours[(distance * counts).argmax()])
        to_this = ((colours - palette[number]) ** 2).sum(axis=1)
        closer = to_this < distance
        nearest[closer], distance[closer] = number, to_this[closer]
    return np.array(palette), nearest


@styled
def words(lines: Sequence[str], *, title: str | None = None) -> Figure:
    """Draw lines of text; long ones are broken.

    >>> words(["3·2 + 1 = 7", "torch says 7"], title="the sum")
    <Figure size 840x133 with 1 Axes>
    """
    broken = [part for line in lines for part in textwrap.wrap(line, _LETTERS) or [""]]
    figure, axes = sheet(WIDTH - 0.1, 0.2 * max(1, len(broken)) + 0.2, title=title)
    axes.axis("off")
    axes.text(0, 1, "\n".join(broken), va="top", size=9, transform=axes.transAxes)
    return figure
