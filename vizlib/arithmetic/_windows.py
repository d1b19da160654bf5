"""Where a window that slides along an axis lies, and which input pixels are under it.

An axis has `count` places for its window, numbered from 0. `places(index)` are the positions of
the window's taps in input pixels, below 0 or from `size` on where they lie in the padding.
`sources(index)` are the pixels that they read, None where there is none.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib import data
from vizlib.arithmetic._steps import Place

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
SIDES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}

# For each axis, one entry for each tap of the window.
Sources = Sequence[Sequence[int | None]]


@dataclass(frozen=True)
class Sliding:
    """A window of `kernel` taps, `dilation` pixels apart, that moves by `stride` pixels.

    `before` and `after` are the pixels of padding at either end, filled as `mode` says. The
    formula is the one in PyTorch's documentation of Conv2d and MaxPool2d.
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil_mode: bool = False
    mode: str = "zeros"
    side: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError where no window fits or no padding can be made."""
        for name, least in {"size": 1, "kernel": 1, "stride": 1, "dilation": 1}.items():
            whole_number(name, getattr(self, name), least)
        for padding in (self.before, self.after):
            whole_number("padding", padding, 0)
        self._refuse_padding()
        if self.count < 1:
            raise ValueError(self._too_wide())

    @property
    def span(self) -> int:
        """The pixels from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """The pixels of the input with its padding."""
        return self.size + self.before + self.after

    @property
    def count(self) -> int:
        """The number of places: the size of the output."""
        last, rest = divmod(self.padded - self.span, self.stride)
        if self.ceil_mode:
            last += bool(rest)
            # A window that begins in the padding behind the input is left out again.
            last -= last * self.stride >= self.size + self.before
        return last + 1

    def places(self, index: int) -> list[int]:
        """Return the position of each tap, in input pixels."""
        start = index * self.stride - self.before
        return [start + self.dilation * tap for tap in range(self.kernel)]

    def sources(self, index: int) -> list[int | None]:
        """Return the pixel that each tap reads."""
        return [self._source(place) for place in self.places(index)]

    def _source(self, place: int) -> int | None:
        if 0 <= place < self.size:
            return place
        last = self.size - 1
        match self.mode:
            case "reflect":
                return -place if place < 0 else 2 * last - place
            case "replicate":
                return 0 if place < 0 else last
            case "circular":
                return place % self.size
        return None

    def _refuse_padding(self) -> None:
        most = {"reflect": self.size - 1, "circular": self.size}.get(self.mode)
        widest = max(self.before, self.after)
        if most is not None and widest > most:
            raise ValueError(
                f"{self.mode} padding of {widest} takes {widest} pixels from within the input, "
                f"but a {self.side or 'size'} of {self.size} has {most} to give; use at most {most}"
            )

    def _too_wide(self) -> str:
        dilated = f" with dilation {self.dilation}" if self.dilation > 1 else ""
        padded = "padded input" if self.before + self.after else "input"
        where = f" in {self.side}" if self.side else ""
        return (
            f"kernel {self.kernel}{dilated} spans {self.span} pixels, wider than the {padded} of "
            f"{self.padded}{where}; make the kernel smaller or the padding larger"
        )


@dataclass(frozen=True)
class Transposed:
    """The window of a transposed convolution: which input pixels reach an output pixel.

    Input pixel i is written to the output pixels i·stride − padding + dilation·tap. Read
    backwards, output pixel o gets from each tap the pixel (o + padding − dilation·tap) / stride,
    where that is a whole number within the input, and nothing otherwise.
    """

    size: int
    kernel: int
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    dilation: int = 1
    side: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError where the output would have no pixel."""
        for name, least in {"size": 1, "kernel": 1, "stride": 1, "dilation": 1}.items():
            whole_number(name, getattr(self, name), least)
        whole_number("padding", self.padding, 0)
        whole_number("output_padding", self.output_padding, 0)
        most = max(self.stride, self.dilation) - 1
        if self.output_padding > most:
            raise ValueError(
                f"output_padding must be smaller than stride {self.stride} or dilation "
                f"{self.dilation}, but was {self.output_padding}; use at most {most}"
            )
        if self.count < 1:
            raise ValueError(
                f"padding {self.padding} takes {2 * self.padding} pixels from an output of "
                f"{self.count + 2 * self.padding}; use at most {(self._full - 1) // 2}"
            )

    @property
    def _full(self) -> int:
        span = self.dilation * (self.kernel - 1) + 1
        return (self.size - 1) * self.stride + span + self.output_padding

    @property
    def count(self) -> int:
        """The size of the output."""
        return self._full - 2 * self.padding

    def places(self, index: int) -> list[int | None]:
        """Return the position that each tap reads, None between two input pixels."""
        steps = [divmod(index + self.padding - self.dilation * t, self.stride)
                 for t in range(self.kernel)]  # fmt: skip
        return [place if rest == 0 else None for place, rest in steps]

    def sources(self, index: int) -> list[int | None]:
        """Return the pixel that each tap reads."""
        return [p if p is not None and 0 <= p < self.size else None for p in self.places(index)]


@dataclass(frozen=True)
class Adaptive:
    """The windows that share `size` pixels among `count` places as evenly as can be.

    Window i goes from floor(i·size / count) to ceil((i + 1)·size / count), as PyTorch's adaptive
    pooling has it.
    """

    size: int
    count: int
    side: str = ""

    def places(self, index: int) -> list[int]:
        """Return the pixels of that window."""
        stop = -(-(index + 1) * self.size // self.count)
        return list(range(index * self.size // self.count, stop))

    sources = places


Axis = Sliding | Transposed | Adaptive


def whole_number(name: str, value: Any, least: int) -> int:
    """Return a whole number; raise where it is none or below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be a whole number, but was the {type(value).__name__} {value!r}"
        ) from None
    if number < least:
        raise ValueError(f"{name} must be a whole number from {least} on, but was {number}")
    return number


def per_axis(name: str, value: Any, count: int) -> tuple[int, ...]:
    """Return one number for each of `count` axes; a single number holds for all of them."""
    numbers = tuple(value) if isinstance(value, Sequence | Tensor) else (value,) * count
    if len(numbers) != count:
        raise ValueError(
            f"{name} must be one number, or {count} for {' and '.join(SIDES[count])}, "
            f"but was {value!r}"
        )
    return tuple(operator.index(n) if hasattr(n, "__index__") else n for n in numbers)


def window_at(axes: Sequence[Axis], place: Sequence[int]) -> tuple[Sources, Sources]:
    """Return each axis's places and sources under the window; raise IndexError outside."""
    size = "×".join(str(axis.count) for axis in axes)
    names = ("position",) if len(axes) == 1 else ("depth", "row", "col")[-len(axes) :]
    for axis, index, name in zip(axes, place, names, strict=True):
        refuse_outside(name, index, axis.count, f"the output has {size} values a channel")
    places = tuple(tuple(axis.places(index)) for axis, index in zip(axes, place, strict=True))
    sources = tuple(tuple(axis.sources(index)) for axis, index in zip(axes, place, strict=True))
    return places, sources


def refuse_outside(name: str, index: int, count: int, why: str) -> None:
    """Raise IndexError where an index is not in 0…count - 1; `why` says what it counts."""
    if not 0 <= whole_number(name, index, -(1 << 62)) < count:
        raise IndexError(f"{name} must be from 0 to {count - 1}, but was {index}: {why}")


def gather(maps: Tensor, sources: Sources, empty: float = 0.0) -> Tensor:
    """Return the pixels of maps (C, …) under a window as (C, kh, kw), `empty` where none is."""
    for axis, pixels in enumerate(sources, start=1):
        maps = maps.index_select(axis, torch.tensor([pixel or 0 for pixel in pixels]))
    return maps.masked_fill(outside(sources), empty)


def outside(sources: Sources) -> Tensor:
    """Return where the window reads no pixel, bool (kh, kw)."""
    missing = torch.zeros((), dtype=torch.bool)
    for pixels in sources:
        missing = missing[..., None] | torch.tensor([pixel is None for pixel in pixels])
    return missing


def pixels_at(sources: Sources, taps: Place) -> Place:
    """Return the pixels under those taps of a window, none of which lies in padding."""
    pixels = [axis[tap] for axis, tap in zip(sources, taps, strict=True)]
    return tuple(pixel for pixel in pixels if pixel is not None)


def as_grid(values: Tensor) -> Tensor:
    """Return a patch (kh, kw) as it is, and one of a signal (k,) as one row."""
    return values.reshape(-1, values.shape[-1])


def float64(values: Any) -> Tensor:
    """Return values as float64 on the CPU, in which every sum of the course is made."""
    return data.as_tensor(values).detach().cpu().double()


def one_image(x: Any) -> Tensor:
    """Return an image (C, H, W) in float64 from (1, C, H, W), (C, H, W), or (H, W)."""
    maps = given = float64(x)
    if maps.dim() == len("HW"):
        maps = maps[None]
    if maps.dim() == len("NCHW") and len(maps) == 1:
        maps = maps[0]
    if maps.dim() != len("CHW") or not maps.numel():
        raise ValueError(
            f"x must be one image (C, H, W), but had the shape {tuple(given.shape)}; of a batch "
            "choose one with x[0], and give a signal (L,) as an image of one row, x[None]"
        )
    return maps
