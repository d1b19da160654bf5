"""Where a window lies along an axis, and which input pixels are under it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizlib import data
from vizlib.arithmetic._steps import Place

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
_SIDES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}

# One entry for each tap of a window along an axis; and the same for each axis.
Taps = Sequence[int | None]
Sources = Sequence[Taps]


@dataclass(frozen=True, eq=False)
class Axis:
    """The places of a window along an axis.

    - `size`: the pixels of the input.
    - `count`: the places, numbered from 0: the size of the output.
    - `places(index)`: where each tap lies, in input pixels: below 0 or from `size` on in the
      padding, None between two pixels.
    - `end`: where the padding behind the input ends.
    - `mode`: what fills the padding.
    """

    size: int
    count: int
    places: Callable[[int], Taps]
    end: int
    mode: str = "zeros"

    def sources(self, index: int) -> Taps:
        """Return the pixel that each tap reads, None where there is none."""
        return [self._source(place) for place in self.places(index)]

    def _source(self, place: int | None) -> int | None:
        if place is None or 0 <= place < self.size:
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


def sliding(
    size: int,
    kernel: int,
    stride: int = 1,
    before: int = 0,
    after: int = 0,
    dilation: int = 1,
    side: str = "",
    *,
    ceil_mode: bool = False,
    mode: str = "zeros",
) -> Axis:
    """Return a window of `kernel` taps, `dilation` pixels apart, that moves by `stride` pixels.

    `before` and `after` are the pixels of padding at either end, filled as `mode` says. The
    formula is the one in PyTorch's documentation of Conv2d and MaxPool2d. Raises ValueError where
    no window fits or no padding can be made.
    """
    _refuse_small({"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}, 1)
    _refuse_padding(size, before, after, mode, side)
    span, padded = dilation * (kernel - 1) + 1, size + before + after
    last, rest = divmod(padded - span, stride)
    if ceil_mode:
        last += bool(rest)
        # A window that begins in the padding behind the input is left out again.
        last -= last * stride >= size + before
    if last < 0:
        dilated = f" with dilation {dilation}" if dilation > 1 else ""
        where = f" in {side}" if side else ""
        raise ValueError(
            f"kernel {kernel}{dilated} spans {span} pixels, wider than the "
            f"{'padded ' * (padded > size)}input of {padded}{where}; make the kernel smaller or "
            "the padding larger"
        )

    def places(index: int) -> list[int]:
        return [index * stride - before + dilation * tap for tap in range(kernel)]

    return Axis(size, last + 1, places, size + after, mode)


def _transposed(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> Axis:
    """Return the window of a transposed convolution: which input pixels reach an output pixel.

    Input pixel i is written to the output pixels i·stride − padding + dilation·tap. Read
    backwards, output pixel o gets from each tap the pixel (o + padding − dilation·tap) / stride,
    where that is a whole number within the input, and nothing otherwise. Raises ValueError where
    the output would have no pixel.
    """
    _refuse_small({"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}, 1)
    _refuse_small({"padding": padding, "output_padding": output_padding}, 0)
    most = max(stride, dilation) - 1
    if output_padding > most:
        raise ValueError(
            f"output_padding must be smaller than stride {stride} or dilation {dilation}, but was "
            f"{output_padding}; use at most {most}"
        )
    full = (size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding
    if full <= 2 * padding:
        raise ValueError(
            f"padding {padding} takes {2 * padding} pixels from an output of {full}; use at most "
            f"{(full - 1) // 2}"
        )

    def places(index: int) -> Taps:
        steps = [divmod(index + padding - dilation * tap, stride) for tap in range(kernel)]
        return [place if rest == 0 else None for place, rest in steps]

    return Axis(size, full - 2 * padding, places, size)


def conv_axes(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Any,
    padding: Any,
    dilation: Any,
    mode: str = "zeros",
) -> list[Axis]:
    """Return how the kernel slides along each axis."""
    if mode not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {', '.join(_PADDING_MODES)}, but was {mode!r}"
        )
    count = len(size)
    strides, dilations = per_axis("stride", stride, count), per_axis("dilation", dilation, count)
    ends = _ends(padding, kernel, strides, dilations)
    rows = zip(size, kernel, strides, *ends, dilations, _SIDES[count], strict=True)
    return [sliding(*row, mode=mode) for row in rows]


def transposed_axes(size: Sequence[int], kernel: Sequence[int], **settings: Any) -> list[Axis]:
    """Return how the kernel of a transposed convolution reaches each axis of its output.

    `settings` are stride, padding, output_padding and dilation.
    """
    columns = [per_axis(name, value, len(size)) for name, value in settings.items()]
    rows = zip(size, kernel, *columns, strict=True)
    return [_transposed(n, k, **dict(zip(settings, row, strict=True))) for n, k, *row in rows]


def _ends(
    padding: Any, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the padding before and after the input, for each axis."""
    if padding == "valid":
        padding = 0
    if not isinstance(padding, str):
        both = per_axis("padding", padding, len(kernel))
        return both, both
    if padding != "same":
        raise ValueError(f'padding must be numbers, "same" or "valid", but was {padding!r}')
    if any(stride != 1 for stride in strides):
        raise ValueError(
            'padding="same" keeps the size, which only stride 1 can; '
            f"the stride was {', '.join(map(str, strides))}"
        )
    totals = [apart * (k - 1) for k, apart in zip(kernel, dilations, strict=True)]
    return [total // 2 for total in totals], [total - total // 2 for total in totals]


def pool_axes(
    size: Sequence[int],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    kind: str,
) -> list[Axis]:
    """Return how the window slides along each axis."""
    if kind not in {"max", "avg"}:
        raise ValueError(f'kind must be "max" or "avg", but was {kind!r}')
    names = ("kernel", "stride", "padding", "dilation")
    values = (kernel, kernel if stride is None else stride, padding, dilation)
    columns = [per_axis(n, value, len(size)) for n, value in zip(names, values, strict=True)]
    if kind == "avg" and set(columns[-1]) != {1}:
        raise ValueError("average pooling has no dilation; leave it at 1")
    found = []
    for n, k, step, pad, apart, side in zip(size, *columns, _SIDES[len(size)], strict=True):
        if pad > whole_number("kernel", k, 1) // 2:
            raise ValueError(
                f"a padding of {pad} is more than half of the kernel of {k}; pooling takes at "
                f"most {k // 2}"
            )
        found.append(sliding(n, k, step, pad, pad, apart, side, ceil_mode=bool(ceil_mode)))
    return found


def adaptive(size: int, count: int) -> Axis:
    """Return the windows that share `size` pixels among `count` places as evenly as can be.

    Window i goes from floor(i·size / count) to ceil((i + 1)·size / count), as PyTorch's adaptive
    pooling has it.
    """
    return Axis(size, count, lambda i: range(i * size // count, -(-(i + 1) * size // count)), size)


def _refuse_small(numbers: dict[str, Any], least: int) -> None:
    for name, number in numbers.items():
        whole_number(name, number, least)


def _refuse_padding(size: int, before: int, after: int, mode: str, side: str) -> None:
    widest = max(whole_number("padding", padding, 0) for padding in (before, after))
    most = {"reflect": size - 1, "circular": size}.get(mode, widest)
    if widest > most:
        raise ValueError(
            f"{mode} padding of {widest} takes {widest} pixels from within the input, "
            f"but a {side or 'size'} of {size} has {most} to give; use at most {most}"
        )


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
            f"{name} must be one number, or {count} for {' and '.join(_SIDES[count])}, "
            f"but was {value!r}"
        )
    return tuple(operator.index(n) if hasattr(n, "__index__") else n for n in numbers)


def window_at(axes: Sequence[Axis], place: Sequence[int]) -> tuple[Sources, Sources]:
    """Return each axis's places and sources under the window; raise IndexError outside."""
    size = "×".join(str(axis.count) for axis in axes)
    names = ("position",) if len(axes) == 1 else ("depth", "row", "col")[-len(axes) :]
    for axis, index, name in zip(axes, place, names, strict=True):
        refuse_outside(name, index, axis.count, f"the output has {size} values a channel")
    pairs = list(zip(axes, place, strict=True))
    places = tuple(tuple(axis.places(index)) for axis, index in pairs)
    return places, tuple(tuple(axis.sources(index)) for axis, index in pairs)


def refuse_outside(name: str, index: int, count: int, why: str) -> None:
    """Raise IndexError where an index is not in 0…count - 1; `why` says what it counts."""
    if not 0 <= whole_number(name, index, -(1 << 62)) < count:
        raise IndexError(f"{name} must be from 0 to {count - 1}, but was {index}: {why}")


def gather(maps: Tensor, sources: Sources, empty: float = 0.0) -> Tensor:
    """Return the pixels of maps (C, …) under a window as (C, kh, kw), `empty` where none is."""
    missing = outside(sources, maps.shape[1:])
    for axis, pixels in enumerate(sources, start=1):
        maps = maps.index_select(axis, torch.tensor([pixel or 0 for pixel in pixels]))
    return maps.masked_fill(missing, empty)


def outside(places: Sources, sizes: Sequence[int]) -> Tensor:
    """Return which of the places lie on no pixel of those `sizes`, bool (kh, kw)."""
    missing = torch.zeros((), dtype=torch.bool)
    for taps, size in zip(places, sizes, strict=True):
        beyond = [tap is None or not 0 <= tap < size for tap in taps]
        missing = missing[..., None] | torch.tensor(beyond)
    return missing


def pixels_at(sources: Sources, taps: Place) -> Place:
    """Return the pixels under those taps of a window, none of which lies in padding."""
    pixels = [axis[tap] for axis, tap in zip(sources, taps, strict=True)]
    return tuple(pixel for pixel in pixels if pixel is not None)


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
