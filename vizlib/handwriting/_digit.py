"""Which of the marks in a picture are digits, and where their strokes run.

First a look from afar, for the mark that most looks like a digit. What is like it is another
digit. Then a close look at each place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from vizlib.handwriting import _ink, _lines

OWN_SIZE = 28  # pixels: a digit that is no larger is as grey at its edges as MNIST's
REACH, MASS = 0.25, 0.03  # a quarter of a digit's length away, a piece has 3 % of its ink
APART, TALL = 0.1, 0.6  # of it: a taller piece is another digit, unless it is nearer
LONGER = 1.5  # times as long as the digit is what does not belong to it
PALER = 0.4  # times as strong as the digit is what does not belong to it
FAINT, CONTRAST = 0.25, 2.2  # a digit that is fainter is this much stronger than all the rest
THIN, THICK = 0.06, 0.2  # widths of most strokes, as shares of the digit's length
SMALL = 0.2  # of the picture's shorter side
WINDOWS = (1 / 3, 1 / 8, 1 / 20)  # of it again: the widest strokes that a look can see
TALLER = 1.8  # times as tall may one digit of a number be as another
WHOLE = 0.3  # times as likely is a digit at least as the part that looks most like one
BORDER = 0.15  # times as likely is a digit that touches the border (neighbours that are cut)
CONVINCING = 0.45  # likeness: no narrower window sees more
Place = tuple[slice, slice]
UNLIKELY = 0.6  # times as likely is the other polarity (a slate on a white table)
WIDE = 1.1  # times as wide as high are two digits that touch (MNIST's pairs)
CUTS = np.linspace(0.3, 0.7, 9)  # of the width: a 1 beside a broad 0
_MARKS = 3  # that are looked at, of each kind


class Look(NamedTuple):
    """What is seen of a picture through a window, in pixels: its ink, and its marks by number.

    `lines` (H, W) is true where something is printed on the paper, which is not in the ink.
    """

    dark: bool
    window: int
    lines: np.ndarray
    ink: np.ndarray
    labels: np.ndarray
    boxes: dict[int, Place]
    masses: np.ndarray
    strengths: np.ndarray


class Digits(NamedTuple):
    """The digits in a picture: dark on bright or not, all ink (H, W), and each digit's place.

    In `cuts` is the ink of that digit alone, 0…1, beside its place. The first is the one that most
    looks like a digit.
    """

    dark: bool
    ink: np.ndarray
    cuts: list[tuple[Place, np.ndarray]]


def find(grey: np.ndarray) -> Digits | None:
    """Return the digits in a picture (H, W) of 0…255, or None where there is none."""
    step = -(-max(grey.shape) // _ink.COARSE)
    afar = seen_from_afar(_ink.blocks(grey, step, np.mean))
    if afar is None:
        return None
    look, masks = afar
    ink = _ink.absorbed(grey, dark=look.dark, window=step * look.window)
    # Pale lines are seen where they are darkest, and cells where strokes do not touch them.
    lines = look.lines | _lines.ruled(_ink.blocks(ink, step, np.max))
    clean = _lines.without(ink, lines, step)
    cuts = [cut for mask in masks if (cut := seen_closely(clean, mask, step))]
    return Digits(look.dark, ink, cuts) if cuts else None


# --- From afar ----------------------------------------------------------------------------------


def seen_from_afar(grey: np.ndarray) -> tuple[Look, list[np.ndarray]] | None:
    """Return the window that shows a digit best, and the masks (H, W) of the digits in it.

    A wide window sees broad strokes whole. Only where that shows nothing that is clearly a digit,
    a narrower one is tried, which sees no table under the sheet, and then the narrowest, which sees
    no shadow of a hand, but would take the corners of a broad stroke for a digit.
    """
    seen: list[tuple[float, Look, np.ndarray]] = []
    voted = _ink.is_dark_on_bright(grey)
    for share in WINDOWS:
        window = max(9, int(min(grey.shape) * share))
        for trust, dark in ((1, voted), (UNLIKELY, not voted)):
            look = looked_at(grey, dark=dark, window=window)
            bright = grey if dark else 255 - grey
            seen += [
                (trust * likeness(mask, look.ink, bright), look, mask)
                for mask in large_and_central(look)
            ]
        if any(score > CONVINCING for score, *_ in seen):
            break
    if not seen:
        return None
    best, look, mask = max(seen, key=lambda mark: mark[0])
    # The bar of a 5 may look more like a digit than the whole does.
    wholes = [m for score, same, m in seen if same is look and score >= WHOLE * best]
    mask = max((whole for whole in wholes if whole[mask].all()), key=np.sum)
    return look, [mask, *others(mask, look)]


def looked_at(grey: np.ndarray, *, dark: bool, window: int) -> Look:
    """Number the marks from 1 in a picture (H, W) of 0…255, and measure each."""
    ink = _ink.absorbed(grey, dark=dark, window=window)
    lines = _lines.ruled(ink) | _lines.cells(ink)
    ink = _lines.without(ink, lines, 1)
    labels = ndimage.label(_ink.marked(ink), _ink.SQUARE)[0]
    boxes = {n: box for n, box in enumerate(ndimage.find_objects(labels), start=1) if box}
    masses = np.bincount(labels.ravel(), ink.ravel())
    strengths = masses / np.maximum(np.bincount(labels.ravel()), 1)
    return Look(dark, window, lines, ink, labels, boxes, masses, strengths)


def large_and_central(look: Look) -> Iterator[np.ndarray]:
    """Yield where the largest and most central marks are, each with what belongs to it."""
    shape, boxes = look.ink.shape, look.boxes
    large = [n for n, box in boxes.items() if length_of(box) >= max(4, min(shape) / 40)]
    large.sort(key=lambda n: -look.masses[n] * centrality(boxes[n], shape))
    inner = [number for number in large if not at_border(boxes[number], shape)]
    for number in dict.fromkeys(inner[:_MARKS] + large[:2]):
        yield with_neighbours(look, number)


def with_neighbours(look: Look, main: int) -> np.ndarray:
    """Add what is near: the bar of a 5, the pieces of a broken stroke; the farther, the larger."""
    # A small picture shows one digit, however small the pieces of its strokes are.
    whole = 2 * OWN_SIZE if max(look.ink.shape) < _ink.RESOLVED else 0
    length = max(length_of(look.boxes[main]), whole)
    around = grown_box(look.boxes[main], length)
    labels = look.labels[around]
    gaps = ndimage.distance_transform_edt(labels != main)
    numbers = np.setdiff1d(labels, [0, main])
    nearest = ndimage.minimum(gaps, labels, numbers) if len(numbers) else []
    cut = bool(whole) or at_border(look.boxes[main], look.ink.shape)
    own = [
        number
        for number, gap in zip(numbers.tolist(), nearest, strict=True)
        # What is cut off by the border belongs to something outside, as does what is paler.
        if (cut or not at_border(look.boxes[number], look.ink.shape))
        and look.strengths[number] >= PALER * look.strengths[main]
        and is_piece(look, number, main, gap / length, length)
    ]
    mask = np.zeros_like(look.labels, bool)
    mask[around] = np.isin(labels, [main, *own])
    return mask


def is_piece(look: Look, number: int, main: int, gap: float, length: int) -> bool:
    """Tell whether a mark belongs to another, for a gap that is a share of the digit's length."""
    box = look.boxes[number]
    share = gap / (APART if height_of(box) > TALL * length else REACH)
    large = look.masses[number] >= MASS * look.masses[main] * share
    return bool(share <= 1 and large and length_of(box) <= LONGER * length)


def likeness(mask: np.ndarray, ink: np.ndarray, bright: np.ndarray) -> float:
    """Return how much a mark looks like a digit.

    All around there is an edge as strong as its ink, which what lies between strokes, or between
    a stroke and a shadow, does not have. It stands out and is darker than what is around, which
    the paper in a loop is not. It is near the middle of the picture, is not small, is made of
    strokes, is no blot and no frame, and does not go on outside.
    """
    box = box_of(mask)
    around = grown_box(box, length_of(box) // 2 + 2)
    shape = ink.shape
    mask, ink, bright = mask[around], ink[around], bright[around]
    outside = ~ndimage.binary_dilation(mask, iterations=3)
    rival = np.percentile(ink[outside], 98) if outside.any() else 0
    lighter = (bright[outside] > np.median(bright[mask])).mean() if outside.any() else 1
    strength = ink[mask].mean()
    outline = _ink.steps(bright)[mask & ~ndimage.binary_erosion(mask)]
    bounded = (outline >= 0.7 * min(strength, outline.max())).mean()
    width = stroke_width(mask) / length_of(box)
    strokes = min(1, width / THIN) ** 2 * np.exp(-10 * max(0, width - THICK))
    place = centrality(box, shape) * (BORDER if at_border(box, shape) else 1)
    place *= min(1, length_of(box) / min(shape) / SMALL)
    return float((strength / (rival + 0.05)) ** 0.5 * (lighter * bounded) ** 3 * strokes * place)


def others(digit: np.ndarray, look: Look) -> Iterator[np.ndarray]:
    """Yield the other digits: as high as the first, about as strong, and whole in the picture."""
    height, strength, taken = height_of(box_of(digit)), look.ink[digit].mean(), digit.copy()
    for number, box in look.boxes.items():
        own = look.labels[box] == number
        if TALLER * height_of(box) < height or at_border(box, digit.shape) or taken[box][own].any():
            continue
        mask = with_neighbours(look, number) & ~taken
        taken |= mask
        alike = 1 / TALLER < height_of(box_of(mask)) / height < TALLER
        if alike and look.ink[mask].mean() > 0.5 * strength:
            yield mask


def reading_order(boxes: list[tuple[int, int, int, int]]) -> list[int]:
    """Return the numbers of boxes (top, left, bottom, right), row by row and from left to right.

    A row goes on where the next box's middle is as high as the last one is: it may slope.
    """
    rows: list[list[int]] = []
    for k in sorted(range(len(boxes)), key=lambda k: boxes[k][1]):
        middle = (boxes[k][0] + boxes[k][2]) / 2
        row = next((r for r in rows if boxes[r[-1]][0] < middle < boxes[r[-1]][2]), None)
        rows.append([k]) if row is None else row.append(k)
    rows.sort(key=lambda row: sum(boxes[k][0] for k in row) / len(row))
    return [k for row in rows for k in row]


# --- Closely ------------------------------------------------------------------------------------


def seen_closely(clean: np.ndarray, afar: np.ndarray, step: int) -> tuple[Place, np.ndarray] | None:
    """Return the place of a digit and its ink there, 0…1; None for a cloud in the paper.

    `clean` is the ink without what is printed on the paper, and `afar` the mask that was seen from
    afar, a pixel of which is `step` pixels of the picture. The edges of the strokes are as sharp
    as those of ink, where there are pixels enough to tell.
    """
    box = box_of(afar)
    box = grown_box(box, length_of(box) // 10 + 4)
    rows, columns = (slice(side.start * step, side.stop * step) for side in box)
    near = clean[rows, columns]
    there = afar[box].repeat(step, 0).repeat(step, 1)[: near.shape[0], : near.shape[1]]
    wide = ndimage.binary_dilation(there, iterations=2 * step)
    digit = wide & (near > max(_ink.FAINTEST, np.median(near[there]) / 2))
    if not digit.any() or not stands_out(digit, near):
        return None
    cover = near * ndimage.binary_dilation(digit, iterations=2)
    return (rows, columns), sharpened(cover, length_of(box_of(digit)))


def sharpened(ink: np.ndarray, length: int) -> np.ndarray:
    """Return the share of each pixel that is covered, 0…1, for a digit of that length.

    An edge runs where the ink is half as strong as that of the stroke nearby, be it in the shade
    or drawn lightly. The smaller the digit, the more of its edge's pixels are truly grey: at
    MNIST's own size all of them.
    """
    strength = np.percentile(ink[ink > 0], 98)
    if length <= OWN_SIZE:
        return np.minimum(ink / strength, 1)
    nearby = ndimage.gaussian_filter(ndimage.maximum_filter(ink, length // 8), length / 16)
    share = ink / np.maximum(nearby, strength / 5)
    return np.clip((share - 0.5) * min(length / OWN_SIZE, 4) + 0.5, 0, 1)


def stands_out(mask: np.ndarray, ink: np.ndarray) -> bool:
    """Tell a faint digit from a cloud in the paper: nearly all the rest is much fainter."""
    strength = ink[mask].mean()
    rest = ink[~ndimage.binary_dilation(mask, iterations=2)]
    return bool(strength > FAINT or strength > CONTRAST * np.percentile(np.append(rest, 0), 98))


def cuts(digit: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return left and right sides of a wide digit (H, W), cut at columns near its middle."""
    box = box_of(digit > 0)
    width = box[1].stop - box[1].start
    if width <= WIDE * height_of(box):
        return []
    lefts = [np.arange(digit.shape[1]) < box[1].start + share * width for share in CUTS]
    return [(digit * left, digit * ~left) for left in lefts]


# --- Boxes and widths ---------------------------------------------------------------------------


def box_of(mask: np.ndarray) -> Place:
    """Return the rows and columns that hold a mask."""
    return ndimage.find_objects(mask.astype(np.uint8))[0]


def grown_box(box: Place, margin: int) -> Place:
    """Return a box with a margin in pixels on all sides, as far as there is picture."""
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in box)
    return rows, columns


def height_of(box: Place) -> int:
    """Return how many rows a box has."""
    return box[0].stop - box[0].start


def length_of(box: Place) -> int:
    """Return the longer side of a box in pixels."""
    return max(side.stop - side.start for side in box)


def centrality(box: Place, shape: tuple[int, ...]) -> float:
    """Return how central a box is: 1 in the middle of the picture, 0.14 in its corner."""
    pairs = zip(box, shape, strict=True)
    places = [(side.start + side.stop) / length - 1 for side, length in pairs]
    return float(np.exp(-sum(place**2 for place in places)))


def at_border(box: Place, shape: tuple[int, ...]) -> bool:
    """Tell whether a mark goes on outside the picture, as the edge of a table does."""
    pairs = zip(box, shape, strict=True)
    return any(side.start <= 1 or side.stop >= length - 1 for side, length in pairs)


def stroke_width(inside: np.ndarray) -> float:
    """Return the mean width, in pixels, of the strokes in a mask (H, W).

    On a stroke of width w the distance to its nearer edge goes from 0 up to w / 2: w is four
    times the mean. (Pixels are counted to their centres, which adds about a quarter.)
    """
    inside = inside[box_of(inside)]
    distances = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return 4 * (float(distances[inside].mean()) - 0.25)
