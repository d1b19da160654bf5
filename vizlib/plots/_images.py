"""Images as they are: digits side by side, the steps of a preparation, and one photograph."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread

from vizlib.plots._figure import BOX, LETTER, LINE, WIDTH, Figure, bare, sheet, styled
from vizlib.plots._mosaic import Mosaic, longest
from vizlib.plots._style import LIGHT, array, at_least_one, shaped

# Steps side by side, and letters that the name of one may have in a line.
_COLUMNS = 4
_LETTERS = 16


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
    mosaic = _with_room(len(shown), shown.shape[1:3], columns, longest(texts))
    figure, axes = mosaic.sheet(f"the first {limit} of {count:,} images" if count > limit else None)
    axes.imshow(mosaic.build(shown).filled(255))
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
    values = array(picture)
    if values.dtype != np.uint8 or len(values.shape) != len("HW") or not values.size:
        raise ValueError(
            f"each picture must be uint8 (H, W), but {name!r} is {values.dtype} {values.shape}"
        )
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
