"""The pad and the place for photographs in JupyterLab: strokes, keys and files."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pages import soon
from PIL import Image, ImageDraw

pytestmark = pytest.mark.browser

IMPORTS = "from vizlib import explore, weights"
DARK = """() => window.jupyterapp.commands.execute(
  "apputils:change-theme", {theme: "JupyterLab Dark"})"""
PADS = """import torch
class Odd(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = weights.load("lenet")
    def forward(self, x):
        return self.net(torch.nan_to_num(x))
one = explore.draw(weights.load("lenet"))
two = explore.draw(Odd())"""
INK = """pad => {
  const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
  return data.filter((_, i) => i % 4 === 0).reduce((all, value) => all + value, 0);
}"""
GREYS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [...data];
}"""


class Page:
    """One view in a notebook, as its reader meets it."""

    def __init__(self, notebook, number=0):
        self.notebook, self.page = notebook, notebook.page
        self.root = self.page.locator(".vizlib-live").nth(number)
        self.pad = self.root.locator(".pad")
        self.pad.scroll_into_view_if_needed()

    def draw(self, *points):
        self.pad.scroll_into_view_if_needed()
        box = self.pad.bounding_box()
        for number, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
            if not number:
                self.page.mouse.down()
        self.page.mouse.up()

    def says(self, words):
        self.root.locator(".answer").filter(has_text=words).wait_for(timeout=30_000)

    def press(self, name, key):
        self.root.get_by_role("button", name=name, exact=True).focus()
        self.page.keyboard.press(key)

    def ink(self):
        return self.pad.evaluate(INK)

    def scores(self):
        texts = self.root.locator(".class .score").all_inner_texts()
        return [float(text.replace("−", "-")) for text in texts]


def test_strokes_are_answered_in_the_browser_and_by_the_kernel(run_cells):
    """Two pads: of one the browser computes the network, of the other the kernel does."""
    notebook = run_cells(IMPORTS, PADS, "one", "two")
    for number, name in enumerate(("one", "two")):
        pad = Page(notebook, number)
        pad.says("An empty pad: draw a digit")
        pad.draw((0.5, 0.15), (0.5, 0.85))
        pad.says("It reads 1")
        check_kernel(pad, name)
        check_tools(pad, name)
    # What was done on the second pad changed nothing on the first.
    assert notebook.ask("print(one.answer[:9])") == "read as 1"
    Page(notebook, 0).says("It reads 1")
    notebook.screenshot("draw")
    assert notebook.complaints == []


def test_a_slow_network_has_its_own_thread_until_its_view_is_closed(run_cells):
    slow = "from vizlib.explore import _contents\n_contents._QUICK = 0"
    notebook = run_cells(IMPORTS, slow, 'view = explore.draw(weights.load("newnet"))\nview')
    pad = Page(notebook)
    pad.draw((0.5, 0.15), (0.5, 0.85))
    pad.says("It reads 1")
    computes = "() => typeof OPERATIONS === 'object'"
    (engine,) = [worker for worker in notebook.page.workers if worker.evaluate(computes)]
    with engine.expect_event("close"):
        notebook.ask("view.close()")
    assert notebook.complaints == []


def check_kernel(pad, name):
    """Python has the very drawing, and torch's scores of it are those that are shown."""
    ask = pad.notebook.ask
    pad.notebook.tells(f"print({name}.drawing.astype(int).sum())", str(pad.ink()))
    scores = ask(f"with torch.no_grad(): print({name}.recordings.model({name}.input)[0].tolist())")
    expected = eval(scores)  # noqa: S307 - our own
    soon(lambda: np.testing.assert_allclose(pad.scores(), expected, atol=0.05))
    assert ask(f"print({name}.answer[:9], int({name}.probabilities.argmax()))") == "read as 1 1"


def check_tools(pad, name):
    """What was drawn is taken back by the keyboard, wiped out, and comes back."""
    one = pad.ink()
    pad.draw((0.5, 0.15), (0.2, 0.15), (0.2, 0.5), (0.8, 0.5))  # no 1 any more
    pad.root.locator(".answer").filter(has_not_text="It reads 1").wait_for()
    pad.press("undo", "Enter")
    pad.says("It reads 1")
    assert pad.ink() == one
    pad.press("clear", " ")
    pad.says("An empty pad: draw a digit")
    assert pad.ink() == 0
    pad.notebook.tells(f"print({name}.answer)", "nothing to read yet")
    pad.press("undo", " ")
    pad.says("It reads 1")
    pad.press("eraser", "Enter")
    pad.draw((0.5, 0.55), (0.5, 0.95))
    assert 0 < pad.ink() < one
    pad.press("undo", " ")
    assert pad.ink() == one
    pad.notebook.tells(f"print({name}.drawing.astype(int).sum())", str(one))


def test_a_file_is_read_and_a_broken_one_says_so(run_cells, tmp_path):
    page = Page(run_cells(IMPORTS, """view = explore.upload(weights.load("lenet"))\nview"""))
    page.page.evaluate(DARK)
    four(tmp_path / "four.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no photograph")
    chooser = page.page.get_by_label("Photograph of one digit")
    chooser.scroll_into_view_if_needed()
    chooser.set_input_files(tmp_path / "four.png")
    status = page.page.locator(".vizlib-read")
    status.filter(has_text="Read as 4").wait_for(timeout=30_000)
    page.says("It reads 4")
    shown = page.page.locator(".vizlib-steps li span:first-of-type").all_inner_texts()
    assert shown[:3] == ["grey", "uneven light removed", "white on black"]
    assert shown[-2] == "centred by mass"
    assert shown[-1].startswith("mean 4 of ")
    step = page.page.get_by_role("img", name=re.compile("^centred by mass"))
    centred, scores = step.evaluate(GREYS), page.scores()
    chooser.set_input_files(tmp_path / "broken.jpg")
    alert = page.page.get_by_role("alert").filter(has_text="broken.jpg")
    alert.wait_for(timeout=30_000)
    assert status.inner_text().startswith("Read as 4")
    assert (step.evaluate(GREYS), page.scores()) == (centred, scores)
    page.notebook.screenshot("upload")
    dropped(page, tmp_path / "four.png")
    alert.wait_for(state="hidden")
    assert page.notebook.ask("print(view.prepared.image.any())") == "True"
    assert page.notebook.complaints == []


def four(path):
    """A large 4 in black on white, and so much noise that the file comes in two parts."""
    noise = np.random.default_rng(0).integers(236, 256, (1200, 1000), np.uint8)
    picture = Image.fromarray(noise)
    pen = ImageDraw.Draw(picture)
    for way in ([(480, 200), (250, 700), (780, 700)], [(620, 420), (600, 1000)]):
        pen.line(way, fill=20, width=70, joint="curve")
    picture.save(path)
    assert path.stat().st_size > 1 << 19


def dropped(page, path):
    """Drop a file, as from the desktop."""
    script = """async ([bytes, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name));
      return data;
    }"""
    data = page.page.evaluate_handle(script, [list(path.read_bytes()), path.name])
    page.page.locator(".vizlib-drop").dispatch_event("drop", {"dataTransfer": data})
