"""Convolution and pixel, slid: what is seen is what loops and torch's own layers make."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import explore, models, plots

EXAMPLE = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0)


def normalized(images):
    return (images[:, None].float() / 255 - 0.1307) / 0.3081


def frame(view, **place):
    """The frame at a place; a slider that is not named stands where it stood."""
    return view._show(**{**view.place, **place})


def panels(view, **place):
    *maps, words = frame(view, **place).panels
    lines = [line.replace("\u00a0", " ") for line in words.lines]
    return {one.title.split()[0]: one for one in maps} | {"words": lines}


def values(panel):
    return torch.as_tensor(panel.values).double()


def by_loop(padded, weight, bias, row, col, stride, dilation):
    """One value of a convolution, cell by cell."""
    total = bias
    for i, kernel in enumerate(weight):
        for u, line in enumerate(kernel):
            for v, factor in enumerate(line):
                cell = padded[i][row * stride + u * dilation][col * stride + v * dilation]
                total += float(cell) * float(factor)
    return total


# --- By hand -------------------------------------------------------------------------------


def test_the_worked_example_goes_through_all_nine_steps():
    view = explore.convolution()
    assert view.state == "k=0 stride=1 padding=0 dilation=1 kernel=3"
    sums = []
    for k in range(9):
        seen = panels(view, k=k)
        row, col = divmod(k, 3)
        patch = torch.tensor(EXAMPLE)[row : row + 3, col : col + 3]
        assert torch.equal(values(seen["patch"]), patch.double())
        assert torch.equal(values(seen["kernel"]), torch.tensor(KERNEL).double())
        assert torch.equal(values(seen["products"]), (patch * torch.tensor(KERNEL)).double())
        assert seen["input"].boxes == [(row, col, 3, 3)]
        assert seen["output"].boxes == [(row, col, 1, 1)]
        assert seen["output"].known == k + 1
        sums.append(int(values(seen["output"])[row, col]))
        assert seen["words"][0].endswith(f" = {sums[-1]}")
    assert sums == [24, 18, 8, 26, 18, 8, 28, 18, 8]


def test_the_words_hold_the_sum_the_check_and_the_formula():
    lines = panels(explore.convolution(), k=0)["words"]
    assert lines == [
        "the sum: 3·0 + 3·1 + 2·2 + 2·2 + 3·2 + 2·0 + 3·0 + 3·1 + 2·2 = 24",
        "torch says 24, this sum is 24: difference 0",
        (
            "output size = floor((5 + 2·0 − 1·(3 − 1) − 1) / 1) + 1 = "
            "floor(2 / 1) + 1 = floor(2) + 1 = 2 + 1 = 3"
        ),
    ]


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_every_slider_makes_what_a_loop_makes(stride, padding, dilation):
    view = explore.convolution()
    place = {"stride": stride - 1, "padding": padding, "dilation": dilation - 1}
    size = (5 + 2 * padding - 2 * dilation - 1) // stride + 1
    assert frame(view, k=0, **place).counts == {"k": size * size}
    padded = np.pad(np.array(EXAMPLE), padding)[None]
    for k in {0, size * size // 2, size * size - 1}:
        row, col = divmod(k, size)
        seen = panels(view, k=k, **place)
        expected = by_loop(padded, [KERNEL], 0, row, col, stride, dilation)
        assert values(seen["products"]).sum() == values(seen["output"])[row, col] == expected
        assert np.array_equal(seen["input"].values, padded[0])
        cells = [padded[0][top, left] for top, left, *_ in seen["input"].boxes]
        patch = values(seen["patch"]).flatten().tolist()
        assert cells == patch[: len(cells)]
        assert seen["input"].boxes[0][:2] == (row * stride, col * stride)
        assert list(seen["input"].padding) == [padding] * 4


def test_where_cells_are_left_out_each_that_is_read_has_a_frame():
    boxes = panels(explore.convolution(), k=0, dilation=1)["input"].boxes
    assert boxes == [(u, v, 1, 1) for u in (0, 2, 4) for v in (0, 2, 4)]


def test_the_kernel_is_the_middle_of_the_given_one():
    weight = torch.arange(15.0).reshape(3, 5)
    view = explore.convolution(torch.ones(9, 9), weight)
    assert view.state.endswith("kernel=3×5")
    sizes = [(1, 1), (2, 2), (3, 3), (3, 4), (3, 5)]
    for place, size in enumerate(sizes):
        kernel = values(panels(view, kernel=place)["kernel"])
        assert kernel.shape == size
        top, left = (3 - size[0]) // 2, (5 - size[1]) // 2
        assert kernel[0, 0] == weight[top, left]


def test_hatched_in_a_patch_is_what_lies_in_the_padding():
    seen = panels(explore.convolution(), k=0, padding=2)
    assert seen["patch"].padding == [2, 2, 0, 0]
    last = frame(explore.convolution(), k=10**6, padding=2)
    assert last.panels[1].padding == [0, 0, 2, 2]


def test_behind_the_last_step_is_the_last_step():
    view = explore.convolution(state="k=8")
    seen = panels(view, k=8, stride=1)
    assert seen["output"].boxes == [(1, 1, 1, 1)]


def test_what_torch_refuses_is_said_in_a_sentence():
    view = explore.convolution(state="dilation=3")
    (words,) = view._canvas.frames[0]["panels"]
    (line,) = words["lines"]
    assert line == (
        "kernel 3 with dilation 3 spans 7 pixels, wider than the input of 5 in height; "
        "make the kernel smaller or the padding larger"
    )
    with pytest.raises(ValueError, match="spans 7 pixels"):
        view.figure()


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_all_settings_of_a_layer_are_torchs(mode):
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 1), groups=2, padding_mode=mode)
    x = torch.randn(4, 9, 8, generator=generator)
    by_layer = explore.convolution(x, layer, state="k=0 channel=0 input=0")
    own = {"stride": (2, 1), "padding": (2, 1), "groups": 2, "padding_mode": mode}
    by_weight = explore.convolution(x, layer.weight, bias=layer.bias, **own)
    expected = layer(x[None])[0].detach()
    for view in (by_layer, by_weight):
        seen = panels(view, channel=4, input=1, k=13)
        torch.testing.assert_close(seen["output"].values, expected[4])
        assert seen["input"].title == "input 3"
        row, col = divmod(13, expected.shape[2])
        kernel = layer.weight[4].detach().double()
        assert torch.equal(values(seen["kernel"]), kernel[1])
        assert f"torch says {expected[4, row, col].item():.3}"[:-1].replace("-", "−") in (
            "\n".join(seen["words"])
        )
        assert "output height = floor((9 + 2·2 − 1·(3 − 1) − 1) / 2)" in seen["words"][-2]
        assert "output width = floor((8 + 2·1 − 1·(2 − 1) − 1) / 1)" in seen["words"][-1]
    assert by_layer.state == "k=0 channel=0 input=0 stride=2×1 padding=2×1 dilation=1"


def test_padding_same_keeps_the_size_and_its_word():
    x = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    kernel = torch.ones(4, 4)
    view = explore.convolution(x, kernel, padding="same")
    assert "padding=same" in view.state
    seen = panels(view)
    # torch pads an even kernel by one more at the end, and warns that this takes a copy.
    expected = F.conv2d(F.pad(x, (1, 2, 1, 2))[None, None], kernel[None, None])[0, 0]
    assert expected.shape == x.shape
    torch.testing.assert_close(seen["output"].values, expected)
    assert list(seen["input"].padding) == [1, 1, 2, 2]
    assert seen["words"][-1].startswith("output 6×7, as large as the input")


def test_a_row_of_numbers_has_a_kernel_of_one_dimension():
    view = explore.convolution([1, 2, 3, 4, 5], [1, 0, -1], stride=2, padding=1)
    seen = panels(view, k=1)
    expected = F.conv1d(torch.tensor([[[1.0, 2, 3, 4, 5]]]), torch.tensor([[[1.0, 0, -1]]]),
                        stride=2, padding=1)[0]  # fmt: skip
    assert torch.equal(seen["output"].values, expected)
    assert seen["words"][0] == "the sum: 2·1 + 3·0 + 4·(−1) = −2"
    assert view.state == "k=0 stride=2 padding=1 dilation=1 kernel=3"
    assert seen["words"][-1].startswith("output width = ")


# --- A layer of a network ------------------------------------------------------------------


def test_a_trained_layer_is_shown_what_it_reads(lenet, images):
    view = explore.convolution(lenet, images, layer="conv2", state="image=2 channel=9 input=4")
    x = normalized(images)[2:]
    with torch.no_grad():
        read = F.max_pool2d(F.relu(lenet.conv1(x)), 2)[0]
        made = lenet.conv2(read[None])[0]
    seen = panels(view, k=37)
    torch.testing.assert_close(seen["input"].values, read[4])
    torch.testing.assert_close(seen["output"].values, made[9])
    row, col = divmod(37, 8)
    patch = read[:, row : row + 5, col : col + 5].double()
    products = patch * lenet.conv2.weight[9].detach().double()
    torch.testing.assert_close(values(seen["products"]), products[4])
    assert seen["output"].known is None
    after = max(0.0, made[9, row, col].item())
    assert any(line.startswith("then relu2: relu(") for line in seen["words"])
    assert f"= {after:.4g}, where" in "".join(seen["words"])
    assert view.place["stride"] == 0
    assert "kernel" not in view.place


def test_another_stride_is_another_layer_and_is_not_followed(lenet, images):
    view = explore.convolution(images, lenet, layer="conv2")
    assert not any("then" in line for line in panels(view, stride=1)["words"])
    with torch.no_grad():
        read = lenet.pool1(F.relu(lenet.conv1(normalized(images)[:1])))
        made = F.conv2d(read, lenet.conv2.weight, lenet.conv2.bias, 2)
    torch.testing.assert_close(panels(view, stride=1, channel=0)["output"].values, made[0, 0])


def test_of_many_inputs_the_largest_come_first_and_the_rest_counts():
    layer = nn.Conv2d(64, 1, 3)
    x = torch.randn(64, 5, 5, generator=torch.Generator().manual_seed(0))
    seen = panels(explore.convolution(x, layer), k=4, input=7)
    sums = (x[:, 1:4, 1:4] * layer.weight[0].detach()).double().sum((1, 2))
    line = seen["words"][1].replace("−", "-")
    terms = re.findall(r"(- |)([-\d.e]+) \(input (\d+)\)", line)
    named = [int(number) for *_, number in terms]
    assert named == sums.abs().argsort(descending=True)[:8].tolist()
    (rest,) = re.findall(r"(- |)([-\d.e]+) \(56 others\)", line)
    shown = sum(float(value) * (-1 if sign else 1) for sign, value, *_ in [*terms, rest])
    assert shown == pytest.approx(sums.sum().item(), abs=5e-3)
    assert float(line.rpartition("= ")[2]) == pytest.approx(
        layer(x[None])[0, 0, 1, 1].item(), rel=1e-4
    )


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
    view = explore.convolution(model, x, layer="third")
    with torch.no_grad():
        before = model.first(x).relu()
        read = (before + model.second(before)).relu()
    torch.testing.assert_close(panels(view, input=3)["input"].values, read[0, 3])


def test_without_a_layer_it_is_the_first_convolution(lenet, images):
    assert repr(explore.convolution(lenet, images)) == "convolution(lenet, conv1)"


def test_the_figure_is_the_place(lenet, images):
    view = explore.convolution(lenet, images, layer="conv2", state="k=9 channel=2")
    texts = [text.get_text() for text in view.figure().axes[0].texts]
    assert "lenet, conv2: row 1, column 1 of channel 2" in " ".join(texts)


def test_the_state_opens_the_same_view(lenet, images):
    state = "k=9 image=1 channel=2 input=3 stride=2 padding=1 dilation=1"
    assert explore.convolution(lenet, images, layer="conv2", state=state).state == state


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"image": torch.zeros(2, 5, 5)}, ValueError, "2 channels, but the kernels are 1 deep"),
        ({"image": torch.zeros(1, 2, 3, 4, 5)}, ValueError, "image must be (H, W), maps"),
        ({"image": "a digit"}, TypeError, "image must be an array of numbers, but was a str"),
        ({"kernel": [1, 2]}, ValueError, "kernel must be (kh, kw), (C, kh, kw) or"),
        ({"stride": 0}, ValueError, "stride must be a whole number from 1 on"),
        ({"kernel": models.build("lenet")}, ValueError, "a model needs an image"),
        (
            {"image": models.build("mlp"), "kernel": torch.zeros(28, 28)},
            ValueError,
            "mlp has no convolution (nn.Conv2d); its layers are flatten, linear1",
        ),
        (
            {"image": torch.zeros(28, 28), "kernel": models.build("lenet"), "layer": "relu1"},
            ValueError,
            (
                "layer must be a convolution (nn.Conv2d), but relu1 is of the kind 'relu'; choose "
                "from conv1, conv2"
            ),
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


def test_a_layer_opens_at_its_strongest_value_and_at_what_adds_most_to_it(lenet, images):
    place = explore.convolution(lenet, images, layer="conv2").place
    made = outputs(lenet, normalized(images)[:1])
    row, col = divmod(place["k"], 8)
    output = made["conv2"][0]
    assert output[place["channel"], row, col].abs() == output.abs().max()
    read = made["pool1"][0, :, row : row + 5, col : col + 5]
    parts = (read * lenet.conv2.weight[place["channel"]]).sum((1, 2)).abs()
    assert place["input"] == parts.argmax()


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
    words = panels(explore.convolution(Aside().eval(), x, layer="two"))["words"]
    assert not any(line.startswith("then ") for line in words)


# --- The way back from a pixel -------------------------------------------------------------


def outputs(model, x):
    """What each layer of a chain makes, by running one after the other."""
    found = {}
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not list(layer.children()):
                x = found[name] = layer(x)
    return found


def test_the_maps_the_value_and_its_products_are_the_networks(lenet, images):
    view = explore.pixel(lenet, images, state="image=1 layer=conv2 channel=3 row=2 col=4")
    x = normalized(images)[1:2]
    made = outputs(lenet, x)
    whole, one, patch, kernel, products, picture, words = frame(view).panels
    torch.testing.assert_close(whole.values, made["conv2"][0])
    torch.testing.assert_close(one.values, made["conv2"][0, 3])
    assert (whole.chosen, one.boxes) == (3, [(2, 4, 1, 1)])
    read = made["pool1"][0, :, 2:7, 4:9].double()
    every = read * lenet.conv2.weight[3].detach().double()
    best = int(every.abs().amax((1, 2)).argmax())
    assert patch.title == f"conv2, input {best}"
    torch.testing.assert_close(patch.values, read[best])
    torch.testing.assert_close(kernel.values, lenet.conv2.weight[3, best].detach().double())
    torch.testing.assert_close(products.values, every[best])
    assert np.array_equal(picture.pixels[..., 0], images[1])
    # Ten rows and columns of conv1 from twice the place on, and four more for its kernel.
    assert picture.boxes[0] == (4, 8, 14, 14)
    assert words.title == "conv2[3, 2, 4] sees 14×14 pixels"
    total = (every.sum() + lenet.conv2.bias[3].double()).item()
    assert words.lines[0].replace("−", "-").endswith(f"=\u00a0{total:.6g}")


def test_a_pooled_value_goes_on_to_the_one_that_won(lenet, images):
    view = explore.pixel(lenet, images[0], state="layer=pool1 channel=5 row=7 col=3")
    made = outputs(lenet, normalized(images)[:1])
    values_, at = made["relu1"][0, 5, 14:16, 6:8].flatten().max(0)
    _, _, window, picture, words = frame(view).panels
    assert window.boxes == [(int(at) // 2, int(at) % 2, 1, 1)]
    assert window.values.flatten()[at] == values_
    row, col = 14 + int(at) // 2, 6 + int(at) % 2
    assert words.lines[2].startswith(f"relu1[5, {row}, {col}]: relu(")
    assert words.lines[3].startswith(f"conv1[5, {row}, {col}]: 25 products + bias = ")
    part = normalized(images)[0, 0, row : row + 5, col : col + 5] * lenet.conv1.weight[5, 0]
    u, v = divmod(int(part.abs().argmax()), 5)
    assert words.lines[4].startswith(f"input[0, {row + u}, {col + v}] = ")
    assert picture.boxes == [(14, 6, 6, 6), (row + u, col + v, 1, 1)]


@pytest.mark.parametrize("name", ["lenet", "newnet", "arithmetic"])
def test_every_layer_can_be_followed_back(name):
    model = models.build(name, seed=0).eval()
    x = torch.randn(1, *model.input_shape, generator=torch.Generator().manual_seed(5))
    made = outputs(model, x)
    view = explore.pixel(model, x)
    assert list(view._sliders[1].options) == list(made)
    for layer, stage in enumerate(made):
        shape = (*made[stage].shape[1:], 1, 1)[:3]
        place = dict(zip(("channel", "row", "col"), [size // 2 for size in shape], strict=True))
        seen = frame(view, layer=layer, **place)
        assert seen.counts == dict(zip(place, shape, strict=True))
        value = made[stage][0][tuple(place.values())[: made[stage].dim() - 1]].item()
        words = seen.panels[-1]
        told = words.lines[1].replace("−", "-")
        assert float(told.split()[2].strip(",")) == pytest.approx(value, rel=1e-6, abs=1e-7)
        assert abs(float(told.split()[-1])) < 1e-5
        assert re.search(
            r"^(input\[|the way ends in padding)", "\n".join(words.lines), re.MULTILINE
        )


def test_a_neuron_multiplies_all_its_inputs(lenet, images):
    view = explore.pixel(lenet, images, state="layer=fc2 channel=70")
    made = outputs(lenet, normalized(images)[:1])
    one, inputs, weights, products, _, words = frame(view).panels
    assert (one.known, one.boxes) == (84, [(7, 0, 1, 1)])  # ten to a row
    assert one.pick == {"cell": "channel"}
    torch.testing.assert_close(torch.as_tensor(one.values).flatten()[:84], made["fc2"][0])
    terms = made["relu3"][0] * lenet.fc2.weight[70]
    torch.testing.assert_close(
        torch.as_tensor(inputs.values).flatten()[:120].float(), made["relu3"][0]
    )
    torch.testing.assert_close(
        torch.as_tensor(weights.values).flatten()[:120].float(), lenet.fc2.weight[70]
    )
    torch.testing.assert_close(
        torch.as_tensor(products.values).flatten()[:120].float(), terms.detach()
    )
    best = int(terms.abs().argmax())
    assert products.boxes == [(best // 11, best % 11, 1, 1)]
    assert words.lines[2].startswith(f"relu3[{best}]: ")


def test_behind_an_activation_the_sum_before_it_is_shown():
    model = models.build("newnet", seed=0).eval()
    view = explore.pixel(model, torch.ones(1, 1, 28, 28), state="layer=features.5 channel=2")
    titles = [panel.title for panel in frame(view).panels]
    assert titles[2].startswith("features.3, input ")


def test_the_spot_stays_while_the_image_changes_and_fits_where_maps_are_smaller(lenet, images):
    view = explore.pixel(lenet, images, state="layer=conv1 channel=5 row=23 col=20")
    assert [frame(view, image=n).panels[1].boxes for n in range(3)] == [[(23, 20, 1, 1)]] * 3
    smaller = frame(view, layer=list(outputs(lenet, normalized(images))).index("pool2"))
    assert smaller.panels[1].boxes == [(3, 3, 1, 1)]
    assert smaller.counts == {"channel": 16, "row": 4, "col": 4}


@pytest.mark.parametrize("given", [{}, {"channel": 9}, {"row": 2, "channel": 4}, {"col": 3}])
def test_it_opens_at_the_value_farthest_from_zero_of_those_that_are_asked_for(lenet, images, given):
    asked = "".join(f" {name}={at}" for name, at in given.items())
    place = explore.pixel(lenet, images, state=f"image=1 layer=conv2{asked}").place
    assert given.items() <= place.items()
    values = outputs(lenet, normalized(images))["conv2"][1].abs()
    part = tuple(given.get(name, slice(None)) for name in ("channel", "row", "col"))
    assert values[place["channel"], place["row"], place["col"]] == values[part].max()


def test_it_opens_at_the_unit_of_a_vector_that_is_farthest_from_zero(lenet, images):
    place = explore.pixel(lenet, images, state="layer=fc3").place
    assert place["channel"] == outputs(lenet, normalized(images))["fc3"][0].abs().argmax()
    assert (place["row"], place["col"]) == (0, 0)


def test_two_images_stand_side_by_side_on_one_scale(lenet, images):
    view = explore.pixel(lenet, images, state="layer=relu1 channel=2 row=9 col=8 beside=2")
    first, second, apart, *pictures, words = frame(view).panels
    made = outputs(lenet, normalized(images))["relu1"][:, 2]
    torch.testing.assert_close(first.values, made[0])
    torch.testing.assert_close(second.values, made[2])
    torch.testing.assert_close(apart.values, made[0] - made[2])
    peak = max(made[0].max(), made[2].max(), (made[0] - made[2]).abs().max()).item()
    assert [one.limit for one in (first, second, apart)] == [pytest.approx(peak)] * 3
    assert [one.boxes for one in (first, second, apart)] == [[(9, 8, 1, 1)]] * 3
    assert [one.title for one in pictures] == ["image 0", "image 2"]
    difference = (made[0] - made[2])[9, 8].item()
    assert words.lines[0].replace("−", "-").endswith(f" = {difference:.4g}")


class Gated(Branches):
    def forward(self, x):
        before = self.relu(self.first(x))
        return self.third(self.relu(before * self.second(before)))


def test_a_way_around_a_block_is_followed_back():
    model, x = Branches(), torch.randn(1, 1, 6, 6)
    words = frame(explore.pixel(model, x, state="layer=third")).panels[-1]
    (line,) = (line for line in words.lines if line.startswith("add["))
    place = tuple(map(int, re.search(r"\[(.*)\]", line)[1].split(", ")))
    with torch.no_grad():
        before = model.relu(model.first(x))
        terms = {"second": model.second(before)[0][place], "relu": before[0][place]}
    told = line.replace("−", "-").replace("- ", "-").replace("\xa0", " ")
    for name, value in terms.items():
        assert f"{value:.4g} ({name})" in told
    assert told.endswith(f" = {sum(terms.values()):.4g}")


def test_what_is_no_chain_is_shown_and_says_so():
    model, x = Gated(), torch.randn(1, 1, 6, 6)
    view = explore.pixel(model, x, state="layer=third")
    *maps, words = frame(view).panels
    with torch.no_grad():
        torch.testing.assert_close(maps[0].values, model(x)[0])
    (line,) = words.lines
    assert line.startswith("mul ")
    assert "choose a stage up to 'second'" in line
    assert view.figure().get_size_inches()[0] > 1
    assert "sees 5×5" in frame(view, layer=2, row=3, col=3).panels[-1].title


def test_the_figure_has_a_way_for_each_image(lenet, images):
    one = explore.pixel(lenet, images, state="layer=pool1 channel=2 row=3").figure().pixels()
    two = (
        explore.pixel(lenet, images, state="layer=pool1 channel=2 row=3 beside=1").figure().pixels()
    )
    apart = len(two) - 2 * len(one)
    assert apart > 100
    assert np.array_equal(two[apart:][: len(one), : one.shape[1]], one)
    assert not np.array_equal(two[-len(one) :, : one.shape[1]], one)


def test_the_figure_of_two_images_shows_their_maps_and_the_difference(lenet, images, monkeypatch):
    drawn = []
    draw = plots.feature_maps
    monkeypatch.setattr(
        plots, "feature_maps", lambda maps, **look: drawn.append(maps) or draw(maps, **look)
    )
    explore.pixel(lenet, images, state="layer=relu1 channel=2 beside=2").figure()
    made = outputs(lenet, normalized(images))["relu1"][:, 2]
    torch.testing.assert_close(drawn[0], torch.stack([made[0], made[2], made[0] - made[2]]))
    explore.pixel(lenet, images, state="layer=fc2 beside=2").figure()
    scores = outputs(lenet, normalized(images))["fc2"]
    torch.testing.assert_close(drawn[1], scores[0] - scores[2])


def test_the_state_opens_a_pixel_within_its_layer(lenet, images):
    state = "image=2 layer=conv2 channel=15 row=7 col=7 beside=none"
    assert explore.pixel(lenet, images, state=state).state == state
    with pytest.raises(ValueError, match="row must be a number from 0 to 7, but was 8"):
        explore.pixel(lenet, images, state="layer=conv2 row=8")
    with pytest.raises(ValueError, match="no layer is called 'conv4'; did you mean 'conv"):
        explore.pixel(lenet, images, state="layer=conv4")
    with pytest.raises(TypeError, match="model must be a PyTorch network"):
        explore.pixel("lenet", images)


# --- In a browser --------------------------------------------------------------------------


@pytest.mark.browser
def test_a_page_steps_by_buttons_and_by_a_click(browser, tmp_path):
    path = explore.convolution().to_html(tmp_path / "convolution.html")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{path}")
    page.get_by_role("button", name="Next").click()
    page.get_by_text("step 2 of 9").wait_for()
    page.get_by_text("row 0, column 1").wait_for()
    output = page.get_by_role("img", name=re.compile("^output, 1×3×3"))
    box = output.bounding_box()
    centre = {"x": box["width"] / 2, "y": box["height"] / 2}
    output.hover(position=centre)
    page.get_by_text("output: row 1, column 1: not there yet").wait_for()
    output.click(position=centre)
    page.get_by_text("step 5 of 9").wait_for()
    page.get_by_text("output: row 1, column 1: 18.00").wait_for()
    assert complaints == []
    page.close()


@pytest.mark.browser
def test_a_click_on_a_map_goes_to_that_pixel(browser, tmp_path):
    images = torch.randint(0, 256, (2, 28, 28), dtype=torch.uint8)
    view = explore.pixel(
        models.build("lenet", seed=0), images, state="layer=pool2 channel=7 row=0 col=0"
    )
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"file://{view.to_html(tmp_path / 'pixel.html', recorded=True)}")
    page.get_by_text("pool2[7, 0, 0] sees 16×16 pixels").wait_for()
    chosen = page.get_by_role("img", name=re.compile("^channel 7, 1×4×4"))
    box = chosen.bounding_box()
    chosen.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.6})
    page.get_by_text("pool2[7, 2, 0] sees 16×16 pixels").wait_for()
    page.close()
