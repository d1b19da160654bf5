"""A convolution, slid: every number that the page computes and shows is torch's."""

from __future__ import annotations

import re
from contextlib import contextmanager
from decimal import Decimal

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from vizlib import explore, models

EXAMPLE = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]
NUMBERS = {"size": (1280, 720), "motion": "no-preference", "scheme": "light"}


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0)


def normalized(images):
    return (images[:, None].float() / 255 - 0.1307) / 0.3081


# --- In Python: what is given to the page, and the figure -----------------------------------


def test_it_opens_at_the_first_step_of_the_worked_example():
    view = explore.convolution()
    assert view.state == "k=0 stride=1 padding=0 dilation=1 kernel=3"
    assert repr(view) == "convolution(5×5, kernel 3×3)"


def test_the_state_opens_the_same_view(lenet, images):
    state = "k=9 image=1 channel=2 input=3 stride=2 padding=1 dilation=1"
    assert explore.convolution(lenet, images, layer="conv2", state=state).state == state
    with pytest.raises(ValueError, match="k must be a number from 0 to 8, but was 9"):
        explore.convolution(state="k=9")


def test_without_a_layer_it_is_the_first_convolution(lenet, images):
    assert repr(explore.convolution(lenet, images)) == "convolution(lenet, conv1)"


def test_the_figure_is_the_place(lenet, images):
    view = explore.convolution(lenet, images, layer="conv2", state="k=9 channel=2")
    texts = " ".join(text.get_text() for text in view.figure().axes[0].texts)
    assert "lenet, conv2: row 1, column 1 of channel 2" in texts
    assert "relu2" in texts
    view._canvas.stride = 1
    assert "relu2" not in " ".join(text.get_text() for text in view.figure().axes[0].texts)


def test_the_figure_has_the_numbers_that_were_changed():
    view = explore.convolution(state="k=0 padding=0")
    # The middle 3×3 of the 5×5 weights begins at number 6; the page sends numbers as text.
    view._canvas.edits = {"weights": {"6": 10}, "pixels": {"0": {"0": 7}}}
    texts = " ".join(text.get_text() for text in view.figure().axes[0].texts)
    assert "products sum to 94" in texts  # 24 and 7·10 more


def test_what_torch_refuses_is_refused_for_print():
    with pytest.raises(ValueError, match="spans 7 pixels"):
        explore.convolution(state="dilation=3").figure()


def test_the_images_beside_the_one_that_is_shown_travel_with_it(lenet, images):
    view = explore.convolution(lenet, images, layer="conv1")
    assert [one["image"] for one in view._canvas.reads] == [0]
    view._canvas.image = 2
    view._reply({})
    assert [one["image"] for one in view._canvas.reads] == [1, 2]


def outputs(model, x):
    """What each layer of a chain makes, by running one after the other."""
    found = {}
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not list(layer.children()):
                x = found[name] = layer(x)
    return found


def test_a_layer_opens_at_its_strongest_value_and_at_what_adds_most_to_it(lenet, images):
    place = explore.convolution(lenet, images, layer="conv2").place
    made = outputs(lenet, normalized(images)[:1])
    row, col = divmod(place["k"], 8)
    output = made["conv2"][0]
    assert output[place["channel"], row, col].abs() == output.abs().max()
    read = made["pool1"][0, :, row : row + 5, col : col + 5]
    parts = (read * lenet.conv2.weight[place["channel"]]).sum((1, 2)).abs()
    assert place["input"] == parts.argmax()


def test_a_large_output_opens_at_its_strongest_value_too(images):
    x = images[0].float()
    place = explore.convolution(x, [[-1, 0, 1]] * 3).place
    output = F.conv2d(x[None, None], torch.tensor([[[[-1.0, 0, 1]] * 3]]))[0, 0]
    assert output.flatten()[place["k"]].abs() == output.abs().max()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"image": torch.zeros(2, 5, 5)}, ValueError, "2 channels, but the kernels are 1 deep"),
        ({"image": torch.zeros(1, 2, 3, 4, 5)}, ValueError, "image must be (H, W), maps"),
        ({"image": "a digit"}, TypeError, "image must be an array of numbers, but was a str"),
        ({"kernel": [1, 2]}, ValueError, "kernel must be (kh, kw), (C, kh, kw) or"),
        ({"stride": 0}, ValueError, "stride must be a whole number from 1 on"),
        ({"kernel": models.build("lenet")}, ValueError, "a model needs an image: explore."),
        (
            {"image": models.build("mlp"), "kernel": torch.zeros(28, 28)},
            ValueError,
            "mlp has no convolution (nn.Conv2d)",
        ),
        (
            {"image": torch.zeros(28, 28), "kernel": models.build("lenet"), "layer": "relu1"},
            ValueError,
            "layer must be a convolution (nn.Conv2d), not relu1; lenet has conv1, conv2",
        ),
        (
            {"image": torch.zeros(28, 28), "kernel": models.build("lenet"), "layer": "conv3"},
            KeyError,
            "no stage is called 'conv3'; did you mean 'conv",
        ),
        (
            {"image": torch.zeros(28, 28), "kernel": models.build("lenet"), "stride": 2},
            ValueError,
            "a layer brings its own bias, stride",
        ),
        ({"layer": "conv2"}, ValueError, "layer='conv2' is a layer of a model"),
    ],
)
def test_what_does_not_fit_is_said(given, error, words):
    with pytest.raises(error) as caught:
        explore.convolution(**given)
    assert words in str(caught.value)


# --- In the page: all that it computes ------------------------------------------------------

# All that the view holds at a place: whatever is painted or written comes from there.
HELD = """([place, all]) => {
  const view = document.querySelector(".vizlib-sliding").sliding, { state, model } = view;
  for (const [name, value] of Object.entries(place)) model.set(name, value);
  const { fault, geometry, made } = state;
  const count = all && !fault ? geometry.count : 0;
  const steps = Array.from({ length: count }, (_, k) => state.step(k));
  return { fault, rows: made.rows, columns: made.columns, output: [...made.values], steps };
}"""
ASKED = """([row, column]) => {
  const { state } = document.querySelector(".vizlib-sliding").sliding;
  const { down, across } = state.geometry;
  const pixel = [row + down.before, column + across.before];
  const { readers } = askedAbout(state, pixel);
  return readers.map(({ cell, tap }) => [...cell, tap]);
}"""


class Seen:
    """A page of the view, and what it holds and shows."""

    def __init__(self, page, complaints):
        self.page, self.complaints = page, complaints

    def held(self, *, every=False, **place):
        return self.page.evaluate(HELD, [place, every])

    def readers(self, row, column):
        return {tuple(each) for each in self.page.evaluate(f"({ASKED})([{row}, {column}])")}

    def text(self, name):
        return self.page.locator(f".vizlib-sliding {name}").inner_text().replace("\n", " ")

    def grid(self, name):
        """The numbers of a small grid, as they are written in its cells."""
        label = self.page.get_by_label(re.compile(f"^{name}, .* columns")).get_attribute(
            "aria-label"
        )
        return [row.split(", ") for row in label.rpartition(": ")[2].split("; ")]

    def do(self, script):
        view = "document.querySelector('.vizlib-sliding').sliding"
        return self.page.evaluate(f"() => {{ const view = {view}; return {script}; }}")


@pytest.fixture
def opened(browser, tmp_path):
    """A view's own page, as a context."""

    @contextmanager
    def open_(view, size=(1280, 720), motion="no-preference", scheme="light"):
        path = view.to_html(tmp_path / "convolution.html")
        # A module's names are its own: the one that a test asks is told to the window.
        tell = "window.askedAbout = askedAbout;\npage(JSON"
        told = path.read_text("utf-8").replace("page(JSON", tell)
        path.write_text(told, "utf-8")
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)),
            reduced_motion=motion,
            color_scheme=scheme,
        )
        page, complaints = context.new_page(), []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"file://{path}")
        page.locator(".vizlib-sliding[data-form]").wait_for()
        yield Seen(page, complaints)
        assert complaints == []
        context.close()

    return open_


MODES = {"zeros": "constant"}


def around(x, kernel, padding, dilation, mode):
    """The input with its padding, by torch."""
    sides = [(p, p) for p in padding]
    if padding == "same":
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        sides = [(span // 2, span - span // 2) for span in spans]
    return F.pad(x[None], [*sides[1], *sides[0]], mode=MODES.get(mode, mode))


def check_all(held, x, weight, bias, *, stride, padding, dilation, groups, mode, channel):
    """Hold the output, and every patch, product and sum of a channel, against torch."""
    padded = around(x, weight.shape[2:], padding, dilation, mode)
    made = F.conv2d(padded, weight, bias, stride, 0, dilation, groups)[0]
    assert (held["rows"], held["columns"]) == tuple(made.shape[1:])
    torch.testing.assert_close(torch.tensor(held["output"]).reshape(made.shape), made)
    depth = weight.shape[1]
    group = channel // (len(weight) // groups)
    read = padded[:, group * depth : (group + 1) * depth].double()
    patches = F.unfold(read, weight.shape[2:], dilation, 0, stride)[0].T
    patches = patches.reshape(len(patches), depth, -1)
    products = patches * weight[channel].double().flatten(1)
    added = 0.0 if bias is None else bias[channel].item()
    for k, step in enumerate(held["steps"]):
        seen = {
            name: torch.tensor([part[name] for part in step["parts"]], dtype=torch.float64)
            for name in ("patch", "products", "sum")
        }
        assert torch.equal(seen["patch"], patches[k])
        torch.testing.assert_close(seen["products"], products[k], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(seen["sum"], products[k].sum(1), rtol=1e-5, atol=1e-6)
        assert step["total"] == pytest.approx(products[k].sum().item() + added, rel=1e-5, abs=1e-5)
        assert [part["channel"] for part in step["parts"]] == [
            *range(group * depth, (group + 1) * depth)
        ]


@pytest.mark.browser
@settings(
    max_examples=12,
    phases=[Phase.generate],  # each example opens a page: a fault is not made smaller
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_all_that_the_page_computes_is_torchs(opened, data):
    draw = data.draw
    groups, depth, many = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    x = torch.randn(
        groups * depth, draw(st.integers(5, 8)), draw(st.integers(5, 8)), generator=generator
    )
    weight = torch.randn(groups * many, depth, *kernel, generator=generator)
    bias = torch.randn(groups * many, generator=generator) if draw(st.booleans()) else None
    stride, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 2))) for _ in range(2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    own = {"stride": stride, "padding": padding, "dilation": dilation}
    try:
        view = explore.convolution(x, weight, bias=bias, groups=groups, padding_mode=mode, **own)
    except ValueError:
        reject()
    channel = draw(st.integers(0, len(weight) - 1))
    with opened(view) as seen:
        place = {"channel": channel} if len(weight) > 1 else {}
        known = {"groups": groups, "mode": mode, "channel": channel}
        held = seen.held(every=True, **place)
        check_all(held, x, weight, bias, **own, **known)
        for name in ("stride", "padding", "dilation"):
            at = draw(st.integers(0, 3))
            value = view._canvas.held["choices"][name][at]
            held = seen.held(every=True, **place, **{name: at})
            own[name] = value
            try:
                padded = around(x, kernel, own["padding"], own["dilation"], mode)
                F.conv2d(padded, weight, bias, own["stride"], 0, own["dilation"], groups)
            except RuntimeError:
                assert held["fault"]
            else:
                assert not held["fault"]
                check_all(held, x, weight, bias, **own, **known)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "mode"),
    [(1, 0, 1, "zeros"), (2, 1, 1, "zeros"), (1, 2, 2, "zeros"), (3, 2, 1, "zeros"),
     (1, 2, 1, "reflect"), (2, 3, 1, "circular"), (1, 1, 2, "replicate")],
)  # fmt: skip
def test_who_reads_a_pixel_is_what_autograd_says(opened, stride, padding, dilation, mode):
    own = {"stride": stride, "padding": padding, "dilation": dilation}
    view = explore.convolution(torch.rand(7, 6), torch.rand(3, 2), padding_mode=mode, **own)
    layer = nn.Conv2d(1, 1, (3, 2), **own, padding_mode=mode, bias=False)
    nn.init.ones_(layer.weight)
    with opened(view) as seen:
        for row in range(7):
            for column in range(6):
                x = torch.zeros(1, 1, 7, 6)
                x[0, 0, row, column] = 1
                reading = layer(x)[0, 0].nonzero().tolist()
                found = seen.readers(row, column)
                assert {cell[:2] for cell in found} == set(map(tuple, reading))
                if mode == "zeros":  # each through the weight that stands there
                    for r, c, tap in found:
                        marked = torch.zeros(3, 2)
                        marked.view(-1)[tap] = 1
                        way = {**own, "bias": None}
                        assert F.conv2d(x, marked[None, None], **way)[0, 0, r, c] == 1


@pytest.mark.browser
def test_a_changed_weight_and_a_changed_pixel_are_computed_with(opened):
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(4, 6, 6, generator=generator),
        torch.randn(4, 2, 5, 5, generator=generator),
    )
    view = explore.convolution(x, weight, groups=2, padding=1)
    with opened(view) as seen:
        seen.held(channel=3, input=1, kernel=2)
        seen.do("view.weigh(4, 2.5)")  # the middle of the middle 3×3
        seen.do("view.paintPixel(9, -1.5)")
        changed, x2 = weight.clone(), x.clone()
        changed[3, 1, 2, 2] = 2.5
        x2[3, 1, 3] = -1.5
        own = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
        known = {"groups": 2, "mode": "zeros", "channel": 3}
        check_all(seen.held(every=True), x2, changed[:, :, 1:4, 1:4], None, **own, **known)
        assert seen.text(".foot").startswith("Your own numbers")
        seen.page.get_by_role("button", name="Undo all edits").click()
        check_all(seen.held(every=True), x, weight[:, :, 1:4, 1:4], None, **own, **known)
        # What the page tells the kernel is what Python computes with.
        view._canvas.edits = {"weights": {str(((3 * 2 + 1) * 5 + 2) * 5 + 2): 2.5},
                              "pixels": {"0": {str(3 * 36 + 9): -1.5}}}  # fmt: skip
        kernels, maps = view._edited()
        assert torch.equal(kernels.weight, changed)
        assert torch.equal(maps, x2)


@pytest.mark.browser
def test_without_a_kernel_the_slider_goes_back_to_the_image_that_is_shown(opened, lenet, images):
    view = explore.convolution(lenet, images, layer="conv1")
    with opened(view) as seen:
        seen.do("view.state.read.delete(1)")
        seen.do("view.model.send = () => { throw Error('Cannot send'); }")
        seen.page.get_by_label("image").fill("1")
        assert seen.text(".sentence") == "The kernel has restarted: run the cell again."
        assert seen.page.get_by_label("image").input_value() == "0"


@pytest.mark.browser
def test_padding_same_keeps_the_size_and_goes_with_stride_1(opened):
    x = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    view = explore.convolution(x, torch.ones(4, 4), padding="same")
    assert "padding=same" in view.state
    own = {"stride": (1, 1), "padding": "same", "dilation": (1, 1)}
    known = {"groups": 1, "mode": "zeros", "channel": 0}
    with opened(view) as seen:
        check_all(seen.held(every=True), x[None], torch.ones(1, 1, 4, 4), None, **own, **known)
        assert seen.text(".formula").startswith(
            "output 6×7, as large as the input: padding 1 above"
        )
        assert seen.held(stride=1)["fault"]["rule"] == "same"
        assert seen.text(".sentence") == (
            'padding "same" goes with stride 1 only, but the stride is 2.'
        )


@pytest.mark.browser
def test_a_trained_layer_is_shown_what_it_reads(opened, lenet, images):
    view = explore.convolution(lenet, images, layer="conv2", state="image=2 channel=9 input=4 k=37")
    made = outputs(lenet, normalized(images)[2:])
    own = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    known = {"groups": 1, "mode": "zeros", "channel": 9}
    weight, bias = lenet.conv2.weight.detach(), lenet.conv2.bias.detach()
    with opened(view) as seen:
        check_all(seen.held(every=True), made["pool1"][0], weight, bias, **own, **known)
        after = f"{made['relu2'][0, 9].flatten()[37].item():.4g}"
        assert seen.text(".sentence").endswith(f" Then relu2 makes it {after}.")
        difference = float(
            re.search(r"by at most ([\d.e−]+)\.$", seen.text(".foot"))[1].replace("−", "-")
        )
        assert 0 < difference < 5e-6
        # The other images are in the page as well.
        read = outputs(lenet, normalized(images)[:1])["pool1"][0]
        check_all(seen.held(every=True, image=0), read, weight, bias, **own, **known)
        own["stride"] = (2, 2)
        check_all(seen.held(every=True, stride=1), read, weight, bias, **own, **known)
        assert "Then" not in seen.text(".sentence")


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.third = nn.ReLU(), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        before = self.relu(self.first(x))
        return self.third(self.relu(before + self.second(before)))


def test_in_a_network_with_branches_the_input_is_found_all_the_same():
    model, x = Branches(), torch.randn(1, 1, 6, 6)
    with torch.no_grad():
        before = model.first(x).relu()
        read = (before + model.second(before)).relu()
    view = explore.convolution(model, x, layer="third")
    torch.testing.assert_close(view._kernels().reads(0), read[0])


class Aside(nn.Module):
    """Behind a convolution come layers that read another one."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)
        self.norm, self.relu = nn.BatchNorm2d(2), nn.ReLU()

    def forward(self, x):
        one, two = self.one(x), self.two(x)
        return self.relu(self.norm(one)) + two


def test_layers_that_read_another_convolution_do_not_follow():
    x = torch.randn(1, 1, 6, 6)
    view = explore.convolution(Aside().eval(), x, layer="two")
    assert view._kernels().followers(0) == []
    first = explore.convolution(Aside().eval(), x, layer="one")
    assert [name for name, _ in first._kernels().followers(0)] == ["norm", "relu"]


# --- In the page: what is written -----------------------------------------------------------


@pytest.mark.browser
def test_the_worked_example_goes_through_all_nine_steps(opened):
    example, kernel = torch.tensor(EXAMPLE), torch.tensor(KERNEL)
    with opened(explore.convolution(), motion="reduce") as seen:
        assert seen.grid("output")[0] == ["24", "…", "…"]
        for k, value in enumerate([24, 18, 8, 26, 18, 8, 28, 18, 8]):
            row, col = divmod(k, 3)
            patch = example[row : row + 3, col : col + 3]
            numbers = {
                "numbers under the window": patch,
                "products": patch * kernel,
            }
            for name, expected in numbers.items():
                assert seen.grid(name) == [[str(n) for n in line] for line in expected.tolist()]
            factors = [f"{a}·{b}" for a, b in zip(patch.flatten(), kernel.flatten(), strict=True)]
            assert seen.text(".sentence") == (
                f"Output [{row}, {col}] = {' + '.join(factors)} = {value}."
            )
            assert seen.text(".total") == str(value)
            assert seen.text(".play output") == f"output {k + 1} of 9"
            assert seen.text(".ledger").endswith(f"= {value}")
            assert sum(text != "…" for line in seen.grid("output") for text in line) == k + 1
            if k < 8:
                seen.page.get_by_role("button", name="Next").click()
        seen.page.get_by_label("show what is still to come").check()
        back = seen.page.get_by_role("button", name="Back")
        back.click()
        assert seen.text(".play output") == "output 8 of 9"
        assert "…" not in str(seen.grid("output"))


@pytest.mark.browser
@pytest.mark.parametrize("channels", [1, 3, 9])
def test_what_is_written_as_a_sum_adds_up_as_written(opened, channels):
    generator = torch.Generator().manual_seed(channels)
    x, layer = torch.randn(channels, 6, 6, generator=generator), nn.Conv2d(channels, 2, 3)
    view = explore.convolution(x, layer, state="channel=1")
    made = layer(x[None])[0, 1].detach()
    with opened(view, motion="reduce") as seen:
        for k in range(16):
            seen.held(k=k)
            row, col = divmod(k, 4)
            products = (x[:, row : row + 3, col : col + 3] * layer.weight[1]).double().detach()
            values = products.flatten() if channels == 1 else products.sum((1, 2))
            values = values[values.abs().argsort(descending=True)]
            most = 4 if len(values) > 5 else len(values)
            expected = [*values[:most].tolist()]
            if most < len(values):
                expected.append(values[most:].sum().item())
            expected.append(layer.bias[1].item())
            parts = seen.page.locator(".ledger > *").all_inner_texts()
            texts = [Decimal(text.replace("−", "-")) for text in parts[1:-1:2]]
            total = Decimal(parts[-1].removeprefix("= ").replace("−", "-"))
            assert sum(texts) == total
            unit = float(Decimal(1).scaleb(total.as_tuple().exponent))
            assert float(total) == pytest.approx(made[row, col].item(), abs=0.51 * unit)
            assert [float(text) for text in texts] == [
                pytest.approx(value, abs=1.01 * unit) for value in expected
            ]


@pytest.mark.browser
def test_a_row_of_numbers_has_a_kernel_of_one_dimension(opened):
    view = explore.convolution([1, 2, 3, 4, 5], [1, 0, -1], stride=2, padding=1, state="k=1")
    assert view.state == "k=1 stride=2 padding=1 dilation=1 kernel=3"
    expected = F.conv1d(torch.tensor([[[1.0, 2, 3, 4, 5]]]), torch.tensor([[[1.0, 0, -1]]]),
                        stride=2, padding=1)[0]  # fmt: skip
    with opened(view) as seen:
        assert seen.held()["output"] == expected.flatten().tolist()
        assert seen.text(".sentence") == "Output [1] = 2·1 + 3·0 + 4·(−1) = −2."
        assert seen.text(".formula").startswith("width = ")


@pytest.mark.browser
def test_what_does_not_fit_keeps_the_picture_and_says_how_to_mend_it(opened):
    with opened(explore.convolution()) as seen:
        height = seen.page.locator(".stage").bounding_box()["height"]
        slider = seen.page.get_by_label("dilation")
        slider.fill("2")
        sentence = (
            "The window spans 7 pixels (3 weights, 3 apart), the input only 5 in height: "
            "it fits nowhere."
        )
        assert seen.text(".sentence") == sentence
        assert seen.text(".play output") == "no output"
        assert seen.page.get_by_role("button", name="Next").get_attribute("aria-disabled") == "true"
        assert abs(seen.page.locator(".stage").bounding_box()["height"] - height) < 60
        offered = seen.page.get_by_role("group", name="what mends it").get_by_role("button")
        assert offered.all_inner_texts() == ["dilation 2", "padding 1", "kernel 2"]
        offered.filter(has_text="padding 1").click()
        assert slider.input_value() == "2"
        assert seen.page.get_by_label("padding").input_value() == "1"
        assert seen.text(".play output") == "output 1 of 1"
        assert seen.held()["output"] == [
            F.conv2d(torch.tensor([[EXAMPLE]]), torch.tensor([[KERNEL]]), None, 1, 1, 3).item()
        ]


# --- In the page: what is done --------------------------------------------------------------


def hold_time(seen):
    """Let time pass only where a test says so, however busy the machine is."""
    seen.page.clock.install(time=0)
    seen.page.clock.pause_at(3_600_000)


@pytest.mark.browser
def test_the_sum_lands_in_the_output_at_the_end_of_its_step(opened):
    with opened(explore.convolution()) as seen:
        hold_time(seen)
        seen.page.get_by_role("button", name="Next").click()
        assert seen.text(".play output") == "output 2 of 9"
        assert seen.text(".sentence") == "Output [0, 1] = ?"
        assert seen.text(".ledger").endswith("= ?")
        assert seen.grid("output")[0] == ["24", "…", "…"]
        # Products arrive one after the other: the total grows.
        totals = set()
        for _ in range(20):
            seen.page.clock.run_for(200)
            totals.add(seen.text(".total"))
        assert {"18"} < totals
        assert seen.text(".ledger").endswith("= 18")
        assert seen.grid("output")[0] == ["24", "18", "…"]


@pytest.mark.browser
def test_play_goes_to_the_end_and_begins_anew(opened):
    with opened(explore.convolution(state="k=6")) as seen:
        hold_time(seen)
        seen.page.get_by_label("speed").select_option("rush")
        for first in ("output 7 of 9", "output 1 of 9"):
            seen.page.get_by_role("button", name="Play").click()
            assert seen.text(".play output") == first
            seen.page.clock.run_for(1000)
            assert seen.text(".play output") == "output 9 of 9"


def middle_of(seen, grid, row, column, size):
    """The middle of a cell, where a pointer clicks."""
    box = seen.page.get_by_label(re.compile(f"^{grid}, .* columns")).bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / size, box["y"] + (row + 0.5) * box[
        "height"
    ] / size


@pytest.mark.browser
def test_a_click_on_the_output_goes_there_and_one_on_the_input_asks_who_reads_it(opened):
    with opened(explore.convolution()) as seen:
        seen.page.mouse.click(*middle_of(seen, "output", 1, 1, 3))
        assert seen.text(".play output") == "output 5 of 9"
        seen.page.mouse.click(*middle_of(seen, "input", 2, 1, 5))
        assert seen.text(".sentence") == (
            "Input [2, 1] = 3 is read by 6 of the 9 outputs (green), each through another weight "
            "of the kernel."
        )
        # The pixel that was asked for can be typed.
        seen.page.get_by_label("value of the pixel").fill("13")
        assert seen.grid("input")[2][1] == "13"
        assert seen.text(".total") == str(18 + 10 * KERNEL[1][0])
        seen.page.get_by_role("button", name="Paint").click()
        seen.page.get_by_role("button", name="paint 13", exact=True).click()
        seen.page.mouse.click(*middle_of(seen, "input", 1, 1, 5))
        assert seen.grid("input")[1][1] == "13"


@pytest.mark.browser
def test_weights_are_typed_and_stepped_and_all_goes_by_keyboard(opened):
    with opened(explore.convolution(), motion="reduce") as seen:
        weight = seen.page.get_by_label(re.compile("^weight in row 0, column 1"))
        weight.fill("-2")
        assert seen.text(".total") == str(24 - 3 * 3)
        weight.press("ArrowUp")
        assert seen.text(".total") == str(24 - 2 * 3)
        seen.page.get_by_label(re.compile("^output, .* columns")).focus()
        for key in ("ArrowRight", "ArrowDown"):
            seen.page.keyboard.press(key)
        assert seen.text(".play output") == "output 5 of 9"
        seen.page.keyboard.press(".")
        assert seen.text(".play output") == "output 6 of 9"
        grid = seen.page.get_by_label(re.compile("^input, .* columns"))
        grid.focus()
        grid.press("ArrowRight")
        assert seen.text(".sentence").startswith("Input [0, 1] = 3 is read by 2 of the 9 outputs")
        grid.press("9")
        assert seen.grid("input")[0][1] == "9"


SIZES = {
    "phone": (390, 844),
    "tablet": (768, 1024),
    "zoom 200 %": (640, 360),
    "125 %": (1093, 614),
    "beamer": (1280, 720),
    "projector": (1920, 1080),
}
# What is cut, what lies upon something else, and tracks that are too short.
PARTS = "button, .head, .ledger, .grid, .kernel, .total, .sentence, .formula, .foot"
FAULTS = """(parts) => {
  const found = [], box = (each) => each.getBoundingClientRect();
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > innerWidth) found.push("sideways scrolling");
  for (const each of document.querySelectorAll("input[type=range]"))
    if (box(each).width < 120) found.push(`a track of ${box(each).width} pixels`);
  const shown = (each) => each.offsetParent !== null && !each.closest(".play");
  const all = [...document.querySelectorAll(parts)].filter(shown);
  const name = (each) => each.className || each.textContent;
  const isCut = ({ left, right }) => left < 0 || right > clientWidth + 0.5;
  for (const each of all) if (isCut(box(each))) found.push(`${name(each)} is cut`);
  all.forEach((one, i) => all.slice(i + 1).forEach((other) => {
    if (one.contains(other) || other.contains(one)) return;
    const a = box(one), b = box(other);
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 2) found.push(`${name(one)} on ${name(other)}`);
  }));
  return found;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_nothing_is_cut_and_nothing_lies_upon_another(opened, lenet, images, size):
    views = [
        explore.convolution(padding=2),
        explore.convolution(lenet, images, layer="conv2"),
        explore.convolution(torch.rand(60, 40), torch.rand(7, 3)),
    ]
    for view in views:
        with opened(view, size=size, scheme="dark") as seen:
            assert seen.page.evaluate(FAULTS, PARTS) == []
            seen.page.get_by_role("button", name="Paint").click()
            assert seen.page.evaluate(FAULTS, PARTS) == []


@pytest.mark.browser
def test_as_wide_as_in_a_notebook_the_whole_step_is_on_the_screen(opened):
    with opened(explore.convolution(), size=(850, 720)) as seen:
        box = seen.page.locator(".vizlib-sliding").bounding_box()
        assert box["y"] + box["height"] <= 720
        assert seen.page.evaluate(FAULTS, PARTS) == []


AWAY = """async () => {
  const place = document.querySelector(".vizlib-sliding").parentElement;
  const next = () => new Promise((done) => setTimeout(done, 100));
  place.remove();
  await next();
  document.body.append(place);
  await next();
}"""


@pytest.mark.browser
def test_off_the_page_a_view_waits_until_it_is_back(opened):
    with opened(explore.convolution()) as seen:
        seen.page.evaluate(AWAY)
        assert seen.page.evaluate(FAULTS, PARTS) == []


def test_a_layer_called_input_is_read_as_a_layer():
    network = nn.Sequential()
    network.add_module("input", nn.Conv2d(1, 3, 3))
    network.append(nn.Conv2d(3, 4, 3)).append(nn.Flatten())
    image = torch.randn(1, 1, 8, 8)
    view = explore.convolution(network, image, layer="1")
    reads = torch.frombuffer(bytearray(view._canvas.reads[0]["maps"]), dtype=torch.float32)
    torch.testing.assert_close(reads, network[0](image).flatten().detach())


def test_a_page_with_too_many_images_is_refused(tmp_path, monkeypatch):
    images = torch.rand(30, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    view = explore.convolution(models.build("lenet", seed=0), images)
    monkeypatch.setattr("vizlib.explore._explorer.LARGEST", 100_000)
    with pytest.raises(ValueError, match="fewer images"):
        view.to_html(tmp_path / "page.html")
    assert not any(tmp_path.iterdir())
