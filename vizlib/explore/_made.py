"""All that a convolution makes with one setting, as torch makes it, and each step of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vizlib import arithmetic
from vizlib.explore._convolved import Convolved, Pair

_ZEROS = {"zeros": "constant"}


@dataclass(frozen=True)
class Setting:
    """How the kernel slides: what the whole output depends on."""

    image: int
    kernel: Pair
    stride: Pair
    padding: Pair | str
    dilation: Pair

    @property
    def sides(self) -> Sequence[Pair]:
        """The padding before and after the rows, and before and after the columns."""
        if not isinstance(self.padding, str):
            return [(side, side) for side in self.padding]
        # "same": the span of the kernel without one cell, of which the end gets the odd one.
        totals = [
            apart * (size - 1) for size, apart in zip(self.kernel, self.dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]

    def taps(self, row: int, col: int) -> Sequence[Pair]:
        """Return where the kernel's cells lie for one value of the output, in padded cells."""
        starts = row * self.stride[0], col * self.stride[1]
        return [
            (starts[0] + u * self.dilation[0], starts[1] + v * self.dilation[1])
            for u in range(self.kernel[0])
            for v in range(self.kernel[1])
        ]


@dataclass(frozen=True)
class Made:
    """What is read (C, H, W), the same with its padding, and what is made of it (O, H, W)."""

    convolved: Convolved
    setting: Setting
    maps: Tensor
    padded: Tensor
    weight: Tensor
    output: Tensor

    @property
    def count(self) -> int:
        """How many values each channel of the output has."""
        return self.output[0].numel()

    def step(self, k: int, channel: int) -> arithmetic.ConvStep:
        """Return how value number k of a channel is made, of the last one beyond the end."""
        row, col = divmod(min(k, self.count - 1), self.output.shape[2])
        return _step(self.convolved, self.setting, self.maps, self.weight, (channel, row, col))


@torch.no_grad()
def make(convolved: Convolved, setting: Setting) -> Made:
    """Return the whole output as torch makes it; raise ValueError where it refuses to."""
    maps, weight = convolved.maps(setting.image), convolved.kernels(setting.kernel)
    exact = maps.double(), weight.double()
    # The arithmetic refuses what torch does, and says in a sentence why.
    _step(convolved, setting, *exact, (0, 0, 0))
    around = [side for pair in reversed(setting.sides) for side in pair]
    padded = F.pad(maps[None], around, mode=_ZEROS.get(convolved.mode, convolved.mode))
    sliding = (setting.stride, 0, setting.dilation, convolved.groups)
    output = F.conv2d(padded, weight, convolved.bias, *sliding)
    return Made(convolved, setting, exact[0], padded[0], exact[1], output[0])


def _step(
    convolved: Convolved, setting: Setting, maps: Tensor, weight: Tensor, place: Sequence[int]
) -> arithmetic.ConvStep:
    channel, row, col = place
    return arithmetic.conv2d_step(
        maps,
        weight,
        convolved.bias,
        row=row,
        col=col,
        channel=channel,
        stride=setting.stride,
        padding=setting.padding,
        dilation=setting.dilation,
        groups=convolved.groups,
        padding_mode=convolved.mode,
    )
