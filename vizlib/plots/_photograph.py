"""The one colour photograph that is there without a download: matplotlib ships it."""

from __future__ import annotations

import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread

from vizlib.plots._style import at_least_one


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
