"""Several figures as one, for print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vizlib.plots._style import DPI, Figure, styled


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
    width, height = max(map(_width, pictures)), sum(heights)
    # A trifle over, or inches times pixels per inch may fall a pixel short.
    size = ((width + 1e-6) / DPI, (height + 1e-6) / DPI)
    whole = Figure(figsize=size, facecolor="white", layout="none")
    for row, top in zip(pictures, np.cumsum(heights) - heights, strict=True):
        lefts = np.cumsum([0, *(picture.shape[1] for picture in row)])
        for picture, left in zip(row, lefts, strict=False):
            whole.figimage(picture, left, height - top - len(picture))
    return whole


def _width(row: Iterable[np.ndarray]) -> int:
    return sum(picture.shape[1] for picture in row)
