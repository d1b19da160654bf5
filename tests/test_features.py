"""Hand-made features against loops, against torch, and on images whose answer is known."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vizlib import features


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def loop(image, kernel):
    """Correlation with four loops; beyond the edges the outermost pixels go on."""
    height, width = len(image), len(image[0])
    up, left = len(kernel) // 2, len(kernel[0]) // 2
    out = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for u, weights in enumerate(kernel):
                for v, weight in enumerate(weights):
                    y = min(max(row + u - up, 0), height - 1)
                    x = min(max(column + v - left, 0), width - 1)
                    out[row, column] += image[y][x] * weight
    return out


def stripes(period, angle, side=32):
    """Waves whose brightness changes in the direction of `angle`, in degrees."""
    y, x = np.mgrid[:side, :side]
    turned = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    return 0.5 + 0.5 * np.cos(2 * np.pi * turned / period)


@pytest.mark.parametrize("name", features.KERNELS)
def test_kernels_are_used_as_a_convolution_layer_does(name):
    image = noise(9, 7)
    found = features.filtered(image, name)
    assert np.allclose(found, loop(image.tolist(), features.kernel(name).tolist()))
    weight = torch.as_tensor(features.kernel(name))[None, None]
    outer = F.pad(torch.as_tensor(image)[None, None], (1, 1, 1, 1), mode="replicate")
    assert np.allclose(found, F.conv2d(outer, weight)[0, 0])


def test_what_keeps_a_flat_image_and_what_empties_it():
    flat = np.full((5, 5), 0.7)
    for name in features.KERNELS:
        kept = name in {"identity", "blur", "gaussian", "sharpen", "emboss"}
        assert np.allclose(features.filtered(flat, name), 0.7 if kept else 0), name


def test_kernels_of_other_shapes_are_taken():
    image, kernel = noise(6, 8), noise(3, 5, seed=1)
    assert np.allclose(features.filtered(image, kernel), loop(image.tolist(), kernel.tolist()))


def test_bytes_and_colours_become_brightness():
    pixels = (noise(4, 4, 3) * 255).astype(np.uint8)
    weights = [0.2125, 0.7154, 0.0721]
    assert np.allclose(features.grey(pixels), pixels / 255 @ weights)
    assert np.allclose(features.grey(pixels[..., 0]), pixels[..., 0] / 255)


@pytest.mark.parametrize("number", range(4))
def test_each_direction_of_the_bank_finds_its_own_stripes(number):
    found = features.gabor(stripes(period=5, angle=45 * number), [0.2], 4)
    assert found.shape == (4, 32, 32)
    assert found[:, 8:-8, 8:-8].mean((1, 2)).argmax() == number


@pytest.mark.parametrize("number", range(3))
def test_each_frequency_of_the_bank_finds_its_own_stripes(number):
    frequencies = [0.1, 0.2, 0.4]
    found = features.gabor(stripes(1 / frequencies[number], 0), frequencies, 1)
    assert found[:, 8:-8, 8:-8].mean((1, 2)).argmax() == number


@pytest.mark.parametrize(("angle", "direction"), [(0, 0), (90, 4)])
def test_oriented_gradients_lie_across_the_stripes(angle, direction):
    found = features.oriented_gradients(stripes(14, angle, side=28))
    assert found.histograms.shape == (4, 4, 9)
    assert found.picture.shape == (28, 28)
    assert found.picture.max() == 1
    assert (found.histograms.argmax(2) == direction).all()
    assert np.allclose(np.linalg.norm(found.histograms, axis=2), 1, atol=1e-4)


def test_nothing_changes_in_a_flat_image():
    assert not features.oriented_gradients(np.ones((28, 28))).histograms.any()


def test_the_colour_histogram_counts():
    pixels = (noise(12, 10, 3) * 255).astype(np.uint8)
    found = features.colour_histogram(pixels, bins=4)
    for colour in range(3):
        values = pixels[..., colour].ravel().tolist()
        counts = [
            sum(int(v / 255 * 4) == b or (v == 255 and b == 3) for v in values) for b in range(4)
        ]
        assert np.allclose(found[colour], np.array(counts) / 120)
    shuffled = np.random.default_rng(1).permutation(pixels.reshape(-1, 3)).reshape(pixels.shape)
    assert np.array_equal(features.colour_histogram(shuffled, bins=4), found)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: features.kernel("sobelx"),
            "no kernel is called 'sobelx'; did you mean 'sobel_x'?",
        ),
        (lambda: features.filtered(np.eye(3), [1, 2]), r"a kernel has the shape \(kh, kw\)"),
        (lambda: features.grey(np.zeros((1, 28, 28))), r"\(H, W, 3\) in colour, but had the shape"),
        (lambda: features.gabor(np.eye(9), [0.7]), r"at most 0.5 waves a pixel, but were \[0.7\]"),
        (lambda: features.gabor(np.eye(9), [0.2], 0), "orientations must be at least 1, but was 0"),
        (
            lambda: features.oriented_gradients(np.eye(5), cell=7),
            "cell must be from 1 to 5 pixels for an image of 5×5, but was 7",
        ),
        (lambda: features.colour_histogram(np.eye(3)), r"image must be \(H, W, 3\), but had"),
        (
            lambda: features.colour_histogram(np.full((2, 2, 3), 9.0)),
            "or floats in 0…1, but these lie in 9…9; divide them by 255",
        ),
    ],
)
def test_what_cannot_be_is_told_so(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
