"""Printed lines, squares and the cells of forms, which are no ink of a digit's.

They are looked for in ink (H, W) seen from afar, at most 270 pixels wide. Lines and squares run
from border to border, or there are many; cells stand anywhere, and have something inside.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

from vizlib.handwriting import _ink
from vizlib.handwriting._ink import SQUARE

_PALEST = 0.04  # of the light missing in a printed line, once it is averaged
_WIDE = 0.96  # of the width has a line that runs from border to border (frames with an inset)
_LINES, _THROUGH = 5, 2  # parallel ones: no digit has so many, or so many that fill the picture
_CROWDED = 0.7  # of the picture: grain is no line (a blank board)
_SLOPES = np.tan(np.radians(np.arange(-15, 16, 2.5)))
# Percent of a line are no darker than usual, and strokes that cross it are so many times as dark
# (pale cells under a black pen; thin cells, in which a line between two pixels is half as dark).
_USUAL, _DARKER = 70, 1.3
_BRIDGE = 6  # pixels from afar: as wide a line is crossed by a stroke (bold cells)
_CELL = 14  # pixels from afar: lower and narrower marks are no cells (the bar of a 5 apart)
_PALE_CELL = 0.15  # times as strong as nearly the strongest ink (cells printed in grey)
_ROW = 1.5  # times as wide as high is a row of cells, and no digit
# Shares of a mark's shorter side that run straight, of its width that its rules take, and of its
# height that its walls do (digits that stand out above the cells they were written in).
_STRAIGHT, _RULE, _WALL = 0.6, 0.75, 0.6
_INSET = 0.1  # of a mark's side: so far from its edge is its middle (the sides do not meet)
_HELD = 0.1  # of a frame's ink is at least in what is written in it (a loop of an 8 is empty)
_TEETH = 0.9  # of its floor is between the outermost teeth of a comb
_INKED = 0.9  # of a segment is ink in a row that is worth opening, which takes long


def without(ink: np.ndarray, lines: np.ndarray, step: int) -> np.ndarray:
    """Take the lines away that were seen from afar, and leave the strokes that cross them whole.

    A pixel of `lines` (h, w) is `step` pixels of the ink (H, W).
    """
    if not lines.any():
        return ink
    near = ndimage.maximum_filter(_ink.blocks(ink, step, np.max), 3)
    darkest = _DARKER * np.percentile(near[lines], _USUAL)
    there = ndimage.binary_dilation(lines, SQUARE).repeat(step, 0).repeat(step, 1)
    there = there[: ink.shape[0], : ink.shape[1]]
    strokes = np.where(there & (ink < darkest), 0, ink)
    bridged = ndimage.grey_closing(strokes, _BRIDGE * step + 1)
    return np.where(there, np.minimum(bridged, ink), ink)


def ruled(ink: np.ndarray) -> np.ndarray:
    """Tell where printed lines and squares are (H, W)."""
    if max(ink.shape) < _ink.RESOLVED:
        return np.zeros(ink.shape, bool)
    lines = ruling(ink, _THROUGH)
    # Across printed lines, a single one that runs through is the margin's, or the frame's.
    uprights = ruling(ink.T, 1 if lines.any() else _THROUGH).T
    if uprights.any() and not lines.any():
        lines = ruling(ink, 1)
    lines |= uprights
    return lines & (lines.mean() < _CROWDED)


def widths(labels: np.ndarray) -> np.ndarray:
    """Return how many columns each of the numbered marks has, 0 first."""
    boxes = ndimage.find_objects(labels)
    return np.array([0, *(columns.stop - columns.start for _, columns in boxes)])


# --- Cells ------------------------------------------------------------------------------------


def cells(ink: np.ndarray) -> np.ndarray:
    """Tell where the cells of a form are (H, W), around what is written in them."""
    found, inked = np.zeros(ink.shape, bool), _ink.marked(ink, _PALE_CELL)
    labels = ndimage.label(inked, SQUARE)[0]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if min(labels[box].shape) >= _CELL:
            found[box] |= frame(labels[box] == number, inked[box])
    return found


def frame(mark: np.ndarray, inked: np.ndarray) -> np.ndarray:
    """Return the frame that a mark (H, W) is or has, without the strokes that touch it.

    Its lines are straight, nearly as long as the mark, and each meets two others at least; on the
    floor of a comb stand teeth. A single cell holds something, as the loops of an 8 do not. Where
    its sides do not meet, the whole mark holds something in its middle.
    """
    length = int(_STRAIGHT * min(mark.shape))
    rules, walls = straight(mark, length, _RULE), straight(mark.T, length, _WALL).T
    corners = ndimage.label(rules & walls, SQUARE)[0]
    row = mark.shape[1] > _ROW * mark.shape[0]
    rules = meeting(rules, corners, 2)
    walls = meeting(walls, corners, 1 if row and is_comb(rules, corners) else 2)
    lines = rules | walls
    if (row and rules.any()) or holds(lines, inked, ndimage.binary_fill_holes(lines)):
        return uncrossed(rules, mark) | uncrossed(walls.T, mark.T).T | (rules & walls)
    inner = tuple(slice(int(_INSET * side), -int(_INSET * side)) for side in mark.shape)
    within = ndimage.binary_fill_holes(mark)
    within[inner] |= not mark[inner].any()
    return mark & holds(mark, inked, within)


def holds(frame: np.ndarray, inked: np.ndarray, within: np.ndarray) -> bool:
    """Tell whether within a frame (H, W) there is ink enough."""
    return bool((inked & within & ~frame).sum() > _HELD * frame.sum() > 0)


def is_comb(rules: np.ndarray, corners: np.ndarray) -> bool:
    """Tell whether there is one rule (H, W), and teeth stand on it from end to end."""
    if ndimage.label(rules, SQUARE)[1] != 1 or not corners.any():
        return False
    ends = [np.ptp(np.flatnonzero(mask.any(0))) for mask in (corners, rules)]
    return bool(ends[0] > _TEETH * ends[1])


def straight(mark: np.ndarray, length: int, share: float) -> np.ndarray:
    """Return a mark's level lines (H, W), a little aslant or not, of that share of its width."""
    thick = ndimage.binary_dilation(mark, np.ones((3, 1)))
    labels = ndimage.label(ndimage.binary_opening(thick, np.ones((1, length))) & mark, SQUARE)[0]
    return (widths(labels) >= share * mark.shape[1])[labels]


def meeting(lines: np.ndarray, corners: np.ndarray, least: int) -> np.ndarray:
    """Return those lines (H, W) that have so many of the corners, which are numbered from 1."""
    labels, count = ndimage.label(lines, SQUARE)
    met = np.unique(np.stack([labels, corners])[:, corners > 0], axis=1)[0]
    return lines & (np.bincount(met, minlength=count + 1) >= least)[labels]


def uncrossed(lines: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """Return level lines (H, W) where no stroke of the mark crosses them or runs along them."""
    labels = ndimage.label(lines, SQUARE)[0]
    thick = np.bincount(labels.ravel()) / np.maximum(widths(labels), 1)
    usual = round(np.median(thick[1:])) if lines.any() else 0
    return lines & ~ndimage.binary_opening(mark, np.ones((usual + 2, 1)))


# --- Lines and squares ------------------------------------------------------------------------


def ruling(ink: np.ndarray, least: int) -> np.ndarray:
    """Tell where lines run from left to right (H, W).

    What survives an opening by a long straight segment is straight. It is printed where `least` or
    more run from border to border, or five or more, as on a sheet that is seen as a whole, run
    across half of the picture. Then so are shorter pieces that end at a stroke.
    """
    thin = ink - ndimage.grey_opening(ink, (max(4, min(ink.shape) // 30), 1))
    width, longer = ink.shape[1], max(ink.shape)
    labels = ndimage.label(openings(thin, max(8, width // 4)) > _PALEST)[0]
    spans = widths(labels)
    many = np.count_nonzero(spans >= longer / 2) >= _LINES
    kept = spans > (longer / 5 if many else _WIDE * width)
    return kept[labels] & (many or np.count_nonzero(kept) >= least)


def openings(ink: np.ndarray, length: int) -> np.ndarray:
    """Return the greatest of the openings by segments of that length, up to 15° off the level.

    Before, an eighth of the segment is averaged, so that noise does not cut a pale line. Only rows
    with ink enough for a segment are opened, as opening takes far longer than counting.
    """
    tolerant = ndimage.maximum_filter1d(ink, 3, axis=0)
    best = np.zeros_like(ink)
    inked = np.nonzero(tolerant > _PALEST)
    for slope in _SLOPES:
        levels = (inked[0] + np.round(slope * inked[1]).astype(int)) % len(ink)
        rows = np.bincount(levels, minlength=len(ink)) >= _INKED * length
        if rows.any():
            level = sheared(tolerant, slope)
            level[~rows] = 0
            even = ndimage.uniform_filter1d(level[rows], length // 8)
            level[rows] = ndimage.grey_opening(even, (1, length))
            np.maximum(best, sheared(level, -slope), out=best)
    return best


def sheared(image: np.ndarray, slope: float) -> np.ndarray:
    """Return the image with each column moved down by `slope` times its place, around the end."""
    return image.ravel()[moved(*image.shape, slope)]


@functools.lru_cache(2 * len(_SLOPES))  # those of one picture, upright and on its side
def moved(height: int, width: int, slope: float) -> np.ndarray:
    """Return where each pixel of a sheared image (height, width) comes from, in the flat one."""
    columns = np.arange(width)
    rows = (np.arange(height)[:, None] - np.round(slope * columns).astype(int)) % height
    return rows * width + columns
