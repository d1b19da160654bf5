"""Which of the marks in a picture is the digit, and where its strokes run.

First a look from afar at both, dark marks on bright and bright ones on dark, for whatever most
looks like a digit. Then a close one at that place, which knows how wide the strokes are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from vizlib.handwriting import _ink

OWN_SIZE = 28  # pixels: a digit that is no larger is as grey at its edges as MNIST's
REACH, MASS = 0.25, 0.03  # a quarter of a digit's length away, a piece has 3 % of its ink
PALER = 0.4  # times as strong as the digit is what does not belong to it
FAINT, CONTRAST = 0.25, 2.2  # a digit that is fainter is this much stronger than all the rest
THIN, THICK = 0.06, 0.2  # widths of most strokes, as shares of the digit's length
SMALL = 0.2  # of the picture's shorter side
WINDOWS = (1 / 3, 1 / 8, 1 / 20)  # of it again: the widest strokes that a look can see
Place = tuple[slice, slice]
_BINS = 128  # of a histogram
_FEW_PIXELS = 4  # no digit has so few
_MARKS = 3  # that are looked at, of each kind
_UNLIKELY = 0.6  # what speaks against the polarity that most of the picture speaks for


class Mark(NamedTuple):
    """What may be the digit: how much it looks like one, on what, seen how, where, bool (H, W)."""

    likeness: float
    dark: bool
    window: int
    mask: np.ndarray


class Found(NamedTuple):
    """The digit: dark on bright or not, all ink, its place, and its own ink there, 0…1."""

    dark: bool
    ink: np.ndarray
    place: Place
    digit: np.ndarray


def find(grey: np.ndarray) -> Found | None:
    """Return the digit in a picture (H, W) of 0…255, or None where there is none.

    The close look takes nothing much wider than the strokes for ink, and nothing that the look
    from afar did not see: no fold of the paper, no shadow.
    """
    step = -(-max(grey.shape) // _ink.COARSE)
    afar = seen_from_afar(shrunk(grey, step))
    if afar is None:
        return None
    strokes, window = round(3 * step * stroke_width(afar.mask)) + 3, step * afar.window
    window = strokes if strokes < window / 2 else window
    ink = _ink.absorbed(grey, dark=afar.dark, window=window)
    clean = _ink.between(ink, _ink.printed(ink))
    there = afar.mask.repeat(step, 0).repeat(step, 1)[: grey.shape[0], : grey.shape[1]]
    mask = seen_closely(clean, there)
    return None if mask is None else Found(afar.dark, ink, *cut_out(clean, mask))


def shrunk(grey: np.ndarray, step: int) -> np.ndarray:
    """Return the mean of each block, `step` pixels wide and high; what is over is repeated."""
    if step == 1:
        return grey
    wide = np.pad(grey, [(0, -length % step) for length in grey.shape], mode="edge")
    return wide.reshape(wide.shape[0] // step, step, -1, step).mean((1, 3))


def seen_from_afar(grey: np.ndarray) -> Mark | None:
    """Return what looks most like a digit, dark on bright or bright on dark."""
    voted = _ink.is_dark_on_bright(grey)
    small = min(grey.shape) < _ink.RESOLVED
    looks = [
        mark
        for dark in ([voted] if small else [voted, not voted])
        for mark in marks(grey, dark=dark, trust=1 if dark == voted else _UNLIKELY)
    ]
    return max(looks, key=lambda mark: mark.likeness, default=None)


def marks(grey: np.ndarray, *, dark: bool, trust: float) -> Iterator[Mark]:
    """Yield the largest and most central marks, each with what belongs to it.

    A wide window sees broad strokes whole, a narrow one sees no table under the sheet, and the
    narrowest no shadow of a hand.
    """
    bright = grey if dark else 255 - grey
    edges, lines = _ink.steps(bright), None
    for window in windows(grey):
        ink = _ink.absorbed(grey, dark=dark, window=window)
        lines = _ink.printed(ink) if lines is None else lines
        clean = _ink.between(ink, lines)
        for mask in large_and_central(clean):
            yield Mark(trust * likeness(mask, ink, edges, bright), dark, window, mask)


def windows(grey: np.ndarray) -> list[int]:
    """Return how wide a stroke may be at most, in pixels, for each look at a picture."""
    side = min(grey.shape)
    shares = WINDOWS[:1] if side < _ink.RESOLVED else WINDOWS
    return [max(15 if share == WINDOWS[0] else 9, int(side * share)) for share in shares]


def large_and_central(ink: np.ndarray) -> Iterator[np.ndarray]:
    """Yield where the largest and most central marks are, each with what belongs to it."""
    labels = labelled(ink)
    boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
    least = max(4, min(ink.shape) / 40)
    large = [number for number, box in boxes.items() if box and length_of(box) >= least]
    masses = np.bincount(labels.ravel(), ink.ravel(), len(boxes) + 1)
    large.sort(key=lambda n: -masses[n] * centrality(boxes[n], ink.shape))
    inner = [number for number in large if not at_border(boxes[number], ink.shape)]
    for number in dict.fromkeys(inner[:_MARKS] + large[:2]):
        yield with_neighbours(labels, ink, number)


def labelled(ink: np.ndarray, most: float = 1) -> np.ndarray:
    """Number the marks (H, W), from 1, that are in part as strong as ink is here; 0 elsewhere.

    As ink is, or as `most`, where something stronger is near.
    """
    strengths = ink[ink > _ink.FAINTEST]
    if strengths.size < _FEW_PIXELS:
        return np.zeros(ink.shape, int)
    strong = min(otsu(strengths), most)
    labels, count = ndimage.label(ink > max(_ink.FAINTEST, strong / 2), np.ones((3, 3)))
    sure = np.zeros(count + 1, bool)
    sure[labels[ink >= strong]] = True
    sure[0] = False
    return labels * sure[labels]


def likeness(mask: np.ndarray, ink: np.ndarray, edges: np.ndarray, bright: np.ndarray) -> float:
    """Return how much a mark looks like a digit, of which only the order counts.

    All around there is an edge as strong as its ink, which what lies between strokes, or between
    a stroke and a shadow, does not have. It stands out and is darker than what is around, which
    the paper in a loop is not. It is near the middle of the picture, is not small, is made of
    strokes, is no blot and no outline of a sheet, and does not go on outside.
    """
    box = box_of(mask)
    around = grown_box(box, length_of(box) // 2 + 2)
    outside = ~ndimage.binary_dilation(mask[around], iterations=3)
    rest = ink[around][outside]
    rival = np.percentile(rest, 98) if rest.size else 0
    lighter = (bright[around][outside] > np.median(bright[mask])).mean() if rest.size else 1
    strength = ink[mask].mean()
    outline = edges[mask & ~ndimage.binary_erosion(mask)]
    bounded = (outline >= 0.7 * min(strength, outline.max())).mean()
    width = stroke_width(mask) / length_of(box)
    strokes = min(1, width / THIN) ** 2 * np.exp(-10 * max(0, width - THICK))
    place = centrality(box, ink.shape) * np.exp(-float(at_border(box, ink.shape)))
    place *= min(1, length_of(box) / min(ink.shape) / SMALL)
    return float((strength / (rival + 0.05)) ** 0.5 * (lighter * bounded) ** 3 * strokes * place)


def seen_closely(ink: np.ndarray, there: np.ndarray) -> np.ndarray | None:
    """Return where the digit is, bool (H, W), that was seen from afar in about that place."""
    box = box_of(there)
    around = grown_box(box, length_of(box) // 2 + 2)
    near = ink[around]
    labels = labelled(near, float(near[there[around]].mean()))
    shares = np.bincount(labels[there[around]], near[there[around]], labels.max() + 1)
    shares[0] = 0
    if not shares.any():
        return None
    digit = with_neighbours(labels, near, int(shares.argmax()))
    if not stands_out(digit, near):
        return None
    mask = np.zeros(ink.shape, bool)
    mask[around] = digit
    return mask


def box_of(mask: np.ndarray) -> Place:
    """Return the rows and columns that hold a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def grown_box(box: Place, margin: int) -> Place:
    """Return a box with a margin in pixels on all sides, as far as there is picture."""
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in box)
    return rows, columns


def stroke_width(inside: np.ndarray) -> float:
    """Return the mean width, in pixels, of the strokes in a mask (H, W).

    On a stroke of width w the distance to its nearer edge goes from 0 up to w / 2: w is four
    times the mean. (Pixels are counted to their centres, which adds about a quarter.)
    """
    distances = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return 4 * (float(distances[inside].mean()) - 0.25)


def cut_out(ink: np.ndarray, mask: np.ndarray) -> tuple[Place, np.ndarray]:
    """Return the digit's place with a margin, and its ink there, without what is not its own.

    The edges of its strokes are as sharp as those of ink, where there are pixels enough to tell.
    """
    length = length_of(box_of(mask))
    place = grown_box(box_of(mask), 2 + length // 20)
    near = ndimage.binary_dilation(mask[place], iterations=2)
    return place, sharpened(ink[place] * near, length)


def sharpened(ink: np.ndarray, length: int) -> np.ndarray:
    """Return the share of each pixel that is covered, 0…1, for a digit of that length.

    An edge runs where the ink is half as strong as that of the stroke nearby, be it in the shade
    or drawn lightly. The smaller the digit, the more of its edge's pixels are truly grey: at
    MNIST's own size all of them.
    """
    strength = np.percentile(ink[ink > 0], 98)
    if length <= OWN_SIZE:
        return np.minimum(ink / strength, 1)
    nearby = ndimage.maximum_filter(ink, length // 8)
    nearby = ndimage.gaussian_filter(nearby, length / 16)
    share = ink / np.maximum(nearby, strength / 5)
    return np.clip((share - 0.5) * min(length / OWN_SIZE, 4) + 0.5, 0, 1)


def stands_out(mask: np.ndarray, ink: np.ndarray) -> bool:
    """Tell a faint digit from a cloud in the paper: nearly all the rest is much fainter."""
    strength = ink[mask].mean()
    return bool(strength > FAINT or strength > CONTRAST * np.percentile(ink[~mask], 98))


def otsu(values: np.ndarray) -> float:
    """Return the threshold that splits values in 0…1 into two classes farthest apart (Otsu, 1979).

    Where all are about the same there is one class, and the threshold is its least.

    >>> 0.2 < otsu(np.array([0.1, 0.15, 0.2, 0.8, 0.9])) <= 0.8
    True
    """
    if np.ptp(values) < 1 / _BINS:
        return float(values.min())
    counts, edges = np.histogram(values, _BINS, (0, 1))
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = counts.cumsum(), (counts * middles).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (mass / below - (mass[-1] - mass) / above) ** 2 * below * above
    return float(edges[1:][np.nanargmax(gap)])


def length_of(box: tuple[slice, slice]) -> int:
    """Return the longer side of a box in pixels."""
    return max(side.stop - side.start for side in box)


def centrality(box: tuple[slice, slice], shape: tuple[int, ...]) -> float:
    """Return how central a box is: 1 in the middle of the picture, 0.14 in its corner."""
    pairs = zip(box, shape, strict=True)
    places = [(side.start + side.stop) / length - 1 for side, length in pairs]
    return float(np.exp(-sum(place**2 for place in places)))


def at_border(box: tuple[slice, slice], shape: tuple[int, ...]) -> bool:
    """Tell whether a mark goes on outside the picture, as the edge of a table does."""
    pairs = zip(box, shape, strict=True)
    return any(side.start <= 1 or side.stop >= length - 1 for side, length in pairs)


def with_neighbours(labels: np.ndarray, ink: np.ndarray, main: int) -> np.ndarray:
    """Add what is near: the bar of a 5, the pieces of a broken stroke; the farther, the larger."""
    box = ndimage.find_objects(labels)[main - 1]
    longest = length_of(box)
    around = grown_box(box, longest)
    mask = np.zeros_like(labels, bool)
    mask[around] = grown(labels[around], ink[around], main, longest)
    return mask


def grown(labels: np.ndarray, ink: np.ndarray, main: int, longest: int) -> np.ndarray:
    """Return the main mark with all that is near it, and near what was near, and so on."""
    lengths = [0, *(length_of(box) if box else 0 for box in ndimage.find_objects(labels))]
    masses = np.bincount(labels.ravel(), ink.ravel())
    strengths = masses / np.maximum(np.bincount(labels.ravel()), 1)
    alike = (np.array(lengths) <= 1.5 * longest) & (strengths >= PALER * strengths[main])
    digit, marked, last = labels == main, labels > 0, 0
    while digit.sum() > last:
        last = digit.sum()
        gaps = np.full(len(lengths), np.inf)
        np.minimum.at(gaps, labels[marked], ndimage.distance_transform_edt(~digit)[marked])
        share = gaps / (REACH * longest)
        digit |= (alike & (share <= 1) & (masses >= MASS * masses[main] * share))[labels]
    return digit
