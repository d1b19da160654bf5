"""What a student does first: open the first notebook, run it, slide through the layers."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from save_notebooks import KERNEL

pytestmark = pytest.mark.browser

EXPLORER = ".jp-OutputArea-output:has(canvas)"
# Everything that the first explorer has painted.
PICTURE = f"""() => {{
  const explorer = document.querySelector("{EXPLORER}");
  return [...explorer.querySelectorAll("canvas")].map(canvas => canvas.toDataURL()).join();
}}"""
CHANGED = f"before => ({PICTURE})() !== before"
SAME = f"before => ({PICTURE})() === before"


@pytest.fixture
def started(open_notebook):
    notebook = open_notebook("00_start_here.ipynb")
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.counts() == list(range(1, len(notebook.counts()) + 1))
    return notebook


def test_the_layers_slide_from_the_keyboard(started):
    page = started.page
    slider = page.locator(".widget-hslider", has_text=re.compile("^layer")).first
    page.locator(EXPLORER).first.scroll_into_view_if_needed()
    slider.locator(".noUi-handle").focus()
    started.screenshot("00_first_layer")
    painted, name = page.evaluate(PICTURE), slider.inner_text()

    page.keyboard.press("ArrowRight")
    page.wait_for_function(CHANGED, arg=painted)
    assert slider.inner_text() != name
    started.screenshot("00_next_layer")

    page.keyboard.press("ArrowLeft")
    page.wait_for_function(SAME, arg=painted)
    assert slider.inner_text() == name
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
