"""What an explorer sends to the browser, what it says of itself, and what it refuses."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import data, explore, models, plots
from vizlib.explore import _recordings

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def split():
    return data.load("digits").test


@pytest.fixture(scope="module")
def images(split):
    return split.images[:5]


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0).eval()


@pytest.fixture
def view(lenet, images):
    return explore.layers(lenet, images, [7, 2, 1, 0, 4])


def ask(view, image, layers):
    """Send the message that the browser sends, and return the answer: text and buffers."""
    answers = []
    view._canvas.send = lambda content, buffers=None: answers.append((content, buffers))
    view._canvas._handle_custom_msg({"image": image, "layers": layers}, [])
    [answer] = answers
    return answer


def by_hand(model, image):
    """Every layer's output for one image of bytes, computed one layer after the other."""
    x = ((image.float() / 255 - 0.1307) / 0.3081)[None, None]
    outputs = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            outputs.append(x[0])
    return outputs


# --- What the browser gets -----------------------------------------------------------------


def test_an_answer_holds_the_very_values_of_torch(view, lenet, images):
    content, (picture, probabilities, *maps) = ask(view, 3, [0, 4, 11])
    expected = by_hand(lenet, images[3])
    assert content["image"] == 3
    assert content["layers"] == [0, 4, 11]
    assert maps == [expected[layer].numpy().tobytes() for layer in (0, 4, 11)]
    assert picture == images[3].numpy().tobytes()
    assert list(content["picture"]) == [28, 28, 1]
    assert np.frombuffer(probabilities, np.float32).tolist() == expected[-1].softmax(0).tolist()
    assert content["classes"] == list(range(10))
    assert content["peak"] == max(float(output.abs().max()) for output in expected)


def test_bytes_may_have_a_channel_axis(lenet, images):
    flat, deep = explore.layers(lenet, images), explore.layers(lenet, images[:, None])
    assert deep._canvas.packets == flat._canvas.packets


def test_an_array_that_may_not_be_written_to_is_taken(lenet, images):
    fixed = images.numpy().copy()
    fixed.flags.writeable = False
    assert torch.equal(
        explore.layers(lenet, fixed)._recordings.inputs,
        explore.layers(lenet, images)._recordings.inputs,
    )


def test_an_image_takes_the_place_of_another(view, lenet, images):
    before = images.clone()
    view.replace(1, 255 - images[3])
    assert torch.equal(images, before)
    [packet] = view._canvas.packets
    expected = by_hand(lenet, 255 - images[3])
    assert packet["image"] == 1
    assert packet["buffers"][0] == (255 - images[3]).numpy().tobytes()
    assert packet["buffers"][2:] == [output.numpy().tobytes() for output in expected]
    assert ask(view, 1, [11])[1][2] == expected[-1].numpy().tobytes()


def test_a_small_network_is_there_from_the_start(view, lenet, images):
    packets = view._canvas.packets
    assert [packet["image"] for packet in packets] == [0, 1, 2, 3, 4]
    for packet in packets:
        expected = by_hand(lenet, images[packet["image"]])
        assert packet["buffers"][2:] == [output.numpy().tobytes() for output in expected]


def test_of_a_large_network_the_layer_that_shows_is_there(images):
    model = nn.Sequential(nn.Conv2d(1, 512, 3), nn.ReLU())
    view = explore.layers(model, images, state="image=2 layer=1")
    [packet] = view._canvas.packets
    assert (packet["image"], packet["layers"]) == (2, [1])
    assert len(packet["buffers"][2]) == 4 * 512 * 26 * 26


def test_opening_takes_no_more_images_than_fit(lenet, split):
    view = explore.layers(lenet, split.images[:100], state="image=50")
    packets = view._canvas.packets
    assert packets[0]["image"] == 50
    assert sorted(packet["image"] for packet in packets) == list(range(42, 58))


def test_layers_are_described(view):
    stages = view._canvas.stages
    assert stages[0] == {"name": "conv1", "kind": "conv", "shape": [6, 24, 24], "says": ""}
    assert stages[-1] == {"name": "fc3", "kind": "linear", "shape": [10], "says": ""}
    assert len(stages) == 12


def test_the_palette_is_that_of_the_figures(view):
    palette = np.frombuffer(view._canvas.palette, np.uint8).reshape(255, 3)
    assert palette[127].tolist() == [255, 255, 255]
    assert (palette[[0, 254]] == plots.colours([-1, 1], 1)).all()


def test_an_image_is_recorded_once_and_again_when_dropped(images, monkeypatch):
    runs = []

    class Counted(nn.Linear):
        def forward(self, x):
            runs.append(1)
            return super().forward(x)

    view = explore.layers(nn.Sequential(nn.Flatten(), Counted(784, 10)), images[:2])
    assert len(runs) == 2
    ask(view, 0, [0])
    assert len(runs) == 2
    monkeypatch.setattr(_recordings, "_KEPT", 1)
    ask(view, 0, [0])
    ask(view, 1, [0])
    assert len(runs) == 3


def test_many_classes_show_the_ten_likeliest(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 40))
    content, (_, probabilities, *_) = ask(explore.layers(model, images), 1, [0])
    with torch.no_grad():
        expected = model((images[1:2].float() / 255 - 0.1307) / 0.3081).softmax(1)[0]
    assert content["classes"] == expected.sort(descending=True).indices[:10].tolist()
    np.testing.assert_allclose(
        np.frombuffer(probabilities, np.float32), expected.sort(descending=True).values[:10]
    )


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_softmax_is_not_applied_twice(last, images):
    scores = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    _, (_, probabilities, *_) = ask(explore.layers(nn.Sequential(scores, last), images), 0, [0])
    with torch.no_grad():
        expected = F.softmax(scores((images[:1].float() / 255 - 0.1307) / 0.3081), 1)[0]
    np.testing.assert_allclose(np.frombuffer(probabilities, np.float32), expected, rtol=1e-5)


def test_a_network_that_ends_in_maps_has_no_probabilities(images):
    content, (_, probabilities, *_) = ask(explore.layers(nn.Conv2d(1, 3, 3), images), 0, [0])
    assert (content["classes"], probabilities) == ([], b"")


def test_a_diverged_network_opens_all_the_same(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    model[0].weight.data[0] = torch.nan
    view = explore.layers(model, images)
    content, _ = ask(view, 0, [0, 1])
    assert np.isfinite(content["peak"])
    assert "image/png" not in view._repr_mimebundle_()


def test_an_error_in_a_later_image_is_told():
    class Fussy(nn.Module):
        def forward(self, x):
            if x.mean() > 0:
                raise ValueError("too bright")
            return torch.relu(x)

    pair = torch.stack([torch.zeros(1, 28, 28), torch.ones(1, 28, 28)])
    pair = torch.cat([pair[:1].expand(1, 1, 28, 28), pair[1:].expand(1, 1, 28, 28)])
    large = pair.repeat(1, 400, 1, 1)  # too large to be recorded ahead
    content, buffers = ask(explore.layers(Fussy(), large), 1, [0])
    assert content == {"error": "ValueError: too bright"}
    assert buffers is None


# --- Images, labels, model -----------------------------------------------------------------


def shown(view):
    _, (picture, _, first, *_) = ask(view, 0, [0])
    return picture, first


def test_bytes_and_normalized_floats_are_the_same_to_the_network(lenet, images):
    floats = data.load("digits").normalize(images)
    assert shown(explore.layers(lenet, images)) == shown(explore.layers(lenet, floats))


@pytest.mark.parametrize("form", [np.asarray, list, lambda images: images[0], lambda x: x.numpy()])
def test_images_in_other_forms(form, lenet, images):
    assert shown(explore.layers(lenet, form(images))) == shown(explore.layers(lenet, images))


def test_colours_are_shown_as_colours():
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0] = 2.0
    content, (picture, *_) = ask(explore.layers(nn.Conv2d(3, 1, 1), image), 0, [0])
    assert list(content["picture"]) == [4, 4, 3]
    assert picture == bytes([255, 0, 0]) * 16


def test_the_model_comes_back_as_it_was(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    as_trained = ask(explore.layers(model, images), 0, [0, 1, 2])
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert as_trained == ask(explore.layers(model.eval(), images), 0, [0, 1, 2])


def test_doubles_and_halves_are_fed_what_they_take(images):
    model = nn.Conv2d(1, 2, 3).double()
    _, first = shown(explore.layers(model, images))
    assert len(first) == 4 * 2 * 26 * 26


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
        ((..., torch.zeros(2, 28, 28, dtype=int)), ValueError, r"uint8 \(N, H, W\).*int64 \(2, 28"),
        ((..., torch.zeros(0, 1, 28, 28)), ValueError, r"but were empty: \(0, 1, 28, 28\)$"),
        ((..., torch.zeros(28)), ValueError, r"but were float32 \(28,\)$"),
        ((..., torch.zeros(2, 3, 4, 4, dtype=torch.uint8)), ValueError, r"uint8 \(2, 3, 4, 4\)"),
        ((nn.ReLU, 0), TypeError, r"but was the class ReLU; make one: ReLU\(\)"),
        (
            (..., torch.zeros(28, 28), torch.eye(3)),
            ValueError,
            r"were an array \(3, 3\); of one-hot",
        ),
        ((..., torch.zeros(20, 20)), ValueError, r"lenet expects .* got \(1, 1, 20, 20\)"),
        (
            (nn.Linear(3, 4), torch.zeros(5, 5)),
            ValueError,
            r"Linear fails on images of the shape \(1, 1, 5, 5\): .*recorded; either its layers do",
        ),
        ((..., torch.zeros(28, 28), [1, 2]), ValueError, "one for each image, 1, but were 2; cut"),
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
    state = "model=lenet image=3 layer=conv2 channel=11 pixel=7,0 scale=network beside=2"
    assert explore.layers(lenet, images, state=state).state == state
    part = explore.layers(lenet, images, state="layer=fc1 channel=100")
    assert part.state == (
        "model=lenet image=0 layer=fc1 channel=100 pixel=none scale=layer beside=none"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("layer=conv3", "no layer is called 'conv3'; did you mean 'conv2'?.*conv1, relu1, pool1"),
        ("image=5", "image must be a number from 0 to 4, but was 5"),
        ("channel=6", "channel must be a number from 0 to 5, but was 6"),
        ("channel=-1", "channel must be a number from 0 to 5, but was -1"),
        ("scale=all", "no scale is called 'all'; choose from map, layer, network"),
        ("digit=1", "state has no 'digit'; it is made of image, layer, channel, scale"),
        ("conv1", "state has no 'conv1'"),
        ("model=newnet", "state is a place in newnet, but the model is lenet"),
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
    assert list(sliders) == ["image", "layer", "channel", "scale", "beside"]
    assert [sliders[name].max for name in ("image", "channel")] == [4, 15]
    assert sliders["layer"].options == tuple(stage["name"] for stage in view._canvas.stages)
    chosen = [slider.value for slider in sliders.values()]
    assert chosen == [1, "conv2", 3, "per map", "none"]
    sources = [(link.source[0], link.source[1], link.target[1]) for link in view._links]
    assert sources == [
        (sliders["image"], "value", "image"),
        (sliders["layer"], "index", "layer"),
        (sliders["channel"], "value", "channel"),
        (sliders["scale"], "index", "scale"),
        (sliders["beside"], "index", "beside"),
        (view._canvas, "last_channel", "max"),
    ]


def test_a_single_image_leaves_nothing_to_choose(lenet, images):
    view = explore.layers(lenet, images[0])
    names = [slider.description for slider in view.children[0].children]
    assert names == ["layer", "channel", "scale"]


def test_readers_without_a_kernel_see_a_small_picture(view):
    picture = base64.b64decode(view._repr_mimebundle_()["image/png"])
    assert picture.startswith(PNG)
    assert len(picture) < 40_000
    assert "application/vnd.jupyter.widget-view+json" in view._repr_mimebundle_()


@pytest.mark.parametrize("scale", explore.SCALES)
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


def test_a_figure_of_no_figures_is_refused():
    with pytest.raises(ValueError, match="at least one figure"):
        plots.together([])
