"""Of many channels the strongest come first, in pages; the order is torch's."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from vizlib import capture, data, explore, plots, weights

pytestmark = pytest.mark.browser

DIGITS = data.load("digits").test
INPUTS = data.normalize(DIGITS.images[:10])
# Goes over the picture, and tells where each channel of a layer is pointed at.
POINTED = """(canvas, layer) => {
  const box = canvas.getBoundingClientRect(), found = {};
  for (let y = 2; y < box.height; y += 3)
    for (let x = 2; x < box.width; x += 3) {
      canvas.title = "";
      const at = { clientX: box.left + x, clientY: box.top + y };
      canvas.dispatchEvent(new PointerEvent("pointermove", at));
      const [name, channel] = canvas.title.split(/, |: /);
      if (name === layer) (found[channel] ??= []).push([x, y]);
    }
  return found;
}"""


def peaks(model, x, layer):
    return capture.record(model, x)[layer].output[0].abs().amax((1, 2))


def page_of(page):
    """The channels that are seen, as the picture says, and where one stands."""
    said = page.label(".picture")
    seen = re.search(r"strongest first: ([\d, ]+)", said)
    at = int(re.search(r"channel (\d+)", page.text(".top b"))[1])
    return [int(each) for each in seen[1].split(", ")] if seen else None, at


@pytest.fixture(scope="module")
def newnet():
    return weights.load("newnet")


def test_all_channels_come_in_pages_the_strongest_first(opened, newnet):
    page = opened(explore.layers(newnet, DIGITS.images[:2]), "#layer=features.7&channel=5")
    assert page_of(page) == (None, 5)
    page.page.get_by_role("switch", name="strongest first").click()
    page.settle()
    found, strength = [], peaks(newnet, INPUTS[:1], "features.7")
    for _ in range(64):
        seen, at = page_of(page)
        assert at in seen
        first, last = len(found) + 1, len(found) + len(seen)
        assert page.text(".strongest output") == f"{first}–{last} of 64 by largest |value|"
        found += seen
        if (
            page.page.get_by_role("button", name="next page").get_attribute("aria-disabled")
            == "true"
        ):
            break
        page.button("next page")
    assert sorted(found) == list(range(64))
    assert found[0] == strength.argmax()
    assert strength[found].diff().max() <= 1e-5
    page.page.get_by_role("switch", name="strongest first").click()
    page.settle()
    assert page_of(page)[0] is None
    assert page.complaints == []


def test_pages_are_turned_by_keys_and_by_the_slider(opened, newnet):
    page = opened(explore.layers(newnet, DIGITS.images[:2]), "#layer=features.7")
    page.page.get_by_role("switch", name="strongest first").focus()
    page.page.keyboard.press("Space")
    page.settle()
    first, _ = page_of(page)
    page.page.locator(".picture").focus()
    page.page.keyboard.press("PageDown")
    page.settle()
    second, _ = page_of(page)
    assert not {*first} & {*second}
    page.page.get_by_role("button", name="previous page").focus()
    page.page.keyboard.press("Enter")
    page.settle()
    assert page_of(page) == (first, first[0])
    page.slide("channel", second[3])
    assert page_of(page) == (second, second[3])
    page.button("image 1")
    with torch.no_grad():
        page.reads(newnet(INPUTS[1:2])[0])
    strength = peaks(newnet, INPUTS[1:2], "features.7")
    seen, at = page_of(page)
    assert at == second[3]
    assert at in seen
    assert strength[seen].diff().max() <= 1e-5


def test_each_map_is_that_of_the_channel_that_is_named(opened):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 30, 1, bias=False))
    model.load_state_dict({"0.weight": (torch.randperm(30) - 14.6).reshape(30, 1, 1, 1)})
    page = opened(explore.layers(model, torch.ones(1, 1, 6, 6)))
    page.page.get_by_role("switch", name="strongest first").click()
    page.settle()
    seen, _ = page_of(page)
    values = model[0].weight.detach().flatten()
    assert seen == values.abs().sort(descending=True).indices[: len(seen)].tolist()
    pointed = page.page.locator(".picture").evaluate(POINTED, "0")
    colours = plots.colours(values.numpy(), float(values.abs().max())).tolist()
    middle = {int(channel): places[len(places) // 2] for channel, places in pointed.items()}
    assert {*middle} == {*seen}
    for channel in seen[1:]:
        x, y = middle[channel]
        assert page.pixel(".picture", x, y) == colours[channel]
    x, y = middle[seen[2]]
    page.page.locator(".picture").click(position={"x": x, "y": y})
    page.settle()
    assert page_of(page) == (seen, seen[2])


def test_where_all_can_be_seen_there_is_nothing_to_choose(opened):
    page = opened(explore.layers(weights.load("lenet"), DIGITS.images[:2]), "#layer=conv2")
    assert not page.page.get_by_role("switch", name="strongest first").is_visible()
