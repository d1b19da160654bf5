"""Many small pictures as one array on one axes.

Sixty-four maps as sixty-four axes take twenty times as long to draw as one mosaic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vizlib.plots import _style
from vizlib.plots._figure import BOX, LETTER, LINE, Figure, bare, sheet
from vizlib.plots._style import INK, ORANGE

_FINE = 16  # a tile has at least so many rows or columns, so that a gap of one is thin
_SMALLEST = 0.25  # inches of a tile that is worth a number of its own
_POINTS = 72  # in an inch


class Mosaic:
    """Where each of `count` tiles of `shape` (height, width) values goes, in rows of `columns`.

    A value takes `zoom` × `zoom` entries of the whole array. Above each tile is a strip for its
    number or title, at most `letters` long; where there is none, or no room for it
    (`has_room` is False), the strip is a gap.

    >>> mosaic = Mosaic(6, (24, 24))
    >>> mosaic.rows, mosaic.columns, mosaic.corner(0), mosaic.corner(1)
    (2, 3, (2, 2), (2, 28))
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, ...],
        columns: int | None = None,
        *,
        letters: int = 0,
        box: tuple[float, float] = BOX,
    ) -> None:
        """Choose the columns that make the tiles largest, if none are given."""
        _style.at_least_one("columns", columns)
        self.count, self.box, self.zoom = count, box, ceil(_FINE / max(shape))
        self.height, self.width = (side * self.zoom for side in shape)
        self.gap = ceil(max(self.height, self.width) / _FINE)
        self.has_room = letters > 0 and self._arrange(columns, letters)
        if not self.has_room:
            self._arrange(columns, 0)
        self.strip = max(self.gap, ceil(LINE / self.scale)) if self.has_room else self.gap

    def _arrange(self, columns: int | None, letters: int) -> bool:
        """Set columns, rows and scale; return whether so many letters fit above a tile."""
        wide = max(1, int(self.box[0] / (LETTER * letters))) if letters else self.count
        self.columns = min(columns or self._best_columns(wide, letters), self.count)
        self.rows = ceil(self.count / self.columns)
        self.scale = self._scale(self.columns, letters)
        return self.scale * self.width >= max(_SMALLEST, LETTER * letters)

    def _scale(self, columns: int, letters: int) -> float:
        """Return the inches of one entry; each row of tiles has a line for the letters."""
        across = self.box[0] / (columns * (self.width + self.gap) + self.gap)
        line = LINE if letters else 0.0
        down = (self.box[1] / ceil(self.count / columns) - line) / (self.height + self.gap)
        return max(min(across, down), 1e-4)

    def _best_columns(self, most: int, letters: int) -> int:
        """Return the columns with the largest tiles; full rows count for a quarter more."""

        def worth(columns: int) -> float:
            return self._scale(columns, letters) * (1.0 if self.count % columns else 1.25)

        return max(range(1, min(most, self.count) + 1), key=worth)

    def corner(self, tile: int) -> tuple[int, int]:
        """Return the row and the column of the array where a tile begins."""
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
        """Return tiles (count, height, width, …) as one array, masked between the tiles."""
        shape = (*self.shape, *tiles.shape[3:])
        whole = np.ma.MaskedArray(np.zeros(shape, tiles.dtype), mask=True)
        zoomed = tiles.repeat(self.zoom, axis=1).repeat(self.zoom, axis=2)
        for number, tile in enumerate(zoomed):
            top, left = self.corner(number)
            whole[top : top + self.height, left : left + self.width] = tile
        return whole

    @property
    def size(self) -> tuple[float, float]:
        """The width and height of the whole in inches, within `box`."""
        return self.shape[1] * self.scale, self.shape[0] * self.scale

    def sheet(
        self, title: str | None, right: float = 0.0, below: float = 0.0
    ) -> tuple[Figure, Axes]:
        """Return a figure with bare axes for this array, and inches beside it and below it."""
        figure, axes = sheet(self.size[0] + right, self.size[1] + below, title=title)
        bare(axes)
        axes.set_anchor("W")
        return figure, axes

    def write(self, axes: Axes, texts: Sequence[str]) -> None:
        """Write a text above each tile, starting at its left edge, with true minus signs."""
        for tile, text in enumerate(re.sub(r"(?<!\S)-(?=[\d.])", "−", each) for each in texts):
            top, left = self.corner(tile)
            label = axes.text(left - 0.5, top - 0.5, text, va="bottom", fontsize=9)
            label.set_in_layout(False)  # it lies inside; measuring it would only take time

    def number_rows(self, axes: Axes, numbers: Sequence[int]) -> None:
        """Write a number at the left of each row, of as many rows as there is room for."""
        tops = [self.corner(tile)[0] for tile in self.firsts]
        step = self.scale * (self.height + self.strip)
        some = slice(None, None, ceil(LINE / step))
        middles = [top + (self.height - 1) / 2 for top in tops]
        axes.set_yticks(middles[some], list(map(str, numbers[some])), fontsize=8)

    def number_columns(self, axes: Axes) -> None:
        """Write the number of each column below it, of as many as there is room for."""
        lefts = [self.corner(tile)[1] for tile in range(self.columns)]
        step = self.scale * (self.width + self.gap)
        some = slice(None, None, ceil(3 * LETTER / step))
        middles = [left + (self.width - 1) / 2 for left in lefts]
        axes.set_xticks(middles[some], list(map(str, range(self.columns)[some])), fontsize=8)

    def frame(self, axes: Axes, tile: int) -> None:
        """Draw a black frame around one tile and its text."""
        top, left = self.corner(tile)
        above, beside = (self.strip if self.has_room else self.gap / 2), self.gap / 2
        size = (self.width + 2 * beside, self.height + above + beside)
        corner = (left - 0.5 - beside, top - 0.5 - above)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=INK, linewidth=2.5))

    def mark(self, axes: Axes, tile: int, box: Sequence[int]) -> None:
        """Draw an orange frame on the outermost values of a box of one tile."""
        top, left, bottom, right = (side * self.zoom for side in box)
        own_top, own_left = self.corner(tile)
        # Half a line within the box: a box of the whole image would else lie in the gaps.
        line = 2.0
        inset = line / 2 / _POINTS / self.scale
        corner = (own_left + left - 0.5 + inset, own_top + top - 0.5 + inset)
        size = (right - left - 2 * inset, bottom - top - 2 * inset)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=ORANGE, linewidth=line))


def longest(texts: Iterable[str]) -> int:
    """Return the letters of the longest text."""
    return max(map(len, texts), default=0)
