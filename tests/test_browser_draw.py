"""The pad and the place for photographs in a browser: strokes, keys and files."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytestmark = pytest.mark.browser

IMPORTS = "from vizlib import explore, weights"
DARK = """() => window.jupyterapp.commands.execute(
  "apputils:change-theme", {theme: "JupyterLab Dark"})"""
# Every picture that the page has painted, by its name for screen readers.
NAMED = """name => {
  const found = [...document.querySelectorAll("canvas[role=img]")]
    .find(canvas => canvas.ariaLabel.startsWith(name));
  const { width, height } = found;
  return [...found.getContext("2d").getImageData(0, 0, width, height).data];
}"""


# Each layer's small picture.
THUMBS = """() => [...document.querySelectorAll(".vizlib-thumb")].map(each => each.toDataURL())"""
ALL_OTHERS = f"""before => ({THUMBS})().every((thumb, layer) => thumb !== before[layer])"""


class Page:
    """One explorer in a notebook, as its reader meets it."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.find = self.page.get_by_role
        self.status = self.find("status").and_(self.page.locator(".vizlib-read"))

    def pad(self):
        return self.find("img", name=re.compile("^drawing pad"))

    def draw(self, *points):
        box = self.pad().bounding_box()
        for number, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
            if not number:
                self.page.mouse.down()
        self.page.mouse.up()

    def wait_for(self, words):
        self.status.filter(has_text=words).wait_for(timeout=30_000)

    def step(self, name):
        """The grey values of a step's picture, as large as it is painted."""
        return np.array(self.page.evaluate(NAMED, name)).reshape(-1, 4)[:, 0]

    def ink(self):
        return self.step("drawing pad").reshape(280, 280)


@pytest.fixture
def explorer(run_cells):
    return lambda source: Page(run_cells(IMPORTS, source))


def test_a_stroke_is_answered_and_the_keyboard_takes_it_back(explorer):
    page = explorer("""explore.draw(weights.load("lenet"))""")
    pad = page.pad()
    pad.scroll_into_view_if_needed()
    assert "It is empty." in pad.get_attribute("aria-label")
    empty = page.page.locator(".vizlib-answer").inner_text()
    page.draw((0.5, 0.15), (0.5, 0.85))
    page.wait_for("Read as 1")
    page.notebook.screenshot("draw")
    assert page.page.locator(".vizlib-answer .winner b").inner_text() == "P1"
    assert page.page.locator(".vizlib-answer").inner_text() != empty
    check_steps(page)
    one = page.ink()
    assert 0 < (one > 0).mean() < 0.2
    # An L is no 1; taken back, it is one again.
    page.draw((0.5, 0.15), (0.2, 0.15), (0.2, 0.5), (0.8, 0.5))
    page.status.filter(has_not_text="Read as 1").wait_for()
    press(page, "Undo", "Enter")
    page.wait_for("Read as 1")
    np.testing.assert_array_equal(page.ink(), one)
    press(page, "Clear", " ")
    page.find("img", name=re.compile("It is empty")).wait_for()
    assert not page.ink().any()
    page.draw((0.25, 0.25))
    page.find("img", name=re.compile("drawing pad.*Read as")).wait_for()
    assert page.ink()[70, 70] == 255
    press(page, "Undo", " ")
    press(page, "Undo", " ")
    page.wait_for("Read as 1")
    check_tools(page, one)
    assert page.notebook.complaints == []


def press(page, name, key):
    page.find("button", name=name, exact=True).focus()
    page.page.keyboard.press(key)


def test_all_layers_of_a_large_network_follow_the_drawing(explorer):
    page = explorer("""explore.draw(weights.load("newnet"))""")
    page.pad().scroll_into_view_if_needed()
    for points in [(0.5, 0.15), (0.5, 0.85)], [(0.3, 0.2), (0.8, 0.3)]:
        before = page.page.evaluate(THUMBS)
        assert len(before) > 1
        page.draw(*points)
        page.page.wait_for_function(ALL_OTHERS, arg=before, timeout=30_000)
    assert page.notebook.complaints == []


def check_steps(page):
    names = [item.inner_text().split("\n")[0] for item in page.find("listitem").all()]
    steps = [name for name in names if name in {"cropped", "scaled to 20", "centred by mass"}]
    assert steps == ["cropped", "scaled to 20", "centred by mass"]
    assert page.find("img", name="centred by mass, 28 rows, 28 columns").count() == 1
    assert page.find("img", name=re.compile("^scaled to 20, 20 rows, . columns")).count() == 1


def check_tools(page, one):
    """The brush moves by the arrows, and the eraser takes away what was drawn."""
    brush = page.find("slider", name="Brush")
    brush.focus()
    page.page.keyboard.press("End")
    assert brush.input_value() == "60"
    press(page, "Eraser", "Enter")
    assert page.find("button", name="Eraser", pressed=True).count() == 1
    page.draw((0.5, 0.55), (0.5, 0.95))
    page.page.wait_for_timeout(500)
    rest = page.ink()
    assert (rest <= one).all()
    assert not rest[160:240].any()
    assert rest[50:100].any()


def test_a_file_is_read_and_a_broken_one_says_so(explorer, tmp_path):
    page = explorer("""explore.upload(weights.load("lenet"))""")
    page.page.evaluate(DARK)
    four(tmp_path / "four.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no photograph")
    chooser = page.page.get_by_label("Photograph of one digit")
    chooser.scroll_into_view_if_needed()
    chooser.set_input_files(tmp_path / "four.png")
    page.wait_for("Read as 4")
    shown = page.page.locator(".vizlib-steps li span:first-of-type").all_inner_texts()
    assert shown[:3] == ["grey", "uneven light removed", "white on black"]
    assert shown[-2] == "centred by mass"
    assert shown[-1].startswith("mean 4 of ")
    centred = page.step("centred by mass")
    chooser.set_input_files(tmp_path / "broken.jpg")
    alert = page.find("alert").filter(has_text="broken.jpg")
    alert.wait_for(timeout=30_000)
    assert page.status.inner_text().startswith("Read as 4")
    np.testing.assert_array_equal(page.step("centred by mass"), centred)
    page.page.wait_for_timeout(500)
    page.notebook.screenshot("upload")
    dropped(page, tmp_path / "four.png")
    alert.wait_for(state="hidden")
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
