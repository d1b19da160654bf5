"""Where the ink is in a grey picture, without the light that falls on it.

Everything here works on *ink*, float32 (H, W): the share of the paper's light that is missing at
each pixel, 0 on bare paper and up to 1 where nothing comes back. Of chalk on a board, `bright` is
the negative, so that the same holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

SQUARE = np.ones((3, 3))  # pixels that meet at a corner hang together
FAINTEST = 0.03  # of the light missing: fainter marks are shades of the paper
RESOLVED = 64  # pixels of the longer side: in smaller pictures, lines are as thin as strokes
COARSE = 270  # pixels: enough to see what is a line and what a digit
PALE = 0.27  # times as strong as nearly the strongest is the edge of a mark
_LEAST_BLUR = 0.3  # pixels: less changes nothing (without a blur, 1-bit pictures lose strokes)


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


def marked(ink: np.ndarray, share: float = PALE) -> np.ndarray:
    """Tell where ink (H, W) is not much fainter than most."""
    inked = ink > FAINTEST
    return inked & (ink > share * np.percentile(ink[inked], 95)) if inked.any() else inked
