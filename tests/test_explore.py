"""The view of a network in Python: what it holds, what it says of itself, and what it refuses."""

from __future__ import annotations

import base64
import io
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from figures import holds
from PIL import Image
from torch import nn

from vizlib import data, explore, models, plots

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def images(embedded):
    return embedded.test.images[:5]


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0).eval()


@pytest.fixture
def view(lenet, images):
    return explore.layers(lenet, images, [7, 2, 1, 0, 4])


def by_hand(model, image):
    """Every layer's output for one image of bytes, computed one layer after the other."""
    x = ((image.float() / 255 - 0.1307) / 0.3081)[None, None]
    outputs = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            outputs.append(x[0])
    return outputs


# --- What the view holds -------------------------------------------------------------------


def fed(view):
    """What the kernel gives the browser of a network that the browser cannot compute, by layer."""
    stages = view._canvas.made["stages"]
    return {
        name: np.frombuffer(stage["values"], np.float32).reshape(stage["shape"])
        for name, stage in stages.items()
    }


def moved(view, **place):
    """Move the view as the sliders and the browser do, and ask for what it cannot compute."""
    view._canvas.set_state({**place, "asked": view._canvas.asked + 1})


class Rolling(nn.Module):
    """A network that no page can compute."""

    def __init__(self, channels=2):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, channels, 3), nn.Linear(channels, 3)

    def forward(self, x):
        return self.fc(torch.cumsum(self.conv(x), 2).relu().mean((2, 3)))


def normalized(images):
    return (images[:, None].float() / 255 - 0.1307) / 0.3081


def test_what_a_page_cannot_compute_is_fed_with_the_very_values_of_torch(images):
    model = Rolling().eval()
    view = explore.layers(model, images, state="image=1")
    assert not view._canvas.held["isComputed"]
    assert "cannot compute cumsum" in view._canvas.held["why"]
    for image in (1, 3):
        moved(view, image=image)
        x = normalized(images)[image : image + 1]
        with torch.no_grad():
            conv, scores = model.conv(x), model(x)
        made = fed(view)
        assert view._canvas.made["image"] == image
        np.testing.assert_array_equal(made["input"], x)
        np.testing.assert_array_equal(made["conv"], conv)
        np.testing.assert_array_equal(made["fc"], scores)
        torch.testing.assert_close(view.probabilities, scores.softmax(1)[0])


def test_a_layer_called_input_is_not_shown_as_the_image(images):
    layers = {"input": nn.Conv2d(1, 4, 3), "flatten": nn.Flatten(), "fc": nn.Linear(2704, 10)}
    view = explore.layers(nn.Sequential(OrderedDict(layers)).eval(), images)
    assert "so is a layer called" in view._canvas.held["why"]
    np.testing.assert_array_equal(fed(view)["input"], normalized(images)[:1])


def test_what_is_weaker_is_fed_weaker(images):
    model = Rolling().eval()
    view = explore.switch_off(model, images, state="layer=conv channel=1 strength=0.5")
    with torch.no_grad():
        conv = model.conv(normalized(images)[:1])
        conv[:, 1] *= 0.5
        scores = model.fc(torch.cumsum(conv, 2).relu().mean((2, 3)))
    np.testing.assert_allclose(fed(view)["conv"], conv, atol=1e-6)
    np.testing.assert_allclose(fed(view)["fc"], scores, atol=1e-6)


def test_of_a_large_network_the_layer_that_shows_is_fed(images):
    view = explore.layers(Rolling(6000), images[:2], state="layer=relu")
    made = fed(view)
    assert made["relu"].shape == (1, 6000, 26, 26)
    assert made["conv"].shape == (1, 1)
    assert view._canvas.made["says"]["conv"] == "conv is fetched when you go there"
    moved(view, layer=0)
    assert fed(view)["conv"].shape == (1, 6000, 26, 26)


def test_an_image_that_fails_is_told_and_the_next_one_is_shown():
    class Fussy(nn.Module):
        def forward(self, x):
            if x.mean() > 0:
                raise ValueError("too bright")
            return torch.cumsum(torch.relu(x), 2)

    pair = torch.stack([torch.zeros(1, 28, 28), torch.ones(1, 28, 28)])
    view = explore.layers(Fussy(), pair)
    moved(view, image=1)
    assert view._canvas.made["error"] == "ValueError: too bright"
    moved(view, image=0)
    assert view._canvas.made["error"] == ""


def test_the_palette_is_that_of_the_figures(view):
    palette = np.frombuffer(view._canvas.held["palette"], np.uint8).reshape(255, 3)
    assert palette[127].tolist() == [255, 255, 255]
    assert (palette[[0, 254]] == plots.colours([-1, 1], 1)).all()


def test_the_last_two_images_are_recorded_once(images):
    runs = []

    class Counted(nn.Linear):
        def forward(self, x):
            runs.append(1)
            return super().forward(x)

    view = explore.layers(nn.Sequential(nn.Flatten(), Counted(784, 10)), images[:3])

    def times(*shown):
        runs.clear()
        for image in shown:
            view._canvas.image = image
            assert view.recording()
        return len(runs)

    assert times(0, 1, 0, 1) == 1
    assert times(2, 1, 2) == 1
    assert times(0) == 1


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_softmax_is_not_applied_twice(last, images):
    scores = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    view = explore.layers(nn.Sequential(scores, last), images)
    with torch.no_grad():
        expected = scores(normalized(images)[:1]).softmax(1)[0]
    torch.testing.assert_close(view.probabilities, expected)


def test_a_network_that_ends_in_maps_has_no_probabilities(images):
    view = explore.layers(nn.Conv2d(1, 3, 3), images)
    assert view.probabilities is None
    assert view.figure()


def test_a_diverged_network_opens_all_the_same(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    model[0].weight.data[0] = torch.nan
    view = explore.layers(model, images)
    assert view.recording()["0"].output[0, 0].isnan().all()
    assert "image/png" not in view._repr_mimebundle_()


# --- Images, labels, model -----------------------------------------------------------------


def looked_at(view):
    """What the browser is given to look at, and what it looks at there."""
    held = view._canvas.held
    return held["images"], held["isBytes"], held["shape"], view.input.tolist()


def test_bytes_and_normalized_floats_are_the_same_to_the_network(lenet, images):
    floats = data.load("digits").normalize(images)
    assert looked_at(explore.layers(lenet, images)) == looked_at(explore.layers(lenet, floats))


@pytest.mark.parametrize(
    "form",
    [np.asarray, list, lambda images: images[0], lambda x: x[:, None]],
    ids=["array", "list", "one", "channel axis"],
)
def test_images_in_other_forms(form, lenet, images):
    one, other = explore.layers(lenet, form(images)), explore.layers(lenet, images)
    assert torch.equal(one.input, other.input)
    assert one._canvas.held["images"][0] == other._canvas.held["images"][0]


def test_an_array_that_may_not_be_written_to_is_taken(lenet, images):
    fixed = images.numpy().copy()
    fixed.flags.writeable = False
    assert looked_at(explore.layers(lenet, fixed)) == looked_at(explore.layers(lenet, images))


def test_the_model_comes_back_as_it_was(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    as_trained = explore.layers(model, images).recording()
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    with torch.no_grad():
        expected = model.eval()(normalized(images)[:1])
    torch.testing.assert_close(as_trained["2"].output, expected)


def test_doubles_and_halves_are_fed_what_they_take(images):
    model = nn.Conv2d(1, 2, 3).double()
    made = explore.layers(model, images).recording()["conv2d"].output
    with torch.no_grad():
        expected = model(normalized(images)[:1].double())
    torch.testing.assert_close(made.double(), expected, atol=1e-5, rtol=0)


def test_images_that_are_too_many_are_told(lenet, images, monkeypatch):
    monkeypatch.setattr("vizlib.explore._contents.LARGEST", 2 << 20)
    many = images[:1].expand(3000, 28, 28)
    with pytest.raises(ValueError, match=r"the 3000 images have more than 2 MB: .*images\[:100\]"):
        explore.layers(lenet, many)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("lenet", 0), TypeError, r"was a str; try weights\.load\('lenet'\)"),
        ((None, 0), TypeError, "model must be a PyTorch network .* but was a NoneType"),
        (
            (..., None),
            TypeError,
            r"images must be a tensor or an array, but were a NoneType; try data",
        ),
        ((..., torch.zeros(3, 28, 28)), ValueError, r"float32 \(3, 28, 28\); add the channel axis"),
        (
            (..., torch.zeros(2, 28, 28, dtype=int)),
            ValueError,
            r"uint8 \(N, H, W\).*int64 \(2, 28, 28\); make bytes .* images.to\(torch.uint8\), or",
        ),
        ((..., torch.ones(2, 1, 28, 28, dtype=int)), ValueError, r"but were int64 .*; make bytes"),
        (
            (..., torch.ones(28, 28, dtype=bool)),
            ValueError,
            r"were bool \(28, 28\); make bytes",
        ),
        ((..., torch.zeros(0, 1, 28, 28)), ValueError, r"but were empty: \(0, 1, 28, 28\)$"),
        ((..., torch.zeros(28)), ValueError, r"but were float32 \(28,\)$"),
        ((..., torch.zeros(2, 3, 4, 4, dtype=torch.uint8)), ValueError, r"uint8 \(2, 3, 4, 4\)"),
        ((nn.ReLU, 0), TypeError, r"but was the class ReLU; make one: ReLU\(\)"),
        (
            (..., torch.zeros(28, 28), torch.eye(3)),
            ValueError,
            r"labels must be one for each image, 1, but had the shape \(3, 3\); cut .* one-hot",
        ),
        ((..., torch.zeros(20, 20)), ValueError, r"lenet expects .* got \(1, 1, 20, 20\)"),
        (
            (nn.Linear(3, 4), torch.zeros(5, 5)),
            ValueError,
            r"Linear fails on images of the shape \(1, 1, 5, 5\): .*; no layer is recorded; either",
        ),
        (
            (..., torch.zeros(28, 28), [1, 2]),
            ValueError,
            r"image, 1, but had the shape \(2,\); cut",
        ),
        ((nn.Sequential(), torch.zeros(5, 5)), ValueError, "Sequential has no layer to look into"),
    ],
)
def test_what_is_refused_is_named(arguments, error, words, lenet):
    model, *rest = arguments
    with pytest.raises(error, match=words) as caught:
        explore.layers(lenet if model is ... else model, *rest)
    assert len(re.findall(r"[.!?] [A-Z]", str(caught.value))) == 0


# --- What it says of itself ----------------------------------------------------------------


def test_the_view_has_a_name_without_an_address(view, images, lenet):
    assert repr(view) == "layers(lenet, 5 images, 12 layers)"
    assert view._repr_mimebundle_()["text/plain"] == repr(view)
    assert repr(explore.layers(lenet, images[0])) == "layers(lenet, 1 image, 12 layers)"
    assert repr(explore.layers(nn.ReLU(), images)) == "layers(ReLU, 5 images, 1 layer)"


def test_a_state_opens_the_same_view_again(lenet, images):
    state = (
        "model=lenet image=3 layer=conv2 channel=11 pixel=7,0 strength=0.4 scale=network beside=2"
    )
    for door in (explore.layers, explore.pixel, explore.switch_off):
        assert door(lenet, images, state=state).state == state
    part = explore.layers(lenet, images, state="layer=fc1 channel=100")
    assert part.state == (
        "model=lenet image=0 layer=fc1 channel=100 pixel=none strength=1 scale=layer beside=none"
    )
    drawn = "model=lenet image=0 layer=pool2 channel=3 pixel=1,2 strength=1 scale=map beside=none"
    for door in (explore.draw, explore.upload):
        assert door(lenet, state=drawn).state == drawn


def test_a_state_is_also_read_as_it_was_written_before(lenet, images):
    state = explore.pixel(lenet, images, state="layer=conv2 row=3 col=4 keep=0.2").state
    assert " pixel=3,4 strength=0.2 " in state


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("layer=conv3", "no layer is called 'conv3'; did you mean 'conv2'?.*conv1, relu1, pool1"),
        ("image=5", "image must be a number from 0 to 4, but was 5"),
        ("channel=6", "channel must be a number from 0 to 5, but was 6"),
        ("channel=-1", "channel must be a number from 0 to 5, but was -1"),
        ("scale=all", "no scale is called 'all'; choose from map, layer, network"),
        ("digit=1", "state has no 'digit'; it is made of model, image, layer, channel, pixel"),
        ("conv1", "state has no 'conv1'"),
        ("model=newnet", "state is a place in newnet, but the model is lenet"),
        ("strength=2", "no strength is called '2'; choose from 0, 0.1"),
        ("beside=5", "no beside is called '5'.*none, 0, 1, 2, 3, 4"),
        ("pixel=3", "a row and a column of a map of 24×24, such as 0,0, but was 3"),
        ("layer=conv2 pixel=8,0", "of a map of 8×8, such as 0,0, but was 8,0"),
    ],
)
def test_a_place_that_is_not_there(state, words, lenet, images):
    with pytest.raises(ValueError, match=words):
        explore.layers(lenet, images, state=state)


def test_sliders_have_their_ranges_and_are_linked_in_the_browser(lenet, images):
    view = explore.layers(lenet, images, state="image=1 layer=conv2 channel=3 scale=map")
    sliders = {slider.description: slider for slider in view.children[0].children}
    assert list(sliders) == ["image", "layer", "channel", "strength", "scale", "beside"]
    assert [sliders[name].max for name in ("image", "channel")] == [4, 15]
    assert sliders["layer"].options == tuple(lenet._modules)
    chosen = [slider.value for slider in sliders.values()]
    assert chosen == [1, "conv2", 3, "1", "map", "none"]
    sources = [(link.source[0], link.source[1], link.target[1]) for link in view._links]
    assert sources == [
        (sliders["image"], "value", "image"),
        (sliders["layer"], "index", "layer"),
        (sliders["channel"], "value", "channel"),
        (sliders["strength"], "index", "strength"),
        (sliders["scale"], "index", "scale"),
        (sliders["beside"], "index", "beside"),
        (view._canvas, "last_image", "max"),
        (view._canvas, "last_channel", "max"),
    ]


def test_a_single_image_leaves_nothing_to_choose(lenet, images):
    view = explore.layers(lenet, images[0])
    names = [slider.description for slider in view.children[0].children]
    assert names == ["layer", "channel", "strength", "scale"]


def test_readers_without_a_kernel_see_a_small_picture(view):
    picture = base64.b64decode(view._repr_mimebundle_()["image/png"])
    assert picture.startswith(PNG)
    assert len(picture) < 40_000
    grey = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    said = grey[: len(grey) - len(view.figure().pixels())]
    assert 30 < len(said) < 100  # a line of words that says what to do, above the figure
    assert said.min() < 60
    assert "application/vnd.jupyter.widget-view+json" in view._repr_mimebundle_()


@pytest.mark.parametrize("scale", ["map", "layer", "network"])
@pytest.mark.parametrize("layer", ["conv1", "pool2", "fc1", "fc3"])
def test_every_place_has_a_figure(layer, scale, lenet, images):
    view = explore.layers(lenet, images, state=f"image=2 layer={layer} channel=5 scale={scale}")
    assert isinstance(view.figure(), plots.Figure)
    assert view.figure().to_png().startswith(PNG)


def test_the_figure_holds_input_maps_and_probabilities(lenet, images):
    view = explore.layers(lenet, images, [7, 2, 1, 0, 4], state="layer=relu1 channel=2")
    outputs = by_hand(lenet, images[0])
    digit = plots.images(images[:1], titles=["image 0"]).pixels()
    maps = plots.feature_maps(outputs[1], title="relu1", highlight=2).pixels()
    scores = plots.probabilities(outputs[-1].softmax(0), label=7).pixels()
    whole = view.figure().pixels()
    row, width = max(len(digit), len(maps)), digit.shape[1]
    np.testing.assert_array_equal(whole[: len(digit), :width], digit)
    beside = whole[: len(maps), width : width + maps.shape[1]]
    np.testing.assert_array_equal(beside, maps)
    np.testing.assert_array_equal(whole[row:, : scores.shape[1]], scores)


def test_the_figure_has_the_image_beside_and_the_probabilities_before(lenet, images):
    state = "image=1 layer=conv1 channel=2 strength=0 beside=3"
    view = explore.switch_off(lenet, images, state=state)
    other = by_hand(lenet, images[3])[0]
    maps = plots.feature_maps(other, title="conv1, image 3", highlight=2).pixels()
    whole = by_hand(lenet, images[1])[-1].softmax(0)
    before = plots.probabilities(whole, title="whole network").pixels()
    after = plots.probabilities(view.probabilities, title="changed network").pixels()
    found = view.figure().pixels()
    for part in (maps, before, after):
        assert holds(found, part)


def test_a_figure_of_no_figures_is_refused():
    with pytest.raises(ValueError, match="at least one figure"):
        plots.together([])
