"""Back in time: the network as it was after each epoch, against torch with the same snapshot."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
from figures import holds
from pages import number
from torch import nn

from vizlib import capture, data, explore, handwriting, models, plots, train
from vizlib.history import History

DIGITS = data.load("digits").test
IMAGES = DIGITS.images[:4]


@pytest.fixture(scope="module")
def history():
    """A short training with all of its snapshots."""
    digits, model = data.load("digits"), models.build("lenet", seed=0)
    settings = {"batch_size": 64, "steps_per_epoch": 40, "device": "cpu", "progress": False}
    return train.fit(model, digits, epochs=3, snapshot_every=1, **settings)


def at(history, epoch, model=None):
    """The network after an epoch."""
    model = model or models.build(history.network)
    model.load_state_dict(history.snapshots[epoch])
    return model.eval()


def past(model, factors=(1.0, 3.0, 0.5), **more):
    """A history in which all weights grow, and are cut again."""
    state = model.state_dict()
    snapshots = {
        epoch: {key: value * factor for key, value in state.items()}
        for epoch, factor in enumerate(factors)
    }
    return History(snapshots=snapshots, **more)


class Rolling(nn.Module):
    """A network that no page can compute."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3 * 26 * 26, 10)

    def forward(self, x):
        return self.head(torch.cumsum(self.conv(x), 2).flatten(1))


# --- In Python ------------------------------------------------------------------------------


def test_the_network_is_that_of_the_epoch(history):
    view = explore.epochs(history, IMAGES, state="epoch=1 channel=4 image=3")
    for epoch in (3, 0, 2, 1):
        view._canvas.epoch = epoch
        with torch.no_grad():
            scores = at(history, epoch)(data.normalize(IMAGES[3:]))[0]
        torch.testing.assert_close(view.recording()["fc3"].output[0], scores)
        torch.testing.assert_close(view.probabilities, scores.softmax(0))
        chances = plots.probabilities(scores.softmax(0)).pixels()
        assert holds(view.figure().pixels(), chances)


def test_it_opens_at_the_first_convolution_after_the_last_epoch(history):
    view = explore.epochs(history, IMAGES)
    assert view.state == "epoch=3 channel=0 image=0"
    assert view.where.layer == "conv1"
    assert (repr(view), explore.epochs(history).state) == (
        "epochs(lenet, 4 snapshots)",
        "epoch=3 channel=0",
    )


def test_a_state_opens_the_same_view_again(history):
    old = explore.epochs(history, IMAGES, state="epoch=1 channel=4 image=3")
    assert old.state == "epoch=1 channel=4 image=3"
    state = "epoch=0 channel=5 image=2 layer=pool2 pixel=1,3 scale=map"
    assert explore.epochs(history, IMAGES, state=state).state == state
    with pytest.raises(ValueError, match="no epoch is called '9'; choose from 0, 1, 2, 3"):
        explore.epochs(history, state="epoch=9")
    with pytest.raises(ValueError, match="channel must be a number from 0 to 5, but was 6"):
        explore.epochs(history, state="channel=6")
    with pytest.raises(ValueError, match="state has no 'epoche'; it is made of epoch, model"):
        explore.epochs(history, state="epoche=9")


def panels(view):
    return [frame["panels"] for frame in view._canvas.held["frames"]]


def values(panel):
    return np.frombuffer(panel["data"], np.float32)


def test_the_kernels_of_all_epochs_share_one_scale():
    model = models.build("lenet", seed=0)
    view = explore.epochs(past(model, network="lenet"), IMAGES[0])
    largest = 3 * float(model.conv1.weight.detach().abs().max())
    assert [each[0]["limit"] for each in panels(view)] == pytest.approx([largest] * 3)


def test_the_curves_begin_at_epoch_0_where_nothing_was_measured(history):
    *_, (_, accuracy, loss) = panels(explore.epochs(history))
    assert (accuracy["scale"], loss["scale"]) == ("errors", "log")
    assert (accuracy["at"], accuracy["start"], accuracy["percent"]) == (3, 0, True)
    for panel, name in ((accuracy, "accuracy"), (loss, "loss")):
        validation, training = values(panel).reshape(2, 4)
        assert np.isnan([training[0], validation[0]]).all()
        np.testing.assert_allclose(training[1:], getattr(history, f"train_{name}"), rtol=1e-6)
        np.testing.assert_allclose(validation[1:], getattr(history, f"val_{name}"), rtol=1e-6)
    curves = looks(plots.curves(history).axes[0])
    assert looks(plots.lines({each: [0.0, 1.0] for each in accuracy["names"]}).axes[0]) == curves


def looks(axes):
    """The colour and the dash of the lines of both splits."""
    named = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
    return {name: named[name] for name in ("training", "validation")}


def test_snapshots_of_some_epochs_stand_where_they_belong(history):
    some = {0: history.snapshots[0], 2: history.snapshots[2]}
    view = explore.epochs(History(**{**vars(history), "snapshots": some}), IMAGES[0])
    assert view.state == "epoch=2 channel=0"
    assert [each[1]["at"] for each in panels(view)] == [0, 2]
    assert panels(view)[1][1]["lengths"] == [4, 4]
    says = [frame["says"] for frame in view._canvas.held["frames"]]
    assert says == [
        "epoch 0",
        f"epoch 2, validation accuracy {100 * history.val_accuracy[1]:.2f} %",
    ]


def test_a_history_may_be_cut_short_or_have_no_curves(history):
    short = {**vars(history), "val_loss": [], "train_loss": [], "train_accuracy": []}
    short["val_accuracy"] = history.val_accuracy[:1]
    view = explore.epochs(History(**short), IMAGES[0])
    assert [len(each) for each in panels(view)] == [3] * 4
    bare = explore.epochs(History(network="lenet", snapshots=history.snapshots), IMAGES[0])
    assert [len(each) for each in panels(bare)] == [1] * 4
    assert bare.figure()


def test_a_network_of_ones_own_is_given_and_left_as_it_is():
    def built():
        return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5))

    own, old = built(), built()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    history, image = History(snapshots={0: old.state_dict()}), torch.rand(1, 3, 8, 8)
    view = explore.epochs(history, image, model=own, classes=[*"abcde"])
    with torch.no_grad():
        torch.testing.assert_close(view.probabilities, old(image).softmax(1)[0])
    assert all(torch.equal(before[key], value) for key, value in own.state_dict().items())
    with pytest.raises(ValueError, match="a network without a name, which models.build does not"):
        explore.epochs(history, image)
    # It takes no digit: without an image there are its kernels alone.
    alone = explore.epochs(history, model=own, state="channel=1")
    assert alone.state == "epoch=0 channel=1"
    below = torch.cat([old[0].weight[:, channel] for channel in range(3)], dim=1).detach()
    shown, large = (
        np.frombuffer(panel["data"], np.float32) for panel in alone.frame().packed()["panels"]
    )
    np.testing.assert_array_equal(shown.reshape(2, 9, 3), below)
    np.testing.assert_array_equal(large.reshape(9, 3), below[1])


def test_a_closed_view_says_so(history):
    view = explore.epochs(history, IMAGES)
    view.close()
    with pytest.raises(ValueError, match="this view is closed; make it anew"):
        view.figure()


@pytest.mark.parametrize("image", [None, IMAGES[0]], ids=["pad", "image"])
def test_classes_that_are_too_few_are_told(history, image):
    with pytest.raises(ValueError, match="one name for each of the network's 10 classes, but were"):
        explore.epochs(history, image, classes=["a", "b"])


def test_what_has_no_past_is_told(history):
    with pytest.raises(
        ValueError, match=r"lenet has no snapshots .*train\.fit\(…, snapshot_every=1\)"
    ):
        explore.epochs(History(network="lenet"))
    with pytest.raises(TypeError, match=r"what train\.fit returned, but was a Network"):
        explore.epochs(models.build("lenet"))
    with pytest.raises(ValueError, match=r"do not fit the network Network: .*model=…\)"):
        explore.epochs(history, model=models.build("mlp"))
    with pytest.raises(ValueError, match="neither a Conv2d nor a Linear"):
        explore.epochs(history, model=nn.ReLU())
    with pytest.raises(ValueError, match=r"lenet expects .* got \(1, 1, 20, 20\)"):
        explore.epochs(history, torch.zeros(20, 20))


def test_large_weights_travel_when_they_are_asked_for():
    model, sent = models.build("mlp", seed=0), []
    view = explore.epochs(past(model, [1.0] * 6, network="mlp"), IMAGES[0])
    assert view._canvas.held["weights"] == b""
    assert all("data" not in kernels for kernels, *_ in panels(view))
    view._canvas.send = lambda _, buffers=None: sent.extend(buffers)
    view._canvas._handle_custom_msg({"weights": True}, [])
    one = np.concatenate([each.detach().numpy().ravel() for each in model.parameters()])
    found = np.frombuffer(sent[0], np.float32).reshape(6, -1)
    np.testing.assert_array_equal(np.sort(found), np.sort(np.tile(one, (6, 1))))


# --- In the page ----------------------------------------------------------------------------

STAGES = """(values) => Object.entries(window.vizlib.stages(new Float32Array(values)))
  .map(([name, { shape, values }]) => [name, shape, [...values]])"""
INK = """() => {
  const pad = document.querySelector(".pad");
  const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
  let text = "";
  for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
  return btoa(text);
}"""


def scores_of(history, epoch, image, model=None):
    with torch.no_grad():
        return at(history, epoch, model)(data.normalize(image[None]))[0]


@pytest.mark.browser
def test_every_stage_is_what_torch_makes_after_each_epoch(opened, history):
    page = opened(explore.epochs(history, IMAGES[0]))
    x = torch.randn(1, 1, 28, 28)
    for epoch in (0, 2, 3, 1):
        page.slide("epoch", epoch)
        expected = capture.record(at(history, epoch), x)
        made = page.page.evaluate(STAGES, x.flatten().tolist())
        assert [name for name, _, _ in made] == list(expected)
        for name, shape, numbers in made:
            output = expected[name].output
            apart = (torch.tensor(numbers).reshape(shape) - output).abs().max()
            assert float(apart) <= 5e-6 * float(output.abs().max())
        page.reads(scores_of(history, epoch, IMAGES[0]))
        accuracy = 100 * history.val_accuracy[epoch - 1]
        says = f"epoch {epoch}, validation accuracy {accuracy:.2f} %" if epoch else "epoch 0"
        assert page.text(".past .steer p") == says
    assert "over 1 image after each of 4 epochs: " in page.text(".foot")
    assert (page.requests, page.complaints) == ([page.page.url.split("#")[0]], [])


@pytest.mark.browser
def test_my_own_digit_is_answered_after_every_epoch(opened, history):
    page = opened(explore.epochs(history))
    assert "An empty pad" in page.text(".answer")
    page.draw((0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.45, 0.85))
    ink = np.frombuffer(base64.b64decode(page.page.evaluate(INK)), np.uint8).reshape(280, 280)
    image = torch.from_numpy(handwriting.from_ink(ink).image)
    for epoch in range(4):
        page.slide("epoch", epoch)
        page.reads(scores_of(history, epoch, image), 0.05)  # a grey level here or there


def shades(page, selector, rows, columns):
    """The colour near the corner of each cell of a canvas, where no number stands."""
    canvas = page.page.locator(selector)
    wide, high = (canvas.evaluate(f"canvas => canvas.{side}") for side in ("width", "height"))
    places = [(c + 0.15, r + 0.15) for r in range(rows) for c in range(columns)]
    return [
        page.pixel(selector, round(x * (wide - 2) / columns) + 1, round(y * (high - 2) / rows) + 1)
        for x, y in places
    ]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_kernels_are_the_snapshots_and_what_grows_gets_darker(opened, scheme):
    model = models.build("lenet", seed=0)
    history = past(model, network="lenet")
    page = opened(explore.epochs(history, IMAGES[0], state="channel=2"))
    page.page.emulate_media(color_scheme=scheme)
    limit = 3 * float(model.conv1.weight.detach().abs().max())
    for epoch, channel in ((0, 2), (1, 2), (2, 2), (2, 5)):
        page.slide("epoch", epoch)
        page.slide("channel", channel)
        kernel = history.snapshots[epoch]["conv1.weight"][channel, 0].numpy()
        found = shades(page, ".past .maps:nth-child(2) canvas", 5, 5)
        assert found == plots.colours(kernel, limit).reshape(-1, 3).tolist()
        assert page.text(".past .maps:nth-child(2) figcaption") == f"weights of channel {channel}"


@pytest.mark.browser
def test_a_click_on_a_kernel_goes_to_its_channel(opened, history):
    page = opened(explore.epochs(history, IMAGES[0], state="layer=fc1 channel=9"))
    box = page.page.locator(".past .maps canvas").first.bounding_box()
    page.page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.75)
    page.waits_for(".top b", "conv1, channel 5")


@pytest.mark.browser
def test_the_buttons_and_the_address_step_through_the_epochs(opened, history):
    page = opened(explore.epochs(history, IMAGES), "#epoch=1&layer=conv2&channel=7&image=3")
    page.waits_for(".top b", "conv2, channel 7")
    page.reads(scores_of(history, 1, IMAGES[3]))
    page.page.get_by_role("button", name="Next", exact=True).click()
    page.reads(scores_of(history, 2, IMAGES[3]))
    assert page.page.url.endswith("#epoch=2&layer=conv2&channel=7&image=3")
    for _ in range(2):
        page.page.get_by_role("button", name="Back", exact=True).click()
    page.reads(scores_of(history, 0, IMAGES[3]))
    page.page.get_by_role("button", name="Play", exact=True).click()
    page.waits_for(".past .steer p", "epoch 3, ")
    page.reads(scores_of(history, 3, IMAGES[3]))
    assert page.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("own", [False, True])
def test_what_a_page_cannot_compute_was_recorded_at_each_epoch(opened, history, own):
    torch.manual_seed(0)
    model = Rolling() if own else None
    told = past(model) if own else history
    page = opened(explore.epochs(told, IMAGES, model=model), recorded=not own)
    sentence = "a page cannot compute cumsum" if own else "this page has no weights in it"
    assert sentence in page.text(".foot")
    for epoch, image in ((0, 2), (1, 2), (2, 0)):
        page.slide("epoch", epoch)
        page.button(f"image {image}")
        page.reads(scores_of(told, epoch, IMAGES[image], model))
        weight = told.snapshots[epoch]["conv.weight" if own else "conv1.weight"]
        kernels = page.page.locator(".past .maps").first
        kernels.locator("canvas").focus()
        page.page.keyboard.press("ArrowRight")
        said = page.text(".past > .told").rsplit(" ", 1)[1]
        assert number(said) == pytest.approx(float(weight[0, 0, 0, 0]), abs=6e-4)
        page.page.evaluate("() => document.activeElement.blur()")


@pytest.mark.browser
def test_weights_are_halved_where_the_page_would_be_too_large(opened, history, monkeypatch):
    monkeypatch.setattr("vizlib.explore._contents.LARGEST", 500_000)
    page = opened(explore.epochs(history, IMAGES[0]))
    assert "rounded to half precision" in page.text(".foot")
    page.slide("epoch", 2)
    halved = {key: value.half().float() for key, value in history.snapshots[2].items()}
    page.reads(scores_of(History(network="lenet", snapshots={2: halved}), 2, IMAGES[0]))


@pytest.mark.parametrize(
    ("old", "new"), [("row=2 col=1", "pixel=2,1"), ("keep=0.3", "strength=0.3")]
)
def test_a_place_as_it_was_written_before_is_read(history, old, new):
    assert new in explore.epochs(history, IMAGES, state=old).state
