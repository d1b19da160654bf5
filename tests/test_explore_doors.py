"""`pixel` and `switch_off`: where they open, what becomes weaker, and what their figures hold."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import arithmetic, capture, explore, plots


@pytest.fixture(scope="module")
def images(embedded):
    return embedded.test.images[:4]


def normalized(image):
    return ((image.float() / 255 - 0.1307) / 0.3081)[None, None]


def with_channels_scaled(model, image, factors):
    """Run a chain of layers one by one, and return what each of them made, as doubles."""
    x, made = normalized(image).double(), {}
    with torch.no_grad():
        for name, module in model.named_children():
            x = module.double()(x)
            for channel, factor in factors.get(name, {}).items():
                x[:, channel] *= factor
            made[name] = x.clone()
        model.float()
    return made


# --- A channel made weaker ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "channel", "strength"), [("conv1", 3, 0.3), ("pool2", 11, 0.0), ("relu3", 100, 0.7)]
)
def test_a_faded_channel_gives_what_torch_gives(layer, channel, strength, lenet, images):
    state = f"image=1 layer={layer} channel={channel} strength={strength:g}"
    view = explore.switch_off(lenet, images, state=state)
    assert view.changes == {layer: {channel: strength}}
    made = with_channels_scaled(lenet, images[1], view.changes)
    for name, stage in view.recording().items():
        np.testing.assert_allclose(stage.output, made[name], atol=1e-5)
    np.testing.assert_allclose(view.probabilities, made["fc3"].softmax(1)[0], atol=1e-6)
    whole = with_channels_scaled(lenet, images[1], {})
    for name, stage in view.recording(whole=True).items():
        np.testing.assert_allclose(stage.output, whole[name], atol=1e-5)


def test_what_is_off_from_the_start_stays_off(lenet, images):
    off = {"conv1": [0, 5], "fc1": 7}
    state = "image=2 layer=relu2 channel=4 strength=0"
    view = explore.switch_off(lenet, images, off=off, state=state)
    factors = {"conv1": {0: 0.0, 5: 0.0}, "fc1": {7: 0.0}, "relu2": {4: 0.0}}
    assert view.changes == factors
    after = with_channels_scaled(lenet, images[2], factors)["fc3"].softmax(1)[0]
    np.testing.assert_allclose(view.probabilities, after, atol=1e-6)


def test_all_of_a_channel_is_no_change(lenet, images):
    view = explore.switch_off(lenet, images)
    assert view.changes == {}
    after = with_channels_scaled(lenet, images[0], {})["fc3"].softmax(1)[0]
    np.testing.assert_allclose(view.probabilities, after, atol=1e-6)


def test_functions_can_be_switched_off_and_the_model_comes_back(images):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(784, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.fc2(F.dropout(F.relu(self.fc1(x.flatten(1))), training=self.training))

    model = Plain().train()
    view = explore.switch_off(model, images[0], [1], state="layer=relu channel=2 strength=0")
    with torch.no_grad():
        hidden = F.relu(model.fc1(normalized(images[0]).flatten(1)))
        hidden[:, 2] = 0
        expected = model.fc2(hidden).softmax(1)[0]
    np.testing.assert_allclose(view.probabilities, expected, atol=1e-6)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "lenet"}, TypeError, "model must be a PyTorch network"),
        ({"off": {"conv9": 0}}, ValueError, "no layer is called 'conv9'; did you mean 'conv"),
        ({"off": {"conv1": [6]}}, ValueError, "channel must be a number from 0 to 5, but was 6"),
        ({"labels": [1]}, ValueError, "one for each image, 4"),
        ({"state": "strength=2"}, ValueError, "no strength is called '2'"),
    ],
)
def test_what_cannot_be_switched_off_is_named(change, error, words, lenet, images):
    arguments = {"model": lenet, "images": images, **change}
    with pytest.raises(error, match=words):
        explore.switch_off(**arguments)


# --- One value --------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["conv1", "pool2", "fc3"])
def test_it_opens_at_the_strongest_channel(lenet, images, layer):
    place = explore.pixel(lenet, images, state=f"image=1 layer={layer}").where
    made = with_channels_scaled(lenet, images[1], {})[layer][0].abs().flatten(1 - (layer == "fc3"))
    assert place.channel == (made if layer == "fc3" else made.amax(1)).argmax()
    assert place.pixel == ()


def test_a_channel_that_is_asked_for_is_taken(lenet, images):
    state = "model=lenet image=2 layer=conv2 channel=15 pixel=7,7 strength=1 scale=map beside=1"
    assert explore.pixel(lenet, images, state=state).state == state
    with pytest.raises(ValueError, match="a map of 8×8, such as 0,0, but was 8,0"):
        explore.pixel(lenet, images, state="layer=conv2 row=8")
    with pytest.raises(ValueError, match="no layer is called 'conv4'; did you mean 'conv"):
        explore.pixel(lenet, images, state="layer=conv4")
    with pytest.raises(TypeError, match="model must be a PyTorch network"):
        explore.pixel("lenet", images)


def test_the_figure_is_the_way_back_of_each_image(lenet, images):
    state = "layer=pool1 channel=2 pixel=3,5"
    one = explore.pixel(lenet, images, state=state).figure().pixels()
    two = explore.pixel(lenet, images, state=f"{state} beside=1").figure().pixels()
    x = normalized(images[0])
    trace = arithmetic.Chain(lenet, x).trace("pool1", 2, 3, 5)
    value = capture.record(lenet, x)["pool1"].output[0, 2, 3, 5]
    title = f"image 0: pool1[2, 3, 5] = {value:.4g}"
    output = capture.record(lenet, x)["pool1"]
    assert np.array_equal(one, plots.trace(trace, output=output, title=title).pixels())
    pooled = [
        capture.record(lenet, normalized(image))["pool1"].output[0, 2] for image in images[:2]
    ]
    maps = torch.stack([*pooled, pooled[0] - pooled[1]])
    title = "pool1, channel 2: image 0 (0), image 1 (1) and the difference (2)"
    difference = plots.feature_maps(maps, columns=3, title=title).pixels()
    high, wide = difference.shape[:2]
    assert np.array_equal(two[:high, :wide], difference)
    assert np.array_equal(two[high : high + len(one), : one.shape[1]], one)
    assert not np.array_equal(two[-len(one) :, : one.shape[1]], one)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        before = self.first(x).relu()
        return before * self.second(before)


def test_what_is_no_chain_is_shown_as_maps():
    model, x = Gated(), torch.randn(1, 1, 6, 6)
    view = explore.pixel(model, x, state="layer=mul channel=1")
    with torch.no_grad():
        maps = plots.feature_maps(model(x)[0], title="mul").pixels()
    found = view.figure().pixels()
    np.testing.assert_array_equal(found[: len(maps), : maps.shape[1]], maps)


@pytest.mark.browser
def test_a_click_on_a_map_goes_to_that_pixel(opened, lenet, images):
    view = explore.pixel(lenet, images, state="layer=pool2 channel=7 pixel=0,0")
    page = opened(view)
    assert page.text(".made h2").startswith("Row 0, column 0 is ")
    box = page.page.locator(".map").bounding_box()
    side = box["height"]
    page.page.locator(".map").click(position={"x": side * 0.1, "y": side * 0.6})
    page.waits_for(".made h2", "Row 2, column 0 is ")
    value = capture.record(lenet, normalized(images[0]))["pool2"].output[0, 7, 2, 0]
    shown = re.search(r" is (\S+?):", page.text(".made h2"))[1]
    assert float(shown.replace("−", "-")) == pytest.approx(value.item(), abs=0.006)
