"""The pictures of sums, curves and landscapes: what they say, and where their marks stand."""

import re

import numpy as np
import pytest
import torch
from figures import frames, hatched, panels, said, texts
from torch import nn

from vizlib import arithmetic, plots

IMAGE = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]
DPI = 140


def deep(channels=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(channels, 7, 7, generator=generator).double()
    weight = torch.randn(2, channels, 3, 3, generator=generator).double()
    return x, arithmetic.conv2d_step(x, weight, [0.5, -0.25], row=2, col=3, channel=1)


# --- Convolution ---------------------------------------------------------------------------


def test_every_number_of_the_worked_example_is_printed():
    step = arithmetic.conv2d_step(IMAGE, KERNEL, row=0, col=0)
    found = texts(plots.convolution(step))
    cells = [text for text in found if re.fullmatch(r"\d+", text)]
    patch, kernel = [3, 3, 2, 2, 3, 2, 3, 3, 2], [0, 1, 2, 2, 2, 0, 0, 1, 2]
    products = [a * b for a, b in zip(patch, kernel, strict=True)]
    assert cells == [str(number) for number in patch + kernel + products]
    sum_of_them = " + ".join(f"{a}·{b}" for a, b in zip(patch, kernel, strict=True))
    assert f"{sum_of_them} = 24" in " ".join(found).replace("\u00a0", " ")


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 2), (2, 1)])
def test_the_frame_lies_where_the_kernel_does(row, col):
    step = arithmetic.conv2d_step(IMAGE, KERNEL, row=row, col=col)
    figure = plots.convolution(step, image=IMAGE)
    (whole, values) = next(panel for panel in panels(figure) if panel[1].shape == (5, 5))
    assert np.array_equal(values.data, IMAGE)
    side = whole[2] / 5
    expected = (whole[0] + col * side, whole[1] + row * side, 3 * side, 3 * side)
    assert np.allclose(frames(figure)[0], expected)


def test_the_frame_is_black_in_the_picture_itself():
    figure = plots.convolution(arithmetic.conv2d_step(IMAGE, KERNEL, row=1, col=2), image=IMAGE)
    left, top, width, height = (round(edge * DPI) for edge in frames(figure)[0])
    pixels = figure.pixels()[..., :3].astype(int)
    assert pixels[top + height // 3, left].max() < 80
    assert pixels[top, left + width // 3].max() < 80
    assert pixels[top + height, left + width // 3].max() < 80


def test_padding_is_hatched_in_the_patch_and_in_the_map():
    step = arithmetic.conv2d_step(IMAGE, KERNEL, row=0, col=0, padding=1)
    assert len(hatched(plots.convolution(step))) == 5
    whole = plots.convolution(step, image=IMAGE)
    assert len(hatched(whole)) == 5 + 11  # one row above and one column beside a map of 5×5
    assert "hatched: padding" in said(whole)
    plain = plots.convolution(arithmetic.conv2d_step(IMAGE, KERNEL, row=0, col=0))
    assert hatched(plain) == []
    assert "hatched" not in said(plain)


def test_of_many_channels_the_largest_are_drawn_and_the_rest_still_sum():
    _, step = deep()
    figure = plots.convolution(step)
    drawn = [int(n) for n in re.findall(r"channel (\d+): products", said(figure))]
    assert 1 < len(drawn) < 5
    assert drawn == step.channel_sums.abs().argsort(descending=True)[: len(drawn)].tolist()
    line = said(figure).replace(" | ", " ").replace("−", "-")
    named = re.findall(r"([+-]? ?[\d.]+) \((input \d+|\d+ others|bias)\)", line)
    names = [f"input {n}" for n in drawn]
    assert [name for _, name in named] == [*names, f"{64 - len(drawn)} others", "bias"]
    terms = [float(term.replace(" ", "")) for term, _ in named]
    assert sum(terms) == pytest.approx(step.total, abs=0.02)
    total = re.search(r"\(bias\) = (\S+)", line)[1]
    assert float(total) == pytest.approx(step.total, rel=1e-5)


def test_as_many_channels_are_drawn_as_fit():
    _, step = deep()
    figure = plots.convolution(step)
    assert figure.pixels().shape[0] < 1000


def test_sums_are_of_full_numbers_and_the_difference_is_printed():
    x = np.full((1, 3, 3), 1 / 3)
    step = arithmetic.conv2d_step(x, x[None], row=0, col=0)
    figure = plots.convolution(step, expected=step.total + 1e-7)
    # Nine products of .33 · .33 would be .98.
    assert "PyTorch: 1.0000001, here: 1, difference −1e−07" in said(figure)


@pytest.fixture(scope="module")
def trace():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Conv2d(2, 3, 3, padding=1)).eval()
    return arithmetic.trace(model, torch.randn(1, 1, 12, 12), "4", 1, 2, 3)


def test_a_trace_tells_what_the_next_layers_do(trace):
    figure = plots.convolution(trace[-2:])
    assert said(figure).startswith("0: channel")
    found = said(plots.convolution([*trace[1:]]))
    for words in ("then 1: (", "then 2: relu(", "relu(x) = max(0, x)", "then 3: the largest of"):
        assert words in found
    assert "then 4 reads it" not in found


def test_a_whole_trace_begins_with_its_first_convolution(trace):
    figure = plots.convolution(trace)
    assert said(figure).startswith("4: channel 1, row 2, column 3")
    assert "difference" in said(figure)
    assert "then" not in said(figure)


def test_the_next_convolution_ends_the_story(trace):
    figure = plots.convolution(trace[4].step, after=trace[:4][::-1])
    assert "then 4 reads it, with much else" in said(figure)


@pytest.mark.parametrize(
    "step",
    [
        arithmetic.conv2d_step([[1, 2, 3, 4]], [[1, 0, -1]], row=0, col=0, padding=(0, 1)),
        arithmetic.conv_transpose2d_step([[1, 2], [3, 4]], KERNEL, row=0, col=0, stride=2),
        arithmetic.conv2d_step(np.ones((3, 12, 12)), np.ones((1, 3, 11, 11)), row=0, col=0),
        arithmetic.conv2d_step(np.zeros((2, 4, 4)), np.zeros((1, 2, 1, 1)), row=0, col=0),
        arithmetic.conv2d_step(np.full((1, 4, 4), 1e-9), np.ones((1, 1, 2, 2)), row=0, col=0),
        arithmetic.conv2d_step(
            IMAGE, np.ones((1, 1, 3, 5)), row=0, col=0, padding=(4, 2), dilation=(3, 1)
        ),
    ],
)
def test_every_kind_of_convolution_is_drawn(step):
    figure = plots.convolution(step)
    height, width, _ = figure.pixels().shape
    assert width == 840
    assert 100 < height < 1000
    assert texts(figure)


def test_the_map_that_is_made_has_its_frame():
    step = arithmetic.conv2d_step(IMAGE, KERNEL, row=1, col=2)
    output = np.full((3, 3), np.nan)
    output[0] = [24, 18, 8]
    figure = plots.convolution(step, output=output)
    (corner, values) = panels(figure)[-1]
    assert values.mask.sum() == 6
    side = corner[2] / 3
    assert np.allclose(frames(figure)[-1], (corner[0] + 2 * side, corner[1] + side, side, side))


def test_what_is_no_convolution_is_told_so(trace):
    with pytest.raises(TypeError, match="step must be what arithmetic.conv2d_step or arithmetic"):
        plots.convolution(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="no PoolStep is in this trace: its stages are 0, input"):
        plots.pooling(trace[-2:])
    with pytest.raises(ValueError, match=r"at least 64 channels, but had the shape \(3, 7, 7\)"):
        plots.convolution(deep()[1], image=np.zeros((3, 7, 7)))


# --- Pooling -------------------------------------------------------------------------------


def test_the_winner_is_framed():
    step = arithmetic.pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1)
    figure = plots.pooling(step)
    (corner, _), side = panels(figure)[0], panels(figure)[0][0][2] / 2
    assert np.allclose(frames(figure)[0], (corner[0], corner[1] + side, side, side))
    assert "the largest of 0, 2, 9, 1 is 9" in said(figure)
    assert "it stands in row 1, column 2 of the input" in said(figure)


def test_a_mean_has_no_winner():
    step = arithmetic.pool_step([[1, 5], [3, -4]], row=0, col=0, kind="avg")
    figure = plots.pooling(step)
    assert frames(figure) == []
    assert "(1 + 5 + 3 − 4) / 4 = 1.25" in said(figure)


def test_padding_never_wins():
    step = arithmetic.pool_step([[-1.0, -2.0], [-3.0, -4.0]], row=0, col=0, padding=1)
    figure = plots.pooling(step, image=[[-1.0, -2.0], [-3.0, -4.0]])
    assert texts(figure).count("−∞") == 3
    assert "−1 is alone under the window" in said(figure)


def test_a_trace_knows_its_pooling(trace):
    figure = plots.pooling(trace)
    assert said(figure).startswith("3: channel")
    assert "difference 0" in said(figure)


# --- Curves --------------------------------------------------------------------------------


def test_the_curves_are_the_function_and_its_slope():
    step = arithmetic.activation("sigmoid", np.linspace(3, -3, 31))
    axes = plots.activation(step, at=0).axes[0]
    function, slope = (
        line for line in axes.lines if line.get_label() in {"function", "derivative"}
    )
    x = np.linspace(-3, 3, 31)
    sigmoid = 1 / (1 + np.exp(-x))
    assert np.allclose(function.get_xydata(), np.column_stack([x, sigmoid]))
    assert np.allclose(slope.get_ydata(), sigmoid * (1 - sigmoid))
    assert "at x = 0: 0.5\nderivative there: 0.25" in axes.get_xlabel()


def test_a_slope_that_jumps_is_not_joined():
    axes = plots.activation(arithmetic.activation("relu", np.linspace(-1, 1, 21))).axes[0]
    slope = next(line for line in axes.lines if line.get_label() == "derivative")
    assert np.isnan(slope.get_ydata()).sum() == 1


def test_up_to_three_activations_stand_side_by_side():
    steps = [arithmetic.activation(n, np.linspace(-1, 1, 9)) for n in ("relu", "tanh", "prelu")]
    figure = plots.activation(steps)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["relu", "tanh", "prelu"]
    with pytest.raises(ValueError, match="activation draws one to 3 curves"):
        plots.activation([*steps, steps[0]])
    with pytest.raises(ValueError, match="each over several x"):
        plots.activation(arithmetic.activation("relu", 1.0))


def test_curves_of_one_function_share_their_scale():
    x = np.linspace(-3, 3, 9)
    alike = plots.activation([arithmetic.activation("prelu", x, weight=a) for a in (0.25, -3.0)])
    left, right = (axes.get_ylim() for axes in alike.axes)
    assert left == right
    assert left[0] < -3.0 < 9.0 < left[1]
    other = plots.activation([arithmetic.activation(name, x) for name in ("relu", "tanh")])
    assert other.axes[0].get_ylim() != other.axes[1].get_ylim()


# --- Regions -------------------------------------------------------------------------------

EXTENT = (-2.0, 2.0, -1.0, 1.0)


def plane(width=40, height=20):
    return np.meshgrid(np.linspace(-2, 2, width), np.linspace(-1, 1, height))


def test_regions_have_their_first_row_at_the_bottom():
    _, y = plane()
    figure = plots.regions(y > 0, extent=EXTENT)
    axes = figure.axes[0]
    left, bottom = axes.transData.transform((-1, -0.5))
    _, top = axes.transData.transform((-1, 0.5))
    pixels = figure.pixels()[..., :3].astype(int)
    below, above = (pixels[len(pixels) - round(row), round(left)] for row in (bottom, top))
    assert below[2] > below[0]  # class 0 is blue
    assert above[0] > above[2]  # class 1 is orange


def test_points_in_the_wrong_region_are_ringed_and_counted():
    x, _ = plane()
    points, labels = [[-1.0, 0.3], [1.0, 0.3], [1.5, -0.3]], [0, 1, 0]
    figure = plots.regions(x > 0, extent=EXTENT, points=points, labels=labels, names=["A", "B"])
    assert figure.legends[0].get_title().get_text() == "1 of 3 wrong"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    *own, rings = figure.axes[0].lines
    drawn = {line.get_label(): line.get_xydata().tolist() for line in own}
    assert drawn == {"A": [points[0], points[2]], "B": [points[1]]}
    assert own[0].get_color() != own[1].get_color()
    assert own[0].get_marker() != own[1].get_marker()
    assert rings.get_xydata().tolist() == [points[2]]
    assert rings.get_markersize() > own[0].get_markersize()


def test_probabilities_count_from_a_half_on():
    x, _ = plane()
    figure = plots.regions(1 / (1 + np.exp(-3 * x)), extent=EXTENT)
    assert np.array_equal(figure.axes[0].images[0].get_array(), x >= 0)


def test_the_lines_of_the_neurons_are_drawn():
    x, _ = plane()
    lines = [[1.0, 0.0, -0.5], [1.0, 2.0, 0.0]]
    figure = plots.regions(x > 0, extent=EXTENT, lines=lines)
    for (w1, w2, b), line in zip(lines, figure.axes[0].lines, strict=True):
        ends = np.array([line.get_xy1(), line.get_xy2()])
        assert np.allclose(ends @ [w1, w2] + b, 0)
        assert not np.allclose(*ends)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"predictions": np.zeros(9)}, r"must have .* \(H, W\), but had \(9,\); give classes"),
        ({"extent": (1, -1, -1, 1)}, r"extent must be \(left, right, bottom, top\), but was"),
        ({"points": [[0.0], [1.0]]}, r"points must have the shape \(N, 2\), but had \(2, 1\)"),
        ({"points": [[0.0, 0.0]], "labels": [0, 1]}, "there are 1 points, but 2 labels"),
    ],
)
def test_bad_regions_are_told_so(arguments, sentence):
    arguments = {"predictions": np.zeros((4, 4)), "extent": EXTENT, **arguments}
    with pytest.raises(ValueError, match=sentence):
        plots.regions(arguments.pop("predictions"), **arguments)


# --- Contours ------------------------------------------------------------------------------


def bowl(steep=9.0):
    x, y = np.meshgrid(np.linspace(-3, 3, 60), np.linspace(-3, 3, 60))
    return x**2 + steep * y**2


def test_before_and_after_share_axes_and_count_their_steps():
    path = np.array([[2.0, 2.0], [1.0, -1.0], [0.0, 0.0]])
    losses = {"before": bowl(), "after": bowl(1)}
    figure = plots.contours(
        losses, extent=(-3, 3, -3, 3), paths={"before": path, "after": path[:2]}
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["before: 2 steps", "after: 1 step"]
    assert {axes.get_xlim() for axes in figure.axes} == {(-3, 3)}
    assert np.array_equal(figure.axes[0].lines[0].get_xydata(), path)


def test_the_way_off_the_map_is_told():
    figure = plots.contours(bowl(), extent=(-3, 3, -3, 3), paths=[[2, 2], [9, -50]])
    assert figure.axes[0].get_title(loc="left") == "1 step, off the map"


def test_a_heading_too_long_for_its_map_is_broken():
    paths = {f"rate {rate}": [[2, 2], [9, -50]] for rate in (0.1, 0.5, 0.9)}
    figure = plots.contours(dict.fromkeys(paths, bowl()), extent=(-3, 3, -3, 3), paths=paths)
    for axes in figure.axes:
        renderer = figure.canvas.get_renderer()
        title = axes._left_title.get_window_extent(renderer)
        assert title.x1 < axes.get_window_extent(renderer).x1 + 5
    words = " ".join(figure.axes[2].get_title(loc="left").split())
    assert words == "rate 0.9: 1 step, off the map"


def test_nothing_is_cut_off():
    figure = plots.contours(bowl(), extent=(-3, 3, -3, 3), names=("weight one", "weight two"))
    pixels = figure.pixels()[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 255


def test_a_loss_that_is_no_number_is_told_so():
    loss = bowl()
    loss[0, 0] = np.inf
    with pytest.raises(ValueError, match="1 of the 3600 values of the losses are nan or infinite"):
        plots.contours(loss, extent=(-3, 3, -3, 3))
    with pytest.raises(ValueError, match=r"a path must be \(T, 2\)"):
        plots.contours(bowl(), extent=(-3, 3, -3, 3), paths=[1.0, 2.0])


def test_softmax_and_back_propagation_in_words():
    scores = torch.tensor([1.0, 3.0, -2.0], dtype=torch.float64)
    text = arithmetic.softmax_steps(scores, label=0).in_words().replace("−", "-")
    p = scores.softmax(0)[0].item()
    total = (scores - 3).exp().sum().item()
    assert (
        text
        == f"P0 = e^(-2) / {total:.4g} = {p:.4g}, and the loss is -ln {p:.4g} = {-np.log(p):.4g}"
    )
    assert arithmetic.softmax_steps(scores).in_words().startswith("P1 = e^0 / ")
    weights = torch.tensor([0.5, 0.25], requires_grad=True)
    loss = (2 * (weights @ torch.tensor([1.0, 2.0]) + 1).relu() - 5) ** 2
    loss.backward()
    step = arithmetic.backpropagation(
        [1, 2], [([0.5, 0.25], 1.0), ([2.0], 0.0)], 5.0, activation="relu"
    )
    text, *others = (line.replace("−", "-") for line in step.backwards())
    assert [line.partition(" = ")[0] for line in others] == ["∂loss/∂w1[1]", "∂loss/∂w2[0]"]
    assert text == f"∂loss/∂w1[0] = (-2) · 1 · 2 · 1 · 1 = {weights.grad[0].item():g}"
    assert step.neurons[1].in_words().replace("\xa0", " ") == "2·2 = 4"
