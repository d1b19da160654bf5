"""Which of the marks in a picture are digits, and where their strokes run.

First a look from afar, at dark marks on bright and at bright ones on dark, for whatever most looks
like a digit. What is like it is another digit. Then a close look at each place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from vizlib.handwriting import _ink

OWN_SIZE = 28  # pixels: a digit that is no larger is as grey at its edges as MNIST's
REACH, MASS = 0.25, 0.03  # a quarter of a digit's length away, a piece has 3 % of its ink
APART = 0.1  # two marks as long as a digit are one only where they are nearer than that
PALER = 0.4  # times as strong as the digit is what does not belong to it
FAINT, CONTRAST = 0.25, 2.2  # a digit that is fainter is this much stronger than all the rest
THIN, THICK = 0.06, 0.2  # widths of most strokes, as shares of the digit's length
SMALL = 0.2  # of the picture's shorter side
WINDOWS = (1 / 3, 1 / 8, 1 / 20)  # of it again: the widest strokes that a look can see
TALLER = 1.8  # times as tall may one digit of a number be as another
PALE = 0.27  # times as strong as nearly the strongest is the edge of a mark
FRAME = 0.5  # of the picture's shorter side is the least length of a printed frame
BORDER = 0.15  # times as likely is a digit that touches the border
CONVINCING = 0.45  # likeness: no narrower window sees more
Place = tuple[slice, slice]
_MARKS = 3  # that are looked at, of each kind
_UNLIKELY = 0.6  # what speaks against the polarity that most of the picture speaks for


class Look(NamedTuple):
    """One way to look at a picture: for dark marks or bright ones, through a window."""

    dark: bool
    window: int
    ink: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """The digits in a picture: dark on bright or not, all ink (H, W), and a mask for each.

    The first mask is the one that most looks like a digit. In `masks`, seen from afar, a pixel is
    `step` pixels of the picture; `clean` is the ink without the lines and squares on the paper.
    """

    dark: bool
    ink: np.ndarray
    clean: np.ndarray
    step: int
    masks: list[np.ndarray]


def find(grey: np.ndarray) -> Digits | None:
    """Return the digits in a picture (H, W) of 0…255, or None where there is none.

    The close look takes nothing much wider than the strokes for ink, and nothing that the look
    from afar did not see: no fold of the paper, no shadow.
    """
    step = -(-max(grey.shape) // _ink.COARSE)
    afar = seen_from_afar(shrunk(grey, step))
    if afar is None:
        return None
    look, masks = afar
    strokes, window = round(3 * step * stroke_width(masks[0])) + 3, step * look.window
    window = strokes if strokes < window / 2 else window
    ink = _ink.absorbed(grey, dark=look.dark, window=window)
    return Digits(look.dark, ink, _ink.between(ink, _ink.printed(ink)), step, masks)


def shrunk(grey: np.ndarray, step: int) -> np.ndarray:
    """Return the mean of each block, `step` pixels wide and high; what is over is repeated."""
    if step == 1:
        return grey
    wide = np.pad(grey, [(0, -length % step) for length in grey.shape], mode="edge")
    return wide.reshape(wide.shape[0] // step, step, -1, step).mean((1, 3))


# --- From afar ----------------------------------------------------------------------------------


def seen_from_afar(grey: np.ndarray) -> tuple[Look, list[np.ndarray]] | None:
    """Return the look that shows a digit best, and the masks (H, W) of the digits in it.

    A wide window sees broad strokes whole. Only where that shows nothing that is clearly a digit,
    a narrower one is tried, which sees no table under the sheet, and then the narrowest, which sees
    no shadow of a hand, but would take the corners of a broad stroke for a digit.
    """
    seen: list[tuple[float, Look, np.ndarray]] = []
    for window in windows(grey):
        for trust, dark in polarities(grey):
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
    _, look, mask = max(seen, key=lambda mark: mark[0])
    wholes = [other for _, same, other in seen if same is look and is_part(mask, other)]
    mask = max(wholes, key=np.sum, default=mask)
    return look, [mask, *others(mask, look)]


def is_part(mark: np.ndarray, whole: np.ndarray) -> bool:
    """Tell whether a mark, such as the bar of a 5, belongs to one that is whole in the picture."""
    return bool(whole[mark].all()) and not at_border(box_of(whole), whole.shape)


def windows(grey: np.ndarray) -> list[int]:
    """Return how wide a stroke may be at most, in pixels, for each look at a picture."""
    side = min(grey.shape)
    shares = WINDOWS[:1] if side < _ink.RESOLVED else WINDOWS
    return [max(15 if share == WINDOWS[0] else 9, int(side * share)) for share in shares]


def polarities(grey: np.ndarray) -> list[tuple[float, bool]]:
    """Return whether to look for dark marks or bright ones, and how far to trust what is seen."""
    voted = _ink.is_dark_on_bright(grey)
    return [(1, voted), (_UNLIKELY, not voted)][: 1 if min(grey.shape) < _ink.RESOLVED else 2]


def looked_at(grey: np.ndarray, *, dark: bool, window: int) -> Look:
    """Look at a picture (H, W) of 0…255."""
    ink = _ink.absorbed(grey, dark=dark, window=window)
    clean = _ink.between(ink, _ink.printed(ink))
    return Look(dark, window, clean, labelled(clean))


def labelled(ink: np.ndarray) -> np.ndarray:
    """Number the marks (H, W) from 1, and give 0 to all that is much fainter than ink is."""
    inked = ink > _ink.FAINTEST
    if not inked.any():
        return inked.astype(int)
    least = max(_ink.FAINTEST, PALE * np.percentile(ink[inked], 95))
    return without_frames(ndimage.label(ink > least, np.ones((3, 3)))[0])


def without_frames(labels: np.ndarray) -> np.ndarray:
    """Drop marks that have others inside: the frame of a cell, the cells of a form."""
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if length_of(box) > FRAME * min(labels.shape):
            near = labels[box]
            own = near == number
            if 10 * (near[inside(own)] > 0).sum() > own.sum():
                near[own] = 0
    return labels


def inside(frame: np.ndarray) -> np.ndarray:
    """Return what a mark (H, W) encloses; one that keeps to its sides need not be closed."""
    inner = tuple(slice(side // 10, side - side // 10) for side in frame.shape)
    if not frame[inner].any():
        within = np.zeros_like(frame)
        within[inner] = min(frame.shape) > max(frame.shape) / 3
        return within
    return ndimage.binary_fill_holes(frame) & ~frame


def large_and_central(look: Look) -> Iterator[np.ndarray]:
    """Yield where the largest and most central marks are, each with what belongs to it."""
    ink, labels = look.ink, look.labels
    boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
    least = max(4, min(ink.shape) / 40)
    large = [number for number, box in boxes.items() if box and length_of(box) >= least]
    masses = np.bincount(labels.ravel(), ink.ravel(), len(boxes) + 1)
    large.sort(key=lambda n: -masses[n] * centrality(boxes[n], ink.shape))
    inner = [number for number in large if not at_border(boxes[number], ink.shape)]
    for number in dict.fromkeys(inner[:_MARKS] + large[:2]):
        yield with_neighbours(labels, ink, number, boxes[number])


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
    rest = ink[outside]
    rival = np.percentile(rest, 98) if rest.size else 0
    lighter = (bright[outside] > np.median(bright[mask])).mean() if rest.size else 1
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
    labels = look.labels * ~digit
    height, strength = height_of(digit), look.ink[digit].mean()
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or not (labels[box] == number).any():
            continue
        if TALLER * (box[0].stop - box[0].start) < height or at_border(box, labels.shape):
            continue
        mask = with_neighbours(labels, look.ink, number, box)
        labels[mask] = 0
        alike = 1 / TALLER < height_of(mask) / height < TALLER
        if alike and look.ink[mask].mean() > 0.5 * strength:
            yield mask


def height_of(mask: np.ndarray) -> int:
    """Return how many rows a mask has."""
    rows = box_of(mask)[0]
    return rows.stop - rows.start


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


def seen_closely(digits: Digits, afar: np.ndarray) -> tuple[Place, np.ndarray] | None:
    """Return the place of a digit and its ink there, 0…1, that was seen from afar near there.

    The edges of its strokes are as sharp as those of ink, where there are pixels enough to tell.
    """
    step, box = digits.step, box_of(afar)
    box = grown_box(box, length_of(box) // 2 + 9)
    around = tuple(slice(side.start * step, side.stop * step) for side in box)
    near = digits.clean[around]
    there = afar[box].repeat(step, 0).repeat(step, 1)[: near.shape[0], : near.shape[1]]
    strength = np.median(near[there])
    labels, count = ndimage.label(near > max(_ink.FAINTEST, strength / 2), np.ones((3, 3)))
    wide = ndimage.binary_dilation(there, iterations=2 * step)
    masses = np.bincount(labels.ravel(), minlength=count + 1)
    own = np.bincount(labels[wide], minlength=count + 1) > masses / 2
    own[0] = False
    digit = own[labels]
    if not digit.any() or not stands_out(digit, near):
        return None
    length = length_of(box_of(digit))
    inner = grown_box(box_of(digit), 2 + length // 20)
    cover = near[inner] * ndimage.binary_dilation(digit[inner], iterations=2)
    rows, columns = (
        slice(a.start + i.start, a.start + i.stop) for a, i in zip(around, inner, strict=True)
    )
    return (rows, columns), sharpened(cover, length)


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
    inside = inside[box_of(inside)]
    distances = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return 4 * (float(distances[inside].mean()) - 0.25)


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
    rest = ink[~ndimage.binary_dilation(mask, iterations=2)]
    return bool(strength > FAINT or strength > CONTRAST * np.percentile(np.append(rest, 0), 98))


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


def with_neighbours(labels: np.ndarray, ink: np.ndarray, main: int, box: Place) -> np.ndarray:
    """Add what is near: the bar of a 5, the pieces of a broken stroke; the farther, the larger."""
    # A small picture shows one digit, however small the pieces of its strokes are.
    whole = OWN_SIZE if min(ink.shape) < _ink.RESOLVED else 0
    longest = max(length_of(box), whole)
    around = grown_box(box, longest)
    # What is cut off by the border belongs to something outside, if the mark itself is not cut.
    cut = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    if not whole and main not in cut:
        labels = np.where(np.isin(labels, cut), 0, labels)
    mask = np.zeros_like(labels, bool)
    mask[around] = grown(labels[around], ink[around], main, longest)
    return mask


def grown(labels: np.ndarray, ink: np.ndarray, main: int, longest: int) -> np.ndarray:
    """Return the main mark with all that is near it, and near what was near, and so on."""
    lengths = np.array([0, *(length_of(box) if box else 0 for box in ndimage.find_objects(labels))])
    masses = np.bincount(labels.ravel(), ink.ravel())
    strengths = masses / np.maximum(np.bincount(labels.ravel()), 1)
    alike = (lengths > 0) & (lengths <= 1.5 * longest) & (strengths >= PALER * strengths[main])
    alike[main] = False
    digit, last = labels == main, 0
    while digit.sum() > last and alike.any():
        last = digit.sum()
        marked = alike[labels]
        gaps = np.full(len(lengths), np.inf)
        np.minimum.at(gaps, labels[marked], ndimage.distance_transform_edt(~digit)[marked])
        share = gaps / np.where(lengths > 0.6 * longest, APART, REACH) / longest
        near = alike & (share <= 1) & (masses >= MASS * masses[main] * share)
        digit |= near[labels]
        alike &= ~near
    return digit
