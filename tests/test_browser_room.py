"""Views in windows of every size, and after their kernel has gone."""

from __future__ import annotations

import pytest
from conftest import KERNEL_IDLE
from pages import TWICE, soon

VIEWS = """
import torch
from vizlib import data, explore, models
lenet = models.build("lenet", seed=0)
images = data.load("digits").test.images[:3]
"""
# CSS pixels of windows: a projector, a laptop at 125 %, 150 % and 200 % zoom, a phone.
WINDOWS = [(1920, 1080), (1280, 720), (1093, 614), (853, 480), (640, 360), (390, 800)]
TRACKS = """() => [...document.querySelectorAll(".vizlib .widget-inline-hbox")].map(slider => {
  const box = name => slider.querySelector(name).getBoundingClientRect();
  const edges = ["label", ".noUi-target", ".widget-readout"].map(box);
  return edges.map(({ left, right, top }) => ({ left, right, width: right - left, top }));
})"""
BARS = """() => [...document.querySelectorAll(".jp-OutputArea-output, .vizlib, .vizlib *")]
  .filter(each => each.scrollHeight > each.clientHeight + 1 && each.clientHeight > 0
    && ["auto", "scroll"].includes(getComputedStyle(each).overflowY))
  .map(each => each.className)"""
# Pixels from the first slider to where the network ends.
REACH = """() => document.querySelector(".network canvas").getBoundingClientRect().bottom
  - document.querySelector(".vizlib").getBoundingClientRect().top"""


@pytest.mark.browser
@pytest.mark.parametrize("call", ["layers", "compare"])
def test_sliders_have_room_in_every_window(run_cells, call):
    model = "[lenet, lenet]" if call == "compare" else "lenet"
    notebook = run_cells(VIEWS, f"explore.{call}({model}, images)")
    page = notebook.page
    page.wait_for_selector(".vizlib canvas:visible")
    if call == "layers":  # what a slider moves is seen with it, also beside the list of files
        assert page.evaluate(REACH) < 500
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        page.evaluate(TWICE)
        notebook.screenshot(f"room_{call}_{width}")
        soon(check_sliders, page, width)
    assert notebook.complaints == []


def check_sliders(page, width):
    tracks = set()
    for label, track, readout in page.evaluate(TRACKS):
        assert track["width"] >= 120, (width, track)
        assert label["right"] <= track["left"], width
        assert track["right"] <= readout["left"], width
        tracks.add(round(track["width"]))
    assert len(tracks) == 1, (width, tracks)  # on one grid all are equally long
    assert page.evaluate(BARS) == [], width


RESTART = """async () => {
  await window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart();
}"""
GONE = "The kernel has restarted: run the cell again."
FED = """class Odd(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
    def forward(self, x):
        return torch.cumsum(self.conv(x), 2)
explore.layers(Odd(), images)"""


@pytest.mark.browser
def test_without_its_kernel_a_computed_view_slides_on_and_a_fed_one_says_so(run_cells):
    notebook = run_cells(VIEWS, "explore.layers(lenet, images)", FED)
    page, views = notebook.page, notebook.page.locator(".vizlib-live")
    page.wait_for_function("() => document.querySelectorAll('.foot').length === 2")
    page.evaluate(RESTART)
    page.wait_for_function(KERNEL_IDLE)
    layer, image = (
        page.get_by_role("slider", name=name, exact=True).nth(number)
        for number, name in enumerate(("layer", "image"))
    )
    layer.press("ArrowRight")
    views.nth(0).locator(".top b").filter(has_text="relu1, channel 0").wait_for()
    image.press("ArrowRight")
    views.nth(1).get_by_text(GONE).wait_for()
    assert views.nth(0).get_by_text(GONE).count() == 0
    assert [text for text in notebook.complaints if "Uncaught" in text] == []
