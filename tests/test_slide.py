"""A function of a student's own, on sliders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizlib import explore, plots


def squares(*, side, grey):
    return plots.images(np.full((side, side), grey, np.uint8))


def test_a_figure_is_seen_as_below_a_cell():
    view = explore.slide(squares, side=[8, 16], grey=[0, 100, 255], state="grey=100")
    for side in (8, 16):
        (panel,) = view.frame(side={8: 0, 16: 1}[side]).panels
        assert np.array_equal(panel.pixels, squares(side=side, grey=100).pixels()[..., :3])
    assert view.state == "side=8 grey=100"
    assert view.frame().says == "side 8, grey 100"


def test_every_place_gets_its_own_values():
    seen = []
    values = {"image": range(3), "rate": torch.tensor([0.1, 2.5]), "name": ["mlp", "lenet"]}
    view = explore.slide(lambda **place: seen.append(place), **values)
    seen.clear()
    assert view.frame(image=2, rate=1, name=1).says == "image 2, rate 2.5, name lenet"
    assert seen == [{"image": 2, "rate": 2.5, "name": "lenet"}]
    assert view.state == "image=0 rate=0.1 name=mlp"


def test_what_is_no_figure_is_written():
    view = explore.slide(lambda n: torch.arange(n).view(2, -1), n=[2, 6])
    assert view.frame(n=1).panels[0].lines == ["tensor([[0, 1, 2],", "        [3, 4, 5]])"]


@pytest.mark.parametrize(("makes", "lines"), [(None, ["3 squared:"]), (9, ["3 squared:", "9"])])
def test_what_is_printed_is_written_as_well(makes, lines):
    def square(n):
        print(n, "squared:")  # noqa: T201 - as students do
        return makes

    assert explore.slide(square, n=[3]).frame().panels[0].lines == lines


def test_an_error_comes_through_at_first_and_is_written_later():
    view = explore.slide(lambda x: 6 / x, x=[3, 0])
    assert view.frame().panels[0].lines == ["2.0"]
    assert view.frame(x=1).panels[0].lines == ["ZeroDivisionError: division by zero"]
    with pytest.raises(ZeroDivisionError):
        explore.slide(lambda x: 6 / x, x=[0, 3])
    with pytest.raises(TypeError, match="unexpected keyword argument 'angle'"):
        explore.slide(squares, angle=[3])


@pytest.mark.parametrize(
    ("function", "sliders", "kind", "said"),
    [
        (3, {"x": [1]}, TypeError, "slide needs a function, but got a int: give its name"),
        (str, {}, ValueError, "there is nothing to slide: give values, such as image=range"),
        (str, {"x": 3}, TypeError, "the slider x needs several values, .* but got 3"),
        (str, {"x": "abc"}, TypeError, "the slider x needs several values, .* but got 'abc'"),
        (str, {"x": []}, ValueError, "the slider x has no values: give one at least"),
        (str, {"frames": [1]}, ValueError, "no slider can be called frames: choose another"),
    ],
)
def test_what_cannot_slide_is_told(function, sliders, kind, said):
    with pytest.raises(kind, match=said):
        explore.slide(function, **sliders)


def test_it_prints_and_writes_a_page(tmp_path):
    view = explore.slide(squares, side=[8, 16], grey=[0, 255])
    assert np.array_equal(view.figure().pixels(), squares(side=8, grey=0).pixels())
    assert explore.slide(str, object=["3\n4"]).figure().axes[0].texts[0].get_text() == "3\n4"
    page = view.to_html(tmp_path / "page.html").read_text()
    assert "slide(2 sliders)" in page


def test_more_pictures_than_a_page_holds_are_told_before_they_are_drawn(tmp_path):
    drawn = []
    view = explore.slide(
        lambda grey: drawn.append(grey) or squares(side=8, grey=grey), grey=range(99)
    )
    drawn.clear()
    with pytest.raises(ValueError, match=r"would hold 99 pictures, in all \d+ MB, and 16 MB at"):
        view.to_html(tmp_path / "page.html")
    assert set(drawn) == {0}


def test_an_argument_may_be_called_function():
    assert explore.slide(lambda function: function, function=["relu"]).state == "function=relu"


@pytest.mark.browser
@pytest.mark.parametrize("high", [400, 480])
def test_a_high_picture_fits_the_screen_with_its_sliders(opened, high):
    matrix = np.eye(10, dtype=int)
    view = explore.slide(lambda x: plots.confusion(x * matrix), x=[1, 2])
    canvas = opened(view, size=(1093, high)).page.locator(".picture canvas")
    box, own = canvas.bounding_box(), canvas.evaluate("(each) => [each.width, each.height]")
    assert own[1] > 450
    assert box["y"] + box["height"] <= high
    assert box["width"] / box["height"] == pytest.approx(own[0] / own[1], rel=0.01)
