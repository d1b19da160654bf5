"""What the texts of the lessons say about the networks, tried once more without the lessons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vizlib import models, weights

with_mnist = pytest.mark.usefixtures("mnist")


@pytest.fixture(scope="module")
def digits(mnist):
    return mnist


def answers(model, images, digits):
    with torch.no_grad():
        return torch.cat([model(digits.normalize(some)).softmax(1) for some in images.split(1_000)])


# --- 05: the rates of exercise 5, the spread of a measured accuracy -------------------------


def test_05_ten_thousand_images_spread_an_accuracy_by_a_tenth_of_a_percent():
    draws = np.random.default_rng(0).binomial(10_000, 0.99, 20_000) / 10_000
    assert draws.std() == pytest.approx(0.001, abs=5e-5)


# --- 10: what is put in the place of a channel ----------------------------------------------


@pytest.fixture(scope="module")
def lost(digits):
    """How many test images LeNet loses for each channel of relu2 and each replacement."""
    lenet, (images, labels) = weights.load("lenet"), digits.test[:]
    with torch.no_grad():
        maps = torch.cat([lenet[:5](digits.normalize(some)) for some in images.split(1_000)])
        right = lenet[5:](maps).argmax(1) == labels
        others = {"zero": 0 * maps[:1], "mean": maps.mean(0)[None], "other": maps.roll(1, 0)}
        return {
            name: [_lost(lenet[5:], maps, labels, right, each, k) for k in range(16)]
            for name, each in others.items()
        }


def _lost(rest, maps, labels, right, instead, channel):
    kept = torch.ones(1, 16, 1, 1)
    kept[0, channel] = 0
    changed = maps * kept + instead * (1 - kept)
    return labels[right & (rest(changed).argmax(1) != labels)].bincount(minlength=10)


def test_10_most_of_what_zero_costs_is_the_missing_level(lost):
    zero, mean = (lost[name][0].sum() for name in ("zero", "mean"))
    assert mean < zero / 4
    assert lost["zero"][0].argmax() == 1


def test_10_which_channel_matters_most_depends_on_what_is_put_in_its_place(lost):
    order = {name: np.argsort([-each.sum() for each in rows]) for name, rows in lost.items()}
    assert order["zero"][0] == 0
    assert sorted(order["other"][:2]) == [2, 4]


# --- 06: the scores are not what the last convolution makes ---------------------------------


def test_06_batch_norm_and_prelu_stand_between_the_last_convolution_and_the_scores(digits):
    newnet, image = weights.load("newnet"), digits.test.images[digits.test.labels == 8][:1]
    with torch.no_grad():
        features = newnet.features
        convolved = features[:26](digits.normalize(image)).flatten(1)
        scores = features[26:28](convolved[..., None, None]).flatten(1)
        assert torch.equal(scores, newnet(digits.normalize(image)))
    assert not torch.allclose(convolved, scores, atol=0.5)


# --- 07: a fully connected layer in disguise ------------------------------------------------


def test_07_five_of_nine_weights_of_the_last_convolution_never_get_a_gradient():
    newnet = models.build("newnet", seed=0)
    newnet(torch.randn(8, 1, 28, 28)).square().sum().backward()
    reached = (newnet.features[25].weight.grad != 0).any(0).any(0)
    assert reached.tolist() == [[False] * 3, [False, True, True], [False, True, True]]
    assert newnet.features[25].weight[:, :, ~reached].numel() == 4_800


def test_07_two_small_kernels_cost_18_weights_for_25():
    large, small = (nn.Conv2d(64, 64, side, bias=False).weight.numel() for side in (5, 3))
    assert (large, 2 * small) == (102_400, 73_728)
    assert 25 * 2 * small == 18 * large


# --- 09: what a photograph is to conv1 ------------------------------------------------------


def test_09_every_sum_of_a_bright_image_has_occurred_but_empty_paper_is_nowhere(digits):
    lenet = weights.load("lenet")
    bright = torch.linspace(240, 60, 28).repeat(28, 1).to(torch.uint8)
    bright[10:18, 12:15] //= 2
    with torch.no_grad():
        known = lenet.conv1(digits.normalize(digits.train.images[:5_000]))
        new = lenet.conv1(digits.normalize(bright))
    assert (new.amax((0, 2, 3)) <= known.amax((0, 2, 3))).all()
    assert (new.amin((0, 2, 3)) >= known.amin((0, 2, 3))).all()
    assert new[0, 1].max() < 0 < known[:, 1].max()
