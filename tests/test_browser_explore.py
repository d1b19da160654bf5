"""The view in JupyterLab: its sliders from the keyboard, and what the kernel hears of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from pages import soon

from vizlib import capture, data, explore, models, plots
from vizlib.explore._explorer import script as joined

pytestmark = pytest.mark.browser

IMPORTS = "import torch\nfrom vizlib import data, explore, models"
LENET = """digits = data.load("digits").test
model = models.build("lenet", seed=0)
view = explore.layers(model, digits.images[:10], digits.labels[:10])
view"""
PEAKS = (1.23, 12.3, 123, 0.123, 0.00123)
NAMES = ["image", "layer", "channel", "strength", "scale", "beside"]
# All that the view has painted.
PICTURE = """view => [...view.querySelectorAll("canvas")]
  .map((canvas) => canvas.hidden ? "" : canvas.toDataURL()).join()"""
# Nothing is painted any more.
STILL = f"""async view => {{
  const frame = () => new Promise(requestAnimationFrame);
  for (let before, same = 0; same < 10; await frame()) {{
    const now = ({PICTURE})(view);
    same = now === before ? same + 1 : 0;
    before = now;
  }}
}}"""
CHANGED = f"([view, before]) => ({PICTURE})(view) !== before"
SAME = f"([view, before]) => ({PICTURE})(view) === before"


class Explorer:
    """A view on a page, as a reader without a mouse meets it."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.root = self.page.locator(".vizlib-live")
        self.root.locator(".map").scroll_into_view_if_needed()
        self.page.wait_for_function("() => document.querySelector('.foot').textContent")
        self.root.evaluate(STILL)

    def slider(self, name):
        return self.page.get_by_role("slider", name=name, exact=True)

    def picture(self):
        return self.root.evaluate(PICTURE)

    def press(self, name, *keys):
        """Press keys on a slider, and wait each time until the picture is another."""
        self.slider(name).focus()
        for key in keys:
            before = self.picture()
            self.page.keyboard.press(key)
            self.page.wait_for_function(CHANGED, arg=[self.root.element_handle(), before])

    def is_again(self, picture):
        self.page.wait_for_function(SAME, arg=[self.root.element_handle(), picture])

    def says(self, selector, words):
        self.root.locator(selector).filter(has_text=words).first.wait_for()

    def scores(self):
        texts = self.root.locator(".class .score").all_inner_texts()
        return [float(text.replace("−", "-")) for text in texts]

    def reads(self, recording):
        """Wait until the scores are those of a recording."""
        scores = recording["fc3"].output[0]
        soon(lambda: np.testing.assert_allclose(self.scores(), scores, atol=0.006))


@pytest.fixture
def explorer(run_cells):
    return lambda source: Explorer(run_cells(IMPORTS, source))


def expected(factors=None, image=0):
    """What torch makes of an image in the view: the recording of all layers."""
    x = (data.load("digits").test.images[image].float() / 255 - 0.1307) / 0.3081
    model = models.build("lenet", seed=0).eval()
    with capture.edit(model, factors or {}):
        return capture.record(model, x[None, None])


def test_every_slider_moves_the_maps_and_the_kernel_hears_of_it(explorer):
    lenet = explorer(LENET)
    assert [lenet.slider(name).count() for name in NAMES] == [1] * 6
    lenet.says(".top b", "conv1, channel 0")
    first = lenet.picture()
    for name in NAMES:
        one, back = ("ArrowLeft", "ArrowRight") if name == "strength" else (
            "ArrowRight", "ArrowLeft")  # fmt: skip
        lenet.press(name, one)
        lenet.press(name, back)
        lenet.is_again(first)
    lenet.notebook.screenshot("explorer")
    check_place(lenet)
    check_strength(lenet)
    check_arrows(lenet)
    assert lenet.notebook.complaints == []
    lenet.notebook.ask("view.close()")
    lenet.page.wait_for_function("() => !document.querySelector('.vizlib-live')")


def check_place(lenet):
    lenet.press("image", "ArrowRight")
    lenet.press("layer", *["ArrowRight"] * 3)
    lenet.press("channel", "End")
    lenet.says(".top b", "conv2, channel 15")
    lenet.press("scale", "ArrowRight")
    state = "image=1 layer=conv2 channel=15 pixel=none strength=1 scale=network beside=none"
    lenet.notebook.tells("print(view.state)", f"model=lenet {state}")
    value = expected(image=1)["conv2"].output[0, 15].abs().max()
    assert f"{value:.2f}" in lenet.root.locator(".map").get_attribute("aria-label")
    lenet.reads(expected(image=1))
    # A layer with fewer channels keeps the last of them.
    lenet.press("layer", "ArrowLeft")
    lenet.says(".top b", "pool1, channel 5")
    assert float(lenet.slider("channel").get_attribute("aria-valuemax")) == 5


def check_strength(lenet):
    lenet.press("strength", "Home")
    without = expected({"pool1": {5: 0.0}}, image=1)
    lenet.reads(without)
    lenet.notebook.tells("print(view.changes)", "{'pool1': {5: 0.0}}")
    shown = lenet.notebook.ask("print(view.probabilities.tolist())")
    np.testing.assert_allclose(eval(shown), without["fc3"].output[0].softmax(0), atol=1e-5)  # noqa: S307 - our own
    lenet.page.get_by_role("button", name="Switch all on again").click()
    lenet.reads(expected(image=1))
    lenet.notebook.tells("print(view.changes)", "{}")
    assert lenet.slider("strength").get_attribute("aria-valuetext") == "1"


def check_arrows(lenet):
    """The arrow keys move the place and not JupyterLab's cells."""
    cell = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before = lenet.page.evaluate(cell)
    lenet.root.locator(".picture").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
        lenet.page.keyboard.press(key)
    lenet.says(".top b", "conv2, channel 3")
    lenet.root.locator(".map").focus()
    lenet.page.keyboard.press("ArrowDown")
    assert lenet.page.evaluate(cell) == before
    lenet.notebook.tells("print('layer=conv2 channel=3 pixel=' in view.state)", "True")
    assert lenet.slider("layer").get_attribute("aria-valuetext") == "conv2"
    assert lenet.slider("channel").get_attribute("aria-valuetext") == "3"


def test_a_view_opens_at_its_state(explorer):
    state = "state='layer=conv2 channel=5 strength=0.5 scale=map'"
    lenet = explorer(LENET.replace("labels[:10])", f"labels[:10], {state})"))
    lenet.says(".top b", "conv2, channel 5")
    shown = {name: lenet.slider(name).get_attribute("aria-valuetext") for name in NAMES}
    assert (shown["layer"], shown["channel"], shown["strength"]) == ("conv2", "5", "0.5")
    assert shown["scale"] == "map"
    lenet.reads(expected({"conv2": {5: 0.5}}))


# --- The functions of the front end, each against an oracle ----------------------------------


@pytest.fixture
def script(browser):
    """Call a function of the front end: script("zoom(3, 10)")."""
    page = browser.new_page()
    page.evaluate(
        "async source => { window.vizlib = await import(URL.createObjectURL("
        "new Blob([source], {type: 'text/javascript'}))) }",
        joined("numbers.js", "graph.js", "arrangement.js"),
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


def test_lines_have_the_colours_of_the_figures():
    [axes] = plots.lines(SERIES).axes
    palette = [to_hex(line.get_color()) for line in axes.lines]
    source = (Path(explore.__file__).parent / "static" / "charts.js").read_text("utf-8")
    [series] = re.findall(r"const SERIES = \[(.*?)\]", source)
    assert re.findall(r"#\w{6}", series)[:6] == palette


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
def test_every_map_of_a_layer_has_its_place(script, height, width):
    for count in range(1, 66):
        shape, room = {"count": count, "height": height, "width": width}, [330, 266]
        found = script(f"gridFor({shape}, {room[0]}, {room[1]})")
        columns, rows, size, gap = (found[name] for name in ("columns", "rows", "size", "gap"))
        assert (rows - 1) * columns < count <= rows * columns
        assert columns * (width * size + gap) - gap <= room[0] + 0.01
        assert rows * (height * size + gap) - gap <= room[1] + 0.01


PAST = """from vizlib.history import History
class Odd(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(1, 3, 3), torch.nn.Linear(3 * 26 * 26, 10)
    def forward(self, x):
        return self.head(ODD(self.conv(x)).flatten(1))
model, x = Odd(), data.load("digits").test.images[:2]
grown = [{k: v * factor for k, v in model.state_dict().items()} for factor in (1, 3, 0.5)]
view = explore.epochs(History(snapshots=dict(enumerate(grown))), x, model=model)
view"""
RESTART = """async () => {
  await window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart();
}"""
AFTER = """model.load_state_dict(grown[{}])
with torch.no_grad(): print(model(data.normalize(x[{}:{} + 1]))[0].tolist())"""


@pytest.mark.parametrize(
    ("odd", "told"),
    [("torch.relu", "Computed in this page"), ("torch.nan_to_num", "by the kernel")],
)
def test_an_epoch_later_or_earlier_every_number_is_that_of_its_weights(explorer, odd, told):
    view = explorer(PAST.replace("ODD", odd))
    assert told in view.root.locator(".foot").inner_text()
    for keys, epoch, image in (("Home", 0, 0), ("ArrowRight", 1, 0), ("End", 2, 0)):
        view.press("epoch", keys)
        after = eval(view.notebook.ask(AFTER.format(epoch, image, image)))  # noqa: S307 - our own
        np.testing.assert_allclose(view.scores(), after, atol=0.006)
        assert view.notebook.ask("print(view.state)") == f"epoch={epoch} channel=0 image=0"
        shown = view.notebook.ask("print(view.probabilities.tolist())")
        chances = np.exp(after) / np.exp(after).sum()
        np.testing.assert_allclose(eval(shown), chances, atol=1e-5)  # noqa: S307 - our own
    view.page.get_by_role("button", name="Back", exact=True).click()
    view.page.wait_for_function(
        "() => document.querySelector('.past .steer p').textContent === 'epoch 1'"
    )
    assert view.slider("epoch").get_attribute("aria-valuetext") == "1"
    view.notebook.screenshot(f"epochs-{told.split()[0]}")
    assert view.notebook.complaints == []
    # Without its kernel a view goes on computing, or it stays with what it has.
    view.page.evaluate(RESTART)
    view.slider("epoch").press("End")
    then = "epoch 2" if odd == "torch.relu" else "epoch 1"
    view.says(".answer", "It reads" if odd == "torch.relu" else "The kernel has restarted")
    view.says(".past .steer p", then)
