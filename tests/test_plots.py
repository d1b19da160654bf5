"""The pictures, by their pixels and their words.

Colours are computed here a second time, from nine anchors and a straight line between each two of
them, and places are found in the picture itself: by its numbers, its ticks and its grey gaps.
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from vizlib import arithmetic, capture, models, plots
from vizlib.history import History

ANCHORS = [
    *("5e2204", "a64601", "e47a11", "ffc07e"),
    "ffffff",
    *("8ad5fe", "03a0e1", "0768a0", "02375d"),
]
GAP = (211, 216, 224)
WHITE, BLACK = (255, 255, 255), (26, 26, 26)
# Machado, Oliveira and Fernandes 2009, full severity: linear RGB as such eyes see it.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


# --- What a picture shows ------------------------------------------------------------------


class Picture:
    """A drawn figure, its pixels, and where things of an axes are among them."""

    def __init__(self, figure) -> None:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        self.figure, self.axes = figure, figure.axes[0]

    def place(self, x, y, axes=None, shift=(0, 0)) -> tuple[int, int]:
        """The row and column of the pixel at a place of the axes."""
        across, up = (axes or self.axes).transData.transform((x, y))
        return int(len(self.pixels) - up) + shift[0], int(across) + shift[1]

    def at(self, x, y, axes=None, shift=(0, 0)) -> np.ndarray:
        return self.pixels[self.place(x, y, axes, shift)]

    def block(self, text) -> np.ndarray:
        """The pixels of the tile below and right of a text, up to the grey that bounds it."""
        row, column = self.place(*text.get_position(), shift=(3, 3))
        right = first(self.pixels[row, column:])
        down = first(self.pixels[row:, column])
        left = first(self.pixels[row, column::-1])
        up = first(self.pixels[row::-1, column])
        return self.pixels[row - up + 1 : row + down, column - left + 1 : column + right]

    @property
    def legend(self):
        (legend,) = self.axes.child_axes
        return legend


def first(line) -> int:
    """How many pixels of a line come before the gap."""
    return int(np.flatnonzero((np.abs(line - GAP) <= 2).all(axis=-1))[0])


def cells(block, height, width) -> np.ndarray:
    """The colours in the middles of a block's values."""
    rows = (np.arange(height) + 0.5) * len(block) / height
    columns = (np.arange(width) + 0.5) * block.shape[1] / width
    return block[rows.astype(int)][:, columns.astype(int)]


def colour(shares) -> np.ndarray:
    """The colours of shares of the limit in -1…1."""
    anchors = np.array([[int(a[i : i + 2], 16) for i in (0, 2, 4)] for a in ANCHORS])
    at = np.linspace(-1, 1, len(anchors))
    return np.stack([np.interp(shares, at, channel) for channel in anchors.T], axis=-1)


def same(found, expected, slack=4) -> bool:
    # One of 255 steps is up to three of 255 in a channel, and a value may lie between two steps.
    return bool((np.abs(np.asarray(found) - expected) <= slack).all())


def lightness(rgb) -> np.ndarray:
    """CIE L* of sRGB bytes, 0…100."""
    luminance = linear(rgb) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(luminance) - 16


def linear(rgb) -> np.ndarray:
    share = np.asarray(rgb) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def words(figure) -> list[str]:
    texts = figure.findobj(mpl.text.Text)
    return [text.get_text() for text in texts if text.get_text() and text.get_visible()]


def numbers(axes) -> dict[str, object]:
    return {text.get_text(): text for text in axes.texts}


def legend_words(figure) -> list[str]:
    (legend,) = figure.axes[0].child_axes
    low, high = legend.get_ylim()
    return [
        label.get_text()
        for label, place in zip(legend.get_yticklabels(), legend.get_yticks(), strict=True)
        if low <= place <= high
    ]


def normal(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# --- Colours -------------------------------------------------------------------------------


def test_zero_is_exactly_white_in_every_scale():
    maps = np.array([[[0.0, 1.0], [-1.0, 0.0]], [[0.0, 5.0], [0.0, 0.0]]])
    for scale in ("map", "layer", 0.3, 1e6):
        picture = Picture(plots.feature_maps(maps, scale=scale))
        for tile in picture.axes.texts[:2]:
            assert cells(picture.block(tile), 2, 2)[0, 0].tolist() == [255, 255, 255]
    assert plots.colours([0.0, -0.0, 1e-9], 1).tolist() == [[255, 255, 255]] * 3


def test_positive_is_blue_negative_is_orange_and_both_are_equally_strong():
    shares = np.linspace(0.02, 1, 50)
    plus, minus = (plots.colours(sign * shares, 1).astype(int) for sign in (1, -1))
    assert (plus[:, 2] > plus[:, 0]).all()
    assert (minus[:, 0] > minus[:, 2]).all()
    assert np.abs(lightness(plus) - lightness(minus)).max() < 3
    assert (np.diff(lightness(plus)) < 0).all()
    assert (np.diff(lightness(minus)) < 0).all()
    assert lightness(plus[-1]) < 25


@pytest.mark.parametrize("kind", BLINDNESS)
def test_signs_differ_to_colour_blind_eyes(kind):
    shares = np.linspace(0.1, 0.8, 15)
    seen = [
        linear(plots.colours(sign * shares, 1)) @ np.array(BLINDNESS[kind]).T for sign in (1, -1)
    ]
    assert (np.abs(seen[0] - seen[1]).max(axis=-1) > 0.04).all()


def test_colours_follow_the_anchors_and_end_at_the_limit():
    values = normal(500)
    assert same(plots.colours(values, 2.0), colour(np.clip(values / 2, -1, 1)))
    assert plots.colours(values, 2.0).dtype == np.uint8
    ends = plots.colours(torch.tensor([[-9.0, -2, 2, 9]]), 2.0)[0].tolist()
    assert ends == [[94, 34, 4], [94, 34, 4], [2, 55, 93], [2, 55, 93]]
    assert plots.colours(np.zeros((2, 3)), 0).tolist() == [[[255] * 3] * 3] * 2


# --- Feature maps --------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 66))
def test_every_channel_is_in_its_place(count):
    maps = normal(count, 3, 4, seed=count)
    picture = Picture(plots.feature_maps(maps))
    texts = picture.axes.texts
    assert [text.get_text() for text in texts] == [str(c) for c in range(count)]
    places = [text.get_position()[::-1] for text in texts]
    assert places == sorted(places)  # as one reads: left to right, then down
    rows = [place[0] for place in places]
    lengths = [rows.count(row) for row in dict.fromkeys(rows)]
    assert set(lengths[:-1]) <= {lengths[0]}
    assert lengths[-1] <= lengths[0]
    for text, each in zip(texts, maps, strict=True):
        assert same(cells(picture.block(text), 3, 4), colour(each / np.abs(maps).max()))


@pytest.mark.parametrize("count", [100, 128, 500])
def test_small_maps_have_numbered_rows(count):
    values = np.random.default_rng(1).permutation(np.linspace(-1, 1, count))
    maps = values[:, None, None].repeat(8, 1).repeat(8, 2)
    picture = Picture(plots.feature_maps(maps, columns=25))
    axes = picture.axes
    assert not axes.texts
    labels = [int(label.get_text()) for label in axes.get_yticklabels()]
    ys = dict(zip(labels, axes.get_yticks(), strict=True))
    left, right = axes.get_xlim()
    for start, y in ys.items():
        shown = values[start : start + 25]
        xs = left + (np.arange(len(shown)) + 0.5) * (right - left) / 25
        assert same([picture.at(x, y) for x in xs], colour(shown))
    assert labels == list(range(0, count, labels[1]))


def test_one_axes_holds_one_image():
    figure = plots.feature_maps(normal(64, 5, 5))
    assert len(figure.axes) == 1
    assert len(figure.axes[0].images) == 1


def test_scales_differ_as_they_say():
    maps = np.stack([np.full((4, 4), 1.0), np.full((4, 4), -0.1)])

    def tiles(**how):
        picture = Picture(plots.feature_maps(maps, **how))
        return [picture.block(text)[5, 5] for text in picture.axes.texts]

    assert same(tiles(), colour([1, -0.1]))
    assert same(tiles(scale="layer"), colour([1, -0.1]))
    assert same(tiles(scale="map"), colour([1, -1]))
    assert same(tiles(scale=2), colour([0.5, -0.05]))
    assert same(tiles(scale=0.5), colour([1, -0.2]))
    assert same(tiles(scale=np.float32(2)), colour([0.5, -0.05]))
    assert same(tiles(scale=torch.tensor(2.0)), colour([0.5, -0.05]))


@pytest.mark.parametrize(
    ("how", "ends", "meaning"),
    [
        ({}, ["−2.5", "0", "+2.5"], "one scale for all"),
        ({"scale": 12.345}, ["−12.3", "0", "+12.3"], "a given scale"),
        ({"scale": "map"}, ["−own", "0", "+own"], "each has its own scale (±)"),
        ({"limit": 1}, ["−2.5", "0", "+2.5"], "one scale for all"),
    ],
)
def test_the_legend_says_the_numbers_of_the_scale(how, ends, meaning):
    figure = plots.feature_maps([[[0.0, 1.0]], [[-2.5, 2.0]]], **how)
    assert legend_words(figure) == ends
    assert meaning in words(figure)


@pytest.mark.parametrize(("scale", "end"), [("layer", 3.0), ("map", 1.0), (5.0, 5.0)])
def test_the_legend_has_the_colours_of_the_values(scale, end):
    value = -2.0 if scale != "map" else -2 / 3
    picture = Picture(plots.feature_maps(np.array([[[3.0, -2.0, 0.0]]]), scale=scale))
    assert picture.legend.get_ylim() == (-end, end)
    block = cells(picture.block(picture.axes.texts[0]), 1, 3)[0]
    assert same(picture.at(0.5, value, picture.legend), block[1])
    assert picture.at(0.5, 0, picture.legend).tolist() == [255, 255, 255]
    assert same(picture.at(0.5, end, picture.legend, (3, 0)), colour(1), 8)
    assert same(picture.at(0.5, -end, picture.legend, (-3, 0)), colour(-1), 8)


def test_where_nothing_is_negative_the_legend_begins_at_zero_and_colours_stay():
    maps = np.abs(normal(3, 4, 4))
    signed = maps.copy()
    signed[2, 0, 0] *= -1
    ours, other = (Picture(plots.feature_maps(each, scale=3.0)) for each in (maps, signed))
    assert legend_words(ours.figure) == ["0", "+3"]
    assert legend_words(other.figure) == ["−3", "0", "+3"]
    for tile in range(2):
        blocks = [cells(p.block(p.axes.texts[tile]), 4, 4) for p in (ours, other)]
        assert (blocks[0] == blocks[1]).all()


def test_each_map_says_its_own_end():
    texts = numbers(plots.feature_maps([[[0.25]], [[-31.0]], [[0.0]]], scale="map").axes[0])
    assert list(texts) == ["0 ±0.25", "1 ±31", "2 ±1"]


def test_maps_of_nothing_are_white():
    picture = Picture(plots.feature_maps(np.zeros((2, 3, 3))))
    assert (picture.block(picture.axes.texts[1]) == 255).all()
    assert legend_words(picture.figure) == ["0", "+1"]


def test_a_stage_a_tensor_and_an_array_give_the_same_picture():
    recording = capture.record(models.build("lenet", seed=0), torch.ones(1, 1, 28, 28))
    stage = recording["conv1"]
    expected = plots.feature_maps(stage.output.numpy()[0]).to_png()
    assert plots.feature_maps(stage).to_png() == expected
    assert plots.feature_maps(stage.output.requires_grad_()).to_png() == expected
    half = plots.feature_maps(torch.full((1, 2, 2), 0.5, dtype=torch.bfloat16))
    assert legend_words(half) == ["0", "+0.5"]


def test_what_is_drawn_is_left_as_it_was():
    maps, images, p = normal(2, 3, 3), np.arange(12.0).reshape(3, 2, 2), np.array([0.5, 0.5])
    copies = maps.copy(), images.copy(), p.copy()
    plots.feature_maps(maps, scale="map")
    plots.images(images)
    plots.probabilities(p)
    assert all((a == b).all() for a, b in zip((maps, images, p), copies, strict=True))


def test_the_highlighted_channel_has_a_black_frame():
    picture = Picture(plots.feature_maps(normal(6, 4, 4), highlight=4))
    (frame,) = picture.axes.patches
    x, y = frame.get_xy()
    middle = y + frame.get_height() / 2
    text = picture.axes.texts[4]
    left, top = text.get_position()
    assert x < left < x + frame.get_width()
    assert y <= top < y + frame.get_height()
    assert same(picture.at(x, middle), BLACK)
    other = Picture(plots.feature_maps(normal(6, 4, 4)))
    assert not same(other.at(x, middle), BLACK)


def test_columns_and_limit_are_kept():
    figure = plots.feature_maps(normal(10, 3, 3), columns=4, limit=7, title="conv9")
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == list("0123456")
    assert texts[4].get_position()[0] == texts[0].get_position()[0]
    assert figure.get_suptitle() == "conv9: the first 7 of 10 channels"
    assert plots.feature_maps(normal(10, 3, 3), title="conv9").get_suptitle() == "conv9"


def test_the_largest_of_many_layers():
    recording = capture.record(models.build("lenet", seed=0), torch.randn(1, 1, 28, 28))
    expected = max(stage.output.abs().max().item() for stage in recording.values())
    assert plots.largest(recording.values()) == pytest.approx(expected)
    assert plots.largest(np.array([-3.0]), [torch.ones(2)]) == 3
    assert plots.largest([]) == 0
    assert plots.largest([np.array([1.0, np.nan, -2.0, -np.inf])], np.array([np.nan])) == 2


@pytest.mark.parametrize(
    ("maps", "how", "message"),
    [
        (np.zeros((2, 3, 4, 4)), {}, r"the maps must .*\(C, H, W\).*had \(2, 3, 4, 4\).*maps\[0\]"),
        (np.zeros((5, 5)), {}, r"had \(5, 5\).*maps\[None\]"),
        (np.zeros((0, 4, 4)), {}, r"had \(0, 4, 4\)"),
        (3.0, {}, r"had \(\)"),
        (np.zeros((1, 2, 2)), {"scale": "network"}, "'network'.*plots.largest"),
        (np.zeros((1, 2, 2)), {"scale": 0}, "number above zero, but was 0"),
        (np.zeros((1, 2, 2)), {"scale": float("nan")}, "but was nan"),
        (np.zeros((1, 2, 2)), {"scale": True}, "but was True"),
        (np.zeros((1, 2, 2)), {"scale": None}, "but was None"),
        (np.full((1, 2, 2), np.nan), {}, "4 of the 4 values of the maps are nan.*learning rate"),
        (np.array([[[1.0, np.inf]]]), {}, "1 of the 2 values"),
        (np.zeros((3, 2, 2)), {"highlight": 3}, "channel from 0 to 2, but was 3"),
        (np.zeros(3), {"highlight": -1}, "from 0 to 2, but was -1"),
        (np.zeros((3, 2, 2)), {"limit": 0}, "limit must be at least 1, but was 0"),
        (np.zeros((3, 2, 2)), {"columns": -2}, "columns must be at least 1, but was -2"),
    ],
)
def test_what_is_no_feature_map_is_told(maps, how, message):
    with pytest.raises(ValueError, match=message):
        plots.feature_maps(maps, **how)


def test_a_stage_is_named_in_the_error():
    stage = capture.Stage("conv7", "conv", torch.zeros(2, 3, 4, 4), (2, 1, 6, 6), None)
    with pytest.raises(ValueError, match=r"conv7 must have .* but had \(2, 3, 4, 4\)"):
        plots.feature_maps(stage)


# --- Vectors -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 10, 11, 84, 120, 128, 129, 256])
def test_a_vector_is_a_table_of_its_values(count):
    values = np.round(normal(count, seed=count), 2)
    values[0] = 5.25
    picture = Picture(plots.feature_maps(torch.tensor(values)[None]))
    texts = picture.axes.texts
    assert len(texts) == count
    columns = len({text.get_position()[0] for text in texts})
    for k, text in enumerate(texts):
        assert text.get_position() == (k % columns, k // columns)
        assert float(text.get_text().replace("−", "-")) == pytest.approx(values[k], abs=0.0051)
        corner = picture.at(k % columns - 0.4, k // columns - 0.35)
        assert same(corner, colour(values[k] / 5.25))


def test_rows_and_columns_of_a_table_add_up():
    axes = plots.feature_maps(normal(84)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["0", "10", "20"]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"+{k}" for k in range(10)]
    one_row = plots.feature_maps(normal(10)).axes[0]
    assert [label.get_text() for label in one_row.get_xticklabels()] == list("0123456789")
    assert not one_row.get_yticklabels()


def test_values_are_read_on_dark_and_on_light_cells():
    texts = plots.feature_maps([0.0, 10.0, -10.0, 2.0]).axes[0].texts
    assert [text.get_text() for text in texts] == ["0", "10.0", "−10.0", "2.0"]
    assert [text.get_color() == "white" for text in texts] == [False, True, True, False]


def window(values):
    return plots.pooling(arithmetic.pool_step(values.reshape(4, 4), 4, row=0, col=0))


@pytest.mark.parametrize(
    ("draw", "count"),
    [
        (lambda: plots.feature_maps(np.linspace(-2, 2, 256)), 256),
        (lambda: plots.confusion(np.arange(100).reshape(10, 10)), 100),
        (lambda: window(np.linspace(-2, 2, 16)), 16),
        (lambda: window(np.linspace(0.7, 1.4, 16)), 16),
    ],
)
def test_numbers_in_cells_stand_out_from_every_colour(draw, count):
    picture = Picture(draw())
    cells = [text for text in picture.axes.texts if text.get_ha() == "center"]
    assert len(cells) == count
    for text in (text for text in cells if text.get_text()):
        row, column = picture.place(*text.get_position())
        around = picture.pixels[row - 9 : row + 10, column - 12 : column + 13].reshape(-1, 3)
        colours, counts = np.unique(around, axis=0, return_counts=True)
        ink = np.array(mpl.colors.to_rgb(text.get_color())) * 255
        assert contrast(colours[counts.argmax()], ink) >= 4.5


def contrast(one, other) -> float:
    """The ratio of two colours' light, 1…21, as the guidelines for web pages have it."""
    dark, light = sorted(float(linear(rgb) @ [0.2126, 0.7152, 0.0722]) for rgb in (one, other))
    return (light + 0.05) / (dark + 0.05)


def test_a_long_vector_is_colours_alone():
    values = np.linspace(-1, 1, 512)
    picture = Picture(plots.feature_maps(values))
    assert not picture.axes.texts
    for k in (0, 63, 64, 300, 511):
        assert same(picture.at(k % 64, k // 64), colour(values[k]))


def test_a_vector_has_frame_and_scale():
    picture = Picture(plots.feature_maps(normal(30), scale=4.0, highlight=13))
    (frame,) = picture.axes.patches
    assert frame.get_xy() == (2.5, 0.5)
    assert legend_words(picture.figure) == ["−4", "0", "+4"]


# --- Kernels -------------------------------------------------------------------------------


def test_kernels_stand_with_outputs_down_and_inputs_across():
    weight = normal(5, 3, 3, 3)
    picture = Picture(plots.kernels(weight, title="conv2"))
    axes = picture.axes
    assert [int(t.get_text()) for t in axes.get_yticklabels()] == list(range(5))
    assert [int(t.get_text()) for t in axes.get_xticklabels()] == list(range(3))
    for output, y in enumerate(axes.get_yticks()):
        for given, x in enumerate(axes.get_xticks()):
            middle = picture.at(x, y)
            assert same(middle, colour(weight[output, given, 1, 1] / np.abs(weight).max()))
    assert {"conv2", "input channel", "output channel"} <= set(words(picture.figure))
    end = f"{np.abs(weight).max():.3g}"
    assert legend_words(picture.figure) == [f"−{end}", "0", f"+{end}"]


def test_kernels_of_one_input_are_a_grid():
    layer = models.build("lenet", seed=0).conv1
    picture = Picture(plots.kernels(layer))
    weight = layer.weight.detach().numpy()[:, 0]
    for text, kernel in zip(picture.axes.texts, weight, strict=True):
        assert same(cells(picture.block(text), 5, 5), colour(kernel / np.abs(weight).max()))


def test_kernels_keep_scale_and_limit():
    weight = normal(40, 6, 3, 3)
    weight[39, 5] = 9.0  # not among those that are drawn
    figure = plots.kernels(weight, limit=4, title="conv2")
    assert legend_words(figure) == ["−9", "0", "+9"]
    assert figure.get_suptitle() == "conv2: 4 × 4 of 40 × 6"
    with pytest.raises(ValueError, match=r"\(O, I, kh, kw\), but had \(3, 3\).*model.conv1.weight"):
        plots.kernels(np.zeros((3, 3)))


# --- Images --------------------------------------------------------------------------------


def tile(picture, number, shape):
    """The grey values of an image, found by its title; gaps are white."""
    row, column = picture.place(*picture.axes.texts[number].get_position(), shift=(1, 1))
    scale = picture.axes.transData.transform([[0, 0], [1, 1]])
    zoom = -(-16 // max(shape))
    step = np.abs(scale[1] - scale[0]) * zoom
    rows = (row + (np.arange(shape[0]) + 0.5) * step[1]).astype(int)
    columns = (column + (np.arange(shape[1]) + 0.5) * step[0]).astype(int)
    return picture.pixels[rows][:, columns]


@pytest.mark.parametrize("count", [1, 2, 5, 10, 13, 30])
def test_images_are_drawn_as_they_are(count):
    images = np.random.default_rng(count).integers(0, 256, (count, 7, 6), dtype=np.uint8)
    picture = Picture(plots.images(torch.tensor(images), titles=range(count)))
    assert [text.get_text() for text in picture.axes.texts] == [str(k) for k in range(count)]
    for k, image in enumerate(images):
        assert same(tile(picture, k, (7, 6)), image[..., None], 1)


def test_bytes_are_absolute_and_floats_are_stretched():
    grey = np.array([[[100, 150]]], np.uint8)
    assert same(tile(Picture(plots.images(grey, "a")), 0, (1, 2))[0, :, 0], [100, 150], 1)
    floats = np.array([[[-0.4, 0.0]], [[2.8, 1.2]]])
    picture = Picture(plots.images(floats, titles="ab"))
    assert same(tile(picture, 0, (1, 2))[0, :, 0], [0, 32], 1)
    assert same(tile(picture, 1, (1, 2))[0, :, 0], [255, 128], 1)


def test_images_come_in_every_usual_shape():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 5), dtype=np.uint8)
    expected = plots.images(images).to_png()
    assert plots.images(images[:, None]).to_png() == expected
    assert plots.images(torch.tensor(images)).to_png() == expected
    assert plots.images([torch.tensor(each) for each in images]).to_png() == expected
    assert plots.images(images[0]).to_png() == plots.images(images[:1]).to_png()


def test_colour_images_keep_their_colours():
    image = np.zeros((1, 3, 1, 2), np.uint8)
    image[0, :, 0] = [[200, 0], [10, 90], [30, 250]]
    found = tile(Picture(plots.images(image, titles=["x"])), 0, (1, 2))
    assert same(found, [[[200, 10, 30], [0, 90, 250]]], 1)


def test_between_images_it_is_white():
    picture = Picture(plots.images(np.zeros((2, 28, 28), np.uint8), columns=2))
    row = picture.pixels[len(picture.pixels) // 2, :, 0]
    assert [int(run[0]) for run in np.split(row, np.flatnonzero(np.diff(row)) + 1)] == [
        *(255, 0, 255, 0, 255)
    ]


def test_a_title_has_true_minus_signs():
    [axes] = plots.images(np.zeros((1, 4, 4)), titles=["-0.4 to -.1 in a-1"]).axes
    assert [text.get_text() for text in axes.texts] == ["−0.4 to −.1 in a-1"]


@pytest.mark.parametrize(("count", "columns"), [(8, None), (12, None), (12, 4), (9, 9), (1, 1)])
@pytest.mark.parametrize("shape", [(28, 28), (28, 7), (7, 28)])
def test_long_titles_have_room(count, columns, shape):
    titles = [f"label {k}, answer {k}" for k in range(count)]
    figure = plots.images(np.zeros((count, *shape)), titles=titles, columns=columns)
    picture = Picture(figure)
    boxes = [text.get_window_extent() for text in picture.axes.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert max(box.x1 for box in boxes) <= picture.pixels.shape[1]
    # A title is written on white alone: it lies on no image, and nothing cuts it off.
    for text, box in zip(picture.axes.texts, boxes, strict=True):
        row, column = picture.place(*text.get_position())
        strip = picture.pixels[row - 20 : row - 4, column : int(box.x1)]
        assert (strip.mean(axis=(1, 2)) > 128).all(), text.get_text()


def test_a_box_frames_the_outermost_pixels_in_it():
    boxes = [(0, 0, 28, 28), (2, 3, 12, 23)]
    picture = Picture(plots.images(np.zeros((2, 28, 28), np.uint8), titles="ab", boxes=boxes))
    orange = (np.abs(picture.pixels - [0xD5, 0x5E, 0x00]) < 60).all(axis=-1)
    for k, (top, left, bottom, right) in enumerate(boxes):
        x, y = picture.axes.texts[k].get_position()
        first, end = picture.place(x, y), picture.place(x + 28, y + 28)
        found = orange[first[0] : end[0], first[1] : end[1]]
        rows, columns = found.any(axis=1).nonzero()[0], found.any(axis=0).nonzero()[0]
        edges = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        side = len(found) / 28
        assert np.allclose(edges, [value * side for value in (top, left, bottom, right)], atol=2)
        assert not found[int((top + 1) * side) : int((bottom - 1) * side), len(found) // 2].any()


def test_too_many_images_are_cut_and_counted():
    figure = plots.images(np.zeros((1200, 4, 4), np.uint8), titles=range(1200), limit=30)
    assert len(figure.axes[0].texts) == 30
    assert figure.get_suptitle() == "the first 30 of 1,200 images"


@pytest.mark.parametrize(
    ("images", "how", "message"),
    [
        (np.zeros((2, 2, 5, 5)), {}, r"\(N, H, W\).*had \(2, 2, 5, 5\)"),
        (np.zeros(5), {}, r"had \(5,\)"),
        (np.zeros((0, 5, 5)), {}, r"had \(0, 5, 5\)"),
        (np.zeros((2, 5, 5)), {"titles": [1]}, "2 images, but 1 title"),
        (np.zeros((2, 5, 5)), {"boxes": [(0, 0, 1, 1)]}, "2 images, but 1 boxes"),
        (np.full((1, 2, 2), np.inf), {}, "values of the images are nan or infinite"),
        (np.zeros((2, 5, 5)), {"limit": 0}, "limit must be at least 1"),
    ],
)
def test_what_is_no_image_is_told(images, how, message):
    with pytest.raises(ValueError, match=message):
        plots.images(images, **how)


# --- Probabilities -------------------------------------------------------------------------


def test_bars_are_as_high_as_their_probabilities_and_say_so():
    p = np.array([0.05, 0.1, 0.3, 0.35, 0.2])
    axes = plots.probabilities(torch.tensor(p)[None]).axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(p)
    assert [text.get_text().split("\n")[-1] for text in axes.texts] == [f"{v:.3f}" for v in p]
    for bar, text in zip(axes.patches, axes.texts, strict=True):
        x, y = text.get_position()
        assert x == pytest.approx(bar.get_x() + bar.get_width() / 2)
        assert bar.get_height() < y < bar.get_height() + 0.05
    assert [label.get_text() for label in axes.get_xticklabels()] == ["P0", "P1", "P2", "P3", "P4"]


@pytest.mark.parametrize("winner", range(10))
def test_the_winner_is_marked_by_word_and_by_darkness(winner):
    p = np.full(10, 0.05)
    p[winner] = 0.55
    picture = Picture(plots.probabilities(p))
    said = [text.get_text().startswith("answer") for text in picture.axes.texts]
    assert said == [k == winner for k in range(10)]
    dark = [lightness(picture.at(k - 0.2, 0.02)) for k in range(10)]
    assert np.argmin(dark) == winner
    assert np.sort(dark)[1] - np.sort(dark)[0] > 25
    assert picture.figure.get_suptitle() == f"answer: {winner}"


def test_the_label_is_marked_by_word():
    right = plots.probabilities([0.1, 0.9], label=1)
    wrong = plots.probabilities([0.1, 0.9], label=0, classes=["cat", "dog"])
    assert [t.get_text() for t in right.axes[0].get_xticklabels()] == ["P0", "P1\nlabel"]
    assert [t.get_text() for t in wrong.axes[0].get_xticklabels()] == ["cat\nlabel", "dog"]
    assert right.get_suptitle() == "right: the answer is 1, the label 1"
    assert wrong.get_suptitle() == "wrong: the answer is dog, the label cat"
    assert plots.probabilities([0.1, 0.9], title="mine").get_suptitle() == "mine"


def test_scores_stand_below_the_names():
    scores = torch.tensor([[1.5, -20.25, 0.0]])
    axes = plots.probabilities(scores.softmax(1), scores=scores, label=2).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["P0\n1.5", "P1\n−20.2", "P2\n0\nlabel"]
    assert axes.get_xlabel() == "with its score"
    many = torch.arange(40.0)
    axes = plots.probabilities(many.softmax(0), scores=many).axes[0]
    assert axes.get_xticklabels()[0].get_text() == "P39\n39"
    assert axes.get_xlabel() == "the 10 likeliest of 40, with its score"


def test_nearly_nothing_is_not_called_nothing():
    texts = plots.probabilities([0.0, 1e-5, 0.99979, 2e-4]).axes[0].texts
    said = [text.get_text() for text in texts]
    assert said == ["<0.001", "<0.001", "answer\n>0.999", "<0.001"]


def test_of_many_classes_the_likeliest_are_drawn():
    p = np.arange(1, 101) / np.arange(1, 101).sum()
    axes = plots.probabilities(p).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [f"P{k}" for k in range(99, 89, -1)]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(p[:89:-1])
    assert axes.get_xlabel() == "the 10 likeliest of 100"


@pytest.mark.parametrize(
    ("p", "how", "message"),
    [
        ([3.0, -2.0], {}, r"lie in -2…3 and add up to 1; .*torch.softmax"),
        ([0.9, 0.9], {}, "add up to 1.8"),
        (np.full((2, 2), 0.5), {}, r"had \(2, 2\); choose one image with p\[0\]"),
        ([], {}, r"had \(0,\)"),
        ([np.nan, 1.0], {}, "1 of the 2 values of the probabilities"),
        ([0.5, 0.5], {"label": 2}, "label must be a class from 0 to 1, but was 2"),
        ([0.5, 0.5], {"classes": ["a"]}, "2 classes, but 1 name"),
    ],
)
def test_what_is_no_probability_is_told(p, how, message):
    with pytest.raises(ValueError, match=message):
        plots.probabilities(p, **how)


# --- Curves --------------------------------------------------------------------------------


def history(name="lenet", epochs=6, top=0.99) -> History:
    t = np.arange(1, epochs + 1)
    val = (top - 0.1 / t - 0.02 * (t == epochs)).tolist()
    return History(
        network=name,
        train_accuracy=[v - 0.01 for v in val],
        val_accuracy=val,
        train_loss=(0.5 / t).tolist(),
        val_loss=(0.4 / t).tolist(),
    )


def line(axes, label):
    (found,) = (each for each in axes.lines if each.get_label().replace(" %", "%") == label)
    return found


def test_curves_are_the_history():
    one = history()
    figure = plots.curves(one)
    left, right = figure.axes
    for axes, kind in ((left, "accuracy"), (right, "loss")):
        for part, name in (("train", "training"), ("val", "validation")):
            drawn = line(axes, name)
            assert list(drawn.get_xdata()) == [1, 2, 3, 4, 5, 6]
            assert list(drawn.get_ydata()) == getattr(one, f"{part}_{kind}")
    assert line(left, "training").get_linestyle() != line(left, "validation").get_linestyle()
    assert {"training", "validation", "best epoch"} <= set(words(figure))
    assert [left.get_title("left"), right.get_title("left")] == ["accuracy", "loss"]


def test_the_legend_names_no_line_that_is_not_there():
    one = history()
    one.train_accuracy, one.train_loss = [], []
    [legend] = [axes.get_legend() for axes in plots.curves(one).axes if axes.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["validation", "best epoch"]


def test_the_best_epoch_has_the_star():
    one = history()
    assert one.best_epoch == 5  # the last is worse, on purpose
    figure = plots.curves(one)
    star = line(figure.axes[0], "best epoch")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (5, one.val_accuracy[4])
    assert star.get_marker() == "*"
    assert figure.get_suptitle() == "lenet: best is epoch 5, 97.00 %"


@pytest.mark.parametrize("several", [False, True])
def test_a_bad_start_does_not_flatten_the_end(several):
    one = history()
    one.val_accuracy[:] = one.train_accuracy[:] = [0.1, 0.98, 0.99, 0.97, 0.985, 0.98]
    axes = plots.curves([one, one] if several else one, lowest=0.97).axes[0]
    bottom, top = axes.get_ylim()
    assert bottom == 0.97
    assert 0.99 < top < 0.995


def test_several_networks_differ_by_more_than_colour():
    many = [history(f"net{k}", 3 + k, 0.9 + k / 200) for k in range(14)]
    figure = plots.curves(many)
    (axes,) = figure.axes
    lines = [line(axes, f"{each.network} {max(each.val_accuracy):.2%}") for each in many]
    for drawn, each in zip(lines, many, strict=True):
        assert list(drawn.get_ydata()) == each.val_accuracy
        assert list(drawn.get_xdata()) == list(range(1, each.epochs + 1))
    looks = [(str(each._dash_pattern), each.get_marker()) for each in lines]
    pairs = [(each.get_color(), *look) for each, look in zip(lines, looks, strict=True)]
    assert len(set(looks[:7])) == 7
    assert len(set(pairs)) == 14
    stars = [each for each in axes.lines if each.get_marker() == "*"]
    assert [star.get_xdata()[0] for star in stars] == [each.best_epoch for each in many]


@pytest.mark.parametrize("name", ["a", "a name of more than thirty letters"])
def test_a_name_stands_apart_from_its_marks(name):
    picture = Picture(plots.curves({name: history("a", 5, 0.98), "b": history("b", 5, 0.95)}))
    text = picture.axes.get_legend().texts[0]
    left, bottom, right, top = text.get_window_extent().extents
    assert right <= picture.pixels.shape[1]
    rows = slice(len(picture.pixels) - int(top), len(picture.pixels) - int(bottom))
    gap = picture.pixels[rows, int(left) - 6 : int(left) - 1]
    assert (gap == 255).all()
    assert (picture.pixels[rows, int(left) - 30 : int(left)] != 255).any()


def test_every_line_is_named_with_its_own_look_the_highest_first():
    many = {name: history(name, 5, top) for name, top in [("a", 0.98), ("b", 0.9801), ("c", 0.95)]}
    picture = Picture(plots.curves(many, lowest=0.9))
    legend = picture.axes.get_legend()
    texts = [text.get_text() for text in legend.texts]
    assert texts == ["b 95.51 %", "a 95.50 %", "c 92.50 %"]
    for text, piece in zip(texts, legend.get_lines(), strict=True):
        drawn = line(picture.axes, text.replace(" %", "%"))
        assert list(drawn.get_ydata()) == many[text[0]].val_accuracy
        assert piece.get_color() == drawn.get_color()
        assert piece.get_marker() == drawn.get_marker()
        assert str(piece._dash_pattern) == str(drawn._dash_pattern)
    boxes = [text.get_window_extent() for text in legend.texts]
    assert boxes[0].y0 >= boxes[1].y1 > boxes[1].y0 >= boxes[2].y1
    assert picture.axes.get_ylim()[0] == 0.9


def test_a_figure_keeps_its_percentages_when_another_is_made():
    def ticks(figure):
        figure.pixels()
        return [label.get_text() for label in figure.axes[0].get_yticklabels()]

    close = plots.curves([history("a", 5, 0.98), history("b", 5, 0.99)], lowest=0.96)
    before = ticks(close)
    plots.curves(history("far", 5, 0.3))
    assert ticks(close) == before
    assert len(set(before)) == len(before)


def test_networks_of_one_name_are_kept_apart():
    figure = plots.curves([history(), history(), history("mlp")])
    named = [text.get_text().rsplit(" ", 2)[0] for text in figure.axes[0].get_legend().texts]
    assert named == ["lenet", "lenet (2)", "mlp"]


def test_one_epoch_is_seen():
    picture = Picture(plots.curves(history(epochs=1)))
    drawn = line(picture.axes, "training")
    x, y = drawn.get_xdata()[0], drawn.get_ydata()[0]
    assert lightness(picture.at(x, y)) < 70


@pytest.mark.parametrize("nothing", [[], {}, History(), {"mlp": History()}])
def test_nothing_to_draw_is_told(nothing):
    with pytest.raises(ValueError, match="no complete epoch to draw of"):
        plots.curves(nothing)


# --- Comparison and confusion --------------------------------------------------------------


def test_the_best_network_is_at_the_top():
    figure = plots.compare({"mlp": 0.982, "newnet": 0.9955, "lenet": 0.9921})
    (axes,) = figure.axes
    (dots,) = axes.lines
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["mlp 98.20 %", "lenet 99.21 %", "newnet 99.55 %"]
    assert list(dots.get_xdata()) == [0.982, 0.9921, 0.9955]
    assert list(dots.get_ydata()) == list(axes.get_yticks()) == [0, 1, 2]
    with pytest.raises(ValueError, match="shares in 0…1.*98.2"):
        plots.compare({"mlp": 98.2})


def test_a_network_stands_over_what_it_costs():
    costs = {"mlp": 218_058, "lenet": 44_426}
    figure = plots.compare({"mlp": 0.982, "lenet": 0.992}, costs=costs, cost="weights")
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_transform() == axes.transData]
    assert [line.get_xydata().tolist() for line in dots] == [[[218058, 0.982]], [[44426, 0.992]]]
    assert len({line.get_marker() for line in dots}) == 2
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == [
        *("lenet 99.20 %", "mlp 98.20 %")
    ]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "weights")
    low, high = axes.get_xlim()
    assert 8e3 < low < 1e4
    assert 1e6 < high < 1.25e6
    assert {"10,000", "100,000", "1,000,000"} <= set(words(figure))


@pytest.mark.parametrize("most", [9_172_350, 9_700_000])
def test_the_marks_at_the_ends_are_whole(most):
    places = {"largest": (most, 0.99), "smallest": (10_100, 0.98)}
    costs = {name: cost for name, (cost, _) in places.items()}
    shares = {name: share for name, (_, share) in places.items()}
    picture = Picture(plots.compare(shares, costs=costs))
    for place in places.values():
        row, column = picture.place(*place)
        line = picture.pixels[row, column - 13 : column + 14]
        coloured = np.flatnonzero(abs(line - line[13]).sum(-1) < 60) - 13
        assert abs(coloured[0] + coloured[-1]) <= 2  # whole pixels
        assert np.ptp(coloured) > 14


@pytest.mark.parametrize("costs", [{"a": 1}, {"a": 1, "b": 0}, {"a": 1, "c": 2}])
def test_costs_that_do_not_fit_are_told(costs):
    with pytest.raises(ValueError, match="above zero for each of a, b"):
        plots.compare({"a": 0.9, "b": 0.95}, costs=costs)


def test_mistakes_show_and_the_diagonal_does_not():
    counts = np.diag([900, 800, 1000])
    counts[0, 2], counts[1, 0] = 4, 1
    picture = Picture(plots.confusion(torch.tensor(counts), names=["a", "b", "c"]))
    printed = {text.get_position(): text.get_text() for text in picture.axes.texts}
    shown = {place: text for place, text in printed.items() if text}
    assert shown == {(0, 0): "900", (1, 1): "800", (2, 2): "1,000", (2, 0): "4", (0, 1): "1"}
    assert all(same(picture.at(k - 0.4, k - 0.4), GAP) for k in range(3))
    worst, once, never = (picture.at(*place) for place in ((1.6, -0.4), (-0.4, 0.6), (0.6, -0.4)))
    assert lightness(worst) < lightness(once) < lightness(never)
    assert never.tolist() == [255, 255, 255]
    assert worst[0] > worst[2]
    assert {"answer", "label", "a", "b", "c", "5 of 2,705 are wrong"} <= set(words(picture.figure))
    assert [t.get_text() for t in picture.axes.get_xticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), r"\(K, K\), but had \(2, 3\)"),
        (np.zeros(4), r"\(K, K\), but had \(4,\)"),
        ([[1, -1], [0, 1]], "holds counts, but this one holds -1"),
    ],
)
def test_what_is_no_confusion_is_told(matrix, message):
    with pytest.raises(ValueError, match=message):
        plots.confusion(matrix)


# --- Figures, however the notebook is set --------------------------------------------------

EVERY = {
    "images": lambda: plots.images(normal(3, 5, 5), titles="abc"),
    "feature_maps": lambda: plots.feature_maps(normal(4, 6, 6), title="conv1"),
    "vector": lambda: plots.feature_maps(normal(20), title="fc1"),
    "kernels": lambda: plots.kernels(normal(3, 2, 3, 3)),
    "probabilities": lambda: plots.probabilities([0.2, 0.8], label=0),
    "curve": lambda: plots.curves(history()),
    "curves": lambda: plots.curves([history(), history("mlp")]),
    "compare": lambda: plots.compare({"a": 0.9, "b": 0.95}),
    "confusion": lambda: plots.confusion(np.eye(3, dtype=int)),
}


@pytest.fixture
def shell():
    """IPython as a notebook has it; whatever runs afterwards shall find none."""
    from IPython.core.interactiveshell import InteractiveShell

    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("pyplot", [False, True])
def test_a_figure_shows_itself(name, pyplot, shell):
    from IPython.core.pylabtools import select_figure_formats

    select_figure_formats(shell, ["png"] if pyplot else [])
    figure = EVERY[name]()
    shown, _ = shell.display_formatter.format(figure)
    assert base64.b64decode(shown["image/png"]) == figure.to_png()
    picture = Image.open(io.BytesIO(base64.b64decode(shown["image/png"])))
    width, height = picture.size
    assert shown["text/plain"] == repr(figure)
    assert repr(figure).startswith(f"<Figure size {width}x{height} with ")
    assert 300 <= width <= 840
    assert len(figure.to_png()) < 40_000


@pytest.mark.parametrize("name", EVERY)
def test_the_small_file_looks_like_the_picture(name):
    figure = EVERY[name]()
    truth = Picture(figure).pixels
    file = np.asarray(Image.open(io.BytesIO(figure.to_png())).convert("RGB")).astype(int)
    error = np.abs(file - truth).max(axis=-1)
    assert error.max() <= 32
    assert error.mean() < 0.2
    assert (error[(truth == 255).all(axis=-1)] == 0).all()
    assert figure.to_png() == figure.to_png()


@pytest.mark.parametrize("name", EVERY)
def test_the_style_of_the_notebook_changes_nothing(name):
    expected = EVERY[name]().to_png()
    loud = {"figure.dpi": 50, "text.color": "white", "axes.facecolor": "black", "font.size": 30,
            "image.cmap": "jet", "savefig.bbox": "tight", "figure.facecolor": "black"}  # fmt: skip
    with mpl.rc_context(loud):
        before = dict(mpl.rcParams)
        figure = EVERY[name]()
        assert figure.to_png() == expected
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_cut_off(name):
    rgba = EVERY[name]().pixels()
    edges = [rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]]
    assert all((edge == 255).all() for edge in edges)
    assert (rgba[..., 3] == 255).all()


def test_sizes_are_whole_pixels():
    from vizlib.plots import _figure

    for pixels in range(425, 475):
        with _figure._settings():
            figure, _ = _figure.sheet(pixels / 140, pixels / 140)
        renderer = FigureCanvasAgg(figure).get_renderer()
        width, height = int(renderer.width), int(renderer.height)
        assert f"size {width}x{height} with" in repr(figure)
        assert width >= pixels


def test_a_long_title_is_wrapped_and_a_narrow_figure_widened():
    long = plots.feature_maps(normal(1, 4, 4), title="word " * 30)
    assert long.get_suptitle().count("\n") == 2
    assert long.get_figwidth() > plots.feature_maps(normal(1, 4, 4)).get_figwidth()


def test_a_picture_with_more_colours_than_a_palette_holds():
    y, x = np.mgrid[:128, :128]
    pixels = np.stack([2 * x, 2 * y, 255 - x - y], axis=-1).astype(np.uint8)
    file = np.asarray(Image.open(io.BytesIO(plots.png(pixels))).convert("RGB")).astype(int)
    assert np.abs(file - pixels).max() <= 32
    few = np.random.default_rng(0).integers(0, 256, (9, 20, 3), dtype=np.uint8)
    exact = np.asarray(Image.open(io.BytesIO(plots.png(few))).convert("RGB"))
    assert (exact == few).all()


def test_pyplot_is_never_imported():
    script = (
        "import sys; import numpy as np; from vizlib import plots;"
        "plots.feature_maps(np.zeros((2, 3, 3))).to_png();"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_plane_of_one_row_and_words_are_told():
    for draw in (plots.regions, plots.contours):
        with pytest.raises(ValueError, match="two rows and two columns at least"):
            draw(np.zeros((1, 5)), extent=(0, 1, 0, 1))
    with pytest.raises(TypeError, match="must be numbers, but were of the kind <U1"):
        plots.feature_maps(np.array([[["a", "b"]]]))


def test_the_greatest_of_short_integers_does_not_wrap_around():
    assert plots.largest(np.full((2, 2), -128, np.int8)) == 128.0


def test_no_points_at_all_are_drawn():
    plane = np.eye(4)
    assert plots.regions(plane, extent=(0, 1, 0, 1), points=np.empty((0, 2)), labels=[])
