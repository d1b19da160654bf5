"""What a student does first: open the first notebook, run it, slide through the layers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

PICTURE = "canvas => canvas.toDataURL()"
CHANGED = "([canvas, before]) => canvas.toDataURL() !== before"
SAME = "([canvas, before]) => canvas.toDataURL() === before"


@pytest.fixture
def started(open_notebook):
    notebook = open_notebook("00_start_here.ipynb")
    notebook.run_all()
    return notebook


def test_the_layers_slide_from_the_keyboard(started):
    page = started.page
    canvas = page.locator(".jp-OutputArea canvas").first
    canvas.scroll_into_view_if_needed()
    slider = page.locator(".jp-OutputArea .noUi-handle").first
    slider.focus()
    started.screenshot("00_first_layer")
    first = canvas.evaluate(PICTURE)

    page.keyboard.press("ArrowRight")
    page.wait_for_function(CHANGED, arg=[canvas.element_handle(), first])
    started.screenshot("00_next_layer")

    page.keyboard.press("ArrowLeft")
    page.wait_for_function(SAME, arg=[canvas.element_handle(), first])
    assert started.errors() == []
    assert started.complaints == []
