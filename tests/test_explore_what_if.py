"""What if the digit were moved, the training shorter: each against torch by hand."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
from figures import holds
from torch import nn
from torch.nn import functional as F

from vizlib import data, explore, models, plots, train
from vizlib.history import History

MEAN, STD = 0.1307, 0.3081


@pytest.fixture(scope="module")
def split():
    return data.load("digits").test


@pytest.fixture(scope="module")
def images(split):
    return split.images[:4]


@pytest.fixture(scope="module")
def labels(split):
    return split.labels[:4]


@pytest.fixture(scope="module")
def lenet():
    """Weights of such a size that the probabilities differ."""
    model = models.build("lenet", seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    return model


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


# --- Back in time ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A short training with all of its snapshots."""
    digits, model = data.load("digits"), models.build("lenet", seed=0)
    settings = {"batch_size": 64, "steps_per_epoch": 4, "device": "cpu", "progress": False}
    return train.fit(model, digits, epochs=3, snapshot_every=1, **settings), model


def test_each_epoch_shows_its_weights_and_what_they_make(trained, images):
    history, _ = trained
    view = explore.epochs(history, images, state="epoch=1 channel=4 image=3")
    for epoch in range(4):
        state = history.snapshots[epoch]
        kernels, maps, one = (panel(view, "maps", n, epoch=epoch) for n in range(3))
        np.testing.assert_array_equal(values(kernels), state["conv1.weight"][:, 0])
        np.testing.assert_array_equal(values(one)[0], state["conv1.weight"][4, 0])
        weight, bias = state["conv1.weight"].double(), state["conv1.bias"].double()
        made = F.conv2d(normalized(images[3]).double(), weight, bias)[0]
        np.testing.assert_allclose(values(maps), made, atol=1e-5)
        fresh = models.build("lenet").eval()
        fresh.load_state_dict(state)
        bars = values(panel(view, "bars", epoch=epoch))
        np.testing.assert_allclose(bars, chances(fresh, images[3].float()), atol=1e-6)
        assert kernels["chosen"] == maps["chosen"] == 4


def test_all_epochs_share_one_scale(images):
    """Weights that grow threefold, and are cut to a third of that again."""
    model = models.build("lenet", seed=0)
    state = model.state_dict()
    snapshots = {
        epoch: {key: value * factor for key, value in state.items()}
        for epoch, factor in enumerate((1.0, 3.0, 0.5))
    }
    view = explore.epochs(train.History(network="lenet", snapshots=snapshots), images[0])
    largest = 3 * float(state["conv1.weight"].abs().max())
    found = [panel(view, "maps", n, epoch=epoch)["limit"] for n in (0, 2) for epoch in range(3)]
    assert found == pytest.approx([largest] * 6)
    with torch.no_grad():
        peak = 3 * float(model.conv1(normalized(images[0])).abs().max())
    limits = [panel(view, "maps", 1, epoch=epoch)["limit"] for epoch in range(3)]
    assert limits == pytest.approx([peak] * 3)


def test_loss_and_accuracy_have_axes_on_which_the_last_epochs_differ(trained):
    history, _ = trained
    accuracy, loss = (panel(explore.epochs(history), "lines", number) for number in range(2))
    assert (accuracy["scale"], loss["scale"]) == ("errors", "log")
    validation, training = values(loss).reshape(2, 4)
    np.testing.assert_allclose(validation[1:], history.val_loss, rtol=1e-6)
    np.testing.assert_allclose(training[1:], history.train_loss, rtol=1e-6)


def test_the_curves_begin_at_epoch_0_where_nothing_was_measured(trained):
    history, _ = trained
    view = explore.epochs(history)
    lines = panel(view, "lines", epoch=2)
    validation, training = values(lines).reshape(2, 4)
    assert np.isnan([training[0], validation[0]]).all()
    np.testing.assert_allclose(training[1:], history.train_accuracy)
    np.testing.assert_allclose(validation[1:], history.val_accuracy)
    assert (lines["at"], lines["start"], lines["percent"]) == (2, 0, True)
    expected = f"epoch 2, validation accuracy {100 * history.val_accuracy[1]:.2f} %"
    assert frame(view, epoch=2)["says"] == expected
    assert frame(view, epoch=0)["says"] == "epoch 0"


def test_training_and_validation_look_as_in_the_curves(trained):
    history, _ = trained
    curves = looks(plots.curves(history).axes[0])
    live = explore.training(models.build("mlp"), data.load("digits"), **SHORT)
    for view, number in ((explore.epochs(history), 0), (live, 0), (live, 1)):
        names = panel(view, "lines", number)["names"]
        assert looks(plots.lines({each: [0.0, 1.0] for each in names}).axes[0]) == curves


def looks(axes):
    """The colour and the dash of the lines of both splits."""
    named = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
    return {name: named[name] for name in ("training", "validation")}


def test_snapshots_of_some_epochs_stand_where_they_belong(trained):
    history, _ = trained
    some = {0: history.snapshots[0], 2: history.snapshots[2]}
    view = explore.epochs(train.History(**{**vars(history), "snapshots": some}))
    assert view.state == "epoch=2 channel=0"
    assert view._canvas.last_epoch == 1
    assert panel(view, "lines")["at"] == 2
    assert panel(view, "lines")["lengths"] == [4, 4]


def test_a_network_without_a_convolution_shows_what_its_units_weigh(images):
    model = models.build("mlp", seed=0)
    history = train.History(network="mlp", snapshots={0: model.state_dict()})
    view = explore.epochs(history, images[0])
    weights = model.linear1.weight.detach()[:64].reshape(64, 28, 28)
    np.testing.assert_array_equal(values(panel(view, "maps")), weights)
    with torch.no_grad():
        made = model.linear1(normalized(images[0]).flatten(1))[0, :64]
    np.testing.assert_allclose(values(panel(view, "maps", 1)).ravel(), made, atol=1e-5)


def test_a_network_of_ones_own_is_given_and_left_as_it_is():
    def built():
        return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5))

    own, old = built(), built()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    history = train.History(snapshots={0: old.state_dict()})
    image = torch.rand(1, 3, 8, 8)
    view = explore.epochs(history, image, model=own)
    with torch.no_grad():
        expected = old(image).softmax(1)[0]
    np.testing.assert_allclose(values(panel(view, "bars")), expected, atol=1e-6)
    assert all(torch.equal(before[key], value) for key, value in own.state_dict().items())
    # The three layers of a kernel stand below each other.
    below = torch.cat([old[0].weight[:, channel] for channel in range(3)], dim=1).detach()
    np.testing.assert_array_equal(values(panel(view, "maps")), below)
    with pytest.raises(ValueError, match="a network without a name, which models.build does not"):
        explore.epochs(history, image)


def test_what_has_no_past_is_told(trained):
    history, model = trained
    with pytest.raises(
        ValueError, match=r"lenet has no snapshots .*train\.fit\(…, snapshot_every=1\)"
    ):
        explore.epochs(train.History(network="lenet"))
    with pytest.raises(TypeError, match=r"what train\.fit returned, but was a Network"):
        explore.epochs(model)
    with pytest.raises(ValueError, match=r"do not fit the network Network: .*model=…\)"):
        explore.epochs(history, model=models.build("mlp"))
    with pytest.raises(ValueError, match="neither a Conv2d nor a Linear"):
        explore.epochs(history, model=nn.ReLU())


# --- A training, watched ---------------------------------------------------------------------

SHORT = {"epochs": 2, "batch_size": 32, "steps_per_epoch": 30, "device": "cpu"}


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
    ("images", "first"),
    [
        (torch.rand(40, 3, 8, 8), nn.Conv2d(3, 4, 3)),
        (torch.rand(40, 2, 38), nn.Conv1d(2, 4, 3)),
        (torch.randint(0, 256, (40, 8, 8), dtype=torch.uint8), nn.Conv2d(1, 4, 3)),
    ],
)
def test_images_and_labels_of_ones_own_are_learnt(images, first):
    """Bright images are a cat: whoever mixes images and labels up, or normalizes twice, fails."""
    torch.manual_seed(0)
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
    model[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    given = {"epochs": 10, "batch_size": 4, "device": "cpu", "progress": False}
    view = explore.training(model, (images, labels), classes=["cat", "dog"], **given)
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
def views(rivals, images, labels, trained):
    watched = explore.training(models.build("mlp", seed=0), data.load("digits"), **SHORT)
    watched.start()
    return {
        "compare": explore.compare(rivals, images, labels, state="right=2 noise=0.3 along=turn"),
        "epochs": explore.epochs(trained[0], images[0], state="epoch=1 channel=2"),
        "training": watched,
    }


def test_each_has_a_name_a_state_and_a_picture(views, rivals, images, labels, trained):
    names = [repr(view) for view in views.values()]
    assert names == [
        "compare(MLP, LeNet)",
        "epochs(lenet, 4 snapshots)",
        "training(mlp, 2 epochs)",
    ]
    again = [
        explore.compare(rivals, images, labels, state=views["compare"].state),
        explore.epochs(trained[0], images[0], state=views["epochs"].state),
    ]
    assert [view.state for view in again] == [view.state for view in views.values()][:2]
    for view in views.values():
        picture = base64.b64decode(view._repr_mimebundle_()["image/png"])
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(picture) < 60_000


def test_figures_hold_what_the_frames_hold(views):
    shown = values(panel(views["epochs"], "bars"))
    bars = plots.answers({"epoch 1": shown}, headings=["answer"]).pixels()
    assert holds(views["epochs"].figure().pixels(), bars)


def test_a_page_that_would_be_too_large_is_refused(rivals, images, tmp_path, monkeypatch):
    view = explore.compare(rivals, images)
    monkeypatch.setattr("vizlib.explore._view._LARGEST", 1 << 14)
    with pytest.raises(ValueError, match=r"page of compare\(MLP, LeNet\) .* than 0 MB"):
        view.to_html(tmp_path / "page.html", recorded=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", ["compare", "epochs", "training"])
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
