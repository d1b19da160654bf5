"""A white board for equations: things stand where they are put, in inches from the top left."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vizlib.plots._style import DPI, GREY, INK, LIGHT, SIGNED, WIDTH, Figure, short

MARGIN, GAP, HEAD = 0.1, 0.24, 0.24  # inches: around all, between columns, for a row's heading
THUMB = 1.2  # inches that a whole map may be wide or high
_LETTER, _LINE, _SMALL_LINE = 0.078, 0.215, 0.16

# Inches: below this a cell has no room for a number.
READABLE = 0.235
# Inches: below this lines between the cells would hide them.
_LINED = 0.1
_TITLE_LETTERS, _DECIMALS, _WHOLE, _POINTS = 54, 4, 10_000, 72


class Board:
    """A sheet `width` inches wide that is as high as what is put on it."""

    def __init__(self, width: float) -> None:
        """Start empty."""
        self.width = width
        self.figure = Figure(figsize=(width, 1), facecolor="white", layout="none")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()

    def finish(self, height: float) -> Figure:
        """Cut the sheet off at that height."""
        # Whole pixels, and a trifle over, or inches times pixels per inch may fall a pixel short.
        pixels = [ceil(side * DPI) + 1e-6 for side in (self.width, height)]
        self.figure.set_size_inches(*(side / DPI for side in pixels))
        self.axes.set(xlim=(0, self.width), ylim=(height, 0))
        return self.figure

    def heading(self, text: str) -> float:
        """Write the title, and return where it ends."""
        lines = textwrap.wrap(text, _TITLE_LETTERS)
        for number, line in enumerate(lines):
            self.write(line, MARGIN, MARGIN + 0.25 * number, 12, weight="bold")
        return MARGIN + 0.25 * len(lines) + 0.06

    def lines(self, lines: Iterable[str], top: float, width: float = WIDTH) -> float:
        """Write the first line bold and the rest below it, and return where they end."""
        for number, line in enumerate(lines):
            weight, letters = ("normal", _LETTER * 1.06) if number else ("bold", _LETTER * 1.2)
            for piece in textwrap.wrap(line, int(width / letters)):
                self.write(piece, MARGIN, top, 10.5, weight=weight)
                top += _LINE
            top += 0.03
        return top

    def caption(self, text: str, top: float) -> float:
        """Write in small letters what colours and marks mean, and return where the sheet ends."""
        for line in textwrap.wrap(text, 84):
            self.write(line, MARGIN, top + 0.04, 8, color=GREY)
            top += _SMALL_LINE
        return top + 0.12

    def write(self, text: str, left: float, top: float, size: float = 10, **look: Any) -> None:
        """Write a line with its top at `top`."""
        look = {"color": INK, "ha": "left", "va": "top", **look}
        self.axes.text(left, top, text, size=size, **look)

    def cells(
        self,
        values: np.ndarray,
        corner: tuple[float, float],
        side: float,
        end: float,
        *,
        hatched: np.ndarray | None = None,
        texts: Sequence[str] | None = None,
        letters: int = 2,
    ) -> None:
        """Paint values (H, W) of −end…end in square cells, and print them where there is room.

        Cells that are `hatched` are padding: grey and hatched, whatever their value. Cells of nan
        stay empty. `texts` are printed instead of the values' own roundings, so small that as many
        `letters` would find room.
        """
        left, top = corner
        height, width = values.shape
        hatched = np.zeros(values.shape, bool) if hatched is None else hatched
        box = (left, left + width * side, top + height * side, top)
        shown = np.ma.MaskedArray(values, mask=hatched | ~np.isfinite(values))
        look = {"cmap": SIGNED, "vmin": -end, "vmax": end, "aspect": "auto", "zorder": 1}
        self.axes.imshow(shown, extent=box, **look)
        for row, column in zip(*hatched.nonzero(), strict=True):
            self._hatch(left + column * side, top + row * side, side)
        self._grid(corner, values.shape, side)
        if side >= READABLE:
            texts = rounded(values.ravel()) if texts is None else texts
            size = _letter_size(side, max(letters, *map(len, texts)))
            self._print(texts, corner, side, np.abs(shown).filled(0) > end / 2, size)

    def _hatch(self, left: float, top: float, side: float) -> None:
        look = {"facecolor": "#f4f4f4", "edgecolor": "#b5b5b5", "linewidth": 0, "zorder": 1}
        self.axes.add_patch(Rectangle((left, top), side, side, hatch="/////", **look))

    def _grid(self, corner: tuple[float, float], shape: Sequence[int], side: float) -> None:
        (left, top), (height, width) = corner, shape
        xs, ys = left + np.arange(width + 1) * side, top + np.arange(height + 1) * side
        if side < _LINED:
            xs, ys = xs[[0, -1]], ys[[0, -1]]
        look = {"color": LIGHT, "linewidth": 0.7, "zorder": 2}
        self.axes.vlines(xs, ys[0], ys[-1], **look)
        self.axes.hlines(ys, xs[0], xs[-1], **look)

    def _print(
        self,
        texts: Sequence[str],
        corner: tuple[float, float],
        side: float,
        dark: np.ndarray,
        size: float,
    ) -> None:
        look = {"ha": "center", "va": "center", "zorder": 3, "size": size}
        for (row, column), text in zip(np.ndindex(dark.shape), texts, strict=True):
            x, y = corner[0] + (column + 0.5) * side, corner[1] + (row + 0.5) * side
            self.axes.text(x, y, text, color="white" if dark[row, column] else INK, **look)

    def frame(
        self, corner: tuple[float, float], width: float, height: float, *, line: float = 2
    ) -> None:
        """Draw a black frame that shows on every colour."""
        for colour, wide in (("white", line + 2), (INK, line)):
            look = {"fill": False, "edgecolor": colour, "linewidth": wide, "zorder": 4}
            self.axes.add_patch(Rectangle(corner, width, height, **look))


def _letter_size(side: float, letters: int) -> float:
    """Return the points in which so many letters fit a cell."""
    return min(12.0, side * _POINTS * 0.88 / (0.62 * letters))


class Thumb:
    """A whole map (H, W) drawn small, with the padding that a window reads, and its window."""

    def __init__(
        self,
        size: Sequence[int],
        places: Sequence[Sequence[int | None]],
        inches: float = THUMB,
    ) -> None:
        """Take the positions of the window's taps along each axis, None where it has none."""
        known = [[p for p in positions if p is not None] for positions in two(places)]
        pairs = list(zip(size, known, strict=True))
        self.starts = [min(0, *taps, 0) for _, taps in pairs]
        self.shape = tuple(
            max(count, *(tap + 1 for tap in taps), 1) - start
            for (count, taps), start in zip(pairs, self.starts, strict=True)
        )
        self.window = [(min(taps), max(taps) + 1) for taps in known if taps]
        self.side = inches / max(self.shape)

    @property
    def height(self) -> float:
        """Its height in inches."""
        return self.shape[0] * self.side

    def draw(
        self, board: Board, values: np.ndarray, corner: tuple[float, float], end: float
    ) -> None:
        """Draw values of −end…end, padding hatched, and a frame where the window lies."""
        whole, (above, before) = np.full(self.shape, np.nan), (-start for start in self.starts)
        whole[above : above + values.shape[0], before : before + values.shape[1]] = values
        outside = np.ones(self.shape, bool)
        outside[above : above + values.shape[0], before : before + values.shape[1]] = False
        board.cells(whole, corner, self.side, end, hatched=outside)
        self.frame(board, corner, self.window)

    def photograph(self, board: Board, values: np.ndarray, corner: tuple[float, float]) -> None:
        """Draw values from black, the smallest, to white, with a frame where the window lies."""
        (left, top), (height, width) = corner, values.shape
        box = (left, left + width * self.side, top + height * self.side, top)
        board.axes.imshow(values, cmap="gray", extent=box, aspect="auto", zorder=1)
        self.frame(board, corner, self.window)

    def frame(
        self,
        board: Board,
        corner: tuple[float, float],
        window: Sequence[tuple[int, int]],
        *,
        line: float = 2,
    ) -> None:
        """Frame the rows and the columns from … up to … of a map at that corner, if there are."""
        if len(window) == len(self.shape):
            (top, bottom), (left, right) = window
            x = corner[0] + (left - self.starts[1]) * self.side
            y = corner[1] + (top - self.starts[0]) * self.side
            board.frame((x, y), (right - left) * self.side, (bottom - top) * self.side, line=line)


def two(places: Sequence[Any]) -> Sequence[Any]:
    """Return positions for rows and columns, where in one dimension all is one row."""
    return places if len(places) > 1 else ((0,), *places)


def grid(values: np.ndarray) -> np.ndarray:
    """Return a patch (C, kh, kw), (kh, kw) or (k,) as (C, kh, kw), of one dimension as one row."""
    return values.reshape(-1, *((1, 1, *values.shape)[-2:]))


def rounded(values: Iterable[float]) -> list[str]:
    """Return numbers for narrow cells: as many decimals each as give the largest two digits.

    A zero before the decimal point is left out, as on a blackboard; whole numbers stay whole, and
    what rounds to zero is written 0.

    >>> rounded([0.123, -1.5, 0.0, -0.001]), rounded([3.0, -12.0]), rounded([0.0123, -0.6e-3])
    (['.1', '−1.5', '0', '0'], ['3', '−12'], ['.012', '−.001'])
    >>> rounded([float("-inf"), 2.5, float("nan")])
    ['−∞', '2.5', '']
    """
    values = np.asarray(list(values), dtype=float)
    known = values[np.isfinite(values)]
    largest = np.abs(known).max(initial=0)
    if (known == known.round()).all() and largest < _WHOLE:
        return [_decimal(value, 0) for value in values]
    decimals = max(0, 1 - floor(log10(largest)))
    if decimals > _DECIMALS or largest >= _WHOLE:
        return [short(value, 1) if value else "0" for value in values]
    return [_decimal(value, decimals) for value in values]


def _decimal(value: float, decimals: int) -> str:
    if not np.isfinite(value):
        return "" if np.isnan(value) else "−∞" if value < 0 else "∞"
    if not round(value, decimals):
        return "0"
    text = f"{value:.{decimals}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text
