"""A view as a page of its own, opened from the disk: it slides, and asks nobody for anything."""

from __future__ import annotations

import gc

import psutil
import pytest
import torch

from vizlib import data, explore, models
from vizlib.explore._panels import Bars, Frame, Lines, Maps, Picture, Words
from vizlib.explore._sliders import Slider
from vizlib.explore._view import View
from vizlib.plots import images as figure_of

DIGITS = data.load("digits").test
RAMP = torch.arange(25.0).reshape(1, 5, 5) - 12
# Counts the pixels of one colour in a canvas.
COUNT = """(canvas, colour) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += colour.every((part, j) => data[i + j] === part);
  return count;
}"""


# --- The view of a network -----------------------------------------------------------------


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0).eval()


HEAP = """async moves => {
  const slider = document.querySelector("input[type=range]");
  for (let i = 0; i < moves; i++) {
    slider.value = i % 12;
    slider.dispatchEvent(new Event("input"));
    await new Promise(requestAnimationFrame);
  }
}"""


@pytest.mark.browser
def test_a_thousand_moves_leave_the_page_as_large_as_it_was(opened, lenet):
    page = opened(explore.layers(lenet, DIGITS.images[:12]))
    tools = page.page.context.new_cdp_session(page.page)

    def heap_after(moves):
        page.page.evaluate(HEAP, moves)
        tools.send("HeapProfiler.collectGarbage")
        usage = tools.send("Runtime.getHeapUsage")
        return sum(
            usage[part] for part in ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
        )

    before = heap_after(100)
    assert heap_after(1000) - before < 500_000


class Rolling(torch.nn.Module):
    """A network that no page can compute."""

    def forward(self, x):
        return torch.cumsum(x.relu().repeat(1, 8, 1, 1), 2)


def test_a_thousand_answers_leave_the_kernel_as_large_as_it_was():
    process, sent = psutil.Process(), []
    fed, view = explore.layers(Rolling(), DIGITS.images[:12]), panels()
    fed._canvas.observe(sent.append, "made")
    view._canvas.send = lambda _, buffers=None: sent.append(len(buffers))

    def size_after(moves):
        for move in range(moves):
            fed._canvas.set_state({"image": move % 12, "asked": fed._canvas.asked + 1})
            view._canvas._handle_custom_msg({"places": [[move % 5, move % 2]]}, [])
        count = len(sent)
        sent.clear()
        gc.collect()
        assert count == 2 * moves
        return process.memory_info().rss

    before = size_after(100)
    assert size_after(1000) - before < 20_000_000


def test_a_page_of_lenet_is_small_and_whole_or_not_there(lenet, tmp_path, monkeypatch):
    view = explore.layers(lenet, DIGITS.images[:12])
    path = view.to_html(tmp_path / "new" / "page.html", recorded=True)
    assert path.stat().st_size < 2_000_000
    monkeypatch.setattr("os.fsync", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        view.to_html(tmp_path / "other.html")
    assert [file.name for file in tmp_path.iterdir()] == ["new"]


def test_a_page_that_would_be_huge_is_refused():
    large = torch.nn.Conv2d(1, 4096, 1)
    view = explore.layers(large, DIGITS.images[:12])
    with pytest.raises(ValueError, match="larger than 50 MB; give the view fewer images"):
        view.to_html("never.html", recorded=True)


# --- A view of panels ----------------------------------------------------------------------


def show(step, side):
    if side == 2:
        raise ValueError("there is nothing at side 2")
    step = min(step, 4)
    ramp = RAMP if side == 0 else -RAMP
    panels = [
        Picture(DIGITS.images[step].numpy(), title="digit"),
        Maps(ramp, title="ramp", before="×", pick={"row": "step"}),
        Bars([0.1, 0.7, 0.2], label=2, title="chances"),
        Lines({"one": [0.5, 0.9, 0.95], "two": [0.4, float("nan"), 0.9]}, at=1, percent=True),
        Words([f"{step} + 1 = {step + 1}"], title="sum", below=True),
    ]  # fmt: skip
    return Frame(panels, f"step {step}", {"step": 5 if side == 0 else 3})


def draw(step, side):
    return figure_of(DIGITS.images[[step, side]])


def panels(**settings):
    sliders = [Slider("step", 5, stepped=True), Slider("side", ["up", "down", "none"])]
    return View("a view", sliders, show, draw, **settings)


def test_a_view_has_a_state_a_name_and_a_figure():
    view = panels(state="step=3 side=down")
    assert (repr(view), view.state) == ("a view", "step=3 side=down")
    assert view.place == {"step": 3, "side": 1}
    assert (view.figure().pixels() == draw(3, 1).pixels()).all()
    assert view._repr_mimebundle_()["image/png"]
    with pytest.raises(ValueError, match="no side is called 'left'; choose from up, down, none"):
        panels(state="side=left")


def test_a_view_answers_with_the_frames_that_are_asked_for():
    view, answers = panels(), []
    view._canvas.send = lambda content, buffers=None: answers.append((content, buffers))
    view._canvas._handle_custom_msg({"places": [[2, 0], [2, 1], [0, 2]]}, [])
    [(content, buffers)] = answers
    assert [frame["place"] for frame in content["frames"]] == [[2, 0], [2, 1], [0, 2]]
    up, down, none = content["frames"]
    assert buffers[up["panels"][1]["data"]["buffer"]] == RAMP.numpy().tobytes()
    assert buffers[down["panels"][1]["data"]["buffer"]] == (-RAMP).numpy().tobytes()
    assert up["panels"][0]["data"] == down["panels"][0]["data"]  # sent once
    assert none["panels"][0]["lines"] == [none["says"]] == ["there is nothing at side 2"]
    assert (up["last"], down["last"]) == ({"step": 4}, {"step": 2})


@pytest.mark.browser
def test_a_view_slides_steps_and_reads_without_a_kernel(opened):
    page = opened(panels())
    words, ramp = page.page.locator("pre"), page.page.get_by_role("img", name="ramp")
    zero_is_white = ramp.evaluate(COUNT, [255, 255, 255])
    assert zero_is_white > 300
    assert words.inner_text() == "0 + 1 = 1"
    for button, told in (("Next", 1), ("Next", 2), ("Back", 1)):
        page.button(button)
        assert words.inner_text() == f"{told} + 1 = {told + 1}"
    ramp.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.page.keyboard.press(key)
    assert page.text(".vizlib-view .status") == "ramp: row 1, column 1: −6.00"
    page.page.keyboard.press("Enter")
    page.slide("step", 4)
    page.slide("side", 1)
    page.settle()
    assert page.page.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "2"
    page.slide("side", 2)
    assert words.inner_text() == "there is nothing at side 2"
    assert page.page.locator(".vizlib-answer .winner").count() == 0
    assert page.requests == [page.page.url]
    assert page.complaints == []


@pytest.mark.browser
def test_steps_from_the_keyboard_keep_the_focus_at_the_end(opened):
    page = opened(panels(state="step=2"))
    for name, told in (("Next", 5), ("Back", 1)):
        button = page.page.get_by_role("button", name=name)
        button.focus()
        for _ in range(6):
            page.page.keyboard.press("Enter")
            page.settle()
        assert page.page.locator("pre").inner_text() == f"{told - 1} + 1 = {told}"
        assert button.evaluate("button => button === document.activeElement")
        assert button.is_disabled()


@pytest.mark.browser
def test_a_piece_of_each_line_stands_before_its_name(opened):
    nan, blue, orange = float("nan"), [0, 114, 178], [213, 94, 0]
    lines = Lines({"never a number": [nan, nan], "a line": [0.2, 0.4]}, title="lines")
    page = opened(View("a view", [Slider("step", 1)], lambda **_: Frame([lines], "l"), draw))
    chart = page.page.get_by_role("img", name="lines")
    assert 20 < chart.evaluate(COUNT, blue) < chart.evaluate(COUNT, orange)


@pytest.mark.browser
def test_a_page_that_cannot_hold_all_places_says_so(opened, monkeypatch):
    monkeypatch.setattr("vizlib.explore._view._ALL", 3)
    page = opened(panels(state="step=1"))
    page.slide("step", 3)
    assert page.page.locator("pre").inner_text() == "3 + 1 = 4"
    page.slide("side", 1)
    page.settle()
    assert "one slider at a time" in page.text(".vizlib-view .status")
    assert page.page.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "1"
    assert page.page.locator("pre").inner_text() == "1 + 1 = 2"
