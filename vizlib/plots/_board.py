"""A white board for equations: things stand where they are put, in inches from the top left.

Numbers in cells are drawn on it, where each cell has to be as large as its number needs. Pictures
with axes and legends are laid out by matplotlib instead: see `_figure.sheet`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from math import floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vizlib.plots._figure import DPI, LETTER, POINTS, TITLE_LETTERS, WIDTH, Figure, in_inches
from vizlib.plots._style import GREY, INK, LIGHT, SIGNED, colours, largest, letters_on, symmetric
from vizlib.words import short

# Inches: around all, between columns, for a row's heading, and what a whole map may take.
MARGIN = 0.1
GAP = 0.24
HEAD = 0.24
THUMB = 1.2
COLOURS = "White is zero, blue positive, orange negative"

# Inches: below the first a cell has no room for a number, below the second lines would hide it.
_READABLE = 0.235
_LINED = 0.1
# Inches of a line, of the title, of the sentences and of the caption; and letters in that.
_TITLE_LINE = 0.25
_LINE = 0.215
_SMALL_LINE = 0.16
_CAPTION_LETTERS = 102
# Numbers for cells: decimals at most, and where a whole number becomes too long.
_DECIMALS = 4
_WHOLE = 10_000

Corner = tuple[float, float]
# Rows and columns of cells in a frame: top, left, height, width.
Box = Sequence[int]
# For each axis the position of each tap of a window, None where it has none.
Places = Sequence[Sequence[int | None]]


class Board:
    """A sheet that is as high as what is put on it."""

    def __init__(self) -> None:
        """Start empty."""
        self.figure = Figure(figsize=(WIDTH, 1), layout="none")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()

    def finish(self, height: float) -> Figure:
        """Cut the sheet off at that height."""
        self.figure.set_size_inches(in_inches(WIDTH * DPI), in_inches(height * DPI))
        self.axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        return self.figure

    def heading(self, text: str) -> float:
        """Write the title, and return where it ends."""
        top = MARGIN
        for line in textwrap.wrap(text, TITLE_LETTERS):
            self.write(line, (MARGIN, top), 12, bold=True)
            top += _TITLE_LINE
        return top + 0.06

    def lines(self, lines: Iterable[str], top: float, width: float = WIDTH) -> float:
        """Write the first line bold and the rest below it, and return where they end."""
        for number, line in enumerate(lines):
            letter = LETTER * (1.06 if number else 1.2)
            for piece in textwrap.wrap(line, int(width / letter)):
                self.write(piece, (MARGIN, top), 10.5, bold=not number)
                top += _LINE
            top += 0.03
        return top

    def caption(self, text: str, top: float) -> float:
        """Write in small letters what colours and marks mean, and return where the sheet ends."""
        for line in textwrap.wrap(text, _CAPTION_LETTERS):
            self.write(line, (MARGIN, top + 0.04), 8, color=GREY)
            top += _SMALL_LINE
        return top + 0.12

    def write(
        self, text: str, corner: Corner, size: float = 10, *, bold: bool = False, color: str = INK
    ) -> None:
        """Write a line with its top left at the corner."""
        weight = "bold" if bold else "normal"
        self.axes.text(*corner, text, size=size, weight=weight, color=color, va="top")

    def cells(
        self,
        values: np.ndarray,
        corner: Corner,
        side: float,
        end: float,
        *,
        hatched: np.ndarray | None = None,
        frames: Sequence[Box] = (),
        most: float | None = None,
    ) -> float:
        """Paint values (H, W) of −end…end in square cells, and return where they end.

        They are printed where there is room, with as many decimals as beside a number of `most`;
        cells of nan stay empty. `hatched`: bool (H, W), cells of padding, whatever their value.
        """
        hatched = np.zeros(values.shape, bool) if hatched is None else hatched
        shown = np.ma.MaskedArray(values, mask=hatched | ~np.isfinite(values))
        box = _extent(corner, values.shape, side)
        norm = symmetric(end)
        self.axes.imshow(shown, cmap=SIGNED, norm=norm, extent=box, aspect="auto", zorder=1)
        for row, column in zip(*hatched.nonzero(), strict=True):
            place = corner[0] + column * side, corner[1] + row * side
            patch = Rectangle(place, side, side, fc="#f4f4f4", ec="#b5b5b5", lw=0, zorder=1)
            patch.set_hatch("/////")
            self.axes.add_patch(patch)
        self._grid(corner, values.shape, side)
        if side >= _READABLE:
            texts = rounded(values.ravel(), end=most)
            size = min(12.0, side * POINTS * 0.88 / (0.62 * max(2, *map(len, texts))))
            print_cells(self.axes, texts, colours(shown.filled(0), end), corner, side, size)
        self.frame(frames, corner, side)
        return box[2]

    def _grid(self, corner: Corner, shape: Sequence[int], side: float) -> None:
        """Draw lines between the cells; around small cells only one frame."""
        (left, top), (height, width) = corner, shape
        xs, ys = left + np.arange(width + 1) * side, top + np.arange(height + 1) * side
        if side < _LINED:
            xs, ys = xs[[0, -1]], ys[[0, -1]]
        self.axes.vlines(xs, ys[0], ys[-1], color=LIGHT, linewidth=0.7, zorder=2)
        self.axes.hlines(ys, xs[0], xs[-1], color=LIGHT, linewidth=0.7, zorder=2)

    def picture(self, values: np.ndarray, corner: Corner, side: float) -> None:
        """Draw values (H, W) in grey, from black for the smallest to white for the largest."""
        box = _extent(corner, values.shape, side)
        self.axes.imshow(values, cmap="gray", extent=box, aspect="auto", zorder=1)

    def frame(self, boxes: Sequence[Box], corner: Corner, side: float, line: float = 2) -> None:
        """Draw black frames that show on every colour around cells of that side."""
        for top, left, height, width in boxes:
            place = corner[0] + left * side, corner[1] + top * side
            for colour, wide in (("white", line + 2), (INK, line)):
                size = width * side, height * side
                frame = Rectangle(place, *size, fill=False, ec=colour, lw=wide, zorder=4)
                self.axes.add_patch(frame)


def _extent(corner: Corner, shape: Sequence[int], side: float) -> tuple[float, float, float, float]:
    left, top = corner
    return left, left + shape[1] * side, top + shape[0] * side, top


def print_cells(
    axes: Axes,
    texts: Sequence[str],
    behind: np.ndarray,
    corner: Corner = (-0.5, -0.5),
    side: float = 1,
    size: float = 7.5,
) -> None:
    """Print texts in cells row by row, in black or white, whatever is read better on the colour.

    `behind` are the colours of the cells, uint8 (H, W, 3).
    """
    inks = letters_on(behind)
    for (row, column), text in zip(np.ndindex(inks.shape), texts, strict=False):
        x, y = corner[0] + (column + 0.5) * side, corner[1] + (row + 0.5) * side
        ink = inks[row, column]
        cell = axes.text(x, y, text, ha="center", va="center", size=size, color=ink)
        cell.set_in_layout(False)  # it lies inside; measuring it would only take time


class Thumb:
    """A whole map (H, W) drawn small, with the padding that a window reads, and its window.

    `places` are the positions of the window's taps along each axis.
    """

    def __init__(self, values: np.ndarray, places: Places, inches: float = THUMB) -> None:
        """Make room for the taps that lie beyond the map."""
        taps = [[p for p in axis if p is not None] for axis in ((0,), *places)[-2:]]
        pairs = list(zip(taps, values.shape, strict=True))
        around = [(-min([0, *own]), max([0, *(p + 1 - n for p in own)])) for own, n in pairs]
        self.before = [before for before, _ in around]
        self.values = np.pad(values, around, constant_values=np.nan)
        self.hatched = np.pad(np.zeros(values.shape, bool), around, constant_values=True)
        self.side = inches / max(self.values.shape)
        self.window = [self.box(*taps)] if all(taps) else []

    def box(self, rows: Sequence[int], columns: Sequence[int]) -> Box:
        """Return the box of cells that reaches from the least to the greatest of those."""
        tops = [min(own) + before for own, before in zip((rows, columns), self.before, strict=True)]
        return (*tops, max(rows) + 1 - min(rows), max(columns) + 1 - min(columns))

    def draw(self, board: Board, corner: Corner, end: float) -> float:
        """Draw values of −end…end, padding hatched, and a frame where the window lies."""
        return board.cells(
            self.values, corner, self.side, end, hatched=self.hatched, frames=self.window
        )


def grid(values: np.ndarray) -> np.ndarray:
    """Return a patch (C, kh, kw), (kh, kw) or (k,) as (C, kh, kw); a signal is one row."""
    return values.reshape(-1, *((1, 1, *values.shape)[-2:]))


def end_of(values: Any) -> float:
    """Return the value that gets the darkest colour; where all values are zero, 1."""
    return largest(values) or 1.0


def rounded(values: Iterable[float], digits: int = 2, end: float | None = None) -> list[str]:
    """Return numbers for cells, with as many decimals each as give the largest two digits.

    What rounds to zero is written 0. In cells for two digits whole numbers stay whole, and a zero
    before the decimal point is left out, as on a blackboard. `end` is the largest number that there
    may be, where it is not the largest of these.

    >>> rounded([0.123, -1.5, 0.0, -0.001]), rounded([3.0, -12.0]), rounded([0.0123, -0.6e-3])
    (['.1', '−1.5', '0', '0'], ['3', '−12'], ['.012', '−.001'])
    >>> rounded([float("-inf"), 2.5, float("nan")]), rounded([0.1234], digits=3)
    (['−∞', '2.5', ''], ['0.123'])
    """
    numbers = np.asarray(list(values), dtype=float)
    known = numbers[np.isfinite(numbers)]
    most = largest(known) if end is None else end
    is_narrow = digits <= 2  # noqa: PLR2004 - no room for a zero before the point
    if is_narrow and (known == known.round()).all() and most < _WHOLE:
        return [_decimal(value, 0) for value in numbers]
    decimals = max(0, digits - 1 - floor(log10(most)))
    if decimals > _DECIMALS or most >= _WHOLE:
        return [short(value, digits - 1) if value else "0" for value in numbers]
    texts = [_decimal(value, decimals) for value in numbers]
    return [re.sub(r"^(−?)0\.", r"\1.", text) for text in texts] if is_narrow else texts


def _decimal(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}" if round(value, decimals) else "0"
    return text.replace("-", "−").replace("inf", "∞").replace("nan", "")
