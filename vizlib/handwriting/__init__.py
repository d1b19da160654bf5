"""A photograph or a drawing of a digit, turned into the 28×28 that MNIST would have had.

>>> stroke = np.full((90, 60), 230, np.uint8)
>>> stroke[15:75, 26:34] = 40
>>> prepared = prepare(stroke)
>>> prepared.image.shape, list(prepared.steps)[-1]
((28, 28), 'centred by mass')
>>> from vizlib import weights
>>> read(weights.load("lenet"), stroke).digit
1

A network that has seen white digits on black, all of one size and in the middle, takes black ink
on white paper for nothing it knows. The steps between are those by which MNIST itself was made
(LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998):
the digit is scaled, its proportions kept, until its longer side is 20 pixels, which makes grey
pixels of black and white ones, and is then laid into 28×28 with its centre of mass in the centre.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from vizlib import data, models
from vizlib.handwriting import _digit, _photo

STEPS = (
    *("grey", "uneven light removed", "white on black", "cropped", "specks dropped"),
    *("scaled to 20", "centred by mass"),
)
BOX, SIDE = 20, 28
# Widths of MNIST's strokes, in its pixels: nineteen of twenty lie in the first range, all in the
# second, which is for digits as small as MNIST's: too few pixels to draw anew without need.
WIDTHS, ALL_WIDTHS = (1.8, 4.8), (1.0, 6.0)
_EDGE = 0.5  # an edge runs where half of a pixel is covered
_OWN = 2  # pixels: the soft edge of a stroke is no wider
_LARGE = 160  # pixels: a digit of that length can be made a little thicker


class NoDigitError(ValueError):
    """A picture could be opened, and there is no digit in it."""


@dataclass(frozen=True)
class Prepared:
    """What a network gets to see, and how it came about.

    `image` is uint8 (28, 28), white on black. `steps` has an array uint8 (H, W) for each name in
    `STEPS`, in that order, for looking at: the first three are the whole picture, the next two
    the digit's place in it, then at most 20×20, then `image`. A drawing (`from_ink`) needs three.
    """

    image: np.ndarray = field(repr=False)
    steps: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Reading:
    """What a network took a picture for: `digit` 0…9, `probabilities` float32 (10,), the input."""

    digit: int
    probabilities: torch.Tensor
    prepared: Prepared = field(repr=False)


def prepare(image: Any) -> Prepared:
    """Find the digit in a picture, and make of it what MNIST would have.

    `image` is a path, bytes, an open file, a Pillow image, or an array or tensor (H, W),
    (H, W, 3) or (H, W, 4). It shows one digit, dark on bright or bright on dark, upright and with
    some room around it. MNIST's own images come back as they were, but for their faintest pixels.

    Raises ValueError where there is no ink, where a file is damaged or of no known format, or has
    more than 128 million pixels; FileNotFoundError; TypeError where `image` is no picture at all.

    >>> prepare(np.full((100, 100), 255, np.uint8))
    Traceback (most recent call last):
    vizlib.handwriting.NoDigitError: there is no digit in the array of shape (100, 100): ...
    """
    grey, name = _photo.read_grey(image)
    found = _digit.find(grey)
    if found is None:
        raise NoDigitError(
            f"there is no digit in {name}: write one large digit with a dark pen on bright paper, "
            "or with chalk on a board, and leave some room around it"
        )
    scaled = in_box(found.digit)
    centred = by_mass(scaled)
    ink = found.ink
    even = 1 - ink if found.dark else ink
    arrays = (grey / 255, even, ink, ink[found.place], found.digit, scaled, centred)
    steps = {name: in_bytes(array) for name, array in zip(STEPS, arrays, strict=True)}
    return Prepared(steps[STEPS[-1]], steps)


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
    inked = cover >= _EDGE
    if not inked.any():
        raise NoDigitError("there is no ink in the drawing: draw one digit, as large as you like")
    # An eraser leaves faint edges behind, which would count as ink when the drawing is cropped.
    place = _digit.grown_box(_digit.box_of(inked), _OWN)
    near = ndimage.binary_dilation(inked[place], iterations=_OWN)
    cropped = trimmed(cover[place] * near)
    scaled = in_box(cropped)
    arrays = {"cropped": cropped, "scaled to 20": scaled, "centred by mass": by_mass(scaled)}
    steps = {name: in_bytes(array) for name, array in arrays.items()}
    return Prepared(steps[STEPS[-1]], steps)


def in_colour(image: Any) -> np.ndarray:
    """Return any picture as uint8 (H, W, 3), upright and shrunk to at most 800 pixels a side.

    For networks that read photographs: nothing is looked for in it. Takes and raises what
    `prepare` does.

    >>> in_colour(np.zeros((30, 40), np.uint8)).shape
    (30, 40, 3)
    """
    values, _ = _photo.read_colours(image)
    values = values if values.ndim > len("HW") else np.stack([values] * len("RGB"), axis=-1)
    return in_bytes(values / 255)


def read(model: nn.Module, image: Any) -> Reading:
    """Prepare a picture and ask the model, in eval mode, what it is.

    The model comes back in the mode it was in. Raises what `prepare` raises.
    """
    prepared = prepare(image)
    device = next(model.parameters()).device
    with torch.no_grad(), models.eval_mode(model):
        scores = model(data.normalize(prepared.image).to(device))[0]
    probabilities = models.probabilities(scores).cpu()
    return Reading(int(probabilities.argmax()), probabilities, prepared)


def in_bytes(values: np.ndarray) -> np.ndarray:
    """Turn 0…1 into uint8 0…255."""
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


def in_box(digit: np.ndarray) -> np.ndarray:
    """Scale ink (h, w) until its longer side is 20, each pixel the mean of what it covers."""
    digit = trimmed(even_stroke(trimmed(digit)))
    longer = max(digit.shape)
    shape = [max(1, round(side * BOX / longer)) for side in digit.shape]
    return _photo.resized(digit, shape)


def trimmed(digit: np.ndarray) -> np.ndarray:
    """Cut off the rows and columns without ink."""
    inked = digit > 1 / 255
    rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def even_stroke(digit: np.ndarray) -> np.ndarray:
    """Make strokes thicker or thinner where no pen of MNIST's would have drawn them so.

    Each edge moves by half of what is missing or too much, on an image large enough for that.
    """
    width = _digit.stroke_width(digit > _EDGE) * BOX / max(digit.shape)
    small = max(digit.shape) <= SIDE
    wanted = float(np.clip(width, *(ALL_WIDTHS if small else WIDTHS)))
    if wanted == width:
        return digit
    large = _LARGE / max(digit.shape)
    shape = [max(1, round(side * large)) for side in digit.shape]
    inside = np.pad(_photo.resized(digit, shape), _LARGE // 8) > _EDGE
    inner, outer = (ndimage.distance_transform_edt(side) for side in (inside, ~inside))
    # A dot is all edge: its middle stays.
    moved = max((wanted - width) / 2 * _LARGE / BOX, _EDGE - inner.max())
    return np.clip(inner - outer + moved + _EDGE, 0, 1)


def by_mass(digit: np.ndarray) -> np.ndarray:
    """Lay ink of at most 20×20 into 28×28, its centre of mass at the middle of rows and columns.

    By whole pixels, so that the grey ones stay what they are: row and column 14, give or take half.
    """
    image = np.zeros((SIDE, SIDE), digit.dtype)
    masses = ndimage.center_of_mass(digit)
    starts = [
        int(np.clip(np.floor(SIDE / 2 - mass + 0.5), 0, SIDE - side))
        for mass, side in zip(masses, digit.shape, strict=True)
    ]
    image[tuple(slice(s, s + n) for s, n in zip(starts, digit.shape, strict=True))] = digit
    return image
