"""A page in which the network computes: opened from the disk, drawn on, and held against torch."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import torch
from test_program import Everything, Tutorial, UNet, signals
from torch import nn

from vizlib import arithmetic, capture, data, explore, handwriting, models, weights
from vizlib.explore._live import live_page, script
from vizlib.explore._program import NotComputableError, program

pytestmark = pytest.mark.browser

DIGITS = data.load("digits").test
INPUTS = data.normalize(DIGITS.images[:10])
LABELS = DIGITS.labels[:10].tolist()
TWICE = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"


@pytest.fixture(scope="module")
def lenet():
    return weights.load("lenet")


class Live:
    """A page in the browser, with every request and complaint."""

    def __init__(self, page, path, fragment=""):
        self.page, self.requests, self.complaints = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text))
        page.set_default_timeout(20_000)
        page.goto(path.as_uri() + fragment)
        page.wait_for_function("() => document.getElementById('foot')?.textContent")

    def slide(self, name, value):
        set_it = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
        self.page.locator(f"#slide-{name}").evaluate(set_it, value)
        self.page.evaluate(TWICE)

    def scores(self):
        rows = self.page.locator(".class").all()
        texts = {
            row.locator(".name").inner_text(): row.locator(".score").inner_text() for row in rows
        }
        return {name: number(text) for name, text in texts.items()}

    def text(self, selector):
        return self.page.locator(selector).inner_text()


def number(text):
    return float(text.replace("−", "-"))


@pytest.fixture
def opened(browser, tmp_path):
    contexts = []

    def opened(content, fragment="", width=1280, height=720):
        (tmp_path / "page.html").write_text(content, "utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        return Live(contexts[-1].new_page(), tmp_path / "page.html", fragment)

    yield opened
    for context in contexts:
        context.close()


# --- The page -------------------------------------------------------------------------------


def test_every_stage_is_what_torch_makes(opened, lenet):
    page = opened(live_page("LeNet", lenet, INPUTS, labels=LABELS))
    x = torch.randn(1, 1, 28, 28)
    made = page.page.evaluate(
        """(values) => Object.entries(window.vizlib.stages(new Float32Array(values)))
          .map(([name, { shape, values }]) => [name, shape, [...values]])""",
        x.flatten().tolist(),
    )
    expected = capture.record(lenet, x)
    assert [name for name, _, _ in made] == list(expected)
    for name, shape, values in made:
        output = expected[name].output
        assert shape == list(output.shape)
        apart = (torch.tensor(values).reshape(shape) - output).abs().max()
        assert float(apart) <= 5e-6 * float(output.abs().max())
    assert page.requests == [page.page.url]
    assert page.complaints == []
    said = page.text("#foot")
    digits, power = re.search(r"PyTorch over 10 images: ([\d.]+) · 10⁻([⁰-⁹¹²³])", said).groups()
    assert float(digits) * 10 ** -"⁰¹²³⁴⁵⁶⁷⁸⁹".index(power) < 1e-5


def test_pages_are_small(lenet):
    assert len(live_page("LeNet", lenet, INPUTS)) < 500_000
    assert len(live_page("NewNet", weights.load("newnet"), INPUTS)) < 2_500_000


def test_an_address_is_a_place_and_follows(opened, lenet):
    page = opened(live_page("LeNet", lenet, INPUTS), "#layer=conv2&channel=5&image=3&pixel=2,4")
    assert page.text("#top b") == "conv2, channel 5"
    value = capture.record(lenet, INPUTS[3:4])["conv2"].output[0, 5, 2, 4]
    assert f"Row 2, column 4 is {value:.2f}".replace("-", "−") in page.text("#made h2")
    page.slide("layer", 0)
    page.slide("channel", 2)
    assert "layer=conv1&channel=2" in page.page.url
    page.page.goto(page.page.url.replace("channel=2", "channel=4"))
    page.page.wait_for_function("() => document.querySelector('#top b').textContent.endsWith('4')")
    page.page.goto(page.page.url.split("#")[0] + "#layer=nowhere&channel=999")
    page.page.evaluate(TWICE)
    assert page.complaints == []


def test_what_is_drawn_is_read_as_python_reads_it(opened, lenet):
    page = opened(live_page("LeNet", lenet, INPUTS))
    box = page.page.locator("#pad").bounding_box()
    mouse = page.page.mouse
    path = [(0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.45, 0.85)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    mouse.move(*places[0])
    mouse.down()
    for place in places[1:]:
        mouse.move(*place, steps=12)
    mouse.up()
    page.page.evaluate(TWICE)
    ink = page.page.evaluate("""() => {
      const pad = document.getElementById("pad");
      const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
      let text = "";
      for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
      return btoa(text);
    }""")
    drawn = np.frombuffer(base64.b64decode(ink), np.uint8).reshape(280, 280)
    with torch.no_grad():
        scores = lenet(data.normalize(handwriting.from_ink(drawn).image[None]))[0]
    assert f"It reads {int(scores.argmax())}" in page.text("#answer")
    for name, score in page.scores().items():
        assert abs(score - float(scores[int(name)])) < 0.05  # a grey level here or there
    page.page.get_by_role("button", name="undo").click()
    page.page.evaluate(TWICE)
    page.page.get_by_role("button", name="image 4").click()
    page.page.evaluate(TWICE)
    assert "image=4" in page.page.url
    assert page.complaints == []


def test_switching_off_is_what_an_edit_makes(opened, lenet):
    page = opened(
        live_page("LeNet", lenet, INPUTS, labels=LABELS), "#layer=relu2&channel=3&image=2"
    )
    page.page.wait_for_function("() => document.querySelector('#needs p:last-child').textContent")
    said = page.text("#needs p:last-child")
    page.slide("strength", 0)
    with capture.edit(lenet, {"relu2": {3: 0.0}}), torch.no_grad():
        expected = lenet(INPUTS[2:3])[0]
    for name, score in page.scores().items():
        assert abs(score - float(expected[int(name)])) < 0.006
    with torch.no_grad():
        before = lenet(INPUTS[2:3])[0]
    winner = int(before.argmax())
    assert abs(number(re.match(r"without 3: (\S+)", said)[1]) - float(expected[winner])) < 0.006
    page.slide("layer", 0)
    page.slide("strength", 0.3)
    with capture.edit(lenet, {"relu2": {3: 0.0}, "conv1": {3: 0.3}}), torch.no_grad():
        expected = lenet(INPUTS[2:3])[0]
    assert abs(page.scores()["0"] - float(expected[0])) < 0.006
    page.page.get_by_role("button", name="Switch all on again").click()
    page.page.evaluate(TWICE)
    assert abs(page.scores()["0"] - float(before[0])) < 0.006


def test_sums_add_up_as_shown(opened, lenet):
    for layer in ("conv1", "conv2", "fc1", "fc3"):
        page = opened(live_page("LeNet", lenet, INPUTS), f"#layer={layer}&channel=2&image=1")
        *parts, total = map(
            number, page.page.locator(".addition").last.locator("b").all_inner_texts()
        )
        assert round(sum(parts), 2) == total
        assert f"is {total:.2f}".replace("-", "−") in page.text("#made h2")


def test_numbers_in_cells_stand_apart(opened, lenet):
    for layer, image in (("conv1", 1), ("conv2", 2), ("conv2", 0), ("pool1", 3)):
        page = opened(live_page("LeNet", lenet, INPUTS), f"#layer={layer}&channel=1&image={image}")
        gaps = page.page.evaluate("""() => {
          const edges = (cell) => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            return text.getBoundingClientRect();
          };
          return [...document.querySelectorAll("#made tr")].flatMap(({ cells }) =>
            [...cells].slice(1).map((cell, i) => [cells[i], cell])
              .filter((pair) => pair.every(({ textContent }) => textContent))
              .map(([left, right]) => edges(right).left - edges(left).right));
        }""")
        assert gaps
        assert min(gaps) >= 3


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_the_frame_of_a_map_at_the_edge_is_whole(opened, lenet, size):
    blue = """() => {
      const canvas = document.querySelector("#network canvas"), { width, height } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      const at = { edge: 0, inside: 0 };
      for (let i = 0; i < width * height; i++) {
        const [x, y] = [i % width, Math.floor(i / width)];
        const isEdge = x === 0 || y === 0 || x === width - 1 || y === height - 1;
        const [r, g, b] = data.slice(4 * i, 4 * i + 3);
        if (Math.hypot(r - 0x15, g - 0x62, b - 0xbd) < 40) at[isEdge ? "edge" : "inside"]++;
      }
      return at;
    }"""
    page = opened(live_page("LeNet", lenet, INPUTS), "", *size)
    for layer, channel in ((2, 0), (3, 1), (3, 15), (7, 2), (11, 83)):
        page.slide("layer", layer)
        page.slide("channel", channel)
        found = page.page.evaluate(blue)
        assert found["inside"] > 40
        assert found["edge"] == 0


def test_a_class_without_a_name_has_its_number(opened, lenet):
    content = live_page("lenet", lenet, INPUTS[:1], labels=[12], classes=["zero", "one"])
    live = opened(content)
    assert list(live.scores()) == ["zero", "one", *"23456789"]
    assert "; label 12" in live.text("#answer")
    assert "undefined" not in live.text("body")


def test_names_from_outside_are_text(opened):
    torch.manual_seed(0)
    bad = "</script><img src=x onerror=window.hacked=1>"
    model = nn.Sequential()
    model.add_module(bad.replace(".", "_"), nn.Conv2d(1, 3, 3))
    model.append(nn.Flatten()).append(nn.Linear(3 * 26 * 26, 10))
    classes = [bad, "<b>1</b>", *"23456789"]
    content = live_page(bad, model, INPUTS[:2], classes=classes, labels=[0, 1])
    page = opened(content)
    assert page.text("h1") == bad
    assert page.page.locator(".class .name").first.inner_text() == bad
    assert page.page.evaluate("() => window.hacked") is None
    assert page.page.locator("img, #answer i").count() == 0
    held = re.search(r'id="data">(.*?)</script>', content, re.DOTALL)[1]
    assert "<" not in held
    assert json.loads(held)["classes"] == classes


@pytest.mark.parametrize(
    "size", [(390, 844), (640, 360), (853, 480), (1093, 614), (1280, 720), (1920, 1080)]
)
def test_nothing_scrolls_sideways(opened, lenet, size):
    page = opened(live_page("LeNet", lenet, INPUTS), "#layer=conv2", *size)
    wide, here = page.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= here
    tracks = page.page.locator("#controls input[type=range]").all()
    assert min(track.bounding_box()["width"] for track in tracks) >= 120


def test_the_keyboard_goes_everywhere(opened, lenet):
    page = opened(live_page("LeNet", lenet, INPUTS))
    page.page.locator("#network canvas").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowDown")
    page.page.evaluate(TWICE)
    assert page.text("#top b") == "relu1, channel 1"
    page.page.locator("#map").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.evaluate(TWICE)
    row, column = re.search(r"pixel=(\d+)%2C(\d+)", page.page.url).groups()
    value = capture.record(lenet, INPUTS[:1])["relu1"].output[0, 1, int(row), int(column)]
    assert f"Row {row}, column {column} is {value:.2f}" in page.text("#made h2")


# --- What the views are made of -------------------------------------------------------------


@pytest.fixture
def inside(browser):
    """The modules of the page in a page without views, with a network and an image in it."""
    page = browser.new_page()

    def inside(model, x):
        found = program(model.eval(), x)
        held = {
            "program": {"steps": found.steps, "tensors": found.tensors, "output": found.output},
            "weights": base64.b64encode(found.packed(np.float32)).decode("ascii"),
            "half": False,
        }
        page.set_content(
            f'<script type="module">{script()}\n'
            "window.modules = { graph, tensorsOf, run, reachBack, explain };"
            "Object.assign(window.modules, { mapsOf, partsOf, folded, cellTexts });"
            "</script>"
        )
        page.evaluate(
            """([data, shape, values]) => {
              const { graph, tensorsOf, run } = window.modules, tensors = tensorsOf(data);
              const input = { shape, values: new Float32Array(values) };
              const steps = run({ ...data.program, input: "input" }, tensors, input);
              const made = { input, ...Object.fromEntries(steps) };
              Object.assign(window, { network: graph(data.program), tensors, made });
            }""",
            [json.loads(json.dumps(held)), list(x.shape), x.flatten().tolist()],
        )
        return page

    yield inside
    page.close()


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("lenet", ("conv1", "pool1", "conv2", "pool2")),
        ("newnet", ("features.0", "features.7", "features.17")),
    ],
)
def test_windows_lead_back_to_the_receptive_field(inside, name, stages):
    model, x = weights.load(name), INPUTS[:1]
    page, recorded = inside(model, x), capture.record(model, x)
    for stage in stages:
        height, width = recorded[stage].output.shape[2:]
        for row, column in ((0, 0), (height // 2, width - 1), (height - 1, 1)):
            part = page.evaluate(
                """([name, top, left]) => {
                  const part = { channel: 0, top, left, bottom: top + 1, right: left + 1 };
                  const { network, tensors, made } = window;
                  return window.modules.reachBack(network, tensors, made, name, part).get("input");
                }""",
                [stage, row, column],
            )
            field = arithmetic.receptive_field(model, x, stage, row, column)
            assert [part[side] for side in ("top", "left", "bottom", "right")] == list(field)[:4]


@pytest.mark.parametrize(
    "build",
    [
        lambda: weights.load("lenet"),
        lambda: weights.load("newnet"),
        Tutorial,
        UNet,
        Everything,
        signals,
    ],
)
def test_what_is_explained_is_the_value(inside, build):
    torch.manual_seed(0)
    model = build()
    x = (
        torch.randn(1, 2, 40)
        if isinstance(model, nn.Sequential) and build is signals
        else torch.randn(1, 1, 28, 28)
    )
    wrong, kinds = inside(model, x).evaluate("""() => {
      const { explain, mapsOf } = window.modules, wrong = [], kinds = {};
      for (const { name } of window.network.stages) {
        const tensor = window.made[name], { count, height, width } = mapsOf(tensor);
        const peak = tensor.values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-6);
        for (let i = 0; i < 5; i++) {
          const at = Math.floor((tensor.values.length - 1) * i / 4), size = height * width;
          const place = [Math.floor(at / size), Math.floor((at % size) / width), at % width];
          const { network, tensors, made } = window;
          const { kind, sum } = explain(network, tensors, made, name, place);
          kinds[kind] = (kinds[kind] ?? 0) + 1;
          const isClose = Math.abs(sum - tensor.values[at]) <= 5e-6 * peak;
          if (kind !== "unknown" && !isClose) wrong.push([name, place, sum, tensor.values[at]]);
        }
      }
      return [wrong, kinds];
    }""")
    assert wrong == []
    assert sum(count for kind, count in kinds.items() if kind != "unknown") > 0.6 * sum(
        kinds.values()
    )


@pytest.mark.parametrize("most", [4, 8, 13, 40])
def test_folding_shows_every_layer_once_and_the_chosen_one_alone(inside, most):
    model = weights.load("newnet")
    page = inside(model, INPUTS[:1])
    names = list(capture.record(model, INPUTS[:1]))
    for chosen in names:
        parts = page.evaluate(
            """([chosen, most]) => {
              const { folded, partsOf } = window.modules, parts = partsOf(window.network.stages);
              return folded(parts, chosen, most).map(({ name, stages }) => [name, stages]);
            }""",
            [chosen, most],
        )
        assert [stage for _, stages in parts for stage in stages] == names
        assert len(parts) <= max(most, 3)
        assert next(stages for _, stages in parts if chosen in stages) == [chosen] or most < 8


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([-4.71, 0.07, 8.08], 40, ["−4.71", "0.07", "8.08"]),
        ([-4.71, 0.07, 0], 33, ["−4.7", "0.1", "0"]),
        ([-11.1, -11.6, -8.96], 33, ["−11", "−12", "−9.0"]),
        ([-0.14, 0.02, -0.001], 27, ["−.14", ".02", ".00"]),
        ([-4.71, 8.08], 15, None),
    ],
)
def test_a_table_has_as_many_decimals_as_there_is_room(inside, values, width, expected):
    page = inside(weights.load("lenet"), INPUTS[:1])
    written = "([values, width]) => window.modules.cellTexts(values, width, 11.5)"
    assert page.evaluate(written, [values, width]) == expected


def test_a_page_too_large_says_so(monkeypatch, lenet):
    monkeypatch.setattr("vizlib.explore._live._LARGEST", 1000)
    with pytest.raises(NotComputableError, match="larger than"):
        live_page("LeNet", lenet, INPUTS)


def test_half_precision_is_said(opened, lenet, monkeypatch):
    monkeypatch.setattr("vizlib.explore._live._LARGEST", 200_000)
    page = opened(live_page("LeNet", lenet, INPUTS[:2]))
    assert "half precision" in page.text("#foot")
    with torch.no_grad():
        scores = lenet(INPUTS[:1])[0]
    for name, score in page.scores().items():
        assert abs(score - float(scores[int(name)])) < 0.05


def test_colour_images_and_many_classes(opened):
    model = models.build("lenet5", seed=0)
    page = opened(
        live_page(
            "LeNet-5", model, torch.rand(3, 3, 32, 32), classes=[f"class {i}" for i in range(10)]
        )
    )
    assert page.page.locator("#pad").count() == 0
    assert "It reads class" in page.text("#answer")
    assert page.complaints == []


# --- The views that write such a page --------------------------------------------------------


VIEWS = {
    "layers": lambda model: explore.layers(
        model, DIGITS.images[:3], state="image=2 layer=conv2 channel=5 pixel=2,3"
    ),
    "pixel": lambda model: explore.pixel(
        model, DIGITS.images[:3], state="image=2 layer=conv2 channel=5 row=2 col=3"
    ),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_becomes_a_page_at_its_place(opened, lenet, tmp_path, view):
    page = opened(view(lenet).to_html(tmp_path / "view.html").read_text("utf-8"))
    assert page.text("#top b") == "conv2, channel 5"
    value = capture.record(lenet, INPUTS[2:3])["conv2"].output[0, 5, 2, 3]
    assert f"Row 2, column 3 is {value:.2f}".replace("-", "−") in page.text("#made h2")
    assert page.complaints == []


def test_channels_that_are_off_are_off_in_the_page(opened, lenet, tmp_path):
    view = explore.switch_off(
        lenet, DIGITS.images[:2], off={"relu1": [2]}, state="layer=relu2 channel=4 keep=0.3"
    )
    page = opened(view.to_html(tmp_path / "view.html").read_text("utf-8"))
    with capture.edit(lenet, {"relu1": {2: 0.0}, "relu2": {4: 0.3}}), torch.no_grad():
        expected = lenet(INPUTS[:1])[0]
    for name, score in page.scores().items():
        assert abs(score - float(expected[int(name)])) < 0.006


def test_a_pad_that_opens_empty_says_so(opened, lenet, tmp_path):
    page = opened(explore.draw(lenet).to_html(tmp_path / "view.html").read_text("utf-8"))
    assert page.text("#answer") == "An empty pad: draw a digit"


class Rolling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return torch.roll(self.conv(x), 1, 2)


def test_what_a_page_cannot_compute_is_recorded_and_says_why(browser, lenet, tmp_path):
    page = browser.new_page()
    path = explore.layers(Rolling(), DIGITS.images[:2]).to_html(tmp_path / "page.html")
    page.goto(path.as_uri())
    page.get_by_text("What was recorded is shown here: a page cannot compute roll").wait_for()
    path = explore.layers(lenet, DIGITS.images[:2]).to_html(path, recorded=True)
    assert 'id="data"' not in path.read_text("utf-8")
    page.close()
