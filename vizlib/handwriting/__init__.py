"""A photograph or a drawing of digits, turned into the 28×28 that MNIST would have had of each.

>>> stroke = np.full((90, 60), 230, np.uint8)
>>> stroke[15:75, 26:34] = 40
>>> prepared = prepare(stroke)
>>> prepared.image.shape, list(prepared.steps)[-1]
((28, 28), 'centred by mass')
>>> from vizlib import weights
>>> read(weights.load("lenet"), stroke).digit
1

A network that has seen white digits on black, all of one size and in the middle, takes black ink
on white paper for nothing it knows. This is what is done, in order, and why; the picture of each
step is in `Prepared.steps`, by the name that is given here:

1. *grey*: one brightness a pixel.
   - A picture is shrunk to 800 pixels a side, where a small digit has still enough of them.
   - The colours are weighed so that ink and paper differ most: yellow on white differs in blue.
2. *uneven light removed*: each pixel is divided by the brightness of the paper around it.
   - Ink is darker than paper, or brighter as chalk is: it is the rarer of the two.
   - Noise is blurred away, or the paper would be as bright as its brightest grains.
   - What is narrower than a window is filled with paper: strokes are, shadows are not.
3. *white on black*: the share of the light that the ink takes away, in the sun and in the shade.
4. *cropped*: the digit's place, which is looked for in a smaller picture, at most 270 pixels wide.
   - Printed lines and squares are taken out, which run through, and the cells of forms, whose
     lines are straight and meet others; strokes that cross them stay whole.
   - What hangs together is a mark, with what is near it: the bar of a 5 may stand apart.
   - Of all marks, the one is taken that most looks like a digit (`_digit.likeness`).
   - A wide window sees broad strokes whole; a narrower one, which sees no shadow, is tried only
     where that shows nothing like a digit.
   - What is about as tall and as strong as that digit is another digit, for `read_all`.
   - A wide mark that looks like no digit is cut in two for it, if both sides look like one.
5. *specks dropped*: the digit's own ink alone.
   - An edge runs where there is half of the ink of the stroke nearby: it is as sharp as ink's.
   - A cloud that is hardly darker than the rest of the paper is refused.
6. *scaled to 20*: its longer side is 20 pixels, the proportions kept, as MNIST's.
   - Strokes no pen of MNIST's would draw are made thicker or thinner.
   - Gaps are closed in strokes that were drawn in hard pixels.
7. *centred by mass*: it is laid into 28×28 with its centre of mass in the centre, as MNIST's.

By the last two steps MNIST itself was made (LeCun, Bottou, Bengio and Haffner, Gradient-based
learning applied to document recognition, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from vizlib import data, models
from vizlib.handwriting import _digit, _doubt, _mnist, _photo
from vizlib.handwriting._mnist import SIDE as SIDE
from vizlib.handwriting._mnist import by_mass

STEPS = (
    *("grey", "uneven light removed", "white on black", "cropped", "specks dropped"),
    *("scaled to 20", "centred by mass"),
)
DIGITS = range(10)
DOUBTFUL, NONE = 0.5, "this does not look like one of MNIST's digits"
# Doubts of what is no single digit, and of both of its sides (a 2 with a long foot; the letter M).
ONE, TWO = 0.8, 0.15
_OWN = 2  # pixels: the soft edge of a stroke is no wider
Box = tuple[int, int, int, int]


class NoDigitError(ValueError):
    """A picture could be opened, and there is no digit in it."""


@dataclass(frozen=True)
class Prepared:
    """What a network gets to see, and how it came about.

    `image` is uint8 (28, 28), white on black. `steps` has an array uint8 (H, W) for each name in
    `STEPS`, in that order, for looking at: the first three are the whole picture, the next two
    the digit's place in it, then at most 20×20, then `image`. A drawing (`from_ink`) needs three.

    `box` is the digit's (top, left, bottom, right) in pixels of the picture, None in a drawing, and
    `others` counts the other digits beside it.
    """

    image: np.ndarray = field(repr=False)
    steps: dict[str, np.ndarray] = field(repr=False)
    box: Box | None = None
    others: int = 0


@dataclass(frozen=True)
class Reading:
    """What a network took a digit for: `digit` 0…9, `probabilities` float32 (10,), its input.

    `doubt` is 0…1: from 0.5 on, the image looks like none of MNIST's digits, whatever the network
    says; None where the network knows other classes than ten digits. `box` is the digit's (top,
    left, bottom, right) in pixels of the picture, `others` counts the other digits in it.
    """

    digit: int
    probabilities: torch.Tensor
    prepared: Prepared = field(repr=False)
    doubt: float | None = None

    @property
    def doubted(self) -> bool:
        """Whether the image looks like none of MNIST's digits."""
        return self.doubt is not None and self.doubt >= DOUBTFUL

    @property
    def box(self) -> Box | None:
        """The digit's top, left, bottom and right, in pixels of the picture."""
        return self.prepared.box

    @property
    def others(self) -> int:
        """How many other digits there are in the picture, which `read_all` reads."""
        return self.prepared.others


def prepare(image: Any) -> Prepared:
    """Find the digit in a picture, and make of it what MNIST would have.

    `image` is a path, bytes, an open file, a Pillow image, or an array or tensor (H, W),
    (H, W, 3) or (H, W, 4). It shows one digit, dark on bright or bright on dark, upright and with
    some room around it; of several, the one that most looks like a digit is taken. MNIST's own
    images come back as they were, but for their faintest pixels.

    Raises ValueError where there is no ink, where a file is damaged, of no known format, a folder,
    a device, over 200 MB or over 128 million pixels; FileNotFoundError; TypeError where `image` is
    no picture at all.

    >>> prepare(np.full((100, 100), 255, np.uint8))
    Traceback (most recent call last):
    vizlib.handwriting.NoDigitError: there is no digit in the array of shape (100, 100): ...
    """
    photo, digits = seen(image)
    # What looks like no digit is doubted, not cut: some scribbles could be cut in two digits.
    first = laid_out(photo, digits, *digits.cuts[0])
    return replace(first, others=len(digits.cuts) - 1)


def seen(image: Any) -> tuple[_photo.Photo, _digit.Digits]:
    """Return a picture and the digits in it; raise NoDigitError where there is none."""
    photo = _photo.read_grey(image)
    digits = _digit.find(photo.values)
    if digits is None:
        raise NoDigitError(
            f"there is no digit in {photo.name}: write one large digit with a dark pen on bright "
            "paper, or with chalk on a board, and leave some room around it"
        )
    return photo, digits


def one_or_two(
    photo: _photo.Photo, digits: _digit.Digits, place: _digit.Place, digit: np.ndarray
) -> list[Prepared]:
    """Prepare a mark, or the two digits that it is: it looks like no digit, and its sides do."""
    whole = laid_out(photo, digits, place, digit)
    cuts = _digit.cuts(digit)
    if not cuts or _doubt.doubts([whole.image])[0] < ONE:
        return [whole]
    pairs = [[laid_out(photo, digits, place, side) for side in cut] for cut in cuts]
    doubts = [max(_doubt.doubts([side.image for side in pair])) for pair in pairs]
    best = int(np.argmin(doubts))
    return pairs[best] if doubts[best] < TWO else [whole]


def laid_out(
    photo: _photo.Photo, digits: _digit.Digits, place: _digit.Place, digit: np.ndarray
) -> Prepared:
    """Make of a digit's ink what MNIST would have, and keep each step of the way."""
    scaled = _mnist.whole(_mnist.in_box(digit))
    centred, ink = by_mass(scaled), digits.ink
    even = 1 - ink if digits.dark else ink
    arrays = (photo.values / 255, even, ink, ink[place], digit, scaled, centred)
    steps = {name: _mnist.in_bytes(array) for name, array in zip(STEPS, arrays, strict=True)}
    size = photo.longest / max(photo.values.shape)
    tight = _digit.box_of(digit > _mnist.EDGE)
    sides = [(a.start + b.start, a.start + b.stop) for a, b in zip(place, tight, strict=True)]
    (top, bottom), (left, right) = (np.array(sides) * size).round().astype(int).tolist()
    return Prepared(steps[STEPS[-1]], steps, (top, left, bottom, right))


def from_ink(ink: Any) -> Prepared:
    """Make of a drawing what MNIST would have: no paper to find, all ink is the digit's.

    `ink` is uint8 (H, W), white on black: 0 is no ink and 255 is ink. The steps are the last ones
    of a photograph's: cropped to the ink, scaled to 20, centred by mass.

    Raises ValueError where no pixel is even half covered.

    >>> bar = np.zeros((280, 280), np.uint8)
    >>> bar[60:220, 120:140] = 255
    >>> from_ink(bar).steps["scaled to 20"].shape
    (20, 2)
    """
    cover = np.asarray(ink, np.float32) / 255
    inked = cover >= _mnist.EDGE
    if not inked.any():
        raise NoDigitError("there is no ink in the drawing: draw one digit, as large as you like")
    # An eraser leaves faint edges behind, which would count as ink when the drawing is cropped.
    place = _digit.grown_box(_digit.box_of(inked), _OWN)
    near = ndimage.binary_dilation(inked[place], iterations=_OWN)
    cropped = _mnist.trimmed(cover[place] * near)
    scaled = _mnist.in_box(cropped)
    arrays = {"cropped": cropped, "scaled to 20": scaled, "centred by mass": by_mass(scaled)}
    steps = {name: _mnist.in_bytes(array) for name, array in arrays.items()}
    return Prepared(steps[STEPS[-1]], steps)


def in_colour(image: Any) -> np.ndarray:
    """Return any picture as uint8 (H, W, 3), upright and shrunk to at most 800 pixels a side.

    For networks that read photographs: nothing is looked for in it. Takes and raises what
    `prepare` does.

    >>> in_colour(np.zeros((30, 40), np.uint8)).shape
    (30, 40, 3)
    """
    values = _photo.read_colours(image).values
    values = values if values.ndim > len("HW") else np.stack([values] * len("RGB"), axis=-1)
    return _mnist.in_bytes(values / 255)


def read(model: nn.Module, image: Any) -> Reading:
    """Prepare a picture and ask the model, in eval mode, what its digit is.

    The model comes back in the mode it was in. Raises what `prepare` raises.
    """
    return answers(model, [prepare(image)])[0]


def read_all(model: nn.Module, image: Any) -> list[Reading]:
    """Read every digit in a picture: row by row, and from left to right.

    Each reading has its `box` (top, left, bottom, right) in pixels of the picture. Takes and raises
    what `prepare` does.

    >>> from vizlib import weights
    >>> two = np.full((90, 120), 230, np.uint8)
    >>> two[15:75, 26:34] = two[15:75, 86:94] = 40
    >>> [(reading.digit, reading.box[1]) for reading in read_all(weights.load("lenet"), two)]
    [(1, 26), (1, 86)]
    """
    photo, digits = seen(image)
    found = [one for cut in digits.cuts for one in one_or_two(photo, digits, *cut)]
    order = _digit.reading_order([prepared.box for prepared in found if prepared.box])
    return answers(model, [replace(found[k], others=len(found) - 1) for k in order])


def answers(model: nn.Module, found: list[Prepared]) -> list[Reading]:
    """Ask the model what each of the digits is."""
    device = next(model.parameters()).device
    images = torch.from_numpy(np.stack([prepared.image for prepared in found]))
    with torch.no_grad(), models.eval_mode(model):
        scores = model(data.normalize(images).to(device))
    chances = models.probabilities(scores).cpu()
    doubts = (
        _doubt.doubts(list(images.numpy()))
        if chances.shape[-1] == len(DIGITS)
        else [None] * len(images)
    )
    together = zip(chances, found, doubts, strict=True)
    return [Reading(int(p.argmax()), p, each, doubt) for p, each, doubt in together]
