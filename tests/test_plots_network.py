"""The diagram of a network, held against what torch makes; and the ways to connect two layers."""

from __future__ import annotations

import itertools

import pytest
import torch
from matplotlib.patches import Rectangle
from torch import nn

from vizlib import models, plots

NETWORKS = pytest.mark.parametrize("name", ["lenet", "mlp", "newnet", "cnn"])


def worked(model, shape):
    """What comes out of each convolution, pooling and linear layer of a chain, by running it."""
    x, seen = torch.zeros(1, *shape), [shape]
    flat = itertools.chain.from_iterable(
        part if isinstance(part, nn.Sequential) else [part] for part in model.eval()
    )
    for layer in flat:
        x = layer(x)
        if type(layer).__name__.startswith(("Conv", "MaxPool", "Linear")):
            seen.append(tuple(x.shape[1:]))
    return seen


def written(figure):
    return [text for text in figure.axes[0].texts if text.get_weight() == "bold"]


def drawn(name):
    return plots.network(models.summary(models.build(name)))


@NETWORKS
def test_the_shapes_are_what_torch_makes(name):
    model = models.build(name, seed=0)
    expected = worked(model, model.input_shape)
    shapes = [text.get_text() for text in written(drawn(name))]
    assert shapes == ["×".join(map(str, shape)) for shape in expected]


def test_the_layers_between_are_named_where_they_work():
    words = [text.get_text() for text in drawn("lenet").axes[0].texts[1::2]]
    assert words[1:4] == ["Conv\nReLU", "MaxPool", "Conv\nReLU"]
    assert words[4] == "MaxPool\nFlatten:\n256"


def test_more_pixels_are_higher_and_more_channels_have_more_cards():
    boxes = [patch for patch in drawn("lenet").axes[0].patches if isinstance(patch, Rectangle)]
    blocks = [list(group) for _, group in itertools.groupby(boxes, lambda box: box.get_height())]
    image, conv1, pool1, conv2, *_ = blocks
    assert [len(block) for block in (image, conv1, pool1, conv2)] == [1, 4, 4, 5]
    heights = [block[0].get_height() for block in (image, conv1, pool1, conv2)]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "newnet"])
def test_no_words_lie_over_others_or_outside(name):
    figure = drawn(name)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(box.x1 < figure.bbox.x1 and box.y0 > 0 for box in boxes)


def test_what_is_no_table_is_told():
    with pytest.raises(TypeError, match=r"what models.summary returned, but was a Network"):
        plots.network(models.build("lenet"))


def test_connections_are_those_of_a_linear_layer_and_of_a_convolution():
    counts, shared = [], None
    figure = plots.connections(9, 4)
    for axes in figure.axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
        counts.append(len(lines))
        shared = {(line.get_color(), line.get_linestyle()) for line in lines}
    kernel = nn.Conv1d(1, 1, 4, bias=False)
    neurons = kernel(torch.zeros(1, 1, 9)).shape[-1]
    assert counts == [nn.Linear(9, neurons).weight.numel(), 4 * neurons, 4 * neurons]
    assert len(shared) == kernel.weight.numel()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["full:\n54 weights", "local:\n24 weights", "shared:\n4 weights"]


def test_a_patch_that_does_not_fit_is_told():
    with pytest.raises(ValueError, match="a patch of 9 does not fit 8 inputs: take 1 to 8"):
        plots.connections(patch=9)
