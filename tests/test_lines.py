"""Lines over even places, and answers side by side: by their data, their words and their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizlib import plots


def test_lines_stand_where_their_values_belong():
    series = {"LeNet": [0.9, np.nan, 0.99], "MLP": torch.tensor([0.8, 0.85, 0.97, 0.96])}
    figure = plots.lines(series, along="size", start=0.5, step=0.1, at=2, title="who survives")
    [axes] = figure.axes
    lenet, mlp, mark = axes.lines
    np.testing.assert_allclose(lenet.get_xdata(), [0.5, 0.7])
    np.testing.assert_allclose(mlp.get_xdata(), [0.5, 0.6, 0.7, 0.8])
    np.testing.assert_allclose(mlp.get_ydata(), series["MLP"])
    np.testing.assert_allclose(lenet.get_ydata(), [0.9, 0.99])
    assert set(mark.get_xdata()) == {0.7}
    assert lenet.get_color() != mlp.get_color()
    assert lenet.get_linestyle() != mlp.get_linestyle()
    assert [text.get_text() for text in axes.get_legend().texts] == ["LeNet", "MLP"]
    assert axes.get_xlabel() == "size"


def test_the_axis_has_room_for_what_was_not_measured():
    [axes] = plots.lines({"validation": [np.nan, 0.5, 0.75]}, percent=True, ends=(0, 1)).axes
    np.testing.assert_allclose(axes.get_xlim(), [0, 2], atol=0.1)
    np.testing.assert_allclose(axes.get_ylim(), [0, 1], atol=0.1)
    assert axes.yaxis.get_major_formatter()(0.5) == "50 %"
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_over_many_powers_of_ten_an_axis_has_few_marks():
    [axes] = plots.lines({"loss": [1, 1e-19]}, scale="log").axes
    marks = np.log10(axes.get_yticks())
    assert 4 <= len(marks) <= 8
    np.testing.assert_allclose(np.diff(marks, n=2), 0, atol=1e-9)


def test_by_factors_equal_steps_are_equal_factors():
    """Of the values, or of what shares lack to 1; what has no logarithm lies on the edge."""
    for scale, values in (("log", [1, 0.1, 0.01, 0]), ("errors", [0, 0.9, 0.99, 1])):
        figure = plots.lines({"a": values}, scale=scale, percent=scale == "errors")
        [axes] = figure.axes
        heights = axes.transData.transform([(0, value) for value in values])[:, 1]
        first, second = np.diff(heights[:3])
        assert first == pytest.approx(second)
        low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
        assert heights[3] == pytest.approx(low if scale == "log" else high)
        written = [text.get_text() for text in axes.get_yticklabels()]
        assert {"0.1", "1"} <= set(written) or {"0 %", "90 %", "99 %"} <= set(written)
        np.testing.assert_allclose(axes.lines[0].get_ydata(), values)


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [np.nan]}])
def test_lines_of_nothing_are_refused(series):
    with pytest.raises(ValueError, match="no number to draw in (a|no series at all)"):
        plots.lines(series)


def test_each_network_has_its_column_of_bars():
    given = {"LeNet": [0.1, 0.7, 0.2], "MLP": torch.tensor([0.5, 0.4999, 0.0001])}
    figure = plots.answers(given, label=1)
    for axes, (name, chances) in zip(figure.axes, given.items(), strict=True):
        bars = axes.patches
        np.testing.assert_allclose([bar.get_width() for bar in bars], chances, atol=1e-6)
        winner = int(torch.as_tensor(chances).argmax())
        assert axes.get_title("left") == f"{name}: {winner}"
        colours = [bar.get_facecolor() for bar in bars]
        assert colours.count(colours[winner]) == 1
        labels = axes.get_yticklabels()
        assert [label.get_text() for label in labels] == ["P0", "→ P1", "P2"]
        assert [label.get_weight() == "bold" for label in labels] == [False, True, False]
    assert [text.get_text() for text in figure.axes[1].texts] == ["0.500", "0.500", "<0.001"]
    # The first class is at the top, and the bar is as long as its share.
    low, high = figure.axes[0].get_ylim()
    assert low > high


def test_of_many_classes_the_likeliest_of_the_first_are_drawn():
    chances = np.arange(40) / 780
    [first, second] = plots.answers({"a": chances, "b": chances[::-1]}).axes
    expected = [f"P{k}" for k in range(39, 29, -1)]
    for axes in (first, second):
        assert [label.get_text() for label in axes.get_yticklabels()] == expected
    np.testing.assert_allclose([bar.get_width() for bar in second.patches], np.arange(10) / 780)
    assert second.get_title("left") == "b: 0"


@pytest.mark.parametrize("given", [{}, {"a": []}, {"a": [0.5, 0.5], "b": [1.0]}])
def test_answers_must_be_about_the_same_classes(given):
    with pytest.raises(ValueError, match="the same classes from every network, but had"):
        plots.answers(given)


def test_the_winner_is_dark_in_the_picture():
    pixels = plots.answers({"net": np.eye(10)[3]}).pixels()[..., :3].astype(int)
    blue = (np.abs(pixels - [0x00, 0x72, 0xB2]).sum(-1) < 12).sum(1)
    rows = np.flatnonzero(blue > blue.max() / 2)
    assert blue.max() > 100
    assert len(rows) == rows[-1] - rows[0] + 1
    # It is the fourth of ten rows.
    assert 0.25 < rows.mean() / len(pixels) < 0.5
