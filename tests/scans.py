"""Pictures of handwriting from a scanner, a screen or a drawing program, made by a program.

>>> picture = draw("frame", digit=7, seed=0)
>>> picture.dtype, picture.ndim
(dtype('uint8'), 2)
>>> picture, boxes = number("telephone", [1, 2, 3], seed=0)
>>> len(boxes)
3

Each kind in `KINDS` draws one digit with the pen's ways of `photos`, each in `NUMBERS` several, and
each in `NO_DIGITS` something that is none. Their sizes, pens and greys are drawn by lot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import photos
from PIL import Image, ImageDraw
from scipy import ndimage

Box = tuple[float, float, float, float]  # left, top, width, height, in pixels
_FINE = 4  # each pixel is drawn as so many squared


class Sheet:
    """A paper on which a pen draws: `grey` is float32 (H, W) in 0…255."""

    def __init__(self, size: tuple[int, int], paper: float, chance: np.random.Generator) -> None:
        self.size, self.chance = size, chance
        self.grey = np.full(size[::-1], paper, np.float32)

    def line(self, points: list, width: float, ink: float, *, smooth: bool = True) -> None:
        fine = _FINE if smooth else 1
        canvas = Image.new("L", (self.size[0] * fine, self.size[1] * fine))
        pen = ImageDraw.Draw(canvas)
        scaled = [(x * fine, y * fine) for x, y in points]
        pen.line(scaled, 255, max(1, round(width * fine)), "curve")
        if width * fine > 2:
            for place in scaled:
                pen.circle(place, width * fine / 2, fill=255)
        cover = np.asarray(canvas.resize(self.size, Image.Resampling.BOX), np.float32) / 255
        self.grey += cover * (ink - self.grey)

    def digit(self, digit: int, box: Box, width: float, ink: float, *, smooth: bool = True) -> None:
        for stroke in way(digit, box, self.chance):
            self.line(stroke, width, ink, smooth=smooth)

    def blurred(self, radius: float) -> None:
        self.grey = ndimage.gaussian_filter(self.grey, radius)

    def picture(self, noise: float = 0.0) -> np.ndarray:
        grain = noise * self.chance.standard_normal(self.grey.shape)
        return np.clip(self.grey + grain + 0.5, 0, 255).astype(np.uint8)


def way(digit: int, box: Box, chance: np.random.Generator) -> list:
    """The strokes of a digit in a box, of another hand each time, in curves or straight lines."""
    templates = photos.STROKES[digit]
    strokes = photos.bend(chance, templates[chance.integers(len(templates))])
    if chance.random() < 0.6:
        strokes = [photos.path(stroke, chance)[::4, :2] for stroke in strokes]
    every = np.concatenate(strokes)
    low, span = every.min(0), np.ptp(every, axis=0)
    left, top, width, height = box
    factor = min(height / span[1], width / max(span[0], 1e-6))
    shift = np.array([left, top]) + (np.array([width, height]) - factor * span) / 2
    return [[tuple(p) for p in (stroke - low) * factor + shift] for stroke in strokes]


def format_of(chance: np.random.Generator, least: int, most: int) -> tuple[int, int]:
    """Width and height of a picture, neither of which is more than 1.6 times the other."""
    height = int(chance.integers(least, most))
    return int(np.clip(height * chance.uniform(0.62, 1.6), least, most)), height


def middle(size: tuple[int, int], share: float, chance: np.random.Generator) -> Box:
    """A box of that share of the picture's height near its middle."""
    height = share * size[1]
    width = min(0.9 * height, 0.7 * size[0])
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    dx, dy = chance.uniform(-0.3, 0.3, 2) * (left, top)
    return left + dx, top + dy, width, height


# --- One digit ---------------------------------------------------------------------------------


def cell(digit: int, chance: np.random.Generator) -> np.ndarray:
    """A scanned cell of a form, cut out without its frame."""
    size = format_of(chance, 60, 260)
    sheet = Sheet(size, chance.uniform(225, 255), chance)
    box = middle(size, chance.uniform(0.45, 0.8), chance)
    sheet.digit(digit, box, box[3] * chance.uniform(0.03, 0.14), chance.uniform(10, 140))
    return sheet.picture(chance.uniform(0, 5))


def frame(digit: int, chance: np.random.Generator) -> np.ndarray:
    """The same with the printed frame around it, whole or on some sides, a little askew."""
    size = format_of(chance, 120, 260)
    sheet = Sheet(size, chance.uniform(235, 255), chance)
    box = middle(size, chance.uniform(0.4, 0.65), chance)
    sheet.digit(digit, box, box[3] * chance.uniform(0.05, 0.14), chance.uniform(40, 130))
    (width, height), inset = size, min(size) * chance.uniform(0.0, 0.09)
    rules, ink = min(size) * chance.uniform(0.006, 0.028), chance.uniform(0, 120)
    ends = [inset, *(side - inset for side in size)]
    over = chance.random() < 0.5  # the rules go on outside, or the corners are seen
    a, b, c = (-9, width + 9, height + 9) if over else (ends[0], ends[1], ends[2])
    for line in ([(ends[0], a), (ends[0], c)], [(ends[1], a), (ends[1], c)],
                 [(a, ends[0]), (b, ends[0])], [(a, ends[2]), (b, ends[2])]):  # fmt: skip
        if chance.random() < 0.9:
            askew = chance.normal(0, 0.8, 4)
            points = [(line[0][0] + askew[0], line[0][1] + askew[1]),
                      (line[1][0] + askew[2], line[1][1] + askew[3])]  # fmt: skip
            sheet.line(points, rules, ink)
    return sheet.picture(chance.uniform(0, 5))


def neighbours(digit: int, chance: np.random.Generator) -> np.ndarray:
    """A digit cut out of a photograph, with bits of its neighbours at the border."""
    size = format_of(chance, 120, 420)
    paper, ink = chance.uniform(150, 235), chance.uniform(30, 90)
    sheet = Sheet(size, paper, chance)
    box = middle(size, chance.uniform(0.45, 0.7), chance)
    pen = box[3] * chance.uniform(0.05, 0.16)
    sheet.digit(digit, box, pen, ink)
    for side in chance.permutation(4)[: chance.integers(1, 4)]:
        along, deep = (
            chance.uniform(0.2, 0.8, 3),
            chance.uniform(-0.06, 0.08, 3) + np.array([-0.06, 0, -0.06]),
        )
        points = [(deep[i], along[i]) for i in range(3)]
        points = [(x if side % 2 else 1 - x, y) for x, y in points]
        points = [(y, x) if side > 1 else (x, y) for x, y in points]
        sheet.line([(x * size[0], y * size[1]) for x, y in points], pen, ink)
    sheet.blurred(min(size) / 200 * chance.uniform(0.3, 2.5))
    slope = np.linspace(1, chance.uniform(0.7, 1), size[0])
    sheet.grey *= slope if chance.random() < 0.5 else slope[::-1]
    return sheet.picture(chance.uniform(1, 5))


def paint(digit: int, chance: np.random.Generator) -> np.ndarray:
    """Drawn with a mouse or on a tablet: hard edges, any pen, any place."""
    size = format_of(chance, 100, 600)
    sheet = Sheet(size, 255, chance)
    box = middle(size, chance.uniform(0.4, 0.8), chance)
    pen = max(1, box[3] * chance.uniform(0.01, 0.17))
    sheet.digit(digit, box, pen, 255 * chance.integers(2) * 0.4, smooth=chance.random() < 0.5)
    picture = sheet.picture()
    return picture if chance.random() < 0.6 else 255 - picture


def hair(digit: int, chance: np.random.Generator) -> np.ndarray:
    """A line one pixel wide, the strokes of a 4 or 5 a little apart."""
    sheet = Sheet((280, 280), 255, chance)
    strokes = way(digit, (95, 70, 90, 140), chance)
    ink = chance.uniform(0, 120)
    for stroke in strokes:
        dx, dy = chance.uniform(2, 9, 2) if stroke is not strokes[0] else (0, 0)
        sheet.line([(x + dx, y + dy) for x, y in stroke], 1, ink, smooth=False)
    return sheet.picture()


def tiny(digit: int, chance: np.random.Generator) -> np.ndarray:
    """A file of MNIST's size, drawn by somebody: any pen, either polarity, seldom centred."""
    size = (int(chance.integers(28, 33)),) * 2
    sheet = Sheet(size, 255, chance)
    height = chance.uniform(14, 24)
    left, top = (
        chance.uniform(1.5, size[0] - 1.5 - 0.8 * height),
        chance.uniform(1.5, size[1] - 1.5 - height),
    )
    smooth = chance.random() < 0.7
    sheet.digit(
        digit,
        (left, top, 0.8 * height, height),
        chance.uniform(1, 3.5),
        chance.uniform(0, 90),
        smooth=smooth,
    )
    picture = sheet.picture(chance.choice([0, 0, 4]))
    return picture if chance.random() < 0.5 else 255 - picture


def broken(digit: int, chance: np.random.Generator) -> np.ndarray:
    """The same in hard strokes of two pixels with holes in them."""
    sheet = Sheet((28, 28), 255, chance)
    sheet.digit(digit, (7, 4, 14, 20), 2, 20, smooth=False)
    picture = sheet.picture()
    rows, columns = np.nonzero(picture < 128)
    size = chance.integers(1, 4)
    for k in chance.integers(len(rows), size=chance.integers(1, 5)):
        row, column = rows[k], columns[k]
        picture[max(0, row - 1) : row - 1 + size, max(0, column - 1) : column - 1 + size] = 255
    return picture


def faint(digit: int, chance: np.random.Generator) -> np.ndarray:
    """Four to twelve percent darker than the paper, at MNIST's size or a larger one."""
    side = int(chance.choice([28, 28, 28, 90, 200]))
    sheet = Sheet((side, side), 255, chance)
    height = 0.68 * side
    pen = max(1, side / 28 * chance.uniform(0.9, 2.5))
    box = (0.2 * side, 0.16 * side, 0.6 * side, height)
    sheet.digit(
        digit, box, pen, 255 * (1 - chance.uniform(0.045, 0.12)), smooth=chance.random() < 0.5
    )
    return sheet.picture()


def screen(digit: int, chance: np.random.Generator) -> np.ndarray:
    """A small picture enlarged on a screen, in squares, perhaps in false colours."""
    small = Sheet((24, 24), 255, chance)
    small.digit(digit, (5, 3, 14, 18), chance.uniform(1.2, 3), 0)
    large = np.asarray(
        Image.fromarray(small.picture()).resize((190, 200), Image.Resampling.NEAREST)
    )
    ends = chance.choice(
        [(60, 165, 215, 255, 255, 255), (68, 1, 84, 253, 231, 37), (0, 0, 0, 255, 255, 255)]
    )
    ends = ends.reshape(2, 3)[:: chance.choice([-1, 1])]
    share = large[..., None] / 255
    return (ends[0] * (1 - share) + ends[1] * share).astype(np.uint8)


KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    kind.__name__: kind
    for kind in (cell, frame, neighbours, paint, hair, tiny, broken, faint, screen)
}


def draw(kind: str, digit: int, seed: int) -> np.ndarray:
    """A picture uint8 (H, W) or (H, W, 3) of one digit, the same for each seed."""
    return KINDS[kind](digit, np.random.default_rng([seed, digit, *kind.encode()]))


# --- Several digits ----------------------------------------------------------------------------


def telephone(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """A row of digits, close together or far apart, up and down a little."""
    height = chance.uniform(70, 130)
    step = height * chance.uniform(0.75, 1.2)
    size = round(2 * height + step * len(digits)), round(height * chance.uniform(1.8, 4))
    sheet = Sheet(size, chance.uniform(190, 240), chance)
    pen, ink = height * chance.uniform(0.05, 0.12), chance.uniform(20, 90)
    boxes = []
    for i, digit in enumerate(digits):
        tall = height * chance.uniform(0.9, 1.1)
        top = (size[1] - tall) / 2 + height * chance.normal(0, 0.06)
        boxes.append((height + i * step, top, 0.62 * step, tall))
        sheet.digit(digit, boxes[-1], pen, ink)
    return sheet.picture(chance.uniform(1, 5)), boxes


def cells(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Digits in the printed boxes of a form, dark or pale."""
    side = chance.uniform(60, 110)
    size = round(side * (len(digits) + 1)), round(side * 2)
    sheet = Sheet(size, 248, chance)
    rule, ends = chance.uniform(20, 200), [0.5 * side, 0.5 * side + side * len(digits)]
    for y in (0.5 * side, 1.5 * side):
        sheet.line([(ends[0], y), (ends[1], y)], 0.025 * side, rule)
    boxes, pen, ink = [], side * chance.uniform(0.05, 0.08), chance.uniform(20, 100)
    for i in range(len(digits) + 1):
        x = ends[0] + i * side
        sheet.line([(x, ends[0]), (x, 1.5 * side)], 0.025 * side, rule)
    for i, digit in enumerate(digits):
        boxes.append((ends[0] + (i + 0.28) * side, 0.7 * side, 0.44 * side, 0.6 * side))
        sheet.digit(digit, boxes[-1], pen, ink)
    return sheet.picture(chance.uniform(0, 4)), boxes


def form(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Cells that were printed thin or bold, laid a little askew under a lamp, and photographed."""
    side = chance.uniform(60, 110)
    wide, edge = side * chance.uniform(0.75, 1), side * chance.uniform(0.4, 1)
    gap = side * chance.choice([0, 0.04, 0.15, 0.4])  # one wall between cells, two, or a space
    step = wide + gap
    size = round(2 * edge + step * len(digits)), round(2 * edge + side)
    sheet = Sheet(size, chance.uniform(190, 245), chance)
    rule, width = chance.uniform(20, 190), side * chance.uniform(0.015, 0.06)
    roof = gap == 0 and chance.random() < 0.4  # or a comb: a floor with teeth, and no roof
    tall = side * (chance.uniform(0.2, 1) if roof else 1)
    boxes, pen, ink = [], side * chance.uniform(0.05, 0.09), chance.uniform(20, 100)
    reach = chance.choice([0.6, 0.75, 0.95])  # of the cell: the largest touch or cross their frame
    for i, digit in enumerate(digits):
        a, b, top, floor = edge + i * step, edge + i * step + wide, edge, edge + side
        teeth = [(a, floor - tall), (a, floor), (b, floor), (b, floor - tall)]
        sheet.line(teeth if roof else [*teeth, teeth[0]], width, rule)
        height = reach * side
        left, up = chance.normal(0, 0.04 * side, 2)
        up += (side - height) / 2
        boxes.append((a + 0.5 * wide - 0.36 * height + left, top + up, 0.72 * height, height))
        sheet.digit(digit, boxes[-1], pen, ink)
    sheet.blurred(chance.uniform(0, 1))
    sheet.grey, boxes = turned(sheet.grey, boxes, chance.uniform(-3, 3))
    if chance.random() < 0.5:
        y, x = np.mgrid[: size[1], : size[0]] / np.array(size[::-1])[:, None, None]
        dark = x + chance.normal(0, 0.3) * y > chance.uniform(0.2, 0.8)
        sheet.grey *= 1 - chance.uniform(0.1, 0.5) * ndimage.gaussian_filter(dark * 1.0, 4)
    return sheet.picture(chance.uniform(0, 5)), boxes


def turned(grey: np.ndarray, boxes: list[Box], degrees: float) -> tuple[np.ndarray, list[Box]]:
    """Turn a picture around its middle, the paper going on outside; each box keeps its size."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = (np.array(grey.shape) - 1) / 2
    there = np.array([[c, s], [-s, c]])
    picture = ndimage.affine_transform(
        grey, there, middle - there @ middle, order=1, mode="nearest"
    )
    moved = []
    for left, top, width, height in boxes:
        centre = there.T @ (np.array([top + height / 2, left + width / 2]) - middle) + middle
        moved.append((centre[1] - width / 2, centre[0] - height / 2, width, height))
    return picture, moved


def rows(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Two rows one below the other, as the numbers of a sum."""
    half = (len(digits) + 1) // 2
    height = chance.uniform(60, 110)
    size = round(height * (2 + half)), round(height * 4.2)
    sheet = Sheet(size, chance.uniform(190, 240), chance)
    pen, ink, boxes = height * chance.uniform(0.05, 0.11), chance.uniform(20, 90), []
    for i, digit in enumerate(digits):
        row, column = divmod(i, half)
        top = height * (0.7 + 1.55 * row) + height * chance.normal(0, 0.05)
        boxes.append((height * (1 + column), top, 0.6 * height, height))
        sheet.digit(digit, boxes[-1], pen, ink)
    return sheet.picture(chance.uniform(1, 5)), boxes


def photographed(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """A number on a sheet, under a lamp, small in the picture."""
    size = (800, 600)
    sheet = Sheet(size, 225, chance)
    height = 640 / len(digits) * chance.uniform(0.75, 1)
    step, pen, boxes = 640 / len(digits), height * chance.uniform(0.06, 0.1), []
    slope, base = chance.normal(0, 0.06), 300 + chance.uniform(-120, 120)
    for i, digit in enumerate(digits):
        top = base - height / 2 + slope * (i - len(digits) / 2) * step
        boxes.append((80 + step * (i + 0.2), top, 0.6 * step, height))
        sheet.digit(digit, boxes[-1], pen, chance.uniform(40, 70))
    sheet.blurred(1)
    y, x = np.mgrid[0:1:600j, 0:1:800j]
    sheet.grey *= 1 - chance.uniform(0.1, 0.5) * (x if chance.random() < 0.5 else y)
    return sheet.picture(chance.uniform(2, 7)), boxes


def collage(digits: list[int], chance: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """Photographs side by side, each on its own paper in its own light."""
    parts, boxes = [], []
    for i, digit in enumerate(digits[:2]):
        sheet = Sheet((300, 300), chance.uniform(150, 240), chance)
        box = middle((300, 300), chance.uniform(0.4, 0.65), chance)
        boxes.append((box[0] + 300 * i, *box[1:]))
        sheet.digit(digit, box, box[3] * chance.uniform(0.05, 0.12), chance.uniform(20, 90))
        parts.append(sheet.picture(3))
    return np.hstack(parts), boxes


NUMBERS = {kind.__name__: kind for kind in (telephone, cells, form, rows, photographed, collage)}


def number(kind: str, digits: list[int], seed: int) -> tuple[np.ndarray, list[Box]]:
    """A picture of some digits in reading order, and the box of each."""
    return NUMBERS[kind](digits, np.random.default_rng([seed, *digits, *kind.encode()]))


# --- No digit ----------------------------------------------------------------------------------

# Ways of a pen in a box of 1 × 1, as in `photos`, for letters that look like no digit.
LETTERS: dict[str, list[list[tuple[float, float]]]] = {
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.62), (0.8, 0.62)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.5), (0.8, 0.5)]],
    "F": [[(1, 0), (0, 0), (0, 1)], [(0, 0.5), (0.75, 0.5)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "K": [[(0, 0), (0, 1)], [(0.9, 0), (0, 0.55), (1, 1)]],
    "M": [[(0, 1), (0.1, 0), (0.5, 0.7), (0.9, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "P": [[(0, 1), (0, 0), (0.7, 0.03), (0.9, 0.25), (0.7, 0.5), (0, 0.52)]],
    "R": [[(0, 1), (0, 0), (0.8, 0.1), (0.8, 0.4), (0, 0.5), (1, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "W": [[(0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "a": [[(0.8, 0.1), (0.3, 0), (0, 0.5), (0.3, 1), (0.8, 0.6), (0.8, 0), (0.85, 0.9), (1, 1)]],
    "e": [[(0.05, 0.5), (0.9, 0.45), (0.7, 0), (0.2, 0.1), (0, 0.6), (0.4, 1), (1, 0.8)]],
    "f": [[(1, 0.05), (0.7, 0), (0.5, 0.2), (0.45, 1)], [(0.1, 0.4), (0.9, 0.4)]],
    "k": [[(0, 0), (0, 1)], [(0.8, 0.4), (0, 0.7), (0.9, 1)]],
    "m": [[(0, 1), (0, 0.1), (0, 0.3), (0.3, 0), (0.5, 0.3), (0.5, 1), (0.5, 0.3), (0.8, 0),
           (1, 0.3), (1, 1)]],
    "w": [[(0, 0), (0.2, 1), (0.5, 0.2), (0.75, 1), (1, 0)]],
    "heart": [[(0.5, 0.3), (0.25, 0), (0, 0.3), (0.5, 1), (1, 0.3), (0.75, 0), (0.5, 0.3)]],
    "star": [[(0.2, 1), (0.5, 0), (0.8, 1), (0, 0.35), (1, 0.35), (0.2, 1)]],
    "house": [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1), (1, 0.4), (0, 0.4), (1, 1)]],
    "face": [[(0.5, 0), (0, 0.3), (0.05, 0.8), (0.5, 1), (0.95, 0.8), (1, 0.3), (0.5, 0)],
             [(0.3, 0.35), (0.31, 0.36)], [(0.7, 0.35), (0.71, 0.36)],
             [(0.3, 0.65), (0.5, 0.78), (0.7, 0.65)]],
    "square": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]],
    "tree": [[(0.5, 1), (0.5, 0.6), (0, 0.6), (0.5, 0), (1, 0.6), (0.5, 0.6)]],
    "hash": [[(0.3, 0), (0.25, 1)], [(0.75, 0), (0.7, 1)], [(0, 0.3), (1, 0.3)],
             [(0, 0.7), (1, 0.7)]],
    "question": [[(0, 0.2), (0.5, 0), (0.9, 0.25), (0.5, 0.6), (0.5, 0.75)],
                 [(0.5, 0.98), (0.51, 1)]],
    "arrow": [[(0, 0.5), (1, 0.5)], [(0.6, 0.1), (1, 0.5), (0.6, 0.9)]],
}  # fmt: skip
# The doubt was trained on the first (weights/make_doubt.py), and never saw the second.
HELD_OUT = list(LETTERS)[::3]
TRAINING_LETTERS = [name for name in LETTERS if name not in HELD_OUT]


def letter(name: str, chance: np.random.Generator) -> np.ndarray:
    """A letter or a small drawing by the same pens as a digit's."""
    size = (180, 200)
    sheet = Sheet(size, chance.uniform(190, 250), chance)
    strokes = photos.bend(chance, LETTERS[name])
    pen, ink = chance.uniform(5, 14), chance.uniform(10, 100)
    height = chance.uniform(90, 130)
    for stroke in strokes:
        points = stroke * (height * chance.uniform(0.95, 1.05), height) + (90, (200 - height) / 2)
        sheet.line([tuple(p) for p in points], pen, ink)
    return sheet.picture(3)


def scribble(_name: str, chance: np.random.Generator) -> np.ndarray:
    """A pen that goes to and fro at random."""
    sheet = Sheet((180, 200), 235, chance)
    steps = chance.integers(6, 16)
    points = np.column_stack([chance.uniform(35, 145, steps), chance.uniform(35, 165, steps)])
    way = photos.path(points, chance)[::4, :2]
    sheet.line([tuple(p) for p in way], chance.uniform(3, 9), 40)
    return sheet.picture(3)


def blot(_name: str, chance: np.random.Generator) -> np.ndarray:
    """A spot without strokes: a hand, a leaf, a coin."""
    sheet = Sheet((220, 220), 225, chance)
    angles = np.sort(chance.uniform(0, 6.28, 9))
    radii = chance.uniform(25, 80, 9)
    canvas = Image.new("L", sheet.size)
    corners = [
        (110 + r * np.cos(a), 110 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)
    ]
    ImageDraw.Draw(canvas).polygon(corners, fill=255)
    sheet.grey += np.asarray(canvas, np.float32) / 255 * (chance.uniform(40, 120) - sheet.grey)
    sheet.blurred(chance.uniform(1, 3))
    return sheet.picture(4)


def page(_name: str, chance: np.random.Generator) -> np.ndarray:
    """Printed words, line after line."""
    sheet = Sheet((400, 500), 240, chance)
    picture = Image.fromarray(sheet.picture())
    pen = ImageDraw.Draw(picture)
    size = chance.integers(14, 40)
    for y in range(20, 470, int(size * 1.5)):
        words = [
            "".join(chance.choice(list("abcdefghijklmnopqrstuvwxyz"), chance.integers(2, 9)))
            for _ in range(12)
        ]
        pen.text((20, y), " ".join(words), fill=40, font_size=int(size))
    return np.asarray(picture)


NO_DIGITS = {kind.__name__: kind for kind in (letter, scribble, blot, page)}


def no_digit(kind: str, seed: int) -> np.ndarray:
    """A picture uint8 (H, W) with marks that are no digit."""
    chance = np.random.default_rng([seed, *kind.encode()])
    return NO_DIGITS[kind](HELD_OUT[seed % len(HELD_OUT)], chance)
