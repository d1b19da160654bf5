"""Names come from outside: whatever they are, no script of theirs runs and the view is drawn."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch import nn

from vizlib import explore, models
from vizlib.history import History

# Each name tries another way out of where a page writes it.
NAMES = {
    "image": "<img src=x onerror='document.documentElement.dataset.ran=1'>",
    "script": "</script><script>document.documentElement.dataset.ran=1</script>",
    "title": "</title><script>document.documentElement.dataset.ran=1</script>",
    "heading": "</h1><svg onload='document.documentElement.dataset.ran=1'>",
    "comment": "<!--<script>",
    "quotes": """"'`);document.documentElement.dataset.ran=1;//\\""",
    "template": "$title ${state} %s {0} $$",
    "lines": "a\nb\r\u2028c\u2029",
    "surrogate": "\ud800 \udc80",
    "nul": "a\x00b",
    "chinese": "卷积层",
    # Names that every object of JavaScript has already.
    "constructor": "constructor",
    "prototype": "__proto__",
}
PAINTED = "() => [...document.querySelectorAll('.view canvas')].some(({ width }) => width > 10)"
RAMP = torch.arange(64.0).reshape(1, 1, 8, 8) / 64


def network(name):
    """A network whose name, class and layers are called so."""
    made = type(plain(name), (nn.Sequential,), {})()
    made.add_module(name.replace(".", ""), nn.Conv2d(1, 2, 3))
    made.add_module("flat", nn.Flatten())
    made.add_module(f"last{name.replace('.', '')}", nn.Linear(72, 3))
    return made


def plain(name):
    """A name that Python takes for a class."""
    return name.replace("\x00", "").encode("utf-8", "ignore").decode()


def views(name):
    """One view of each explorer with the name wherever one can be."""
    model = network(name)
    named = network(name)
    named.name = name
    past = History(network=name, snapshots={0: models.build("mlp", seed=0).state_dict()})
    yield explore.layers(model, RAMP)
    yield explore.layers(named, RAMP)
    yield explore.compare({name: model, "other": named}, RAMP)
    yield explore.pixel(named, RAMP)
    yield explore.switch_off(named, RAMP)
    yield explore.convolution(named, RAMP)
    yield explore.epochs(past, torch.zeros(28, 28), model=models.build("mlp", seed=0))


def check_page(page, view, path):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url))
    page.goto(view.to_html(path, recorded=True).as_uri())
    page.wait_for_function(PAINTED)
    assert "(" in page.title(), view
    page.goto(view.to_html(path).as_uri())
    page.wait_for_function(PAINTED)
    assert page.evaluate("() => document.documentElement.dataset.ran") is None, view
    assert complaints == [path.as_uri()] * 2, view


@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_name_runs_in_a_page(browser, tmp_path, name):
    page = browser.new_page()
    [view] = itertools.islice(views(name), 1, 2)
    check_page(page, view, tmp_path / "page.html")
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("number", range(2, 7))
def test_no_name_runs_in_the_page_of_any_explorer(browser, tmp_path, number):
    page = browser.new_page()
    [view] = itertools.islice(views(" ".join(NAMES.values())), number, number + 1)
    check_page(page, view, tmp_path / "page.html")
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_a_layer_may_be_called_as_all_objects_are_where_it_is_switched_off(browser, tmp_path, name):
    page = browser.new_page()
    check_page(page, explore.switch_off(network(name), RAMP), tmp_path / "page.html")
    page.close()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_can_be_sent_and_written(name):
    for view in itertools.islice(views(name), 3):
        f"{view} {view.state}".encode()
        for part in (view, *view.children, *view.children[0].children):
            json.dumps(part.get_state(), ensure_ascii=False, default=str).encode()


def test_a_dollar_in_a_name_is_no_formula():
    for view in views("$x ${y} $$"):
        assert view.figure()
