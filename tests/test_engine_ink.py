"""The pad of a page makes of ink what `handwriting.from_ink` makes of it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from vizlib import data, handwriting

pytestmark = pytest.mark.browser

INK = Path(__file__).parents[1] / "vizlib/explore/static/ink.js"
SIDE = 280
PREPARE = """(drawings) => drawings.map((text) => {
  const made = fromInk(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), 280);
  return made && [...made];
})"""


def drawn(seed: int) -> np.ndarray:
    """A drawing of up to four strokes, from a hair to a broad brush, dots among them."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    ink = np.zeros((SIDE, SIDE))
    for _ in range(random.integers(1, 5)):
        width, start = random.uniform(1, 40), random.uniform(20, 260, 2)
        end = start + random.normal(0, random.choice([1, 30, 90]), 2)
        along = end - start
        share = ((rows - start[0]) * along[0] + (columns - start[1]) * along[1]) / (along @ along)
        share = share.clip(0, 1)
        far = np.hypot(rows - start[0] - share * along[0], columns - start[1] - share * along[1])
        ink = np.maximum(ink, (width / 2 + 0.5 - far).clip(0, 1))
    return (ink * 255).round().astype(np.uint8)


def digit(image: torch.Tensor) -> np.ndarray:
    """A digit of a data set, as large as the pad."""
    large = torch.nn.functional.interpolate(image[None, None].float(), (SIDE, SIDE), mode="bilinear")
    return large[0, 0].round().numpy().astype(np.uint8)


@pytest.fixture(scope="module")
def prepare(browser):
    page = browser.new_page()
    script = INK.read_text("utf-8") + "\nwindow.fromInk = fromInk;"
    page.set_content(f'<script type="module">{script}</script>')
    encoded = lambda drawing: base64.b64encode(drawing.tobytes()).decode("ascii")  # noqa: E731
    yield lambda drawings: page.evaluate(PREPARE, list(map(encoded, drawings)))
    page.close()


def test_three_hundred_drawings_are_prepared_alike(prepare):
    drawings = [drawn(seed) for seed in range(220)]
    drawings += list(map(digit, data.load("digits").test.images[:80]))
    made = np.array(prepare(drawings))
    expected = np.stack([handwriting.from_ink(drawing).image for drawing in drawings])
    apart = np.abs(made.reshape(expected.shape) - expected.astype(int))
    assert apart.max() <= 1


def test_an_empty_pad_is_no_digit(prepare):
    faint = np.full((SIDE, SIDE), 127, np.uint8)
    assert prepare([np.zeros((SIDE, SIDE), np.uint8), faint]) == [None, None]
