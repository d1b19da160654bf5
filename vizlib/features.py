"""Features made by hand, from the time before networks learnt their own.

>>> image = np.zeros((6, 6)); image[:, 3:] = 1
>>> filtered(image, "vertical")[2].tolist()
[0.0, 0.0, 3.0, 3.0, 0.0, 0.0]

An image is (H, W), or (H, W, 3) in colour, of which the brightness is taken. Bytes count as
0…255 / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vizlib import words

# Rows from top to bottom. Each is used as a convolution layer uses its kernel: not turned over.
KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    "vertical": ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)),
    "horizontal": ((-1, -1, -1), (0, 0, 0), (1, 1, 1)),
    "diagonal": ((-1, -1, 0), (-1, 0, 1), (0, 1, 1)),
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "blur": ((1 / 9,) * 3,) * 3,
    "gaussian": ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
}
_COLOURS, _BYTE = 3, 255
_SHORTEST = 0.5  # waves a pixel: two pixels make the shortest wave


def kernel(name: str) -> np.ndarray:
    """Return a kernel by its name, float64 (3, 3); `KERNELS` lists them.

    Raises ValueError for another name.

    >>> kernel("sobel_x").tolist()
    [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
    """
    if name not in KERNELS:
        raise ValueError(words.unknown("kernel", name, list(KERNELS), "there are"))
    return np.array(KERNELS[name], dtype=float)


def filtered(image: Any, kernel_or_name: str | Any) -> np.ndarray:
    """Return the image under a kernel, float64 (H, W): what a convolution layer would make.

    `kernel_or_name` is in `KERNELS`, or an array (kh, kw) such as a kernel that a network learnt.
    Beyond the edges the outermost pixels go on, so that the size stays. Values are not clipped.

    Raises ValueError for another shape or name.

    >>> filtered(np.eye(3), "blur")[1, 1].round(3)
    np.float64(0.333)
    """
    from scipy import ndimage

    named = isinstance(kernel_or_name, str)
    weights = kernel(kernel_or_name) if named else np.asarray(kernel_or_name, dtype=float)
    if weights.ndim != len("HW") or not weights.size:
        raise ValueError(f"a kernel has the shape (kh, kw), but this had {weights.shape}")
    return ndimage.correlate(grey(image), weights, mode="nearest")


def grey(image: Any) -> np.ndarray:
    """Return the brightness of an image, float64 (H, W); bytes become 0…1.

    Colours count as the eye weighs them: 21 % red, 72 % green, 7 % blue (ITU-R BT.709).

    Raises ValueError for another shape.

    >>> grey(np.full((1, 2, 3), 255, np.uint8)).round(6).tolist()
    [[1.0, 1.0]]
    """
    from skimage.color import rgb2gray

    values = _floats(image)
    if values.ndim == len("HWC") and values.shape[2] == _COLOURS:
        return rgb2gray(values)
    if values.ndim != len("HW") or not values.size:
        raise ValueError(
            f"image must be (H, W), or (H, W, 3) in colour, but had the shape {values.shape}; "
            "of a tensor (1, H, W) take image[0]"
        )
    return values


def _floats(image: Any) -> np.ndarray:
    values = np.asarray(image)
    return values / _BYTE if values.dtype == np.uint8 else values.astype(float)


def gabor(
    image: Any, frequencies: Sequence[float] = (0.1, 0.2, 0.3), orientations: int = 4
) -> np.ndarray:
    """Return how strongly each wave of the bank is found at each pixel, float64 (K, H, W).

    `frequencies` are waves a pixel, 0…0.5; for each come `orientations` directions, evenly spread
    over half a turn, the first with upright stripes. The strength does not depend on whether a
    stripe is dark or bright, as it joins the wave and the same wave a quarter on.

    Raises ValueError for a frequency or a number out of its range.

    >>> stripes = np.tile([0.0, 0, 1, 1], (16, 4))
    >>> upright, level = gabor(stripes, [0.25], 2).mean((1, 2))
    >>> bool(upright > 10 * level)
    True
    """
    from skimage.filters import gabor as respond

    if orientations < 1:
        raise ValueError(f"orientations must be at least 1, but was {orientations}")
    if not all(0 < frequency <= _SHORTEST for frequency in frequencies):
        raise ValueError(
            f"frequencies must be above 0 and at most 0.5 waves a pixel, but were {frequencies}"
        )
    values = grey(image)
    values = values - values.mean()
    angles = np.arange(orientations) * np.pi / orientations
    found = [
        np.hypot(*respond(values, frequency, theta=angle, mode="nearest"))
        for frequency in frequencies
        for angle in angles
    ]
    return np.stack(found)


@dataclass(frozen=True, eq=False)
class Gradients:
    """Oriented gradients, cell by cell.

    `histograms` (rows, columns, orientations) say how much of each cell's change lies in which
    direction; `picture` (H, W), 0…1, draws in each cell lines along its edges.
    """

    histograms: np.ndarray
    picture: np.ndarray


def oriented_gradients(image: Any, cell: int = 7, orientations: int = 9) -> Gradients:
    """Return the histogram of oriented gradients (HOG) of an image, without overlapping blocks.

    `cell` is the side of a cell in pixels: 7 cuts a digit of 28×28 into 4×4 cells. Directions are
    spread over half a turn; each cell's histogram has the length 1, or 0 where nothing changes.
    After Dalal and Triggs (2005).

    Raises ValueError where no cell fits.

    >>> oriented_gradients(np.eye(28)).histograms.shape
    (4, 4, 9)
    """
    from skimage.feature import hog

    values = grey(image)
    if not 1 <= cell <= min(values.shape):
        raise ValueError(
            f"cell must be from 1 to {min(values.shape)} pixels for an image of "
            f"{values.shape[0]}×{values.shape[1]}, but was {cell}"
        )
    settings = {"pixels_per_cell": (cell, cell), "cells_per_block": (1, 1), "block_norm": "L2"}
    blocks, picture = hog(values, orientations, visualize=True, feature_vector=False, **settings)
    return Gradients(blocks[:, :, 0, 0], picture / (picture.max() or 1.0))


def colour_histogram(image: Any, bins: int = 16) -> np.ndarray:
    """Return the share of the pixels in each range of red, green and blue, float64 (3, bins).

    `image` is (H, W, 3), bytes or floats in 0…1, and each row adds up to 1. It tells colours, and
    nothing of where they are: shuffled pixels have the same histogram.

    Raises ValueError for another shape or values outside 0…1.

    >>> colour_histogram(np.zeros((4, 4, 3), np.uint8), bins=2).tolist()
    [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    values = _floats(image)
    if values.ndim != len("HWC") or values.shape[2] != _COLOURS or not values.size:
        raise ValueError(f"image must be (H, W, 3), but had the shape {values.shape}")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"colours are bytes, or floats in 0…1, but these lie in {values.min():.3g}…"
            f"{values.max():.3g}; divide them by 255, or make them np.uint8"
        )
    channels = values.reshape(-1, _COLOURS).T
    counts = [np.histogram(channel, bins, range=(0, 1))[0] for channel in channels]
    return np.array(counts) / channels.shape[1]
