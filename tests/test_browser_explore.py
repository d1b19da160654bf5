"""The explorer in a browser: what is painted, by keys alone, and what the kernel is asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from vizlib import data, explore, models, plots
from vizlib.explore import _layers

pytestmark = pytest.mark.browser

IMPORTS = "import torch\nfrom torch import nn\nfrom vizlib import data, explore, models"
LENET = """digits = data.load("digits").test
model = models.build("lenet", seed=0)
explore.layers(model, digits.images[:10], digits.labels[:10])"""
# 1.5 MB of maps for each image: too many to travel with the view.
LARGE = """model = nn.Sequential(nn.Conv2d(1, 256, 5), nn.ReLU(), nn.MaxPool2d(2))
explore.layers(model, data.load("digits").test.images[:6])"""
# One map of five rows, each of one value, and its opposite.
KNOWN = """rows = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None].expand(1, 1, 5, 5)
model = nn.Conv2d(1, 2, 1, bias=False)
model.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
explore.layers(model, rows)"""
CHANGED = "([canvas, before]) => canvas.ariaLabel !== before"
PEAKS = (1.23, 12.3, 123, 0.123, 0.00123)
NAMES = ["image", "layer", "channel", "scale", "beside"]
# Counts the questions to the kernel, from now on.
COUNT = """() => {
  const send = WebSocket.prototype.send;
  window.questions = 0;
  WebSocket.prototype.send = function (data) {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (text.includes('"method":"custom"')) window.questions++;
    return send.call(this, data);
  };
}"""


class Explorer:
    """The explorer on a page, as a reader without a mouse meets it."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.canvas = self.page.get_by_role("img", name=re.compile("^image "))
        self.canvas.scroll_into_view_if_needed()

    def slider(self, name):
        return self.page.get_by_role("slider", name=name, exact=True)

    def press(self, name, *keys):
        self.slider(name).focus()
        for key in keys:
            before = self.label()
            self.page.keyboard.press(key)
            self.page.wait_for_function(CHANGED, arg=[self.canvas.element_handle(), before])
        return self.picture()

    def picture(self):
        return self.canvas.evaluate("canvas => canvas.toDataURL()")

    def wait_for(self, words):
        """Wait until the picture says that it shows this."""
        self.page.get_by_role("img", name=words).wait_for(timeout=5000)

    def label(self):
        return self.canvas.get_attribute("aria-label")

    def numbers(self):
        rows = self.page.locator(".vizlib-numbers tbody tr:not([hidden])").all()
        return [row.locator("th, td").all_inner_texts() for row in rows]

    def colours(self, caption, rows):
        """The colour near the left edge of each of `rows` rows of the picture under a caption."""
        left = self.page.locator(f".vizlib-captions span:nth-child({caption})").bounding_box()["x"]
        top = self.canvas.bounding_box()
        script = """(canvas, [x, rows]) => {
          const context = canvas.getContext("2d"), zoom = Math.floor((canvas.height - 2) / rows);
          return [...Array(rows).keys()].map(row =>
            [...context.getImageData(x, 1 + (row + 0.5) * zoom, 1, 1).data]);
        }"""
        return self.canvas.evaluate(script, [left - top["x"] + 5, rows])

    def questions(self):
        """How often the page asked the kernel for maps, once it asks no more."""
        count = -1
        while count != self.page.evaluate("window.questions"):
            count = self.page.evaluate("window.questions")
            self.page.wait_for_timeout(1500)
        return count


@pytest.fixture
def explorer(run_cells):
    return lambda source: Explorer(run_cells(IMPORTS, source, before=COUNT))


def test_lenet_slides_from_the_keyboard(explorer):
    lenet = explorer(LENET)
    assert [lenet.slider(name).count() for name in NAMES] == [1] * 5
    assert lenet.label().startswith("image 0, layer conv1, channel 0 of 6, shape 6×24×24, colours")
    first = lenet.picture()
    for name in NAMES:
        keys = ["ArrowRight", "ArrowLeft"] if name != "scale" else ["ArrowLeft", "ArrowRight"]
        assert lenet.press(name, keys[0]) != first
        assert lenet.press(name, keys[1]) == first
    lenet.notebook.screenshot("explorer")
    check_numbers(lenet)
    check_what_stays(lenet)
    check_clicks(lenet)
    assert lenet.questions() == 0
    assert lenet.notebook.complaints == []


def test_a_view_opens_at_its_state(explorer):
    lenet = explorer(LENET.replace("labels[:10])", "labels[:10], state='layer=conv2 channel=5')"))
    lenet.wait_for("layer conv2, channel 5 of 16")
    lenet.page.wait_for_timeout(1000)
    assert lenet.slider("channel").get_attribute("aria-valuetext") == "5"
    assert lenet.press("channel", "ArrowRight") == lenet.press("channel", "ArrowRight", "ArrowLeft")
    assert "layer conv2, channel 6 of 16" in lenet.label()


def check_numbers(lenet):
    lenet.press("layer", "ArrowRight")
    lenet.press("channel", *["ArrowRight"] * 2)
    image = (data.load("digits").test.images[:1].float() / 255 - 0.1307) / 0.3081
    model = models.build("lenet", seed=0)
    with torch.no_grad():
        maps = model.conv1(image[None]).relu()[0]
        chosen = model(image[None]).softmax(1)[0]
    expected = [["relu1", "6×24×24", *in_words(maps)], ["channel 2", "24×24", *in_words(maps[2])]]
    assert lenet.numbers() == expected
    answer = lenet.page.locator(".vizlib-answer li span").all_inner_texts()
    assert answer == [f"{p:.3f}" for p in chosen.tolist()]
    assert lenet.page.locator(".vizlib-answer .winner b").inner_text() == f"P{chosen.argmax()}"


def in_words(maps):
    zeros = 100 * (maps == 0).float().mean().item()
    numbers = [f"{value.item():.3f}" for value in (maps.min(), maps.max(), maps.mean())]
    return [*numbers, f"{zeros:.1f} %"]


def check_what_stays(lenet):
    lenet.press("layer", *["ArrowRight"] * 2)
    lenet.press("channel", "End")
    assert "layer conv2, channel 15 of 16" in lenet.label()
    lenet.press("image", "ArrowRight")
    assert "image 1, layer conv2, channel 15 of 16" in lenet.label()
    lenet.press("layer", "ArrowLeft")
    assert "layer pool1, channel 5 of 6" in lenet.label()
    assert float(lenet.slider("channel").get_attribute("aria-valuemax")) == 5
    assert lenet.slider("layer").get_attribute("aria-valuetext") == "pool1"


def check_clicks(lenet):
    lenet.page.locator(".vizlib-strip li", has_text="pool2").click()
    lenet.wait_for("layer pool2, channel 5 of 16")
    mosaic = lenet.page.locator(".vizlib-captions span:nth-child(2)").bounding_box()["x"]
    box = lenet.canvas.bounding_box()
    lenet.canvas.click(position={"x": mosaic - box["x"] + 30, "y": box["height"] - 30})
    lenet.wait_for("layer pool2, channel 12 of 16")
    assert lenet.slider("layer").get_attribute("aria-valuetext") == "pool2"
    assert lenet.slider("channel").get_attribute("aria-valuetext") == "12"


def test_zero_is_white_and_each_value_has_its_colour(explorer):
    known = explorer(KNOWN)
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        known.page.evaluate(change, theme)
        known.page.wait_for_timeout(1500)
        known.press("channel", "ArrowRight", "ArrowLeft")
        known.notebook.screenshot(f"explorer {theme}")
        check_colours(known)


def check_colours(known):
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    expected = plots.colours(values, 1.0).tolist()
    assert expected[2] == [255, 255, 255]
    assert [pixel[:3] for pixel in known.colours(3, 5)] == expected
    known.press("channel", "ArrowRight")
    assert [pixel[:3] for pixel in known.colours(3, 5)] == expected[::-1]
    known.press("channel", "ArrowLeft")
    # The legend, from top to bottom: the same colours for the same values.
    length = known.canvas.evaluate("canvas => canvas.height") - 2
    heights = 1 - (2 * (np.arange(5) + 0.5) * (length // 5) + 1) / length
    legend = [pixel[:3] for pixel in known.colours(4, 5)]
    np.testing.assert_allclose(legend, plots.colours(heights, 1.0), atol=6)


def test_what_is_not_there_is_fetched_ahead_and_then_nothing_more(explorer):
    large = explorer(LARGE)
    asked = large.questions()
    assert asked > 0
    first = large.picture()
    large.press("image", *["ArrowRight"] * 5)
    large.press("layer", "ArrowRight", "ArrowRight")
    large.press("channel", "ArrowRight")
    assert large.picture() != first
    assert large.questions() == asked
    assert large.notebook.complaints == []


# --- The functions of the front end, each against an oracle ----------------------------------


@pytest.fixture
def script(browser):
    """Call a function of the front end: script("zoom(3, 10)")."""
    page = browser.new_page()
    page.evaluate(
        "async source => { window.vizlib = await import(URL.createObjectURL("
        "new Blob([source], {type: 'text/javascript'}))) }",
        _layers._Canvas._esm,
    )
    yield lambda call: page.evaluate(f"vizlib.{call}")
    page.close()


def test_shades_are_the_figures_own(script):
    values = np.random.default_rng(0).uniform(-1.5, 1.5, 500).astype(np.float32)
    shades = [script(f"shade({value!r}, 1.25)") for value in values.tolist()[:100]]
    palette = plots.colours(np.linspace(-1, 1, 255), 1)
    expected = plots.colours(values[:100].astype(np.float64), 1.25)
    np.testing.assert_array_equal(palette[shades], expected)
    assert script("shade(NaN, 1)") == 255


SERIES = {str(number): [0.0, 1.0] for number in range(6)}
OURS = ["charts", "drop", "pad", "painting", "panels", "steps"]


def test_lines_and_marks_have_the_colours_of_the_figures():
    """Each colour that is written in a front end is one of the figures', or a grey."""
    [axes] = plots.lines(SERIES).axes
    palette = [to_hex(line.get_color()) for line in axes.lines]
    folder = Path(explore.__file__).parent / "static"
    sources = {name: (folder / f"{name}.js").read_text("utf-8") for name in OURS}
    [series] = re.findall(r"SERIES = \[(.*?)\]", sources["charts"])
    assert re.findall(r"#\w{6}", series)[:6] == palette
    found = {colour for source in sources.values() for colour in re.findall(r"#\w{6}\b", source)}
    parts = {colour: [int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in found}
    assert {each for each, rgb in parts.items() if max(rgb) - min(rgb) > 24} <= {*palette}


def test_numbers_are_written_as_python_writes_them(script):
    values = [0.0, 1.5, -1.5, 0.1239, -0.0004, 12.3456, -99.9951]
    for peak, digits in ((1, 3), (12, 2), (123, 1), (1234, 0)):
        for value in values:
            text = f"{value:.{digits}f}".replace("-", "−")
            expected = text.replace("−", "") if float(text.replace("−", "-")) == 0 else text
            assert script(f"written({value}, {peak})") == expected
    assert script("written(-0.00123, 0.002)") == "−1.23e−3"
    fitting = [script(f"decimals([0, -{peak}], text => text.length <= 5)") for peak in PEAKS]
    assert fitting == [2, 1, 0, 2, None]  # -1.23 -12.3 -123 -0.12, and nothing for -0.0012
    assert script("decimals([0, 0.5, 1.5], text => text.length <= 4)") == 2
    shares = [0.0, 0.0004, 0.0006, 0.25, 0.9994, 0.9996, 1.0]
    words = ["<0.001", "<0.001", "0.001", "0.250", "0.999", ">0.999", ">0.999"]
    assert [script(f"share({value})") for value in shares] == words
    assert [script(f"written({x}, 1)") for x in ("NaN", "-Infinity")] == ["NaN", "−Infinity"]


def test_statistics_are_those_of_numpy(script):
    values = np.random.default_rng(1).normal(size=100).astype(np.float32)
    values[:25] = 0
    found = script(f"statistics(new Float32Array({values.tolist()}))")
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["mean"] == pytest.approx(values.mean(dtype=np.float64))
    assert (found["zeros"], found["peak"]) == (0.25, np.abs(values).max())
    lost = script("statistics([1, NaN, -Infinity, -3])")
    assert np.isnan([lost["min"], lost["max"], lost["mean"]]).all()
    assert lost["peak"] == 3


@pytest.mark.parametrize(("height", "width"), [(24, 24), (1, 9), (7, 3), (224, 224)])
def test_every_map_of_a_mosaic_has_its_place(script, height, width):
    for count in range(1, 66):
        found = script(f"grid({count}, {height}, {width}, [330, 266], 4)")
        columns, rows, (wide, high) = found["columns"], found["rows"], found["tile"]
        assert (rows - 1) * columns < count <= rows * columns
        if found["scale"] >= 1:
            assert found["scale"] % 1 == 0
            assert (wide, high) == (width * found["scale"], height * found["scale"])
        else:
            assert (1 / found["scale"]) == pytest.approx(round(1 / found["scale"]))
        assert columns * (wide + 4) + 4 <= 330
        assert rows * (high + 4) + 4 <= 266


def test_the_strip_shows_the_current_layer(script):
    for count in (1, 5, 30):
        for current in range(count):
            first, last = script(f"shownLayers({count}, {current}, 9)")
            assert 0 <= first <= current < last <= count
            assert last - first == min(count, 9)


def test_neighbours_come_first_and_batches_are_bounded(script):
    assert script("around(2, 5)") == [2, 3, 1, 4, 0]
    assert len(script("around(500, 1000)")) == 49
    assert script("batch([4, 5, 6, 7], () => 1.5 * 2 ** 20)") == [4, 5]
    assert script("batch([4, 5], () => 2 ** 30)") == [4]
