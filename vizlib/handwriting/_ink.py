"""Where the ink is in a grey picture: without the light, the lines on the paper and the specks.

Everything here works on *ink*, float32 (H, W): the share of the paper's light that is missing at
each pixel, 0 on bare paper and up to 1 where nothing comes back. Of chalk on a board, `bright` is
the negative, so that the same holds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy import ndimage

FAINTEST = 0.03  # of the light missing: fainter marks are shades of the paper
RESOLVED = 64  # pixels of the longer side: in smaller pictures, lines are as thin as strokes
COARSE = 270  # pixels: enough to see what is a line and what a digit
_PALEST = 0.04  # of the light missing in a printed line, once it is averaged
_WIDE = 0.96  # of the width has a line that runs from border to border (frames with an inset)
_LEAST_BLUR = 0.3  # pixels: less changes nothing (without a blur, 1-bit pictures lose strokes)
# Times what most are, are lines where they are darkest (a 6 that runs along a printed line).
_DARKEST = 1.4
_LINES, _THROUGH = 5, 2  # parallel ones: no digit has so many, or so many that fill the picture
_SLOPES = np.tan(np.radians(np.arange(-15, 16, 2.5)))


def is_dark_on_bright(grey: np.ndarray) -> bool:
    """Tell whether the ink is darker than what it lies on.

    Wherever there is contrast, ink is the rarer of the two: look around each pixel, as far as
    strokes are wide, and see on which side of the middle between the darkest and the brightest
    the pixels lie, counting each by its contrast.
    """
    window = max(3, min(grey.shape) // 4)
    low, high = ndimage.minimum_filter(grey, window), ndimage.maximum_filter(grey, window)
    return float(((high - low) * (grey - (low + high) / 2)).sum()) >= 0


def absorbed(grey: np.ndarray, *, dark: bool, window: int) -> np.ndarray:
    """Return the ink, 0…1: one minus the ratio of each pixel to the paper around it.

    The paper's brightness is the morphological closing of the picture (Serra, 1982): it fills
    everything dark that is narrower than the window, in pixels, and leaves the edge of a shadow or
    of the sheet as sharp as it is.
    """
    bright = smooth(grey if dark else 255 - grey)
    paper = closing(bright, window)
    ink = 1 - bright / np.maximum(paper, 8)
    if not dark:
        ink /= light_on_board(255 - paper)
    # The closing follows the brightest fibres; most of the picture is paper, and has no ink.
    return np.clip(ink - np.median(ink), 0, 1)


def closing(bright: np.ndarray, window: int) -> np.ndarray:
    """Close with a square. In photographs it may stand out over the border, where nothing is.

    So what is dark along a border, a table or a shadow in the corner, is no ink. In small
    drawings a stroke may lie along the border itself.
    """
    margin = window if max(bright.shape) >= RESOLVED else 0
    wide = ndimage.grey_closing(np.pad(bright, margin), window)
    return wide[margin : len(wide) - margin, margin : wide.shape[1] - margin]


def light_on_board(board: np.ndarray) -> np.ndarray:
    """Return how much light falls on each place of a board, 1 in the middle of all.

    What chalk adds to the board is a share of that light, not of what lacks to white. A black
    ground, as MNIST has, tells nothing of the light: then it is 1 everywhere.
    """
    return np.clip((board + 4) / (np.median(board) + 4), 0.25, 4)


def steps(bright: np.ndarray) -> np.ndarray:
    """Return the share of the light that is missing at the darkest of the pixels around each."""
    return 1 - ndimage.minimum_filter(bright, 5) / np.maximum(ndimage.maximum_filter(bright, 5), 8)


def smooth(grey: np.ndarray) -> np.ndarray:
    """Blur noise away as far as needed, and leave a picture without noise as it is."""
    radius = min(noise(grey) / 4, min(grey.shape) / 250)
    return ndimage.gaussian_filter(grey, radius) if radius > _LEAST_BLUR else grey


def noise(grey: np.ndarray) -> float:
    """Return the deviation of the noise (Immerkær, Fast noise variance estimation, 1996).

    His mask, which sees neither slopes nor straight edges, is applied as two differences; the
    median, in place of his mean, does not see the strokes either.
    """
    twice = np.diff(np.diff(grey, 2, axis=0), 2, axis=1)
    return float(np.median(np.abs(twice))) / 0.6745 / 6 if twice.size else 0.0


def blocks(values: np.ndarray, side: int, kind: Callable[..., np.ndarray]) -> np.ndarray:
    """Return the mean or the greatest of each block, `side` pixels wide and high.

    At the right and the bottom, what lacks to a whole block is repeated.
    """
    wide = np.pad(values, [(0, -length % side) for length in values.shape], mode="edge")
    return kind(wide.reshape(len(wide) // side, side, -1, side), axis=(1, 3))


# --- Lines and squares ------------------------------------------------------------------------


def without_lines(ink: np.ndarray) -> np.ndarray:
    """Take printed lines and squares away, and leave the strokes that cross them whole."""
    if max(ink.shape) < RESOLVED:
        return ink
    block = max(1, round(max(ink.shape) / COARSE))
    small = blocks(ink, block, np.max)
    lines = ruling(small, _THROUGH)
    # Across printed lines, a single one that runs through is the margin's, or the frame's.
    uprights = ruling(small.T, 1 if lines.any() else _THROUGH).T
    if uprights.any() and not lines.any():
        lines = ruling(small, 1)
    lines = np.maximum(lines, uprights)
    if not lines.any():
        return ink
    lines = ndimage.maximum_filter(lines, 3).repeat(block, 0).repeat(block, 1)
    lines = lines[: ink.shape[0], : ink.shape[1]]
    darker = np.where(ink > 1.8 * lines, ink, 0)
    bridged = ndimage.grey_closing(darker, 4 * block + 1)
    return np.where(lines > 0, np.minimum(bridged, ink), ink)


def ruling(ink: np.ndarray, least: int) -> np.ndarray:
    """Return the strength (H, W) of lines that run from left to right, and 0 elsewhere.

    What survives an opening by a long straight segment is straight. It is printed where `least` or
    more run from border to border, or five or more, as on a sheet that is seen as a whole, run
    across half of the picture. Then so are shorter pieces that end at a stroke.
    """
    thin = ink - ndimage.grey_opening(ink, (max(4, min(ink.shape) // 30), 1))
    width, longer = ink.shape[1], max(ink.shape)
    straight = openings(thin, max(8, width // 4))
    labels, _ = ndimage.label(straight > _PALEST)
    spans = np.array([x.stop - x.start for _, x in ndimage.find_objects(labels)])
    many = np.count_nonzero(spans >= longer / 2) >= _LINES
    kept = np.flatnonzero(spans > (longer / 5 if many else _WIDE * width)) + 1
    printed = np.isin(labels, kept) & (many or len(kept) >= least)
    # A straight stroke may run along a printed line, which is no darker for it.
    usual = np.median(straight[printed]) if printed.any() else 0
    return np.minimum(straight, _DARKEST * usual) * printed


def openings(ink: np.ndarray, length: int) -> np.ndarray:
    """Return the greatest of the openings by segments of that length, up to 15° off the level.

    Before, an eighth of the segment is averaged, so that noise does not cut a pale line. Only rows
    with ink enough for a segment are opened, as opening takes far longer than counting.
    """
    tolerant = ndimage.maximum_filter1d(ink, 3, axis=0)
    best = np.zeros_like(ink)
    inked = np.nonzero(tolerant > _PALEST)
    for slope in _SLOPES:
        levels = (inked[0] + np.round(slope * inked[1]).astype(int)) % len(ink)
        rows = np.bincount(levels, minlength=len(ink)) >= 0.9 * length
        if rows.any():
            level = sheared(tolerant, slope)
            level[~rows] = 0
            even = ndimage.uniform_filter1d(level[rows], length // 8)
            level[rows] = ndimage.grey_opening(even, (1, length))
            np.maximum(best, sheared(level, -slope), out=best)
    return best


def sheared(image: np.ndarray, slope: float) -> np.ndarray:
    """Return the image with each column moved down by `slope` times its place, around the end."""
    return image.ravel()[moved(*image.shape, slope)]


@functools.lru_cache(2 * len(_SLOPES))  # those of one picture, upright and on its side
def moved(height: int, width: int, slope: float) -> np.ndarray:
    """Return where each pixel of a sheared image (height, width) comes from, in the flat one."""
    columns = np.arange(width)
    rows = (np.arange(height)[:, None] - np.round(slope * columns).astype(int)) % height
    return rows * width + columns
