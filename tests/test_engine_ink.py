"""The pad of a page makes of ink what `handwriting.from_ink` makes of it."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
import torch

from vizlib import data, handwriting
from vizlib.explore._explorer import script

pytestmark = pytest.mark.browser

SIDE = 280
# Packed, both ways: to send millions of numbers one by one takes longer than all the rest.
PREPARE = """(drawings) => Promise.all(drawings.map(async (text) => {
  const packed = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
  const made = fromInk(new Uint8Array(await new Response(stream).arrayBuffer()), 280);
  return made && btoa(String.fromCharCode(...made));
}))"""


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
    large = torch.nn.functional.interpolate(
        image[None, None].float(), (SIDE, SIDE), mode="bilinear"
    )
    return large[0, 0].round().numpy().astype(np.uint8)


def packed(drawing: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(drawing.tobytes(), 1)).decode("ascii")


def opened(text: str | None) -> np.ndarray | None:
    return text and np.frombuffer(base64.b64decode(text), np.uint8).reshape(28, 28)


@pytest.fixture(scope="module")
def prepare(browser):
    page = browser.new_page()
    modules = script("numbers.js", "ink.js") + "\nwindow.fromInk = fromInk;"
    page.set_content(f'<script type="module">{modules}</script>')
    yield lambda drawings: list(map(opened, page.evaluate(PREPARE, list(map(packed, drawings)))))
    page.close()


def test_three_hundred_drawings_are_prepared_alike(prepare):
    drawings = [drawn(seed) for seed in range(220)]
    drawings += list(map(digit, data.load("digits").test.images[:80]))
    made = np.stack(prepare(drawings))
    expected = np.stack([handwriting.from_ink(drawing).image for drawing in drawings])
    apart = np.abs(made - expected.astype(int))
    assert apart.max() <= 1


def test_an_empty_pad_is_no_digit(prepare):
    faint = np.full((SIDE, SIDE), 127, np.uint8)
    assert prepare([np.zeros((SIDE, SIDE), np.uint8), faint]) == [None, None]
