"""A page in which the network computes: opened from the disk, drawn on, and held against torch."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import torch
from pages import number
from test_program import Attention, Everything, Moving, Tutorial, UNet, signals
from torch import nn

from vizlib import arithmetic, capture, data, explore, handwriting, models, plots, weights
from vizlib.explore._explorer import script
from vizlib.explore._network import MODULES
from vizlib.explore._program import program

pytestmark = pytest.mark.browser

DIGITS = data.load("digits").test
INPUTS = data.normalize(DIGITS.images[:10])
LABELS = DIGITS.labels[:10].tolist()


@pytest.fixture(scope="module")
def lenet():
    return weights.load("lenet")


@pytest.fixture
def view(lenet):
    """Make the view of the first images, with their labels, perhaps at another state."""
    return lambda **more: explore.layers(lenet, DIGITS.images[:10], LABELS, **more)


def scores_of(model, x, changes=None):
    with capture.edit(model, changes or {}), torch.no_grad():
        return model(x)[0]


# --- The page -------------------------------------------------------------------------------


def test_every_stage_is_what_torch_makes(opened, lenet, view):
    page = opened(view())
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
    said = page.text(".foot")
    digits, power = re.search(r"PyTorch over 10 images: ([\d.]+) · 10⁻([⁰-⁹¹²³])", said).groups()
    assert float(digits) * 10 ** -"⁰¹²³⁴⁵⁶⁷⁸⁹".index(power) < 1e-5


def test_pages_are_small(view, tmp_path):
    newnet = explore.layers(weights.load("newnet"), DIGITS.images[:10])
    for each, most in ((view(), 500_000), (newnet, 2_500_000)):
        assert each.to_html(tmp_path / "page.html").stat().st_size < most


def test_an_address_is_a_place_and_follows(opened, lenet, view):
    page = opened(view(), "#layer=conv2&channel=5&image=3&pixel=2,4")
    value = capture.record(lenet, INPUTS[3:4])["conv2"].output[0, 5, 2, 4]
    page.waits_for(".made h2", f"Row 2, column 4 is {value:.2f}".replace("-", "−"))
    assert page.text(".top b") == "conv2, channel 5"
    page.slide("layer", 0)
    page.slide("channel", 2)
    assert "layer=conv1&channel=2" in page.page.url
    page.page.goto(page.page.url.replace("channel=2", "channel=4"))
    page.waits_for(".top b", "conv1, channel 4")
    page.page.goto(page.page.url.split("#")[0] + "#layer=nowhere&channel=999")
    page.settle()
    assert page.complaints == []


def test_what_is_drawn_is_read_as_python_reads_it(opened, lenet, view):
    page = opened(view())
    page.draw((0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.45, 0.85))
    ink = page.page.evaluate("""() => {
      const pad = document.querySelector(".pad");
      const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
      let text = "";
      for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
      return btoa(text);
    }""")
    drawn = np.frombuffer(base64.b64decode(ink), np.uint8).reshape(280, 280)
    scores = scores_of(lenet, data.normalize(handwriting.from_ink(drawn).image[None]))
    page.reads(scores, 0.05)  # a grey level here or there
    assert f"It reads {int(scores.argmax())}" in page.text(".answer")
    page.button("undo")
    page.button("image 4")
    page.reads(scores_of(lenet, INPUTS[4:5]))
    assert "image=4" in page.page.url
    assert page.complaints == []


def test_a_channel_made_weaker_is_what_an_edit_makes(opened, lenet, view):
    page, x = opened(view(), "#layer=relu2&channel=3&image=2"), INPUTS[2:3]
    before, without = scores_of(lenet, x), scores_of(lenet, x, {"relu2": {3: 0.0}})
    page.waits_for(".needs p:last-child", "without 3: ")
    said = re.match(r"without 3: (\S+)", page.text(".needs p:last-child"))[1]
    assert abs(number(said) - float(without[before.argmax()])) < 0.006
    page.slide("strength", 0)
    page.reads(without)
    page.slide("layer", 0)
    page.slide("strength", 0.3)
    page.reads(scores_of(lenet, x, {"relu2": {3: 0.0}, "conv1": {3: 0.3}}))
    page.button("Switch all on again")
    page.reads(before)


def test_the_window_of_a_single_map_has_room_for_its_numbers(opened, view):
    page = opened(view(state="layer=conv1")).page
    page.locator(".made td").first.wait_for()
    written = page.locator(".made td").all_inner_texts()
    assert len(written) == 3 * 25
    assert all(written)
    assert page.locator(".terms").count() == 0  # there is nothing to choose from


def test_sums_add_up_as_shown(opened, view):
    for layer in ("conv1", "conv2", "fc1", "fc3"):
        page = opened(view(state=f"layer={layer} channel=2 image=1"))
        page.page.locator(".addition b").first.wait_for()
        *parts, total = map(
            number, page.page.locator(".addition").last.locator("b").all_inner_texts()
        )
        assert round(sum(parts), 2) == total
        assert f"is {total:.2f}".replace("-", "−") in page.text(".made h2")


def test_numbers_in_cells_stand_apart(opened, view):
    for layer, image in (("conv1", 1), ("conv2", 2), ("conv2", 0), ("pool1", 3)):
        page = opened(view(state=f"layer={layer} channel=1 image={image}"))
        gaps = page.page.evaluate("""() => {
          const edges = (cell) => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            return text.getBoundingClientRect();
          };
          return [...document.querySelectorAll(".made tr")].flatMap(({ cells }) =>
            [...cells].slice(1).map((cell, i) => [cells[i], cell])
              .filter((pair) => pair.every(({ textContent }) => textContent))
              .map(([left, right]) => edges(right).left - edges(left).right));
        }""")
        assert gaps
        assert min(gaps) >= 3


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_the_frame_of_a_map_at_the_edge_is_whole(opened, view, size):
    blue = """() => {
      const canvas = document.querySelector(".network canvas"), { width, height } = canvas;
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
    page = opened(view(), size=size)
    for layer, channel in (("pool1", 0), ("conv2", 1), ("conv2", 15), ("fc1", 2), ("fc3", 9)):
        page.page.evaluate(f"location.hash = 'layer={layer}&channel={channel}'")
        page.waits_for(".top b", f"{layer}, ")
        page.settle()
        found = page.page.evaluate(blue)
        assert found["inside"] > 40
        assert found["edge"] == 0


def test_a_class_without_a_name_has_its_number(opened):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 12))
    page = opened(explore.layers(model, DIGITS.images[:1], [11]))
    assert "; label 11" in page.text(".answer")
    assert {*page.scores()} <= {*map(str, range(12))}
    assert "undefined" not in page.text("body")


def test_names_from_outside_are_text(opened):
    torch.manual_seed(0)
    bad = "</script><img src=x onerror=window.hacked=1>"
    model = nn.Sequential()
    model.add_module(bad.replace(".", "_"), nn.Conv2d(1, 3, 3))
    model.append(nn.Flatten()).append(nn.Linear(3 * 26 * 26, 10))
    model.name = bad
    classes = [bad, "<b>1</b>", *"23456789"]
    page = opened(explore.layers(model, DIGITS.images[:2], [0, 1], classes=classes))
    assert page.text("h1.name") == bad
    assert page.text(".class .name") == bad
    assert page.page.evaluate("() => window.hacked") is None
    assert page.page.locator("img, .answer i").count() == 0


@pytest.mark.parametrize(
    "size", [(390, 844), (640, 360), (853, 480), (1093, 614), (1280, 720), (1920, 1080)]
)
def test_nothing_scrolls_sideways(opened, view, size):
    page = opened(view(state="layer=conv2"), size=size)
    wide, here = page.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= here
    tracks = page.page.locator(".controls input[type=range]").all()
    assert min(track.bounding_box()["width"] for track in tracks) >= 120


def test_the_keyboard_goes_everywhere(opened, lenet, view):
    page = opened(view())
    page.page.locator(".network canvas").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowDown")
    page.waits_for(".top b", "relu1, channel 1")
    page.page.locator(".map").focus()
    page.page.keyboard.press("ArrowRight")
    page.settle()
    row, column = re.search(r"pixel=(\d+)%2C(\d+)", page.page.url).groups()
    value = capture.record(lenet, INPUTS[:1])["relu1"].output[0, 1, int(row), int(column)]
    assert f"Row {row}, column {column} is {value:.2f}" in page.text(".made h2")


# --- Colours ----------------------------------------------------------------------------------

ROWS = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])


def known():
    """Two layers: maps of peak 1 and 0.5, then one of peak 3; of the second image all is twice."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False))
    model[0].weight.data = torch.tensor([1.0, -0.5]).reshape(2, 1, 1, 1)
    model[1].weight.data = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)
    rows = ROWS[:, None].expand(1, 1, 5, 5)
    return model, torch.cat([rows, 2 * rows])


def colours(page, selector, column=3):
    """The colour of each of the five rows, near the corner of a cell, where no number stands."""
    cell = page.page.locator(selector).bounding_box()["height"] / 5
    places = [((column + 0.12) * cell, (row + 0.12) * cell) for row in range(5)]
    return [page.pixel(selector, round(x), round(y)) for x, y in places]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("scale", "limit"), [("map", 0.5), ("layer", 1.0), ("network", 3.0)])
def test_each_value_has_the_colour_that_the_scale_gives_it(opened, scale, limit, scheme):
    model, images = known()
    page = opened(explore.layers(model, images, state=f"channel=1 scale={scale}"))
    page.page.emulate_media(color_scheme=scheme)
    page.settle()
    with torch.no_grad():
        values = model[0](images[:1])[0, 1, :, 3].numpy()
    expected = plots.colours(values, limit).tolist()
    assert colours(page, ".map") == expected
    assert expected[2] == [255, 255, 255]


def test_a_signal_is_drawn_as_a_line_and_an_empty_pad_has_no_scores(opened, lenet):
    ramp = torch.linspace(0, 1, 40).expand(1, 2, 40)
    page = opened(explore.layers(signals(), torch.cat([ramp, ramp.flip(2)])))
    ends = [(0, 151), (159, 8), (0, 8), (159, 151)]  # where the first line begins and ends
    inked = [page.pixel("[aria-label='image 0'] canvas", *end)[0] > 100 for end in ends]
    assert inked == [True, True, False, False]
    pad = opened(explore.draw(lenet)).page
    assert pad.locator(".class").count() == 10
    assert pad.locator(".share:visible").count() == 0


def test_of_the_image_beside_it_is_said_what_it_is_read_as(opened, lenet, view):
    page = opened(view(state="beside=3"))
    read = scores_of(lenet, INPUTS[3:4]).argmax().item()
    page.waits_for(".top", f"beside it image 3, read as {read}")


@pytest.mark.parametrize("recorded", [False, True])
def test_an_image_beside_has_the_scale_of_both(opened, recorded):
    model, images = known()
    page = opened(explore.layers(model, images, state="beside=1"), recorded=recorded)
    page.page.locator("canvas.beside").wait_for()
    assert page.label("canvas.beside") == "the same map of image 1"
    assert colours(page, ".map") == plots.colours(ROWS.numpy(), 2.0).tolist()
    assert colours(page, "canvas.beside") == plots.colours(2 * ROWS.numpy(), 2.0).tolist()


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
        names = [f"{name}.js" for name in MODULES]
        page.set_content(
            f'<script type="module">{script(*names)}\n'
            "window.modules = { graph, setsOf, run, reachBack, explain };"
            "Object.assign(window.modules, { mapsOf, partsOf, folded, cellTexts });"
            "</script>"
        )
        page.evaluate(
            """([data, shape, values]) => {
              const { graph, setsOf, run } = window.modules;
              const bytes = Uint8Array.from(atob(data.weights), (c) => c.charCodeAt(0));
              const [tensors] = setsOf({ ...data, weights: bytes }, 1);
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


class Normed(nn.Module):
    """Maps that are normalized together, and maps that only look alike."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)).roll(1, 3))


@pytest.mark.parametrize(
    ("model", "stages"),
    [
        (weights.load("lenet"), ("conv1", "pool1", "conv2", "pool2")),
        (weights.load("newnet"), ("features.0", "features.7", "features.17")),
        (Normed(), ("conv", "norm", "last")),
    ],
)
def test_windows_lead_back_to_the_receptive_field(inside, model, stages):
    x = INPUTS[:1]
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


class Uncommon(nn.Module):
    """Windows with gaps or over the edge, and numbers of the network's own before a layer."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, -3.0]).reshape(2, 1, 1))
        self.conv, self.gaps = nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2, 1, dilation=2)
        self.mean = nn.AvgPool2d((3, 2), 2, (1, 1))
        self.inner = nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)

    def forward(self, x):
        x = self.scale * self.conv(x)
        x = self.scale - self.mean(self.scale / (3 + self.gaps(x).abs()))
        return self.inner(x)


@pytest.mark.parametrize(
    "build",
    [
        lambda: weights.load("lenet"),
        lambda: weights.load("newnet"),
        Tutorial,
        UNet,
        Everything,
        Uncommon,
        Moving,
        Attention,
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
          const { kind, sum, terms } = explain(network, tensors, made, name, place);
          for (const { stage, channel, input } of terms) {
            if (input === undefined) continue;
            const { height, width } = mapsOf(made[stage]), from = channel * height * width;
            const plane = made[stage].values.subarray(from, from + height * width);
            if (!plane.includes(input)) wrong.push([name, stage, channel, input]);
          }
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


def test_half_precision_is_said(opened, lenet, monkeypatch):
    monkeypatch.setattr("vizlib.explore._contents.LARGEST", 150_000)
    page = opened(explore.layers(lenet, DIGITS.images[:2]))
    assert "half precision" in page.text(".foot")
    page.reads(scores_of(lenet, INPUTS[:1]), 0.05)


def test_colour_images_and_many_classes(opened):
    model = models.build("lenet5", seed=0)
    classes = [f"class {i}" for i in range(10)]
    page = opened(explore.layers(model, torch.rand(3, 3, 32, 32), classes=classes))
    assert page.page.locator(".pad").count() == 0
    assert "It reads class" in page.text(".answer")
    assert page.complaints == []


# --- The doors -------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [explore.layers, explore.pixel, explore.switch_off])
@pytest.mark.parametrize("recorded", [False, True])
def test_a_view_becomes_a_page_at_its_place(opened, lenet, door, recorded):
    view = door(lenet, DIGITS.images[:3], state="image=2 layer=conv2 channel=5 pixel=2,3")
    page = opened(view, recorded=recorded)
    assert page.text(".top b") == "conv2, channel 5"
    value = capture.record(lenet, INPUTS[2:3])["conv2"].output[0, 5, 2, 3]
    assert page.label().endswith(f"Row 2, column 3: {value:.2f}".replace("-", "−"))
    assert page.complaints == []


def test_channels_that_are_off_are_off_in_the_page(opened, lenet):
    state = "layer=relu2 channel=4 strength=0.3"
    page = opened(explore.switch_off(lenet, DIGITS.images[:2], off={"relu1": [2]}, state=state))
    page.reads(scores_of(lenet, INPUTS[:1], {"relu1": {2: 0.0}, "relu2": {4: 0.3}}))


@pytest.mark.parametrize("door", [explore.draw, explore.upload])
def test_a_pad_that_opens_empty_says_so(opened, lenet, door):
    assert opened(door(lenet)).text(".answer") == "An empty pad: draw a digit"


class Summing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return torch.cumsum(self.conv(x), 2)


def test_what_a_page_cannot_compute_is_recorded_and_says_why(opened):
    model = Summing()
    page = opened(explore.layers(model, DIGITS.images[:3], state="image=1 pixel=5,6"))
    assert page.text(".foot").startswith(
        "What was recorded is shown here: a page cannot compute cumsum"
    )
    check_images(page, model, (1, 2, 0))


@pytest.mark.parametrize("name", ["mlp", "UNet"])
def test_a_recorded_page_goes_through_all_layers(opened, name):
    model = UNet().eval() if name == "UNet" else weights.load(name)
    view = explore.layers(model, DIGITS.images[:1])
    page = opened(view, recorded=True)
    for number_, stage in enumerate(view.recordings.names):
        page.slide("layer", number_)
        page.waits_for(".top b", f"{stage}, ")
    assert page.complaints == []


def test_a_recorded_page_slides_and_has_no_weights(opened, lenet, view, tmp_path):
    page = opened(view(state="image=1 layer=conv1 channel=2 pixel=5,6"), recorded=True)
    assert "this page has no weights in it" in page.text(".foot")
    check_images(page, lenet, (1, 4, 9), channel=2)
    page.reads(scores_of(lenet, INPUTS[9:10]))
    page.slide("layer", 3)
    page.slide("channel", 15)
    assert page.text(".top b") == "conv2, channel 15"
    assert page.page.locator(".pad").count() == 0
    content = (tmp_path / "1.html").read_text("utf-8")
    for each in (lenet.conv1.weight, lenet.fc1.weight):
        assert base64.b64encode(each.detach().numpy().tobytes()[:60]).decode() not in content


def check_images(page, model, images, channel=0):
    """Each image's own value is seen when its button is pressed."""
    first = next(iter(capture.record(model, INPUTS[:1])))
    for image in images:
        page.button(f"image {image}")
        value = capture.record(model, INPUTS[image : image + 1])[first].output[0, channel, 5, 6]
        assert page.label().endswith(f"Row 5, column 6: {value:.2f}".replace("-", "−")), image
    assert page.complaints == []
