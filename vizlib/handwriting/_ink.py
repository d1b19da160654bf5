"""Where the ink is in a grey picture: without the light, the lines on the paper and the specks.

Everything here works on *ink*, float32 (H, W): the share of the paper's light that is missing at
each pixel, 0 on bare paper and up to 1 where nothing comes back. For chalk on a board the picture
is turned into its negative first, so that the same holds.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

FAINTEST = 0.08  # of the light missing: fainter marks are shades of the paper
OWN_SIZE = 28  # pixels: a digit that is no larger is as grey at its edges as MNIST's
REACH, MASS = 0.25, 0.03  # a quarter of a digit's length away, a piece has 3 % of its ink
FAINT, CONTRAST = 0.25, 2.2  # a digit that is fainter is this much stronger than all the rest
Place = tuple[slice, slice]
_LEAST_BLUR = 0.3  # pixels: less changes nothing
_LINES, _THROUGH = 5, 2  # parallel ones: no digit has so many, or so many that fill the picture
_RESOLVED = 64  # pixels: below, printed lines and strokes are equally thin
_BINS = 128  # of a histogram
_FEW_PIXELS = 4  # no digit has so few
_SLOPES = np.tan(np.radians(np.arange(-15, 16, 2.5)))


def is_dark_on_bright(grey: np.ndarray) -> bool:
    """Tell whether the ink is darker than what it lies on.

    Wherever there is contrast, ink is the rarer of the two: look around each pixel, as far as
    strokes are wide, and see on which side of the middle between the darkest and the brightest
    the pixels lie, counting each by its contrast.
    """
    step = max(1, min(grey.shape) // 200)
    small = ndimage.uniform_filter(grey, step)[::step, ::step] if step > 1 else grey
    window = max(3, min(small.shape) // 4)
    wide = np.pad(small, window, mode="edge")
    low, high = ndimage.minimum_filter(wide, window), ndimage.maximum_filter(wide, window)
    contrast = high - low
    return float((contrast * (wide - (low + high) / 2)).sum()) >= 0


def absorbed(grey: np.ndarray, *, dark: bool, window: int) -> np.ndarray:
    """Return the ink, 0…1: one minus the ratio of each pixel to the paper around it.

    The paper's brightness is the morphological closing of the picture (Serra, 1982): it fills
    everything dark that is narrower than the window, in pixels, and leaves the edge of a shadow or
    of the sheet as sharp as it is.
    """
    bright = smooth(grey if dark else 255 - grey)
    paper = closing(bright, window)
    ink = 1 - bright / np.maximum(paper, 8)
    if not dark:
        ink /= light_on_board(255 - paper)
    # The closing follows the brightest fibres; most of the picture is paper, and has no ink.
    return np.clip(ink - np.median(ink), 0, 1)


def closing(bright: np.ndarray, window: int) -> np.ndarray:
    """Close with a square. In photographs it may stand out over the border, where nothing is.

    So what is dark along a border, a table or a shadow in the corner, is no ink. In small
    drawings a stroke may lie along the border itself.
    """
    if min(bright.shape) < _RESOLVED:
        return ndimage.grey_closing(bright, window)
    wide = ndimage.grey_closing(np.pad(bright, window), window)
    return wide[window:-window, window:-window]


def light_on_board(board: np.ndarray) -> np.ndarray:
    """Return how much light falls on each place of a board, 1 in the middle of all.

    What chalk adds to the board is a share of that light, not of what lacks to white. A black
    ground, as MNIST has, tells nothing of the light: then it is 1 everywhere.
    """
    return np.clip((board + 4) / (np.median(board) + 4), 0.25, 4)


def smooth(grey: np.ndarray) -> np.ndarray:
    """Blur noise away as far as needed, and leave a picture without noise as it is."""
    radius = min(noise(grey) / 4, min(grey.shape) / 250)
    return ndimage.gaussian_filter(grey, radius) if radius > _LEAST_BLUR else grey


def noise(grey: np.ndarray) -> float:
    """Return the deviation of the noise (Immerkær, Fast noise variance estimation, 1996).

    His mask, which sees neither slopes nor straight edges, is applied as two differences; the
    median, in place of his mean, does not see the strokes either.
    """
    twice = np.diff(np.diff(grey, 2, axis=0), 2, axis=1)
    return float(np.median(np.abs(twice))) / 0.6745 / 6 if twice.size else 0.0


# --- Lines and squares ------------------------------------------------------------------------


def without_ruling(ink: np.ndarray) -> np.ndarray:
    """Take the printed lines away, and leave the strokes that cross them whole."""
    if min(ink.shape) < _RESOLVED:
        return ink
    block = max(1, round(max(ink.shape) / 270))
    small = blocks(ink, block)
    lines = np.maximum(ruling(small), ruling(small.T).T)
    if not lines.any():
        return ink
    lines = ndimage.maximum_filter(lines, 3).repeat(block, 0).repeat(block, 1)
    lines = lines[: ink.shape[0], : ink.shape[1]]
    darker = np.where(ink > 1.8 * lines, ink, 0)
    bridged = ndimage.grey_closing(darker, 4 * block + 1)
    return np.where(lines > 0, np.minimum(bridged, ink), ink)


def blocks(ink: np.ndarray, side: int) -> np.ndarray:
    """Shrink to the greatest value of each block, `side` pixels wide and high."""
    rows, columns = (-length % side for length in ink.shape)
    whole = np.pad(ink, ((0, rows), (0, columns)), mode="edge")
    return whole.reshape(whole.shape[0] // side, side, -1, side).max((1, 3))


def ruling(ink: np.ndarray) -> np.ndarray:
    """Return the strength (H, W) of lines that run from left to right, and 0 elsewhere.

    What survives an opening by a long straight segment is straight. It is printed where two or
    more run from border to border, or five or more, as on a sheet that is seen as a whole, run
    across half of the picture.
    """
    thin = ink - ndimage.grey_opening(ink, (max(4, min(ink.shape) // 30), 1))
    straight = openings(thin, max(8, ink.shape[1] // 4))
    labels, _ = ndimage.label(straight > FAINTEST / 2)
    spans = [(across.start, across.stop) for _, across in ndimage.find_objects(labels)]
    width = ink.shape[1]
    through = [n for n, (a, b) in enumerate(spans, 1) if a <= width / 50 and b >= width * 0.98]
    long = [n for n, (a, b) in enumerate(spans, 1) if b - a >= width / 2]
    kept = long if len(long) >= _LINES else through if len(through) >= _THROUGH else []
    return straight * np.isin(labels, kept)


def openings(ink: np.ndarray, length: int) -> np.ndarray:
    """Return the greatest of the openings by segments of that length, up to 15° off the level.

    Before, an eighth of the segment is averaged, so that noise does not cut a pale line.
    """
    tolerant = ndimage.maximum_filter1d(ink, 3, axis=0)
    best = np.zeros_like(ink)
    for slope in _SLOPES:
        level = ndimage.uniform_filter1d(sheared(tolerant, slope), length // 8)
        opened = ndimage.maximum_filter1d(ndimage.minimum_filter1d(level, length), length)
        np.maximum(best, sheared(opened, -slope), out=best)
    return best


def sheared(image: np.ndarray, slope: float) -> np.ndarray:
    """Return the image with each column moved down by `slope` times its place, around the end."""
    height, width = image.shape
    moves = np.round(slope * np.arange(width)).astype(int)
    rows = (np.arange(height)[:, None] - moves) % height
    return np.take_along_axis(image, rows, axis=0)


# --- The digit --------------------------------------------------------------------------------


def find(grey: np.ndarray, *, dark: bool) -> tuple[np.ndarray, Place, np.ndarray] | None:
    """Return all ink, the digit's place, and its ink there, 0…1; None where there is no digit.

    The first look allows for strokes as wide as a third of the picture. The second knows how wide
    they are, and takes nothing much wider for ink: no fold of the paper, no edge of a shadow.
    """
    window = max(15, min(grey.shape) // 3)
    ink = absorbed(grey, dark=dark, window=window)
    clean = without_ruling(ink)
    mask = digit_mask(clean)
    if mask is None:
        return None
    strokes = round(3 * stroke_width(mask)) + 3
    if strokes < window / 2:
        closer = absorbed(grey, dark=dark, window=strokes)
        cleaner = without_ruling(closer)
        again = digit_mask(cleaner)
        if again is not None:
            ink, clean, mask = closer, cleaner, again
    return ink, *cut_out(clean, mask)


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
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    length = max(np.ptp(rows), np.ptp(columns)) + 1
    margin = 2 + length // 20
    place = tuple(
        slice(max(0, places[0] - margin), places[-1] + 1 + margin) for places in (rows, columns)
    )
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


def digit_mask(ink: np.ndarray) -> np.ndarray | None:
    """Return where the digit is, bool (H, W), or None where there is no ink."""
    marks = ink[ink > FAINTEST]
    if marks.size < _FEW_PIXELS:
        return None
    strong = otsu(marks)
    labels, count = ndimage.label(ink > max(FAINTEST, strong / 2), np.ones((3, 3)))
    sure = ndimage.maximum(ink, labels, np.arange(count + 1)) >= strong
    sure[0] = False
    mask = chosen(np.where(sure[labels], labels, 0), ink)
    return mask if mask is not None and stands_out(mask, ink) else None


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


def chosen(labels: np.ndarray, ink: np.ndarray) -> np.ndarray | None:
    """Choose the mark that is most likely a digit, and what belongs to it."""
    boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
    least = max(4, min(ink.shape) / 40)
    large = [number for number, box in boxes.items() if box and length_of(box) >= least]
    if not large:
        return None
    # What goes on outside of the picture is a table or a finger, unless there is nothing else.
    whole = [n for n in large if not at_border(boxes[n], ink.shape)]
    likely = [n for n in whole if length_of(boxes[n]) >= 3 * least] or whole or large
    masses = ndimage.sum(ink, labels, likely)
    places = [centrality(boxes[number], ink.shape) for number in likely]
    return with_neighbours(labels, ink, likely[int(np.argmax(masses * places))])


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
    around = tuple(slice(max(0, side.start - longest), side.stop + longest) for side in box)
    mask = np.zeros_like(labels, bool)
    mask[around] = grown(labels[around], ink[around], main, longest)
    return mask


def grown(labels: np.ndarray, ink: np.ndarray, main: int, longest: int) -> np.ndarray:
    """Return the main mark with all that is near it, and near what was near, and so on."""
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    short = np.array([n for n, box in boxes if box and length_of(box) <= longest])
    masses = ndimage.sum(ink, labels, short)
    digit, last = labels == main, 0
    least = MASS * ink[digit].sum() / (REACH * longest)
    while digit.sum() > last:
        last = digit.sum()
        gaps = ndimage.minimum(ndimage.distance_transform_edt(~digit), labels, short)
        digit |= np.isin(labels, short[(gaps <= REACH * longest) & (masses >= least * gaps)])
    return digit
