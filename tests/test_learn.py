"""The fold in which a network learns, in a page and held against torch.optim.SGD."""

from __future__ import annotations

import copy

import pytest
import torch
from pages import number
from test_program import Attention
from torch import nn
from torch.nn import functional as F

from vizlib import capture, data, explore, weights

pytestmark = pytest.mark.browser

DIGITS = data.load("digits").test
INPUTS = data.normalize(DIGITS.images[:10])
LABELS = DIGITS.labels[:10].tolist()
RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]


@pytest.fixture(scope="module")
def lenet():
    return weights.load("lenet")


@pytest.fixture
def learning(opened):
    """Open the view of a model with its fold open, perhaps at another rate."""

    def learning(model, fragment="", rate=0.001, **more):
        page = opened(explore.layers(model, DIGITS.images[:10], LABELS), fragment, **more)
        page.page.locator(".learn summary").click()
        page.slide("rate", RATES.index(rate))
        return page

    return learning


def step(page, count, label=None):
    if label is not None:
        page.page.locator(".learn select").select_option(str(label))
    page.button("One step")
    page.waits_for(".told", f"Step {count}: ")


def taught(model, x, label, rate, steps=1):
    """A copy after some steps of torch's own, the losses before each and after, and the scores."""
    model = copy.deepcopy(model).eval()
    optimizer, losses = torch.optim.SGD(model.parameters(), rate), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), torch.tensor([label]))
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    with torch.no_grad():
        losses.append(F.cross_entropy(model(x), torch.tensor([label])).item())
        return model, losses, model(x)[0]


def sum_of(page, name):
    """The numbers of old − rate × gradient = new, and how many decimals the outer ones have."""
    root = page.page.locator(".weight .addition").filter(has_text=f"old {name}")
    texts = [text.strip("()") for text in root.locator("b").all_inner_texts()]
    return [number(text) for text in texts], len(texts[0].split(".")[1])


def check_sum(page, name, before, slope, after, rate):
    """The sum adds up as it is written, and each of its numbers is torch's."""
    before, slope, after = (each.item() for each in (before, slope, after))
    (old, by, steep, new), decimals = sum_of(page, name)
    unit = 10**-decimals
    assert by == rate
    assert abs(old - by * steep - new) <= 0.501 * unit
    assert abs(old - before) <= 0.51 * unit
    assert abs(new - after) <= 0.51 * unit + 2e-7 * abs(after)
    assert abs(by * (steep - slope)) <= 0.3 * unit
    assert abs(by * steep) >= 50 * unit  # the step is seen


def test_a_step_turns_the_answer_and_every_layer(learning, lenet):
    page, x = learning(lenet, "#image=4", rate=0.002), INPUTS[4:5]
    before = int(lenet(x)[0].argmax())
    label = int(lenet(x)[0].detach().argsort()[-2])
    learnt, losses, scores = taught(lenet, x, label, 0.002)
    assert int(scores.argmax()) == label != before
    step(page, 1, label)
    assert f"answer {before} → {label}" in page.text(".told")
    shown = [
        float(each) for each in page.text(".told").split(";")[0].split("loss ")[1].split(" → ")
    ]
    assert shown == pytest.approx(losses, abs=0.006)
    page.reads(scores)
    other = torch.randn(1, 1, 28, 28)
    made = page.page.evaluate(
        """(values) => Object.entries(window.vizlib.stages(new Float32Array(values)))
          .map(([name, { values }]) => [name, [...values]])""",
        other.flatten().tolist(),
    )
    for (name, values), stage in zip(made, capture.record(learnt, other).values(), strict=True):
        expected = stage.output.flatten()
        apart = (torch.tensor(values) - expected).abs().max()
        assert float(apart) <= 1e-5 * float(expected.abs().max()), name
    step(page, 2)
    page.button("As it was")
    page.reads(lenet(x)[0].detach())
    assert page.text(".told") == ""
    assert page.complaints == []
    assert page.requests == [page.page.url.split("#")[0]]


@pytest.mark.parametrize(
    ("name", "layer", "channel", "term"),
    [
        ("lenet", "conv1", 2, 0),
        ("lenet", "conv2", 5, 3),
        ("lenet", "fc2", 7, 0),
        ("mlp", "linear3", 8, 0),
    ],
)
def test_old_less_rate_times_gradient_is_new(learning, name, layer, channel, term):
    model, rate = weights.load(name), 0.005
    page = learning(model, f"#layer={layer}&channel={channel}&image=3", rate)
    once, *_ = taught(model, INPUTS[3:4], 8, rate)
    twice, *_ = taught(model, INPUTS[3:4], 8, rate, steps=2)
    if term:
        page.page.locator(".terms button").nth(term).click()
    step(page, 1, 8)
    step(page, 2)
    old, new = (getattr(each, layer).weight.detach()[channel] for each in (once, twice))
    slope = getattr(twice, layer).weight.grad[channel]
    if old.dim() > 1:
        old, new, slope = (each[term].flatten() for each in (old, new, slope))
    for at in slope.abs().argsort()[[-1, -7]].tolist():
        page.slide("weight", at)
        check_sum(page, "weight", old[at], slope[at], new[at], rate)
    once, twice = (getattr(each, layer).bias for each in (once, twice))
    check_sum(page, "bias", *(each[channel] for each in (once, twice.grad, twice)), rate)


def test_a_weight_is_chosen_with_a_click(learning, lenet):
    page = learning(lenet, "#layer=conv2&channel=1")
    step(page, 1, 3)
    box = page.page.locator(".weight canvas").nth(1).bounding_box()
    page.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"])
    page.waits_for(".weight h2", "row 3, column 2")


def test_weights_of_norms_and_slopes_are_seen(learning):
    model, x = weights.load("newnet").eval(), INPUTS[:1]
    stages = capture.record(model, x)
    learnt, *_ = taught(model, x, 7, 0.01)
    page = learning(model, rate=0.01)
    step(page, 1, 7)
    for kind in ("BatchNorm2d", "PReLU"):
        layer = next(name for name, stage in stages.items() if type(stage.module).__name__ == kind)
        before, after = (each.get_submodule(layer).weight for each in (model, learnt))
        at = int(after.grad.abs().argmax())
        page.page.evaluate(f"location.hash = 'layer={layer}&channel={at}'")
        page.waits_for(".weight h2", f"{layer}, channel {at}: its weight")
        check_sum(page, "weight", before[at], after.grad[at], after[at], 0.01)


def test_the_weights_of_a_value_of_a_patch_are_those_of_its_unit(learning):
    torch.manual_seed(0)
    model = Attention().eval()
    page = learning(model, "#layer=read&channel=13&pixel=0,21", rate=0.05)
    step(page, 1, 7)
    after, *_ = taught(model, INPUTS[:1], 7, 0.05)
    for layer, place in (("read", 21), ("norm", 5)):
        page.page.evaluate(f"location.hash = 'layer={layer}&channel=13&pixel=0,{place}'")
        page.waits_for(".weight h2", f"{layer}, ")
        for part in ("weight", "bias"):
            own = [getattr(each.get_submodule(layer), part) for each in (model, after)]
            before, slope, new = (each[place] for each in (own[0], own[1].grad, own[1]))
            at = int(slope.abs().argmax()) if slope.dim() else ...
            check_sum(page, part, *(each.detach()[at] for each in (before, slope, new)), 0.05)


def test_a_step_goes_on_with_what_is_weaker(learning, lenet):
    page, x = learning(lenet, "#layer=relu2&channel=3"), INPUTS[:1]
    page.slide("strength", 0)
    step(page, 1, 5)
    model = copy.deepcopy(lenet).eval()
    with capture.edit(model, {"relu2": {3: 0.0}}):
        F.cross_entropy(model(x), torch.tensor([5])).backward()
        torch.optim.SGD(model.parameters(), 0.001).step()
        page.reads(model(x)[0].detach())


def test_weights_in_half_precision_learn(learning, lenet, monkeypatch):
    monkeypatch.setattr("vizlib.explore._contents.LARGEST", 150_000)
    page = learning(lenet)
    step(page, 1, 4)
    page.reads(taught(lenet, INPUTS[:1], 4, 0.001)[2], 0.05)


def test_a_layer_without_weights_says_so(learning, lenet):
    page = learning(lenet, "#layer=pool1&channel=1")
    step(page, 1, 4)
    assert page.text(".weight h2") == "pool1, channel 1: no weights that learn"
    assert not page.page.locator(".weight .row").is_visible()


class Shaped(nn.Module):
    """A convolution, and what a function makes of it."""

    def __init__(self, end, *, learns=True):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 3, stride=3).requires_grad_(requires_grad=learns)
        self.end = end

    def forward(self, x):
        return self.end(self.conv(x))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Shaped(lambda x: x.amax((2, 3))), "knows no way back through amax"),
        (Shaped(torch.sigmoid), "does not end in one score for each class"),
        (Shaped(lambda x: x.mean((2, 3)), learns=False), "has no weights that learn"),
        (Shaped(lambda x: torch.cumsum(x, 2).mean((2, 3))), "computed the way there itself"),
    ],
)
def test_why_a_network_cannot_learn_is_said(opened, model, why):
    page = opened(explore.layers(model, DIGITS.images[:2]))
    page.page.locator(".learn summary").click()
    assert why in page.text(".learn .quiet")
    assert page.page.locator(".learn button").count() == 0
    assert page.complaints == []


def test_an_empty_pad_shows_nothing_to_learn(opened, lenet):
    page = opened(explore.draw(lenet))
    page.page.locator(".learn summary").click()
    page.button("One step")
    page.waits_for(".told", "An empty pad")


@pytest.mark.parametrize("size", [(390, 844), (640, 360), (1280, 720), (1920, 1080)])
def test_an_open_fold_scrolls_nothing_sideways(learning, lenet, size):
    page = learning(lenet, "#layer=fc1", size=size)
    step(page, 1, 4)
    wide, here = page.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= here
    for track in page.page.locator(".learn input[type=range]").all():
        assert track.bounding_box()["width"] >= 120
