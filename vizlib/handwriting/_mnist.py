"""A digit's ink, made as large and laid as MNIST's are: 20 pixels long, in 28×28, by its mass."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vizlib.handwriting import _digit, _photo

BOX, SIDE = 20, 28
# Widths of MNIST's strokes, in its pixels: nineteen of twenty lie in the first range, all in the
# second, which is for digits as small as MNIST's: too few pixels to draw anew without need.
WIDTHS, ALL_WIDTHS = (1.8, 4.8), (1.0, 6.0)
EDGE = 0.5  # an edge runs where half of a pixel is covered
_LARGE = 160  # pixels: a digit of that length can be made a little thicker
_HARD = 1.3  # times as many pixels as are half covered have ink: MNIST's have more
_GAP = 2  # pixels from either side: wider ones are not closed
_DISK = np.hypot(*np.mgrid[-_GAP : _GAP + 1, -_GAP : _GAP + 1]) < _GAP + 0.5


def in_bytes(values: np.ndarray) -> np.ndarray:
    """Turn 0…1 into uint8 0…255."""
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


def in_box(digit: np.ndarray) -> np.ndarray:
    """Scale ink (h, w) until its longer side is 20, each pixel the mean of what it covers."""
    digit = trimmed(even_stroke(trimmed(digit)))
    longer = max(digit.shape)
    shape = [max(1, round(side * BOX / longer)) for side in digit.shape]
    return _photo.resized(digit, shape)


def whole(digit: np.ndarray) -> np.ndarray:
    """Close the gaps in a digit (h, w) drawn in hard pixels; MNIST's pieces have grey edges."""
    inked = digit > EDGE
    pieces = ndimage.label(inked, np.ones((3, 3)))[1]
    if pieces == 1 or (digit > 0).sum() > _HARD * inked.sum():
        return digit
    wide = np.pad(digit, _GAP)
    return ndimage.grey_closing(wide, footprint=_DISK)[_GAP:-_GAP, _GAP:-_GAP]


def trimmed(digit: np.ndarray) -> np.ndarray:
    """Cut off the rows and columns without ink."""
    inked = digit > 1 / 255
    rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def even_stroke(digit: np.ndarray) -> np.ndarray:
    """Make strokes thicker or thinner where no pen of MNIST's would have drawn them so.

    Each edge moves by half of what is missing or too much, on an image large enough for that.
    """
    width = _digit.stroke_width(digit > EDGE) * BOX / max(digit.shape)
    small = max(digit.shape) <= SIDE
    wanted = float(np.clip(width, *(ALL_WIDTHS if small else WIDTHS)))
    if wanted == width:
        return digit
    large = _LARGE / max(digit.shape)
    shape = [max(1, round(side * large)) for side in digit.shape]
    inside = np.pad(_photo.resized(digit, shape), _LARGE // 8) > EDGE
    inner, outer = (ndimage.distance_transform_edt(side) for side in (inside, ~inside))
    # A dot is all edge: its middle stays.
    moved = max((wanted - width) / 2 * _LARGE / BOX, EDGE - inner.max())
    return np.clip(inner - outer + moved + EDGE, 0, 1)


def by_mass(digit: np.ndarray) -> np.ndarray:
    """Lay ink of at most 20×20 into 28×28, its centre of mass at the middle of rows and columns.

    By whole pixels, so that the grey ones stay what they are: row and column 14, give or take half.
    """
    image = np.zeros((SIDE, SIDE), digit.dtype)
    masses = ndimage.center_of_mass(digit)
    starts = [
        int(np.clip(np.floor(SIDE / 2 - mass + 0.5), 0, SIDE - side))
        for mass, side in zip(masses, digit.shape, strict=True)
    ]
    image[tuple(slice(s, s + n) for s, n in zip(starts, digit.shape, strict=True))] = digit
    return image
