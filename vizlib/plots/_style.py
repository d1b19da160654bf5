"""The colours of every figure, and what they say about numbers, in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, Normalize

INK = "#1a1a1a"
GREY = "#6b6b6b"
LIGHT = "#c9ced6"
GAP = "#d3d8e0"
# Okabe and Ito's colours, without the yellow that nobody sees on white: they stay apart under
# every common colour blindness. Lines differ by dash and marker as well.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1a1a1a")
BLUE = PALETTE[0]
ORANGE = PALETTE[1]
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = "osD^vPX"

# Both arms fall in lightness by the same steps (82, 62, 42, 22 of 100), so that a value and its
# opposite are equally strong, on paper without colour as well. Blue and orange are told apart
# under every common colour blindness.
_MINUS = ("#5e2204", "#a64601", "#e47a11", "#ffc07e")
_PLUS = ("#8ad5fe", "#03a0e1", "#0768a0", "#02375d")
# An odd number of colours: the middle one is zero's alone, and it is white.
SIGNED = LinearSegmentedColormap.from_list("signed", [*_MINUS, "#ffffff", *_PLUS], N=255)
_COUNTED = LinearSegmentedColormap.from_list("counts", ["#ffffff", *_MINUS[:0:-1]], N=256)
COUNTS = _COUNTED.with_extremes(bad=GAP)

# What makes a colour light: CIE's weights of linear red, green and blue, and where sRGB is a
# straight line. From the last on, black is read better than white.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_LINEAR_UP_TO = 0.04045
_EVEN = 0.179


def line(number: int) -> dict[str, Any]:
    """Return colour, dash and marker of a line by its number: no two lines share all three."""
    turn = number + number // len(PALETTE)
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": DASHES[turn % len(DASHES)],
        "marker": MARKERS[turn % len(MARKERS)],
    }


def array(values: Any) -> np.ndarray:
    """Return a tensor on any device, a capture stage, or a list of such, as a numpy array."""
    values = getattr(values, "output", values)
    if isinstance(values, list | tuple) and any(map(torch.is_tensor, values)):
        values = torch.stack(list(values))
    if not torch.is_tensor(values):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def shaped(values: Any, what: str, axes: str, hint: str = "") -> np.ndarray:
    """Return the values as an array with these axes; raise ValueError where they are no such thing.

    A letter is any size above zero, the same one wherever it stands. No value may be nan or
    infinite.

    >>> shaped([[1, 2], [3, 4]], "a path", "(T, 2) or (K, K)").shape
    (2, 2)
    """
    found = array(values)
    if not any(_fits(found.shape, each) for each in axes.split(" or ")):
        raise ValueError(f"{what} must have the shape {axes}, but had {found.shape}{hint}")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be numbers, but were of the kind {found.dtype}")
    lost = found.size - int(np.isfinite(found).sum())
    if lost:
        raise ValueError(
            f"{lost} of the {found.size} values of {what} are nan or infinite and have no "
            "colour; a network that diverged does this: try a smaller learning rate"
        )
    return found


def _fits(shape: Sequence[int], axes: str) -> bool:
    names, sizes = re.findall(r"\w+", axes), dict[str, int]()
    return len(names) == len(shape) and all(
        0 < size == (int(name) if name.isdigit() else sizes.setdefault(name, size))
        for name, size in zip(names, shape, strict=True)
    )


def at_least_one(what: str, value: int | None) -> int | None:
    """Return the value; raise ValueError where it is a number below one."""
    if value is not None and value < 1:
        raise ValueError(f"{what} must be at least 1, but was {value}")
    return value


def of_kind(value: Any, kind: Any, what: str, maker: str) -> None:
    """Raise TypeError where a value is not what `maker` returns."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be what {maker} returned, but was a {type(value).__name__}")


def symmetric(limit: float) -> Normalize:
    """Return the scale on which zero is the middle and ±limit the ends; 0 counts as 1."""
    return Normalize(-(limit or 1.0), limit or 1.0)


def colours(values: Any, limit: float) -> np.ndarray:
    """Return the colour of each value as uint8 (…, 3): what `feature_maps` paints.

    Zero is white, `limit` and more the darkest blue, `-limit` and less the darkest orange.
    Values nearer to zero than 1/255 of the limit are white as well.

    >>> colours([-2.0, 0.0, 2.0], limit=2.0).tolist()
    [[94, 34, 4], [255, 255, 255], [2, 55, 93]]
    """
    return SIGNED(symmetric(limit)(array(values)), bytes=True)[..., :3]


def letters_on(colours: np.ndarray) -> np.ndarray:
    """Return "black" or "white" for letters on each colour uint8 (…, 3): what is read better.

    The contrast is the one of the Web Content Accessibility Guidelines, from 1 to 21. The better of
    black and white has at least 4.58 on every colour there is; our softer ink would have 4.17.

    >>> letters_on(np.array([[255, 255, 255], [3, 160, 225], [94, 34, 4]])).tolist()
    ['black', 'black', 'white']
    """
    share = np.asarray(colours)[..., :3] / 255
    linear = np.where(share <= _LINEAR_UP_TO, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.where(linear @ _LUMINANCE > _EVEN, "black", "white")


def largest(*maps: Any) -> float:
    """Return the greatest absolute value of all maps: the number for one scale over many layers.

    `maps` are arrays, tensors or stages, or collections of them, such as `recording.values()`.
    Values that are nan or infinite do not count; where there are no others, the answer is 0.

    >>> largest([np.array([1.0, -3.0]), np.array([[2.0, np.nan]])])
    3.0
    """
    values = [array(one) for one in _each(maps)]
    # As floats: an int8 has no 128.
    sizes = [np.abs(v, dtype=float).max(initial=0, where=np.isfinite(v)) for v in values]
    return float(max(sizes, default=0.0))


def _each(maps: Iterable[Any]) -> Iterable[Any]:
    for one in maps:
        if hasattr(one, "shape") or hasattr(one, "output"):
            yield one
        else:
            yield from _each(one)
