"""How every figure of the course looks: its size, its letters and its colours, in one place."""

from __future__ import annotations

import base64
import functools
import sys
import textwrap
from collections.abc import Callable, Iterable
from math import ceil
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, Normalize

from vizlib.plots import _png

_TITLE_LETTERS, _NARROWEST = 54, 3.0
_LONG = 1e6  # from here on a number is shorter as a power of ten

_P = ParamSpec("_P")

# Sizes in points are matplotlib's own and stay small in proportion to a small figure; it is the
# resolution that makes a letter of 10 points 19 pixels tall, for the back row.
DPI = 140
# Inches: 840 pixels, about the width of a notebook beside its file browser on a small projector.
WIDTH = 6.0
# Inches that an image may take, so that legend and title still fit the screen beside it.
BOX = (WIDTH - 0.9, 2.7)
# Inches that a letter of 9 points is wide and a line of them tall.
LETTER, LINE = 0.078, 0.17

INK, GREY, LIGHT, GAP = "#1a1a1a", "#6b6b6b", "#c9ced6", "#d3d8e0"
# Okabe and Ito's colours, without the yellow that nobody sees on white: they stay apart under
# every common colour blindness. Lines differ by dash and marker as well.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1a1a1a")
BLUE, ORANGE = PALETTE[:2]
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = "osD^vPX"

# Both arms fall in lightness by the same steps (82, 62, 42, 22 of 100), so that a value and its
# opposite are equally strong, on paper without colour as well. Blue and orange are told apart
# under every common colour blindness.
_MINUS = ("#5e2204", "#a64601", "#e47a11", "#ffc07e")
_PLUS = ("#8ad5fe", "#03a0e1", "#0768a0", "#02375d")
# An odd number of colours: the middle one is zero's alone, and it is white.
SIGNED = LinearSegmentedColormap.from_list("signed", [*_MINUS, "#ffffff", *_PLUS], N=255)
COUNTS = LinearSegmentedColormap.from_list("counts", ["#ffffff", *_MINUS[:0:-1]], N=256)

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
    "grid.linewidth": 0.8,
    "text.color": INK,
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
        _tell_notebook()

    def to_png(self) -> bytes:
        """Return the picture as the bytes of a PNG file."""
        return _png.encode(self.pixels())

    def pixels(self) -> np.ndarray:
        """Return the picture as it is drawn, uint8 (height, width, 4) in RGBA."""
        with _settings():
            self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba()).copy()

    def _repr_png_(self) -> str:
        return base64.b64encode(self.to_png()).decode("ascii")


def _tell_notebook() -> None:
    """Have IPython, if this is a notebook, show our figures our way even beside pyplot's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, Figure._repr_png_)


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Let `draw` draw in this style, whatever matplotlib was set to, and leave its settings be.

    The layout is found once and kept: found again at every drawing, it would creep by a pixel.
    """

    @functools.wraps(draw)
    def in_style(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with _settings():
            figure = draw(*args, **kwargs)
            FigureCanvasAgg(figure)
            if figure.get_layout_engine():
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
            return figure

    return in_style


def _settings() -> Any:
    default = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    return mpl.rc_context({**default, **_OURS})


def sheet(
    width: float, height: float, *, title: str | None = None, columns: int = 1
) -> tuple[Figure, Any]:
    """Return an empty white figure with axes of about so many inches, side by side.

    The title comes on top, and a figure too narrow for it becomes wider.
    """
    lines = textwrap.wrap(title or "", _TITLE_LETTERS)
    width = max(width + 0.1, 0.105 * max(map(len, lines), default=0) + 0.2, _NARROWEST)
    height = height + 0.1 + 0.25 * len(lines)
    # Whole pixels, and a trifle over, or inches times pixels per inch may fall a pixel short.
    pixels = (ceil(width * DPI) + 1e-6, ceil(height * DPI) + 1e-6)
    figure = Figure(figsize=(pixels[0] / DPI, pixels[1] / DPI), facecolor="white")
    axes = figure.subplots(1, columns)
    if lines:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", size=11, weight="bold")
    return figure, axes


def line(number: int) -> dict[str, Any]:
    """Return the look of the line with that number: no two share colour, dash and marker."""
    turn = number + number // len(PALETTE)
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": DASHES[turn % len(DASHES)],
        "marker": MARKERS[turn % len(MARKERS)],
    }


def bare(axes: Axes, background: str = "white") -> None:
    """Take the grid, the frame and the ticks off the axes of an image."""
    axes.set(xticks=[], yticks=[], facecolor=background)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def array(values: Any) -> np.ndarray:
    """Return a tensor on any device, a capture stage, or a list of such, as a numpy array."""
    values = getattr(values, "output", values)
    if isinstance(values, list | tuple) and any(map(torch.is_tensor, values)):
        values = torch.stack(list(values))
    if not torch.is_tensor(values):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """Return the values; raise ValueError where some are no numbers (nan or infinite)."""
    lost = values.size - int(np.isfinite(values).sum())
    if lost:
        raise ValueError(
            f"{lost} of the {values.size} values of {what} are nan or infinite and have no "
            "colour; a network that diverged does this: try a smaller learning rate"
        )
    return values


def at_least_one(what: str, value: int | None) -> int | None:
    """Return the value; raise ValueError where it is a number below one."""
    if value is not None and value < 1:
        raise ValueError(f"{what} must be at least 1, but was {value}")
    return value


def symmetric(limit: float) -> Normalize:
    """Return the scale on which zero is the middle and ±limit the ends; 0 counts as 1."""
    return Normalize(-(limit or 1.0), limit or 1.0)


def colours(values: Any, limit: float) -> np.ndarray:
    """Return the colour of each value as uint8 (…, 3): what `feature_maps` paints.

    Zero is white, `limit` and more the darkest blue, `-limit` and less the darkest orange.
    Values nearer to zero than 1/255 of the limit are white as well.

    >>> colours([-2.0, 0.0, 2.0], limit=2.0).tolist()
    [[94, 34, 4], [255, 255, 255], [2, 55, 93]]
    """
    return SIGNED(symmetric(limit)(array(values)), bytes=True)[..., :3]


def short(value: float, digits: int = 3) -> str:
    """Return a number in so many digits, with a true minus sign.

    >>> [short(v) for v in (-0.0, -0.5, 12.345, 1234.5, 1e-7)]
    ['0', '−0.5', '12.3', '1,230', '1e−07']
    """
    text = f"{value + 0.0:.{digits}g}"  # minus zero plus zero is zero
    if "e+" in text and abs(value) < _LONG:
        text = f"{float(text):,.0f}"
    return text.replace("-", "−")


def print_cells(
    axes: Axes, shape: tuple[int, ...], texts: Iterable[str], dark: Iterable[bool]
) -> None:
    """Print texts into the cells of an image, row by row, in white where the cell is dark."""
    for (row, column), text, is_dark in zip(np.ndindex(shape), texts, dark, strict=False):
        colour = "white" if is_dark else INK
        cell = axes.text(column, row, text, ha="center", va="center", size=7.5, color=colour)
        cell.set_in_layout(False)  # it lies inside; measuring it would only take time
