"""A slow network computes in a thread of its own, or in the page's where none is allowed."""

from __future__ import annotations

import pytest
import torch
from pages import Page
from torch import nn

from vizlib import capture, data, explore, weights

pytestmark = pytest.mark.browser

DIGITS = data.load("digits").test
INPUTS = data.normalize(DIGITS.images[:10])
# Counts what is sent to the other thread and what comes back.
SPY = """
window.sent = [], window.heard = [];
if (window.Worker) window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => window.heard.push(data.name));
  }
  postMessage(message, given) {
    window.sent.push(message.stop ? "stop" : message.name ?? Object.keys(message)[0]);
    super.postMessage(message, given);
  }
};"""
REFUSED = {
    "a policy": ("", "<meta http-equiv=Content-Security-Policy content=\"worker-src 'none'\">"),
    "an error": ("window.Worker = class { constructor() { throw new Error('no'); } };", ""),
    "none": ("delete window.Worker;", ""),
}


@pytest.fixture(scope="module")
def newnet():
    return weights.load("newnet")


@pytest.fixture
def shown(browser, tmp_path, monkeypatch):
    """Open a view in a page whose scripts are watched, after `script` and with `head` in it."""
    monkeypatch.setattr("vizlib.explore._contents._QUICK", 2_000_000)
    contexts = []

    def shown(view, address="", script="", head=""):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 720}))
        page = contexts[-1].new_page()
        page.add_init_script(script + SPY)
        path = view.to_html(tmp_path / "page.html")
        text = path.read_text("utf-8").replace("<meta", head + "<meta", 1)
        path.write_text(text.replace("view.render(", "window.ending = view.render("), "utf-8")
        return Page(page, path, address, allowed="Content Security Policy")

    yield shown
    for context in contexts:
        context.close()


def scores_of(model, x, changes=None):
    with capture.edit(model, changes or {}), torch.no_grad():
        return model(x)[0]


def heard(page, name):
    return page.page.evaluate("(name) => window.heard.filter((each) => each === name).length", name)


def test_a_slow_network_has_a_thread_of_its_own(shown, newnet):
    page = shown(explore.layers(newnet, DIGITS.images[:10]), "#layer=features.3&channel=2&image=1")
    assert len(page.page.workers) == 1
    x = INPUTS[4:5]
    page.button("image 4")
    page.reads(scores_of(newnet, x))
    assert heard(page, "answer")
    page.slide("strength", 0)
    without = scores_of(newnet, x, {"features.3": {2: 0.0}})
    page.reads(without)
    page.slide("strength", 1)
    score = float(without[scores_of(newnet, x).argmax()])
    page.waits_for(".needs p:last-child", f"without 2: {score:.2f}".replace("-", "−"))
    assert heard(page, "needs")
    assert page.page.evaluate("window.sent.filter((name) => name === 'tensors').length") == 1
    assert [each[:5] for each in page.requests] == ["file:", "blob:"]
    assert page.complaints == []


def test_a_quick_network_has_none(shown):
    page = shown(explore.layers(weights.load("lenet"), DIGITS.images[:2]))
    assert page.page.workers == []


@pytest.mark.parametrize("how", REFUSED)
def test_a_page_that_allows_no_thread_computes_itself(shown, newnet, how):
    script, head = REFUSED[how]
    page = shown(explore.layers(newnet, DIGITS.images[:10]), script=script, head=head)
    assert page.page.workers == []
    page.button("image 7")
    page.reads(scores_of(newnet, INPUTS[7:8]))
    assert heard(page, "answer") == 0


def test_of_questions_that_wait_the_last_is_answered(shown, newnet):
    page = shown(explore.layers(newnet, DIGITS.images[:10]))
    before = heard(page, "answer")
    page.page.evaluate(
        "() => document.querySelectorAll('.samples button').forEach((button) => button.click())"
    )
    page.reads(scores_of(newnet, INPUTS[9:10]))
    assert heard(page, "answer") - before == 2  # the first one, and the last


def test_a_view_that_is_closed_ends_its_thread(shown, newnet):
    page = shown(explore.layers(newnet, DIGITS.images[:2]))
    (worker,) = page.page.workers
    with worker.expect_event("close"):
        page.page.evaluate("async () => (await window.ending)()")
    assert page.page.workers == []


class Shifted(nn.Module):
    """Has a layer that gives the network's own weights as they are."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 64, 7)
        self.more = nn.Conv2d(64, 4, 3)
        self.shift = nn.Parameter(torch.arange(4.0).reshape(1, 4, 1, 1))
        self.same = nn.Identity()
        self.out = nn.Linear(4 * 20 * 20, 3)

    def forward(self, x):
        x = self.more(self.conv(x)) + self.same(self.shift)
        return self.out(x.flatten(1))


def test_the_weights_stay_where_they_are(shown):
    torch.manual_seed(0)
    model = Shifted().eval()
    page = shown(explore.layers(model, DIGITS.images[:3]))
    assert len(page.page.workers) == 1
    for image in (1, 2, 0):
        page.button(f"image {image}")
        page.reads(scores_of(model, INPUTS[image : image + 1]))
    assert heard(page, "answer") == 3
    assert page.complaints == []
