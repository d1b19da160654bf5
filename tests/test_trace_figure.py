"""The picture of a whole trace: which maps it shows, and where its frames stand."""

import re

import numpy as np
import pytest
import torch
from figures import framed, hatched, panels, texts
from torch import nn

from vizlib import arithmetic, capture, models, plots

DPI = 140


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def lenet():
    return models.build("lenet", seed=0)


def pixels_that_matter(model, image, stage, place):
    """The box of the image outside which no pixel changes the value, by autograd."""
    x = image.clone().requires_grad_()
    seen = {}
    layer = dict(model.named_modules())[stage]
    handle = layer.register_forward_hook(lambda *given: seen.update(out=given[2]))
    model(x)
    handle.remove()
    seen["out"][0][place].backward()
    rows, columns = x.grad[0, 0].nonzero().T
    return rows.min().item(), columns.min().item(), rows.max().item() + 1, columns.max().item() + 1


def test_every_stage_of_the_way_is_named_with_its_value(lenet, image):
    steps = arithmetic.trace(lenet, image, "fc3", 8)
    found = texts(plots.trace(steps))
    names = [text for text in found if text in {*capture.record(lenet, image), "input"}]
    assert names == [one.stage for one in steps]
    values = [float(text[2:].replace("−", "-")) for text in found if text.startswith("= ")]
    assert values == pytest.approx([one.value for one in steps], rel=1e-3)


def test_the_maps_are_those_that_were_recorded(lenet, image):
    recording = capture.record(lenet, image)
    steps = arithmetic.trace(lenet, image, "pool2", 3, 1, 2)
    drawn = panels(plots.trace(steps, output=recording["pool2"]))
    for one, (_, values) in zip(steps[:-1], drawn, strict=False):
        expected = recording[one.stage].output[0, one.place[0]]
        assert np.allclose(values.filled(np.nan), expected, atol=1e-5)
    assert np.allclose(drawn[-1][1], image[0, 0])


def test_the_frames_are_the_value_and_what_was_read(lenet, image):
    steps = arithmetic.trace(lenet, image, "pool2", 3, 1, 2)
    figure = plots.trace(steps)
    names = [one.stage for one in steps]
    cell, window = framed(figure, names.index("relu2"))
    assert window == (2, 4, 4, 6)
    row, column = steps[names.index("relu2")].place[1:]
    assert cell == (row, column, row + 1, column + 1)
    row, column = steps[names.index("conv2")].place[1:]
    assert framed(figure, names.index("pool1"))[-1] == (row, column, row + 5, column + 5)


def test_the_frame_on_the_image_is_the_receptive_field(image):
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 5, stride=2))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0, generator=generator)
    figure = plots.trace(arithmetic.trace(model, image, "1", 1, 4, 7))
    assert framed(figure, -1)[-1] == pixels_that_matter(model, image, "1", (1, 4, 7))


def test_the_frame_is_black_in_the_picture_itself(lenet, image):
    figure = plots.trace(arithmetic.trace(lenet, image, "pool1", 0, 4, 6))
    (left, top, width, _), values = panels(figure)[1]
    assert values.shape == (24, 24)
    side = width / 24
    x, y = round((left + 12 * side) * DPI), round((top + 8.7 * side) * DPI)
    assert figure.pixels()[y, x - 1 : x + 2, :3].max(axis=1).min() < 80


def test_without_its_map_the_value_stands_alone(lenet, image):
    steps = arithmetic.trace(lenet, image, "conv1", 0, 4, 6)
    (_, values), _ = panels(plots.trace(steps))
    assert values.shape == (1, 1)
    assert values[0, 0] == pytest.approx(steps[0].value)


def test_padding_is_hatched():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    figure = plots.trace(arithmetic.trace(model, torch.ones(1, 1, 4, 4), "1", 0, 0, 0))
    assert len(hatched(figure)) == 4 + 4 + 1


@pytest.mark.parametrize("first", [nn.Identity(), nn.Conv2d(1, 3, 3), nn.AvgPool2d(2)])
def test_a_way_may_end_in_padding(first):
    last = nn.Conv2d(3 if isinstance(first, nn.Conv2d) else 1, 1, 1, padding=1)
    steps = arithmetic.trace(nn.Sequential(first, last), torch.ones(1, 1, 6, 6), "1", 0, 0, 0)
    figure = plots.trace(steps)
    assert steps[-1].stage == "1"
    assert panels(figure)[-1][1].shape == (steps[0].before.shape[1] + 1,) * 2
    assert "the way ends here" in texts(figure)


def test_what_each_layer_did_is_said(image):
    layers = [nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(338, 3), nn.Softmax(1)).eval()
    found = " | ".join(texts(plots.trace(arithmetic.trace(model, image, "6", 1))))
    for words in (
        "from all scores", "338 terms + bias", "the same value", "mean of 4", "normalized",
        "9 terms |", "a pixel",
    ):  # fmt: skip
        assert words in found
    assert re.search(r"relu\(\S+\)", found)


def test_a_vector_is_folded_and_its_cell_framed(lenet, image):
    steps = arithmetic.trace(lenet, image, "fc2", 5)
    figure = plots.trace(steps)
    number = [one.stage for one in steps].index("fc1")
    values, index = panels(figure)[number][1], steps[number].place[0]
    assert values.shape == (11, 11)
    assert values.count() == 120
    row, column = divmod(index, 11)
    assert framed(figure, number) == [(row, column, row + 1, column + 1)]
    assert values[row, column] == pytest.approx(steps[number].value)


def test_long_ways_go_on_in_the_next_line(image):
    model = nn.Sequential(*(nn.ReLU() for _ in range(7)))
    figure = plots.trace(arithmetic.trace(model, image, "6", 0, 2, 2))
    lefts = [round(corner[0], 2) for corner, _ in panels(figure)]
    assert lefts[:3] == lefts[5:]
    assert len(set(lefts)) == 5


def test_what_is_no_trace_is_told_so(lenet, image):
    steps = arithmetic.trace(lenet, image, "conv1", 5, 4, 6)
    with pytest.raises(TypeError, match="steps must be what arithmetic.trace returned"):
        plots.trace(steps[0])
    with pytest.raises(ValueError, match="steps were empty"):
        plots.trace(arithmetic.Trace([]))
    with pytest.raises(ValueError, match=r"value at \[5, 4, 6\], but had the shape \(3, 24, 24\)"):
        plots.trace(steps, output=np.zeros((3, 24, 24)))


# --- The photograph ------------------------------------------------------------------------


def test_the_photograph_is_in_colour_and_shrinks_by_averaging():
    whole, half = plots.photograph(1), plots.photograph(2)
    assert (whole.shape, half.shape) == ((600, 512, 3), (300, 256, 3))
    corner = whole[10:12, 20:22].reshape(4, 3).astype(float).mean(0)
    assert np.abs(half[5, 10] - corner).max() <= 0.5
    assert np.ptp(whole.mean((0, 1))) > 5
    with pytest.raises(ValueError, match="shrink must be at least 1, but was 0"):
        plots.photograph(0)
