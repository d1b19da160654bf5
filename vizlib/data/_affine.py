"""Turning, scaling, shearing and shifting images: the matrices, and small random changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def affine(
    images: Tensor,
    turn: Tensor,
    size: Tensor,
    x: Tensor,
    y: Tensor,
    shear: Tensor | float = 0.0,
) -> Tensor:
    """Return images (N, C, H, W) turned by `turn` radians, scaled by `size`, sheared and moved.

    Each change has N values, one for each image. `x` and `y` say, in pixels from the middle,
    which place of the image comes to the middle. What moves in is 0.

    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> affine(image, zero, one, one, zero)
    tensor([[[[1., 2., 0.],
              [4., 5., 0.],
              [7., 8., 0.]]]])
    """
    height, width = images.shape[-2:]
    cos, sin = turn.cos() / size, turn.sin() / size
    # affine_grid measures in half images, along each axis its own.
    top = torch.stack([cos, shear - sin * (height / width), x * 2 / width], dim=1)
    bottom = torch.stack([sin * (width / height), cos, y * 2 / height], dim=1)
    matrices = torch.stack([top, bottom], dim=1)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@dataclass(frozen=True)
class Affine:
    """Small random rotations, scalings, shears and shifts, another for every image of a batch.

    Each number is the largest change in either direction: `degrees` of rotation, `scale` as a
    fraction, `shift` in pixels, `shear` as pixels moved per pixel of height. A 4 remains a 4.

    >>> images = torch.rand(8, 1, 28, 28)
    >>> Affine()(images, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """

    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 2.0
    shear: float = 0.1

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed copies of images (N, 1, H, W) in 0…1; what moves in is black."""
        draws = torch.rand(5, len(images), generator=generator)
        draws = draws.to(images.device, non_blocking=images.is_cuda) * 2 - 1
        turn = draws[0] * math.radians(self.degrees)
        x, y = draws[3:] * self.shift
        return affine(images, turn, 1 + draws[1] * self.scale, x, y, draws[2] * self.shear)
