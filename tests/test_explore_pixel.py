"""The way back from a pixel, slid: what is seen is what torch's own layers make."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from vizlib import explore, models, plots


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


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.third = nn.ReLU(), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        before = self.relu(self.first(x))
        return self.third(self.relu(before + self.second(before)))


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
