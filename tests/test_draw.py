"""The pad and the place for photographs: what comes in, what is shown, what is refused.

The oracle is handwriting and the network, called by hand.
"""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from figures import holds
from PIL import Image
from torch import nn

from vizlib import capture, data, explore, handwriting, models, plots, weights
from vizlib.explore import _upload

PNG = b"\x89PNG\r\n\x1a\n"
STEPS = ["cropped", "scaled to 20", "centred by mass"]


@pytest.fixture(scope="module")
def lenet():
    return weights.load("lenet")


@pytest.fixture(scope="module")
def seven():
    """A 7 of straight strokes on a pad of 280×280."""
    ink = np.zeros((280, 280), np.uint8)
    ink[60:84, 90:190] = 255
    for row in range(60, 220):
        right = 190 - (row - 60) // 3
        ink[row, right - 24 : right] = 255
    return ink


@pytest.fixture(scope="module")
def photograph():
    """A 1 in dark grey on paper that is darker at the right, as bytes of a PNG."""
    paper = np.tile(np.linspace(240, 150, 120), (160, 1))
    paper[30:130, 55:65] *= 0.25
    return png(paper.astype(np.uint8))


@pytest.fixture(autouse=True)
def embedded_means(monkeypatch):
    """MNIST takes a second to read; the digits that every machine has do as well."""
    load = data.load
    _upload.mean_digits.cache_clear()
    monkeypatch.setattr(_upload.data, "load", lambda *_, **__: load("digits"))
    yield
    _upload.mean_digits.cache_clear()


def png(picture):
    file = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(file, "PNG")
    return file.getvalue()


def answer_of(model, image):
    x = ((torch.from_numpy(image).float() / 255 - 0.1307) / 0.3081)[None, None]
    with torch.no_grad():
        return model(x).softmax(1)[0]


def shown(view):
    """The pictures beside the network, by name, as they were sent."""
    return {
        step["name"]: np.frombuffer(step["pixels"], np.uint8).reshape(step["shape"])
        for step in view._drop.steps
    }


def looked_at(view):
    """What the network looks at, as grey values 0…255 (28, 28)."""
    return ((view.input[0, 0] * 0.3081 + 0.1307) * 255).round().numpy()


def put(view, ink):
    """Lay ink on the pad, as the browser does 0.2 s after a stroke."""
    asked = view._canvas.asked + 1
    view._canvas.set_state(
        {"ink": memoryview(ink.tobytes()), "given": memoryview(b""), "drawn": True, "asked": asked}
    )


def hand(view, content, name="photo.png", part=1 << 20, ticket="1"):
    """What the browser sends when a file is chosen."""
    parts = [content[start : start + part] for start in range(0, len(content), part)]
    for each in parts:
        message = {"ticket": ticket, "parts": len(parts), "name": name}
        view._drop._handle_custom_msg(message, [memoryview(each)])


# --- From ink to 28×28 ------------------------------------------------------------------------


def test_a_drawing_fills_twenty_pixels_and_is_centred(seven):
    prepared = handwriting.from_ink(seven)
    assert list(prepared.steps) == STEPS
    np.testing.assert_array_equal(prepared.steps["cropped"], seven[60:220, 90:190])
    assert max(prepared.steps["scaled to 20"].shape) == 20
    rows, columns = np.indices((28, 28))
    mass = prepared.image.astype(float) / prepared.image.sum()
    # Pixel 14 begins in the middle of 28, and only whole pixels are moved.
    assert abs((rows * mass).sum() - 14) <= 0.51
    assert abs((columns * mass).sum() - 14) <= 0.51


def test_a_digit_of_mnists_size_comes_back_nearly_as_it_was():
    images = data.load("digits").test.images[:20].numpy()
    large = images.repeat(10, axis=1).repeat(10, axis=2)
    again = np.stack([handwriting.from_ink(image).image for image in large])
    centred = np.stack([handwriting.by_mass(trimmed(image)) for image in images])
    # The faintest edges are no ink, and thick strokes become as thin as MNIST's.
    assert np.corrcoef(again.ravel(), centred.ravel())[0, 1] > 0.9


def trimmed(image):
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_what_an_eraser_leaves_is_not_cropped_to(seven):
    dirty = seven.copy()
    dirty[5:8, 5:8] = 60
    np.testing.assert_array_equal(
        handwriting.from_ink(dirty).image, handwriting.from_ink(seven).image
    )
    with pytest.raises(ValueError, match="there is no ink in the drawing"):
        handwriting.from_ink(np.full((280, 280), 60, np.uint8))


@pytest.mark.parametrize("size", [1, 4, 100, 280])
def test_a_dot_stays_a_dot(size):
    ink = np.zeros((280, 280), np.uint8)
    ink[:size, :size] = 255
    assert handwriting.from_ink(ink).image[14, 14] == 255


# --- The pad ----------------------------------------------------------------------------------


def test_a_stroke_is_answered_as_by_hand(lenet, seven):
    view = explore.draw(lenet)
    put(view, seven)
    prepared = handwriting.from_ink(seven)
    chances = answer_of(lenet, prepared.image)
    assert int(chances.argmax()) == 7
    np.testing.assert_array_equal(looked_at(view), prepared.image)
    torch.testing.assert_close(view.probabilities, chances)
    assert list(view.prepared.steps) == STEPS
    assert view.answer.startswith(f"read as 7, P7 {'> 0.999' if chances[7] > 0.9995 else '='}")
    np.testing.assert_array_equal(view.drawing, seven)
    np.testing.assert_array_equal(view.prepared.image, prepared.image)
    assert view.is_drawn


def test_an_empty_pad_is_an_empty_image(lenet, seven):
    view = explore.draw(lenet, seven)
    put(view, np.zeros_like(seven))
    assert not view.prepared.image.any()
    assert list(view.prepared.steps) == ["centred by mass"]
    assert not looked_at(view).any()
    assert view.answer == "nothing to read yet"
    torch.testing.assert_close(view.probabilities, answer_of(lenet, np.zeros((28, 28), np.uint8)))


def test_a_drawing_may_be_there_from_the_start(lenet, seven):
    fixed = seven.copy()
    fixed.flags.writeable = False
    for drawing in (seven, fixed, torch.from_numpy(seven), seven.repeat(2, 0).repeat(2, 1)):
        np.testing.assert_array_equal(explore.draw(lenet, drawing).drawing, seven)
    small = explore.draw(lenet, data.load("digits").test.images[0])
    assert small.drawing.shape == (280, 280)
    assert small.prepared.image.any()


def test_a_failing_network_is_told_and_asked_again(seven):
    class Fussy(nn.Module):
        def forward(self, x):
            if x.max() > 0 and self.fails:
                raise ValueError("too bright")
            return torch.cumsum(torch.relu(x), 2)

    model = Fussy()
    model.fails = True
    view = explore.draw(model)
    put(view, seven)
    assert view._canvas.made["error"] == "ValueError: too bright"
    model.fails = False
    put(view, seven)
    assert view._canvas.made["error"] == ""
    assert view.answer == "no answer: the network does not end in one score for each class"


def test_the_place_stays_and_the_drawing_can_be_changed(lenet, seven):
    view = explore.draw(lenet, state="layer=conv2 channel=5 strength=0")
    put(view, seven)
    assert "layer=conv2 channel=5" in view.state
    x = data.normalize(torch.from_numpy(handwriting.from_ink(seven).image)[None])
    with capture.edit(lenet, {"conv2": {5: 0.0}}), torch.no_grad():
        expected = lenet(x).softmax(1)[0]
    torch.testing.assert_close(view.probabilities, expected)


# --- Photographs ------------------------------------------------------------------------------


def test_a_file_in_parts_is_read_as_by_hand(lenet, photograph):
    view = explore.upload(lenet)
    assert repr(view) == "upload(lenet, nothing to read yet)"
    hand(view, photograph, part=100)
    prepared = handwriting.prepare(photograph)
    chances = answer_of(lenet, prepared.image)
    assert int(chances.argmax()) == 1
    np.testing.assert_array_equal(looked_at(view), prepared.image)
    torch.testing.assert_close(view.probabilities, chances)
    assert list(shown(view)) == [*handwriting.STEPS, "mean 1 of scikit-learn's digits"]
    for name in ("scaled to 20", "centred by mass"):
        np.testing.assert_array_equal(shown(view)[name], prepared.steps[name])
    assert view._drop.answered == 1


def test_the_mean_is_that_of_the_class(lenet, photograph):
    view = explore.upload(lenet, photograph)
    images, labels = data.load("digits").train.images, data.load("digits").train.labels
    mean = images[labels == 1].double().mean(0).numpy()
    found = shown(view)["mean 1 of scikit-learn's digits"]
    assert np.abs(found - mean).max() <= 0.51


def test_large_steps_are_sent_small_with_their_true_size(lenet):
    paper = np.full((600, 300), 230, np.uint8)
    paper[100:500, 140:160] = 30
    step = explore.upload(lenet, paper)._drop.steps[0]
    assert (step["name"], step["size"], list(step["shape"])) == ("grey", [600, 300], [140, 70])
    assert len(step["pixels"]) == 140 * 70
    small = np.frombuffer(step["pixels"], np.uint8).reshape(140, 70)
    assert small.mean() == pytest.approx(paper.mean(), abs=0.5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no photograph", r"photo\.png is in no format that is read here"),
        (png(np.full((90, 90), 255, np.uint8)), r"there is no digit in photo\.png: write"),
        (png(Image.new("1", (10_000, 13_000))), r"photo\.png has 10,000 × 13,000 pixels"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_the_last_picture_stays(
    content, words, lenet, photograph
):
    view = explore.upload(lenet, photograph)
    before, image = shown(view), looked_at(view)
    hand(view, content)
    assert re.match(words, view._drop.error)
    assert view._drop.answer.startswith("Read as 1")
    np.testing.assert_array_equal(looked_at(view), image)
    assert shown(view).keys() == before.keys()
    hand(view, photograph, ticket="2")
    assert view._drop.error == ""
    assert view._drop.answered == 2


def test_a_file_that_broke_off_is_forgotten(lenet, photograph):
    view = explore.upload(lenet)
    message = {"ticket": "1", "parts": 2, "name": "half.png"}
    view._drop._handle_custom_msg(message, [memoryview(photograph[:50])])
    assert view._drop.answered == 0
    hand(view, photograph, ticket="2", part=100)
    assert view._drop.answer.startswith("Read as 1")


def test_what_is_drawn_over_a_photograph_is_read_in_its_place(lenet, photograph, seven):
    view = explore.upload(lenet, photograph)
    put(view, seven)
    assert view.answer.startswith("read as 7")
    np.testing.assert_array_equal(view.prepared.image, handwriting.from_ink(seven).image)
    drawn = plots.steps({"drawn": view.drawing, **view.prepared.steps}).pixels()
    assert holds(view.figure().pixels(), drawn)


def test_a_path_is_read_and_a_wrong_one_raises(lenet, photograph, tmp_path):
    (tmp_path / "one.png").write_bytes(photograph)
    assert "read as 1" in repr(explore.upload(lenet, tmp_path / "one.png"))
    with pytest.raises(FileNotFoundError):
        explore.upload(lenet, tmp_path / "two.png")
    with pytest.raises(ValueError, match="there is no digit"):
        explore.upload(lenet, np.full((90, 90), 255, np.uint8))


def test_a_network_of_other_classes_has_no_mean_digit(photograph):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
    assert list(shown(explore.upload(model, photograph))) == list(handwriting.STEPS)


# --- Both -------------------------------------------------------------------------------------


@pytest.fixture(params=["draw", "upload"])
def view(request, lenet, seven, photograph):
    return (
        explore.draw(lenet, seven) if request.param == "draw" else explore.upload(lenet, photograph)
    )


def test_it_says_what_it_is(view):
    name, digit = ("upload", 1) if view.is_given else ("draw", 7)
    assert repr(view).startswith(f"{name}(lenet, read as {digit}, P{digit} ")
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == repr(view)
    picture = base64.b64decode(bundle["image/png"])
    assert picture.startswith(PNG)
    assert len(picture) < 60_000


def test_the_figure_shows_the_steps_above_the_layers(lenet, view):
    whole = view.figure().pixels()
    if not view.is_given:
        above = plots.steps({"drawn": view.drawing, **view.prepared.steps}).pixels()
    else:
        mean = {"mean 1 of scikit-learn's digits": _upload.mean_digits()[1][1]}
        above = plots.steps({**view.prepared.steps, **mean}).pixels()
        below = explore.layers(lenet, view.prepared.image).figure().pixels()
        # The image that was read stands where the image of `layers` stands: its title is another.
        same = len(below) - 50
        np.testing.assert_array_equal(whole[-same:, : below.shape[1]], below[-same:])
    np.testing.assert_array_equal(whole[: len(above), : above.shape[1]], above)


@pytest.mark.browser
def test_a_page_opens_with_the_digit(lenet, view, opened):
    image = torch.from_numpy(view.prepared.image)[None]
    page = opened(view)
    with torch.no_grad():
        page.reads(lenet(data.normalize(image))[0], 0.05)
    assert f"It reads {1 if view.is_given else 7}" in page.text(".answer")
    assert page.complaints == []


@pytest.mark.parametrize("explorer", [explore.draw, explore.upload])
def test_what_is_no_network_for_digits_is_refused(explorer):
    with pytest.raises(TypeError, match=r"was a str; try weights\.load\('lenet'\)"):
        explorer("lenet")
    with pytest.raises(ValueError, match=r"fails on images of the shape \(1, 1, 28, 28\)"):
        explorer(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match="no layer is called 'conv9'"):
        explorer(models.build("lenet", seed=0), state="layer=conv9")


@pytest.mark.parametrize(
    ("drawing", "error", "words"),
    [
        ("seven.png", TypeError, r"was str \(\); for a photograph there is explore.upload"),
        (np.zeros((28, 28)), ValueError, r"uint8 \(N, N\).* but was float64 \(28, 28\)"),
        (np.zeros((28, 20), np.uint8), ValueError, r"but was uint8 \(28, 20\)"),
        (np.zeros((0, 0), np.uint8), ValueError, r"but was uint8 \(0, 0\)"),
    ],
)
def test_what_is_no_drawing_is_named(drawing, error, words, lenet):
    with pytest.raises(error, match=words):
        explore.draw(lenet, drawing)


def test_small_pictures_are_means():
    picture = np.arange(280 * 560, dtype=np.float64).reshape(280, 560) % 251
    small = _upload._shrunk(picture.astype(np.uint8))
    means = picture.reshape(70, 4, 140, 4).mean((1, 3))
    assert np.abs(small - means).max() <= 0.51
    assert _upload._shrunk(small) is small


# --- The steps as a figure --------------------------------------------------------------------


def test_each_picture_of_the_steps_has_its_own_greys_and_proportions():
    halves = np.array([[0], [255], [128]], np.uint8).repeat(40, 0).repeat(60, 1)  # 120 × 60
    figure = plots.steps({"black": np.zeros((28, 28), np.uint8), "halves": halves})
    pixels = figure.pixels()
    black, other = (own.get_window_extent() for own in figure.axes[0].child_axes)
    assert (black.width, other.width) == pytest.approx((black.height, other.height / 2))
    centre, middle = round((other.x0 + other.x1) / 2), len(pixels) - (other.y0 + other.y1) / 2
    rows = [round(middle + other.height * part) for part in (-1 / 3, 0, 1 / 3)]
    assert [pixels[row, centre, :3].tolist() for row in rows] == [[0] * 3, [255] * 3, [128] * 3]
    assert (pixels[rows, round((black.x0 + black.x1) / 2), :3] == 0).all()
    assert (pixels[rows, round(other.x1) + 10] == 255).all()


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ({}, "steps needs at least one picture"),
        ({"a": np.zeros((3, 3))}, "each picture must be uint8, but 'a' is float64"),
        ({"b": np.zeros((0, 3), np.uint8)}, r"'b' must have the shape \(H, W\), but had \(0, 3\)"),
        (
            {"c": np.zeros((1, 3, 3), np.uint8)},
            r"'c' must have the shape \(H, W\), but had \(1, 3, 3\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(pictures, words):
    with pytest.raises(ValueError, match=words):
        plots.steps(pictures)
