"""Whose network, whose images, whose classes: what nobody here made opens too, or says why not."""

from __future__ import annotations

import re
import resource

import numpy as np
import pytest
import torch
from torch import nn

from vizlib import data, explore, models, plots

IMAGES = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
SIGNALS = torch.randn(2, 1, 128, generator=torch.Generator().manual_seed(1))
CLASSES = ["cat", "dog", "<b>emu</b>"]


class Layered(nn.Module):
    """A network whose forward pass is a function of its layers and an image."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.way = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.way(self, x)


def permuted():
    def way(net, x):
        return net.fc(net.norm(net.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))

    return Layered(way, conv=nn.Conv2d(1, 8, 4, 4), norm=nn.LayerNorm(8), fc=nn.Linear(8, 3))


def folded():
    def way(net, x):
        return net.fc(torch.relu(net.conv(x).reshape(2, 4, 49)).mean((0, 1))[None])

    return Layered(way, conv=nn.Conv2d(1, 8, 4, 4), fc=nn.Linear(49, 3))


def scalar():
    def way(net, x):
        net.seen = (x := torch.relu(net.conv(x))).mean()
        return net.fc(x.flatten(1))

    return Layered(way, conv=nn.Conv2d(1, 4, 3), fc=nn.Linear(4 * 26 * 26, 3))


def empty():
    def way(net, x):
        net.relu((x := net.conv(x))[:, :0])
        return net.fc(x.mean((2, 3)))

    return Layered(way, conv=nn.Conv2d(1, 2, 3), relu=nn.ReLU(), fc=nn.Linear(2, 3))


def complex_numbers():
    def way(net, x):
        return net.fc(net.seen(torch.fft.fft2(net.conv(x))).abs().mean((2, 3)))

    return Layered(way, conv=nn.Conv2d(1, 2, 3), seen=nn.Identity(), fc=nn.Linear(2, 3))


def whole_numbers():
    def way(net, x):
        net.seen((x := net.conv(x)).argmax(1))
        return net.fc(x.mean((2, 3)))

    return Layered(way, conv=nn.Conv2d(1, 2, 3), seen=nn.Identity(), fc=nn.Linear(2, 3))


def scripted():
    part = torch.jit.script(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))
    return nn.Sequential(nn.Conv2d(1, 4, 3), part, nn.Flatten(), nn.Linear(4 * 13 * 13, 3))


def traced():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 3))
    return torch.jit.trace(model, IMAGES[:1])


def oddly_named():
    model = nn.Sequential()
    for name, layer in {
        "my layer": nn.Conv2d(1, 2, 3),
        'it\'s "a=b" \\': nn.Flatten(),
        "卷积 ": nn.Linear(2 * 26 * 26, 3),
    }.items():
        model.add_module(name, layer)
    model.name = "Anna's net, 2nd"
    return model


MODELS = (permuted, folded, scalar, empty, complex_numbers, whole_numbers, scripted, traced)
EXPLORERS = (explore.layers, explore.pixel, explore.switch_off)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda explorer: explorer.__name__)
def test_an_explorer_opens_at_every_layer_of_any_network(explorer, build):
    model = build()
    names = ["scripted"] if build is traced else [name for name, _ in model.named_children()]
    for name in names:
        view = explorer(model, IMAGES, state=f"layer={name}")
        assert f"layer={name} " in view.state


SENTENCES = {
    empty: ("relu", "relu gave no values: its shape is (1, 0, 26, 26)"),
    complex_numbers: ("seen", "seen gave complex numbers, which have no place between"),
}


@pytest.mark.parametrize("build", SENTENCES, ids=lambda build: build.__name__)
def test_a_layer_that_cannot_be_printed_says_so_and_the_others_are(build):
    layer, sentence = SENTENCES[build]
    for explorer in EXPLORERS:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            explorer(build(), IMAGES, state=f"layer={layer}").figure()
        assert explorer(build(), IMAGES, state="layer=conv").figure()


@pytest.mark.browser
@pytest.mark.parametrize("build", SENTENCES, ids=lambda build: build.__name__)
@pytest.mark.parametrize("recorded", [False, True])
def test_a_page_says_which_layer_it_cannot_show(opened, build, recorded):
    layer, sentence = SENTENCES[build]
    page = opened(explore.layers(build(), IMAGES), f"#layer={layer}", recorded=recorded)
    page.waits_for(".top span", sentence)
    page.slide("layer", 0)
    page.waits_for(".top span", "26×26 · min ")
    assert page.complaints == []


@pytest.mark.parametrize("first", [torch.tensor(3), torch.tensor(3 + 0j)], ids=["whole", "complex"])
def test_the_first_parameter_may_be_whole_or_complex(first):
    def way(net, x):
        return net.fc(torch.relu(net.conv(x / net.scale.real)).mean((2, 3)))

    layers = {"conv": nn.Conv2d(1, 4, 3), "fc": nn.Linear(4, 3)}
    model = Layered(way, scale=nn.Parameter(first, requires_grad=False), **layers)
    with torch.no_grad():
        expected = model.conv(IMAGES[:1] / 3)[0]
    shown = explore.pixel(model, IMAGES).recording()["conv"].output[0]
    torch.testing.assert_close(shown, expected)


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda explorer: explorer.__name__)
def test_a_state_with_odd_names_opens_again(explorer):
    model = oddly_named()
    for name, _ in model.named_children():
        one = explorer(model, IMAGES, state=f"layer={explore_quoted(name)}")
        other = explorer(model, IMAGES, state=one.state)
        assert one.state == other.state


def explore_quoted(name):
    """A name as a shell would want it."""
    import shlex

    return shlex.quote(name)


def test_a_state_without_its_second_quotation_mark_is_told():
    with pytest.raises(ValueError, match="a quotation mark without its partner"):
        explore.pixel(oddly_named(), IMAGES, state="layer='my layer")


# --- What is too much ----------------------------------------------------------------------


def test_a_huge_image_is_told_before_it_costs_anything():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    huge = torch.zeros(1, 3, 4000, 4000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for explorer in (*EXPLORERS, explore.convolution, lambda m, x: explore.compare([m], x)):
        with pytest.raises(ValueError, match=r"3×4000×4000 = 48,000,000: make them smaller, as in"):
            explorer(model, huge)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # kB


def test_a_layer_with_more_than_a_view_shows_says_so_and_the_others_are_shown():
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(1024, 3)
    )
    large = torch.rand(1, 1, 1000, 1000)
    sentence = "0 has 60 MB of maps, and a view shows 50 MB at most: give the network smaller"
    for explorer in EXPLORERS:
        with pytest.raises(ValueError, match=sentence):
            explorer(model, large, state="layer=0").figure()
        assert explorer(model, large, state="layer=1").figure()
    view = explore.layers(model.append(Rolled()), large)
    made = view._canvas.made
    assert sentence in made["says"]["0"]
    assert sum(len(stage["values"]) for stage in made["stages"].values()) < 5 << 20


class Rolled(nn.Module):
    """A layer that no page can compute."""

    def forward(self, x):
        return torch.cumsum(x, 1)


# --- Whose classes -------------------------------------------------------------------------


@pytest.fixture
def animals():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 26 * 26, 3)).eval()


def winners(model):
    with torch.no_grad():
        return [CLASSES[answer] for answer in model(IMAGES).argmax(1)]


@pytest.mark.parametrize("label", [None, 1.5, float("nan"), float("inf")])
def test_a_label_that_is_no_class_at_all_is_told(label):
    images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    with pytest.raises(ValueError, match=f"whole numbers or names of classes, but one was {label}"):
        explore.layers(models.build("mlp", seed=0), images, [0, label])


def test_labels_may_be_names(animals):
    winner = winners(animals)[0]
    view = explore.compare([animals], IMAGES, ["cat", "dog"], classes=CLASSES)
    verdict = "right" if winner == "cat" else "wrong"
    assert view.frame().says == f"Sequential: {winner}, {verdict}"
    view = explore.switch_off(animals, IMAGES, ["cat", "dog"], classes=CLASSES)
    assert view.labels == [0, 1]


def test_a_network_may_bring_its_classes(animals):
    animals.classes = tuple(CLASSES)
    assert winners(animals)[0] in explore.compare([animals], IMAGES).frame().says
    assert explore.switch_off(animals, IMAGES).answer.startswith(f"read as {winners(animals)[0]}")


def test_a_network_keeps_the_names_that_it_was_trained_with():
    mlp, names = models.build("mlp", seed=0), [f"digit {number}" for number in range(10)]
    explore.training(mlp, data.load("digits"), classes=names)
    says = explore.compare([mlp], data.load("digits").test.images[:1]).frame().says
    assert says.startswith("mlp: digit ")


@pytest.mark.parametrize("explorer", [explore.layers, explore.switch_off, explore.compare])
def test_classes_and_labels_that_do_not_fit_are_told(animals, explorer):
    with pytest.raises(ValueError, match="one name for each of the network's 3 classes, but"):
        explorer(animals, IMAGES, classes=["cat", "dog"])
    with pytest.raises(TypeError, match="classes must be a list of names, such as"):
        explorer(animals, IMAGES, classes="cat")
    with pytest.raises(ValueError, match="no class is called 'cow'; the classes are cat, dog, <b"):
        explorer(animals, IMAGES, ["cat", "cow"], classes=CLASSES)
    with pytest.raises(ValueError, match="the classes have no names: give classes="):
        explorer(animals, IMAGES, ["cat", "dog"])
    for labels, wrong in ([1, 3], "3"), ([-1, 0], "-1"):
        words = (
            f"of the network's 3 classes, from 0 to 2, but had {wrong}; where yours begin with 1"
        )
        with pytest.raises(ValueError, match=words):
            explorer(animals, IMAGES, labels, classes=CLASSES)


def test_of_one_score_a_label_may_be_yes_or_no():
    one = nn.Sequential(nn.Flatten(), nn.Linear(IMAGES[0].numel(), 1))
    assert explore.layers(one, IMAGES, [0, 1]).labels == [0, 1]


OVERLAPS = """() => [...document.querySelectorAll(".class")].filter((row) => {
  const range = document.createRange(), [name, bar] = row.children;
  range.selectNodeContents(name);
  return range.getBoundingClientRect().right > bar.getBoundingClientRect().left
    && name.scrollWidth <= name.clientWidth;
}).length"""


@pytest.mark.browser
def test_of_many_classes_the_ten_likeliest_stand_beside_their_bars(opened):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 26 * 26, 400)).eval()
    page = opened(explore.layers(model, IMAGES))
    with torch.no_grad():
        likeliest = model(IMAGES[:1])[0].sort(descending=True)
    assert list(page.scores()) == [str(number) for number in likeliest.indices[:10].tolist()]
    page.reads(likeliest.values[:10])
    assert page.page.evaluate(OVERLAPS) == 0


@pytest.mark.browser
def test_a_page_says_the_names_of_answer_and_label(animals, opened):
    page = opened(explore.layers(animals, IMAGES, ["dog", "cat"], classes=CLASSES))
    said = page.text(".answer")
    assert said.startswith(f"It reads {winners(animals)[0]} ")
    assert said.endswith("; label dog")
    assert list(page.scores()) == CLASSES
    assert page.text(".class.label .name") == "dog"


def test_answers_for_print_have_names():
    chances = [0.2, 0.5, 0.3]
    figure = plots.answers({"net": chances}, label=0, classes=CLASSES)
    [axes] = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["→ cat", *CLASSES[1:]]
    assert axes.get_title(loc="left") == "net: dog"
    [axes] = plots.probabilities(chances, classes=CLASSES).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == CLASSES


# --- Whose images --------------------------------------------------------------------------


def signal_network():
    return nn.Sequential(
        nn.Conv1d(1, 4, 5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(124, 3)
    ).eval()


def test_signals_are_shown_as_curves():
    model = signal_network()
    view = explore.switch_off(model, SIGNALS, state="layer=0 channel=3 strength=0")
    curve = view.recordings.pictures[0][..., 0]
    assert curve.shape[1] == 128
    # The curve passes each value's row, and the first row is the greatest value.
    signal = SIGNALS[0, 0].numpy()
    places = (signal.max() - signal) / (signal.max() - signal.min()) * (len(curve) - 1)
    assert (curve[places.round().astype(int), np.arange(128)] == 255).all()
    assert curve[0].argmax() == signal.argmax()
    with torch.no_grad():
        expected = model[0](SIGNALS[:1])[0]
    maps = view.recording()["0"].output[0]
    assert (maps[3] == 0).all()
    torch.testing.assert_close(maps[:3], expected[:3])


def test_a_value_of_a_signal_has_a_place():
    view = explore.pixel(signal_network(), SIGNALS, state="layer=1 channel=2 row=0 col=7")
    assert "layer=1 channel=2 pixel=0,7" in view.state
    assert view.figure()


REFUSED = {
    "colours last": (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "images.permute(0, 3, 1, 2)"),
    "colours": (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "images.float() / 255"),
    "no channel": (torch.zeros(2, 8, 8), "add the channel axis with images[:, None]"),
    "video": (torch.zeros(2, 3, 4, 8, 8), "choose one moment, images[:, :, 0]"),
    "none": (torch.zeros(0, 1, 8, 8), "images must have at least one image, but were empty"),
    "two": ((torch.zeros(2, 1, 8, 8), torch.zeros(2, 5)), "a network with several inputs needs"),
}


@pytest.mark.parametrize("images", REFUSED.values(), ids=REFUSED)
def test_images_of_another_shape_are_told_what_helps(images):
    values, help_ = images
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(3))
    for explorer in (*EXPLORERS, explore.compare):
        with pytest.raises(ValueError, match=re.escape(help_)):
            explorer(model, values)


def test_a_network_with_two_inputs_is_told_what_helps():
    class Two(nn.Module):
        def forward(self, one, other):
            return one + other

    with pytest.raises(ValueError, match="put a module around it that holds its other inputs"):
        explore.layers(Two(), IMAGES)


# --- Nothing yet ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", [5, ["a"], b"layer=conv1", {"layer": "conv1"}])
def test_a_state_that_is_no_text_is_told(state):
    with pytest.raises(TypeError, match="state is text, such as 'layer=conv2', but was"):
        explore.layers(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8), state=state)


@pytest.mark.parametrize("explorer", [explore.layers, explore.pixel, explore.switch_off])
def test_a_network_without_numbers_is_told(explorer):
    with pytest.raises(ValueError, match="model is on the device meta, without numbers"):
        explorer(nn.Conv2d(1, 2, 3, device="meta"), torch.zeros(1, 1, 8, 8))


class Penalty(nn.Module):
    def forward(self, x):
        h = x.requires_grad_().square()
        return torch.autograd.grad(h.sum(), x)[0].flatten(1)


def test_a_network_that_needs_gradients_is_not_said_to_want_another_size():
    with pytest.raises(ValueError, match="run the model inside `listen`$"):
        explore.layers(Penalty(), torch.zeros(1, 1, 8, 8))
