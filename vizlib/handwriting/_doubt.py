"""Whether an image looks like a digit at all, which ten probabilities that sum to 1 do not say.

A letter has to be one of ten digits as well, and networks are sure of it: of letters, scribbles and
blots, LeNet's scores told 7 in 10 and NewNet's 6, one digit in a hundred being doubted. So another,
small network is asked beside any model. It has seen digits, and marks that are none;
`weights/make_doubt.py` says which. Of marks of the same kinds it doubts 94 in 100, of drawings that
it never saw, letters by hand among them, as many; and 84 of MNIST's 10,000 test digits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vizlib import weights

FILE = Path(__file__).with_name("doubt.safetensors")


def network() -> nn.Sequential:
    """Return the network untrained: images (N, 1, 28, 28) in 0…1 to scores (N, 1)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, 2, 2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(32, 48, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(48 * 4 * 4, 1)),
    )


@functools.cache
def trained() -> nn.Module:
    """Return the network with its weights, in eval mode."""
    return weights.load_into(network(), FILE).eval()


def doubts(images: Sequence[np.ndarray]) -> list[float]:
    """Return 0…1 for each image, uint8 (28, 28): from 0.5 on, it looks like no digit."""
    with torch.no_grad():
        stack = torch.from_numpy(np.stack(images))[:, None]
        return trained()(stack / 255)[:, 0].sigmoid().tolist()
