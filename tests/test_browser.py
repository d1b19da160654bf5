"""What a student does first: open the first notebook, run it, slide through the layers."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from save_notebooks import KERNEL

pytestmark = pytest.mark.browser

PICTURE = "canvas => canvas.toDataURL()"
CHANGED = "([canvas, before]) => canvas.toDataURL() !== before"
SAME = "([canvas, before]) => canvas.toDataURL() === before"


@pytest.fixture
def started(open_notebook):
    notebook = open_notebook("00_start_here.ipynb")
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.counts() == list(range(1, len(notebook.counts()) + 1))
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


def test_what_goes_wrong_is_seen(lab, open_notebook):
    sources = [
        "from IPython.display import Javascript\nJavascript('console.error(\"a broken widget\")')",
        "import sys\nprint('only a warning', file=sys.stderr)",
        "1 / 0",
        "'never reached'",
    ]
    cells = [new_code_cell(source) for source in sources]
    broken = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(broken, lab.folder / "broken.ipynb")
    notebook = open_notebook("broken.ipynb")
    notebook.run_all()
    assert notebook.counts() == [1, 2, 3, None]
    assert notebook.errors() == ["ZeroDivisionError: division by zero"]
    assert ["a broken widget" in text for text in notebook.complaints] == [True]
