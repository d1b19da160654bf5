"""Every view has room in every window: no word is cut or covered, nothing scrolls sideways."""

from __future__ import annotations

import pytest
import torch
from pages import TWICE, soon
from torch import nn

from vizlib import data, explore, models, weights
from vizlib.history import History

pytestmark = pytest.mark.browser

# CSS pixels: a projector, a laptop at 125 %, a large screen, 150 % and 200 % zoom, a phone.
WINDOWS = [(1280, 720), (1093, 614), (1920, 1080), (853, 480), (640, 360), (390, 844)]
SMALLEST = 11.5  # pixels of a letter that the last row can read
TRACK = 120  # pixels of a slider that a hand can set

FAULTS = """([smallest, track]) => {
  const faults = [], name = (e) => `${e.tagName}.${e.className}`, root = document.documentElement;
  const seen = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} wide`);
  for (const e of document.querySelectorAll("input[type=range]"))
    if (seen(e) && e.getBoundingClientRect().width < track) faults.push(`short track: ${name(e)}`);
  const words = [];
  for (const e of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(e), isWide = e.scrollWidth > e.clientWidth + 1 && e.clientWidth;
    if (isWide && /auto|scroll/.test(style.overflowX)) faults.push(`scrolls sideways: ${name(e)}`);
    const isHigh = e.scrollHeight > e.clientHeight + 1 && e.clientHeight;
    if (isHigh && /auto|scroll/.test(style.overflowY))
      faults.push(`scrolls inside: ${name(e)}`);
    const texts = [...e.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    if (!texts.length || !seen(e) || /SCRIPT|STYLE/.test(e.tagName)) continue;
    const text = e.textContent.trim().slice(0, 30);
    // A bar that stays in sight covers what scrolls below it.
    let stays = false;
    for (let a = e; a; a = a.parentElement) stays ||= getComputedStyle(a).position === "sticky";
    if (isWide && style.overflowX !== "visible") faults.push(`cut: ${text}`);
    if (parseFloat(style.fontSize) < smallest) faults.push(`${style.fontSize} letters: ${text}`);
    const range = document.createRange();
    for (const each of texts) {
      range.selectNodeContents(each);
      for (const box of range.getClientRects()) if (!stays) words.push({ box, e, text });
    }
  }
  for (const { box, text } of words)
    if (box.left < -1 || box.right > innerWidth + 1) faults.push(`beyond the window: ${text}`);
  words.sort((a, b) => a.box.top - b.box.top);
  words.forEach((one, i) => {
    for (let k = i + 1; k < words.length && words[k].box.top < one.box.bottom - 3; k++) {
      const other = words[k].box, left = Math.max(one.box.left, other.left);
      const wide = Math.min(one.box.right, other.right) - left;
      if (wide > 2 && one.e !== words[k].e) faults.push(`covered: ${one.text} by ${words[k].text}`);
    }
  });
  return [...new Set(faults)];
}"""

DIGITS = data.load("digits").test
IMAGES, LABELS = DIGITS.images[:12], DIGITS.labels[:12]


def deep():
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(12)]
    layers = [nn.Conv2d(1, 4, 3), *blocks, nn.Flatten(), nn.Linear(4 * 26 * 26, 10)]
    return nn.Sequential(*layers)


def past():
    """A training of three epochs, with its curves."""
    snapshots = {epoch: models.build("newnet", seed=epoch).state_dict() for epoch in range(4)}
    losses, shares = [0.5, 0.06, 0.04], [0.9, 0.98, 0.99]
    measured = {"train_loss": losses, "val_loss": losses, "train_accuracy": shares}
    return History(network="newnet", snapshots=snapshots, val_accuracy=shares, **measured)


ANIMALS = ["cat", "dog", "hippopotamus", "giant panda", *"456789"]
VIEWS = {
    "layers": lambda: explore.layers(weights.load("lenet"), IMAGES, LABELS, state="layer=conv2"),
    "layers, deep": lambda: explore.layers(deep(), IMAGES, LABELS, classes=ANIMALS),
    "pixel": lambda: explore.pixel(weights.load("newnet"), IMAGES, state="layer=features.7"),
    "switch_off": lambda: explore.switch_off(
        weights.load("mlp"), IMAGES, LABELS, state="layer=linear1 channel=7 strength=0"
    ),
    "draw": lambda: explore.draw(weights.load("lenet")),
    "compare": lambda: explore.compare(
        [models.build(name, seed=0) for name in ("lenet", "mlp", "newnet")], IMAGES, LABELS
    ),
    "epochs": lambda: explore.epochs(past(), IMAGES),
    "convolution": lambda: explore.convolution(IMAGES[0], [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
    "convolution of a network": lambda: explore.convolution(weights.load("lenet"), IMAGES),
    "backpropagation": lambda: explore.backpropagation(
        [1.0, 2.0], [([0.5, -0.5], 0.1), ([1.5], 0.0)], 5.0, activation="relu"
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_has_room_in_every_window(opened, name):
    page = opened(VIEWS[name]()).page
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(TWICE)
        soon(check, page, width)


def check(page, width):
    assert (width, page.evaluate(FAULTS, [SMALLEST, TRACK])) == (width, [])
