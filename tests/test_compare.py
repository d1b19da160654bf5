"""Several networks on one drawing: what the page computes of it, held against torch."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import torch
from pages import TWICE, soon
from torch import nn
from torch.nn import functional as F

from vizlib import data, explore, handwriting, models, weights
from vizlib.explore._compare import _Networks

pytestmark = pytest.mark.browser

MEAN, STD = 0.1307, 0.3081
DIGITS = data.load("digits").test
IMAGES, LABELS = DIGITS.images[:6], DIGITS.labels[:6]
SHOWN = """() => [...document.querySelectorAll(".vizlib-answer")].map(list =>
  [...list.children].map(row => [...row.children].map(each => each.textContent)))"""
READY = "() => document.querySelector('.headline')?.textContent"
INK = """() => {
  const pad = document.querySelector(".paper canvas");
  const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
  return btoa(String.fromCharCode(...data.filter((_, i) => i % 4 === 0)));
}"""


class Soft(nn.Module):
    """A network that ends in probabilities."""

    def __init__(self):
        super().__init__()
        self.body = models.build("lenet", seed=3)

    def forward(self, x):
        return self.body(x).softmax(1)


@pytest.fixture(scope="module")
def rivals():
    torch.manual_seed(0)
    return {"mlp": weights.load("mlp"), "lenet": weights.load("lenet"), "soft": Soft().eval()}


@pytest.fixture
def opened(browser, tmp_path):
    contexts, complaints = [], []

    def opened(view, width=1280, height=720):
        path = view.to_html(tmp_path / "page.html")
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.on(
            "request",
            lambda request: request.url == path.as_uri() or complaints.append(request.url),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.goto(path.as_uri())
        page.wait_for_function(READY)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def number(text):
    return float(text.replace("−", "-").replace("<", "").replace(">", ""))


def check(page, rivals, image):
    """Hold scores and probabilities on the page against what torch makes of pixels in 0…255."""
    x = ((image.double() / 255 - MEAN) / STD).float()[None, None]
    for rows, (name, model) in zip(page.evaluate(SHOWN), rivals.items(), strict=True):
        with torch.no_grad():
            scores = model.body(x)[0] if name == "soft" else model(x)[0]
        assert [row[0] for row in rows] == [f"P{k}" for k in range(10)]
        near = 0.051 if scores.abs().max() >= 100 else 0.0051
        np.testing.assert_allclose([number(row[1]) for row in rows], scores, atol=near)
        np.testing.assert_allclose([number(row[3]) for row in rows], scores.softmax(0), atol=0.0011)


def slide(page, name, value):
    set_it = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    page.get_by_role("slider", name=name, exact=True).evaluate(set_it, value)
    page.evaluate(TWICE)


def moved(image, right, down):
    """Move by whole pixels; what comes in is black."""
    wide = F.pad(image.float(), (8, 8, 8, 8))
    return wide[8 - down : 36 - down, 8 - right : 36 - right]


def test_scores_follow_the_sliders_and_are_those_of_torch(opened, rivals):
    page = opened(explore.compare(rivals, IMAGES, LABELS, state="image=2"))
    soon(check, page, rivals, IMAGES[2])
    slide(page, "right", 8 + 3)
    slide(page, "down", 8 - 2)
    soon(check, page, rivals, moved(IMAGES[2], 3, -2))
    slide(page, "image", 4)
    slide(page, "right", 8)
    slide(page, "down", 8)
    slide(page, "turn", 12)
    soon(check, page, rivals, torch.rot90(IMAGES[4], 1))


INPUTS = """([shares, shape, changes, grains]) =>
  [...window.changed(new Float32Array(shares), shape, changes, new Float32Array(grains))]"""


def test_an_image_is_changed_as_python_changes_it(browser):
    """By parts of pixels and degrees, in colour, with noise: against torch's own sampling."""
    page, generator = browser.new_page(), torch.Generator().manual_seed(1)
    source = _Networks._esm
    page.set_content(f'<script type="module">{source}\nwindow.changed = changed;</script>')
    image, grains = (torch.rand(3, 9, 14, generator=generator) for _ in range(2))
    for right, down, turn, size, noise in (
        (3, -2, 15, 1, 0),
        (-1, 4, -75, 1.3, 0.4),
        (0, 0, 90, 0.5, 1),
    ):
        names = ("right", "down", "turn", "size", "noise")
        changes = dict(zip(names, (right, down, turn, size, noise), strict=True))
        given = [image.flatten().tolist(), [3, 9, 14], changes, grains.flatten().tolist()]
        made = torch.tensor(page.evaluate(INPUTS, given)).reshape(3, 9, 14)
        # Each pixel by its own way back: moved back, turned back, sized back about the middle.
        rows, columns = torch.meshgrid(
            torch.arange(9.0) - 4, torch.arange(14.0) - 6.5, indexing="ij"
        )
        angle = np.deg2rad(turn)
        y, x = rows - down, columns - right
        column = (np.cos(angle) * x - np.sin(angle) * y) / size
        row = (np.sin(angle) * x + np.cos(angle) * y) / size
        grid = torch.stack([column / 7, row / 4.5], -1)[None]
        expected = F.grid_sample(image[None], grid, align_corners=False)[0]
        torch.testing.assert_close(made, (expected + noise * grains).clamp(0, 1), atol=2e-6, rtol=0)
    page.close()


COMPARED = """async ([held, names, place]) => {
  const opened = (value) => {
    if (Array.isArray(value)) return value.map(opened);
    if (value === null || typeof value !== "object") return value;
    if ("bytes" in value) {
      return new DataView(Uint8Array.from(atob(value.bytes), (c) => c.charCodeAt(0)).buffer);
    }
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, opened(each)]));
  };
  const given = { held: opened(held), names };
  const made = new window.Comparison({ get: (name) => given[name] });
  made.get(place);
  while (!made.swept) await new Promise((go) => setTimeout(go, 20));
  return { answers: made.answered.found, swept: made.swept };
}"""


def sendable(value):
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {name: sendable(each) for name, each in value.items()}
    return [sendable(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    "state", ["image=1 right=-3 down=2 along=right", "image=5 turn=90 along=down"]
)
def test_scores_and_curves_are_torchs_to_the_last_digits(browser, rivals, state):
    rivals = {**rivals, "newnet": weights.load("newnet")}
    view = explore.compare(rivals, IMAGES, LABELS, state=state)
    page, place = browser.new_page(), view.place
    source = _Networks._esm
    page.set_content(f'<script type="module">{source}\nwindow.Comparison = Comparison;</script>')
    given = [sendable(view._canvas.held), list(place), list(place.values())]
    made = page.evaluate(COMPARED, given)
    page.close()

    def pixels(**elsewhere):
        at = {**place, **elsewhere}
        if at["turn"] == 12:
            return torch.rot90(IMAGES[at["image"]], 1) if at["down"] == 8 else None
        return moved(IMAGES[at["image"]], at["right"] - 8, at["down"] - 8)

    def scores(model, image):
        with torch.no_grad():
            x = ((image.float() / 255 - MEAN) / STD)[None, None]
            return (model.body if isinstance(model, Soft) else model)(x)[0]

    along = made["swept"]["along"]
    for number, model in enumerate(rivals.values()):
        found, expected = torch.tensor(made["answers"][number]["scores"]), scores(model, pixels())
        assert float((found - expected).abs().max()) <= 5e-6 * float(expected.abs().max())
        for at in range(17):
            if (image := pixels(**{along: at})) is not None:
                shares = torch.tensor(made["swept"]["all"][at][number]["shares"])
                torch.testing.assert_close(
                    shares, scores(model, image).softmax(0), atol=5e-6, rtol=0
                )
    assert made["swept"]["target"] == LABELS[place["image"]]


def test_a_drawing_is_answered_by_all_at_once(opened, rivals):
    page = opened(explore.compare(rivals, IMAGES, LABELS))
    box = page.locator(".paper canvas").bounding_box()
    path = [(0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.45, 0.85)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=9)
    page.mouse.up()
    page.get_by_text("what they get").wait_for()
    page.evaluate(TWICE)
    ink = np.frombuffer(base64.b64decode(page.evaluate(INK)), np.uint8).reshape(280, 280)
    drawn = handwriting.from_ink(ink).image
    x = data.normalize(torch.as_tensor(drawn)[None])
    found = page.evaluate(SHOWN)
    for rows, model in zip(found[:2], list(rivals.values())[:2], strict=True):
        with torch.no_grad():
            scores = model(x)[0]
        np.testing.assert_allclose([number(row[1]) for row in rows], scores, atol=0.05)
    page.get_by_role("button", name="clear").click()
    page.get_by_text("An empty pad: draw a digit.").wait_for()
    assert {cell for rows in page.evaluate(SHOWN) for row in rows for cell in row[1:]} == {""}
    page.get_by_role("button", name="image 3").click()
    page.get_by_text("image 3, changed").wait_for()
    soon(check, page, rivals, IMAGES[3])


def test_who_disagrees_stands_out(opened):
    class Always(nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.last = nn.Linear(784, 10)
            nn.init.zeros_(self.last.weight)
            self.last.bias.data = torch.eye(10)[answer] * 3

        def forward(self, x):
            return self.last(x.flatten(1))

    given = {"one": Always(4), "two": Always(7), "three": Always(4)}
    page = opened(explore.compare(given, IMAGES))
    said = page.locator(".headline")
    assert said.inner_text() == "They disagree: one reads 4, two reads 7, three reads 4."
    assert page.locator(".differs figcaption").all_inner_texts() == ["two: 7"]
    page = opened(explore.compare(given, IMAGES, [7] * 6))
    assert page.locator(".differs figcaption").all_inner_texts() == [
        "one: 4, wrong",
        "three: 4, wrong",
    ]
    page = opened(explore.compare([given["one"], given["three"]], IMAGES, [4] * 6))
    assert page.locator(".headline").inner_text() == "All 2 read 4, right."
    assert page.locator(".differs").count() == 0


def test_without_images_there_is_an_empty_pad(opened, rivals):
    page = opened(explore.compare(list(rivals.values())))
    assert page.locator(".headline").inner_text() == "An empty pad: draw a digit."
    assert page.locator(".samples button").count() == 0


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = models.build("lenet", seed=0)

    def forward(self, x):
        return self.body(torch.cumsum(x, 3))


def test_what_a_page_cannot_compute_says_so_and_is_recorded(rivals, browser, tmp_path):
    view = explore.compare({"lenet": rivals["lenet"], "odd": Odd()}, IMAGES[:1])
    why = r"No page computes these answers: a page cannot compute cumsum"
    assert re.match(why, view.frame().panels[-1].lines[0])
    page = browser.new_page()
    page.goto(view.to_html(tmp_path / "recorded.html").as_uri())
    page.get_by_text("No page computes these answers: a page cannot compute cumsum").wait_for()
    assert page.locator(".vizlib-answer").count() == 2
    assert page.locator(".paper").count() == 0
    page.close()


@pytest.mark.parametrize("size", [(390, 844), (640, 360), (1093, 614), (1280, 720), (1920, 1080)])
def test_nothing_scrolls_sideways_and_tracks_are_long(opened, rivals, size):
    page = opened(explore.compare(rivals, IMAGES, LABELS), *size)
    page.evaluate(TWICE)
    wide, here = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.body.clientWidth]"
    )
    assert wide <= size[0]
    tracks = page.get_by_role("slider").all()
    assert min(track.bounding_box()["width"] for track in tracks) >= 120
    right = """() => Math.max(...[...document.querySelectorAll('.vizlib-view *')]
      .map(each => each.getBoundingClientRect().right))"""
    assert page.evaluate(right) <= here + 1
