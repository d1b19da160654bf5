"""What if the digit were moved, the training shorter: each against torch by hand."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import data, explore, models, plots, train
from vizlib.history import History

MEAN, STD = 0.1307, 0.3081


@pytest.fixture(scope="module")
def images(embedded):
    return embedded.test.images[:4]


@pytest.fixture(scope="module")
def labels(embedded):
    return embedded.test.labels[:4]


def normalized(image):
    return ((image.float() / 255 - MEAN) / STD)[None, None]


def frame(view, **place):
    """What the browser gets at a place: its panels, by title or kind, and the rest."""
    return view.frame(**place).packed()


def panel(view, kind, number=0, **place):
    return [each for each in frame(view, **place)["panels"] if each["kind"] == kind][number]


def values(made):
    found = np.frombuffer(made["data"], np.float32)
    return found.reshape(made["shape"]) if "shape" in made else found


# --- Networks compared -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def rivals(lenet):
    return {"MLP": models.build("mlp", seed=1), "LeNet": lenet}


def chances(model, pixels):
    """What a network makes of an image in 0…255 floats, computed by itself."""
    with torch.no_grad():
        return model.eval()(((pixels / 255 - MEAN) / STD)[None, None]).softmax(1)[0]


def shifted(image, right, down):
    """Move an image by whole pixels; what comes in is black."""
    wide = F.pad(image.float(), (8, 8, 8, 8))
    return wide[8 - down : 36 - down, 8 - right : 36 - right]


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ({}, lambda image: image.float()),
        ({"right": 8 + 3, "down": 8 - 2}, lambda image: shifted(image, 3, -2)),
        ({"turn": 12}, lambda image: torch.rot90(image.float(), 1)),
        ({"turn": 0, "right": 9}, lambda image: shifted(torch.rot90(image, -1), 1, 0)),
    ],
)
def test_a_moved_digit_is_read_as_torch_reads_it(place, changed, rivals, images, labels):
    view = explore.compare(rivals, images, labels)
    expected = changed(images[2])
    shown = panel(view, "picture", image=2, **place)
    pixels = np.frombuffer(shown["data"], np.uint8).reshape(28, 28)
    np.testing.assert_allclose(pixels, expected, atol=1)
    for number, model in enumerate(rivals.values()):
        bars = panel(view, "bars", number, image=2, **place)
        np.testing.assert_allclose(values(bars), chances(model, expected), atol=1e-3)
        assert bars["label"] == [labels[2]]


def test_half_the_size_is_every_second_pixel_on_average(rivals):
    smooth = torch.zeros(28, 28)
    smooth[6:22, 6:22] = F.avg_pool2d(torch.rand(1, 1, 20, 20), 5, 1)[0, 0] * 200
    smooth = smooth.to(torch.uint8)
    shown = panel(explore.compare(rivals, smooth), "picture", size=0)
    pixels = np.frombuffer(shown["data"], np.uint8).reshape(28, 28)
    inner = F.avg_pool2d(smooth.float()[None, None], 2)[0, 0]
    # At half the size a pixel of the result lies between four of the image.
    np.testing.assert_allclose(pixels[7:21, 7:21], inner, atol=1)
    assert not pixels[:6].any()


def test_noise_is_the_same_each_time_and_grows(rivals, images):
    view = explore.compare(rivals, images)
    strengths = []
    for noise in range(11):
        first, again = (
            np.frombuffer(panel(view, "picture", noise=noise)["data"], np.uint8) for _ in range(2)
        )
        assert first.tobytes() == again.tobytes()
        strengths.append(np.abs(first.astype(float) - images[0].numpy().ravel()).mean())
    assert strengths[0] == 0
    assert strengths == sorted(strengths)
    other = np.frombuffer(panel(view, "picture", noise=10, image=1)["data"], np.uint8)
    dark = (images[0] + images[1]).numpy().ravel() == 0
    assert first[dark].tobytes() == other[dark].tobytes()
    grains = np.frombuffer(panel(view, "picture", noise=2)["data"], np.uint8).reshape(28, 28)
    dark = images[0].numpy() == 0
    # Of a bell curve around black, half is cut off; the other half has its mean at 0.4 deviations.
    assert grains[dark].mean() == pytest.approx(0.2 * 0.3989 * 255, rel=0.15)


def test_the_chart_goes_along_one_slider(rivals, images, labels):
    view = explore.compare(rivals, images, labels, state="image=1 right=-3 turn=30 along=right")
    lines = panel(view, "lines")
    assert (lines["start"], lines["step"], lines["at"]) == (-8, 1, 5)
    assert lines["names"] == ["MLP", "LeNet"]
    curves = values(lines).reshape(2, 17)
    for at in (0, 5, 16):
        for number in range(2):
            bars = values(panel(view, "bars", number, right=at))
            assert curves[number, at] == pytest.approx(bars[labels[1]], abs=1e-6)
    noise = panel(view, "lines", along=4)
    assert (noise["lengths"], noise["at"], noise["step"]) == ([11, 11], 0, 0.1)


def test_without_labels_the_first_answer_counts(rivals, images):
    view = explore.compare(list(rivals.values()), images)
    first = int(chances(rivals["MLP"], images[0].float()).argmax())
    assert panel(view, "lines", right=0)["title"] == f"probability of {first}"
    assert panel(view, "bars")["title"] == f"mlp: {first}"
    with_label = explore.compare(list(rivals.values()), images, [first] * 4)
    assert panel(with_label, "bars")["title"] == f"mlp: {first}, right"


def test_each_network_has_a_name_of_its_own(lenet, images):
    view = explore.compare([lenet, lenet, nn.Sequential(lenet, nn.Softmax(1))], images)
    assert repr(view) == "compare(lenet, lenet (2), Sequential)"
    _, second, third = (values(panel(view, "bars", number)) for number in range(3))
    np.testing.assert_allclose(second, third, atol=1e-6)
    assert repr(explore.compare(lenet, images)) == "compare(lenet)"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ValueError, "there is no network to compare"),
        (["lenet"], TypeError, r"try weights.load\('lenet'\)"),
        ([models.build("lenet5")], ValueError, r"lenet5 expects .* but got \(1, 1, 28, 28\)"),
        ([nn.Linear(3, 4)], ValueError, "Linear does not take images of the shape"),
        ([nn.Flatten(), models.build("mlp")], ValueError, "784 from Flatten, 10 from mlp"),
        ([nn.Conv2d(1, 1, 3)], ValueError, "not in one score a class"),
    ],
)
def test_what_cannot_be_compared_is_named(given, error, words, images):
    with pytest.raises(error, match=words):
        explore.compare(given, images)


# --- A training, watched ---------------------------------------------------------------------

SHORT = {"epochs": 2, "batch_size": 32, "steps_per_epoch": 30, "device": "cpu"}


def test_training_and_validation_look_as_in_the_curves():
    measured = {
        f"{split}_{what}": [0.5] for split in ("train", "val") for what in ("loss", "accuracy")
    }
    curves = looks(plots.curves(History(**measured)).axes[0])
    view = explore.training(models.build("mlp"), data.load("digits"), **SHORT)
    for number in range(2):
        names = panel(view, "lines", number)["names"]
        assert looks(plots.lines({each: [0.0, 1.0] for each in names}).axes[0]) == curves


def looks(axes):
    """The colour and the dash of the lines of both splits."""
    named = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
    return {name: named[name] for name in ("training", "validation")}


def test_a_closed_training_is_told():
    view = explore.training(models.build("mlp"), data.load("digits"), **SHORT)
    view.close()
    with pytest.raises(ValueError, match="this view is closed; make it anew"):
        view.start()


def test_a_watched_training_is_the_same_training(capsys):
    digits = data.load("digits")
    alone, watched = (models.build("mlp", seed=0) for _ in range(2))
    expected = train.fit(alone, digits, progress=False, **SHORT)
    told = []
    view = explore.training(watched, digits, on_epoch=lambda h: told.append(h.epochs), **SHORT)
    assert frame(view)["panels"][2]["lines"] == ["0 of 2 epochs: waiting for the first step"]
    history = view.start()
    assert view.history is history
    assert told == [1, 2]
    assert history.step_loss == expected.step_loss
    both = zip(alone.parameters(), watched.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)
    assert capsys.readouterr().out == "training(mlp, 2 epochs)\n"
    check_curves(view, history)


def check_curves(view, history):
    accuracy, loss, words = frame(view)["panels"]
    validation, training = values(loss).reshape(2, 40)
    # 30 steps in 20 points: one step or two in each.
    steps = np.array(history.step_loss).reshape(2, 30)
    points = [[own[np.arange(30) * 20 // 30 == p].mean() for p in range(20)] for own in steps]
    np.testing.assert_allclose(training, np.ravel(points), rtol=1e-5)
    assert validation[[19, 39]] == pytest.approx(history.val_loss)
    assert np.isnan(np.delete(validation, [19, 39])).all()
    expected = [np.nan, *history.val_accuracy, np.nan, *history.train_accuracy]
    np.testing.assert_allclose(values(accuracy), expected)
    assert words["lines"][0] == "2 of 2 epochs: done"
    best = f"best {100 * max(history.val_accuracy):.2f} % after epoch {history.best_epoch}"
    assert best in words["lines"][1]


def test_the_picture_follows_while_it_trains():
    seen = []

    def look(_history):
        seen.append(frame(view)["panels"][2]["lines"][0])

    view = explore.training(
        models.build("mlp", seed=0), data.load("digits"), on_epoch=look, **SHORT
    )
    view.start()
    assert seen == [
        "1 of 2 epochs: epoch 1, step 30 of 30",
        "2 of 2 epochs: epoch 2, step 30 of 30",
    ]


def test_a_training_that_runs_is_never_called_not_started(monkeypatch):
    view = explore.training(models.build("mlp", seed=0), data.load("digits"), **SHORT)
    seen = []
    monkeypatch.setattr(view, "_fit", lambda **_: seen.append(view._canvas.frames) or History())
    view.start()
    [[shown]] = seen
    assert shown["panels"][2]["lines"] == ["0 of 2 epochs: starting"]


def test_an_interrupted_training_keeps_its_history():
    def stop(_history):
        raise KeyboardInterrupt

    view = explore.training(
        models.build("mlp", seed=0), data.load("digits"), on_epoch=stop, **SHORT
    )
    history = view.start()
    assert (history.epochs, history.interrupted) == (1, True)
    assert view.history is history
    assert frame(view)["says"].startswith("1 of 2 epochs: stopped")
    assert isinstance(view.figure(), plots.Figure)


def test_before_the_first_epoch_there_is_no_figure():
    view = explore.training(models.build("mlp", seed=0), data.load("digits"))
    assert repr(view) == "training(mlp, 120 epochs)"
    with pytest.raises(ValueError, match="no complete epoch to draw of mlp"):
        view.figure()
    assert "image/png" not in view._repr_mimebundle_()
    with pytest.raises(TypeError, match="model must be a PyTorch network"):
        explore.training("mlp", data.load("digits"))


def test_a_view_follows_a_training_that_somebody_else_starts():
    digits, model = data.load("digits"), models.build("mlp", seed=0)
    view = explore.training(model, digits, **SHORT)
    hooks = {"on_epoch": view.on_epoch, "on_step": view.on_step}
    history = train.fit(model, digits, progress=False, **hooks, **SHORT)
    assert view.history is history
    np.testing.assert_allclose(
        values(panel(view, "lines", 0))[[1, 2, 4, 5]], history.val_accuracy + history.train_accuracy
    )


@pytest.mark.parametrize(
    "given",
    [
        lambda: (torch.rand(40, 3, 8, 8), nn.Conv2d(3, 4, 3)),
        lambda: (torch.rand(40, 2, 38), nn.Conv1d(2, 4, 3)),
        lambda: (torch.randint(0, 256, (40, 8, 8), dtype=torch.uint8), nn.Conv2d(1, 4, 3)),
    ],
    ids=["colours", "signals", "bytes"],
)
def test_images_and_labels_of_ones_own_are_learnt(given):
    """Bright images are a cat: whoever mixes images and labels up, or normalizes twice, fails."""
    torch.manual_seed(0)
    images, first = given()
    labels = ["cat" if i % 3 else "dog" for i in range(40)]
    bright = torch.tensor([label == "cat" for label in labels]).reshape(
        -1, *[1] * (images.dim() - 1)
    )
    images = (
        (images // 2 + 127 * bright).to(torch.uint8)
        if images.dtype == torch.uint8
        else images + bright
    )
    model = nn.Sequential(first, nn.Flatten(), nn.LazyLinear(2))
    seen, x = [], data.normalize(images) if images.dtype == torch.uint8 else images
    model(x[:1])
    model[0].register_forward_pre_hook(lambda _, read: seen.append(read[0].detach().clone()))
    how = {"epochs": 10, "batch_size": 4, "device": "cpu", "progress": False}
    view = explore.training(model, (images, labels), classes=["cat", "dog"], **how)
    history = view.start()
    assert view._progress.steps == 9
    assert model.classes == ["cat", "dog"]
    rows = {row.numpy().tobytes() for row in x}
    assert {row.numpy().tobytes() for batch in seen for row in batch} == rows
    assert history.val_accuracy[-1] == 1


def test_what_cannot_be_learnt_is_told():
    with pytest.raises(ValueError, match=r"images\.permute\(0, 3, 1, 2\)"):
        explore.training(
            models.build("lenet"), (torch.zeros(4, 8, 8, 3, dtype=torch.uint8), [0] * 4)
        )
    with pytest.raises(ValueError, match="one for each image, 4"):
        explore.training(models.build("lenet"), (torch.zeros(4, 1, 28, 28), [0]))


# --- All of them -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def views(rivals, images, labels):
    watched = explore.training(models.build("mlp", seed=0), data.load("digits"), **SHORT)
    watched.start()
    return {
        "compare": explore.compare(rivals, images, labels, state="right=2 noise=0.3 along=turn"),
        "training": watched,
    }


def test_each_has_a_name_a_state_and_a_picture(views, rivals, images, labels):
    names = [repr(view) for view in views.values()]
    assert names == ["compare(MLP, LeNet)", "training(mlp, 2 epochs)"]
    again = explore.compare(rivals, images, labels, state=views["compare"].state)
    assert again.state == views["compare"].state
    for view in views.values():
        picture = base64.b64decode(view._repr_mimebundle_()["image/png"])
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(picture) < 60_000


def test_a_page_that_would_be_too_large_is_refused(rivals, images, tmp_path, monkeypatch):
    view = explore.compare(rivals, images)
    monkeypatch.setattr("vizlib.explore._explorer.LARGEST", 1 << 14)
    with pytest.raises(ValueError, match=r"page of compare\(MLP, LeNet\) .* than 0 MB"):
        view.to_html(tmp_path / "page.html", recorded=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", ["compare", "training"])
def test_each_is_a_page_that_asks_nobody(name, views, browser, tmp_path):
    path = views[name].to_html(tmp_path / "page.html", recorded=True)
    page, requests, complaints = browser.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    before = page.locator(".vizlib-panels").get_attribute("aria-label")
    sliders = page.get_by_role("slider")
    if sliders.count():
        sliders.first.focus()
        page.keyboard.press("ArrowRight")
        changed = "before => document.querySelector('.vizlib-panels').ariaLabel !== before"
        page.wait_for_function(changed, arg=before)
    assert page.locator(".vizlib-panel").count() == len(frame(views[name])["panels"])
    assert (requests, complaints) == ([path.as_uri()], [])
    page.close()


def test_images_of_ones_own_are_changed_as_the_recipe_says():
    digits = data.load("digits")
    images = digits.normalize(digits.train.images[:300])
    view = explore.training(models.build("lenet", seed=0), (images, digits.train.labels[:300]))
    own = view._fit.args[1]
    seen = [batch for batch, _ in own.batches("train", 64, augment=data.Affine())]
    low, high = images.aminmax()
    assert torch.cat(seen).min() >= low - 1e-4
    assert torch.cat(seen).max() > 0.9 * high


@pytest.mark.parametrize("off", [{1, 2}, [1, 2.0], range(1, 3), torch.tensor([1, 2])])
def test_channels_are_named_by_any_row_of_numbers(off):
    view = explore.switch_off(
        models.build("lenet", seed=0), torch.zeros(28, 28), off={"conv1": off}
    )
    assert view.changes == {"conv1": {1: 0.0, 2: 0.0}}


@pytest.mark.parametrize(
    ("off", "told"),
    [
        (["conv1"], r"off must name channels, such as .*, but was \['conv1'\]"),
        ({"conv1": None}, "channel must be a number from 0 to 5, but was None"),
        ({"conv1": [3.7]}, "channel must be a number from 0 to 5, but was 3.7"),
    ],
)
def test_what_names_no_channels_is_told_so(off, told):
    with pytest.raises((TypeError, ValueError), match=told):
        explore.switch_off(models.build("lenet", seed=0), torch.zeros(28, 28), off=off)


@pytest.mark.parametrize("digits", ["mnist", None, (1, 2, 3)])
def test_what_are_no_digits_is_told_before_a_training(digits):
    with pytest.raises(TypeError, match=r"data.load\(\) or a pair \(images, labels\), but were"):
        explore.training(models.build("mlp", seed=0), digits)


def test_without_labels_nothing_is_learnt():
    with pytest.raises(ValueError, match="labels were None: to learn, each image needs one"):
        explore.training(models.build("mlp", seed=0), (torch.zeros(3, 28, 28), None))
