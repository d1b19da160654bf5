"""Images side by side: digits, maps, the steps of a preparation; and one photograph.

Many small pictures are one array on one axes: sixty-four as sixty-four axes take twenty times as
long to draw.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from vizlib.plots._figure import BOX, LETTER, LINE, POINTS, WIDTH, Figure, bare, sheet, styled
from vizlib.plots._style import INK, LIGHT, ORANGE, at_least_one, shaped

# Steps side by side, and letters that the name of one may have in a line.
_COLUMNS = 4
_LETTERS = 16
_FINE = 16  # a tile has at least so many rows or columns, so that a gap of one is thin
_SMALLEST = 0.25  # inches of a tile that is worth a number of its own


class Mosaic:
    """Where each of `count` tiles of `shape` (height, width) values goes, in rows of `columns`.

    A value takes `zoom` × `zoom` entries of the whole array. Above each tile is a strip for its
    text; where there is none, or no room for it (`has_room` is False), the strip is a gap.

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
        texts: Sequence[str] = (),
        box: tuple[float, float] = BOX,
    ) -> None:
        """Choose the columns that make the tiles largest, if none are given."""
        at_least_one("columns", columns)
        self.count, self.box, self.texts = count, box, texts
        self.zoom = ceil(_FINE / max(shape))
        self.height, self.width = (side * self.zoom for side in shape)
        self.gap = ceil(max(self.height, self.width) / _FINE)
        letters = max(map(len, texts), default=0)
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

    def write(self, axes: Axes) -> None:
        """Write the texts above the tiles, at their left edges, with true minus signs."""
        for tile, each in enumerate(self.texts):
            (top, left), text = self.corner(tile), re.sub(r"(?<!\S)-(?=[\d.])", "−", each)
            label = axes.text(left - 0.5, top - 0.5, text, va="bottom", fontsize=9)
            label.set_in_layout(False)  # it lies inside; measuring it would only take time

    def number_rows(self, axes: Axes, numbers: Sequence[int]) -> None:
        """Write a number at the left of each row, of as many rows as there is room for."""
        step = self.scale * (self.height + self.strip)
        some = slice(None, None, ceil(LINE / step))
        middles = [self.corner(tile)[0] + (self.height - 1) / 2 for tile in self.firsts]
        axes.set_yticks(middles[some], list(map(str, numbers[some])), fontsize=8)

    def number_columns(self, axes: Axes) -> None:
        """Write the number of each column below it, of as many as there is room for."""
        step = self.scale * (self.width + self.gap)
        some = slice(None, None, ceil(3 * LETTER / step))
        middles = [self.corner(tile)[1] + (self.width - 1) / 2 for tile in range(self.columns)]
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
        inset = line / 2 / POINTS / self.scale
        corner = (own_left + left - 0.5 + inset, own_top + top - 0.5 + inset)
        size = (right - left - 2 * inset, bottom - top - 2 * inset)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=ORANGE, linewidth=line))


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

    - `images`: (N, H, W) or (N, 1, H, W), or one image (H, W); (N, 3, H, W) is drawn in its own
      red, green and blue. Bytes (uint8) are dark at 0 and full at 255. Floats, normalized ones too,
      are dark at the least and full at the greatest value of all images.
    - `titles`: short texts above them, such as labels.
    - `columns`: images in a row; fewer where the titles are long.
    - `limit`: at most so many images are drawn, and the figure's title then says of how many.
    - `boxes`: (top, left, bottom, right) for each image, as `arithmetic.receptive_field` returns
      them: an orange frame on the outermost pixels in it.

    Raises ValueError for another shape, or where there are not as many titles or boxes as images.

    >>> images(np.zeros((3, 28, 28), np.uint8), titles=[7, 2, 1])
    <Figure size 728x278 with 1 Axes>
    >>> images(np.zeros((28, 28), np.uint8), boxes=[(9, 9, 14, 14)])
    <Figure size 420x418 with 1 Axes>
    """
    colours = _as_colours(images)
    shown, count = colours[: at_least_one("limit", limit)], len(colours)
    texts = [str(title) for title in _one_each(titles, count, "titles")][:limit]
    frames = _one_each(boxes, count, "boxes")[:limit]
    mosaic = _with_room(len(shown), shown.shape[1:3], columns, texts)
    figure, axes = mosaic.sheet(f"the first {limit} of {count:,} images" if count > limit else None)
    axes.imshow(mosaic.build(shown).filled(255))
    mosaic.write(axes)
    for tile, box in enumerate(frames):
        mosaic.mark(axes, tile, box)
    return figure


def _with_room(
    count: int, shape: tuple[int, ...], columns: int | None, texts: Sequence[str]
) -> Mosaic:
    """Return a mosaic whose tiles are as wide as their titles, and as high as that takes."""
    mosaic = Mosaic(count, shape, columns, texts=texts)
    if mosaic.has_room or not any(texts):
        return mosaic
    width = LETTER * max(map(len, texts)) * 1.1
    columns = max(1, min(columns or count, int(BOX[0] / width)))
    height = ceil(count / columns) * (width * shape[0] / shape[1] + LINE) * 1.1
    return Mosaic(count, shape, columns, texts=texts, box=(BOX[0], max(BOX[1], height)))


def _as_colours(images: Any) -> np.ndarray:
    """Return the images as uint8 (N, H, W, 3)."""
    axes = "(H, W) or (N, H, W) or (N, 1, H, W) or (N, 3, H, W)"
    values = shaped(images, "the images", axes)
    if values.ndim < len("NCHW"):
        values = values.reshape(-1, 1, *values.shape[-2:])
    if values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        values = np.round((values - low) / (high - low or 1.0) * 255).astype(np.uint8)
    last = np.moveaxis(values, 1, -1)
    return np.broadcast_to(last, (*last.shape[:-1], 3))


def _one_each(given: Sequence[Any] | None, count: int, what: str) -> list[Any]:
    if given is not None and len(given) != count:
        raise ValueError(f"there are {count} images, but {len(given)} {what}; give one for each")
    return [] if given is None else list(given)


@styled
def steps(pictures: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """Draw pictures of any size in rows of four, each below its name and its size.

    `pictures` has uint8 (H, W) by name, as `handwriting.prepare(…).steps` has them: 0 is black and
    255 white in every picture. Each is drawn as large as its place allows, in a thin grey frame; of
    small ones the pixels can be seen. The true height × width is written above it.

    Raises ValueError where there is no picture, or one that is not uint8 (H, W).

    >>> steps({"drawn": np.zeros((280, 280), np.uint8), "centred": np.zeros((28, 28), np.uint8)})
    <Figure size 840x270 with 1 Axes>
    """
    values = {name: _as_picture(name, picture) for name, picture in pictures.items()}
    if not values:
        raise ValueError("steps needs at least one picture, as in steps({'drawn': image})")
    rows = ceil(len(values) / _COLUMNS)
    figure, axes = sheet(WIDTH - 0.1, 1.825 * rows, title=title)
    axes.set_axis_off()
    for place, (name, picture) in enumerate(values.items()):
        row, column = divmod(place, _COLUMNS)
        corner = column / _COLUMNS, 1 - (row + 1) / rows
        own = axes.inset_axes((*corner, 0.96 / _COLUMNS, 0.72 / rows), anchor="N")
        own.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="auto")
        bare(own)
        own.spines[:].set(visible=True, color=LIGHT)
        size = f"{picture.shape[0]} × {picture.shape[1]}"
        own.set_title("\n".join([*textwrap.wrap(name, _LETTERS), size]), size=9)
    return figure


def _as_picture(name: str, picture: Any) -> np.ndarray:
    values = shaped(picture, f"the picture {name!r}", "(H, W)")
    if values.dtype != np.uint8:
        raise ValueError(f"each picture must be uint8, but {name!r} is {values.dtype}")
    return values


def photograph(shrink: int = 4) -> np.ndarray:
    """Return the portrait of Grace Hopper that matplotlib ships, uint8 (H, W, 3).

    It has 600 × 512 pixels; `shrink` × `shrink` of them are averaged into one, and what is left
    over at the right and below is cut off. Grace Hopper (1906–1992) wrote one of the first
    compilers; the picture, in the uniform of the United States Navy, is in the public domain.

    Raises ValueError where `shrink` is below 1.

    >>> photograph().shape
    (150, 128, 3)
    """
    at_least_one("shrink", shrink)
    whole = imread(get_sample_data("grace_hopper.jpg", asfileobj=False))
    height, width = (side // shrink for side in whole.shape[:2])
    cut = whole[: height * shrink, : width * shrink]
    blocks = cut.reshape(height, shrink, width, shrink, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)
