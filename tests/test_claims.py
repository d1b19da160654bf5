"""What the texts of the lessons say about the networks, tried once more without the lessons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage, signal, stats
from torch import nn
from torchvision import transforms

from vizlib import handwriting, models, train, weights


@pytest.fixture(scope="module")
def digits(mnist):
    return mnist


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


def test_09_one_in_a_hundred_test_digits_is_doubted(digits):
    pictures = digits.test.images[:2_000].numpy()
    readings = handwriting.answers(weights.load("lenet"), [*map(handwriting.from_ink, pictures)])
    assert sum(each.doubted for each in readings) / 2_000 == pytest.approx(0.01, abs=0.005)


# --- 01: what is to be beaten, and what ToTensor divides ------------------------------------


def test_01_always_answering_1_is_right_in_11_of_100_cases(digits):
    shares = digits.test.labels.bincount() / len(digits.test)
    assert shares.argmax() == 1
    assert round(shares.max().item(), 2) == 0.11


def test_01_to_tensor_divides_bytes_and_nothing_else():
    grey = np.full((2, 2), 255)
    assert transforms.ToTensor()(grey.astype(np.uint8)).max() == 1
    assert transforms.ToTensor()(grey.astype(np.float32)).max() == 255


# --- 02: the rate that is right depends on the inputs ---------------------------------------


def test_02_a_rate_that_is_fine_for_fractions_is_too_large_for_normalized_pixels(digits):
    fractions, normalized = (short_run(digits, rate=0.8, fractions=each) for each in (True, False))
    spoilt = short_run(digits, nn.ReLU(), rate=0.8, fractions=True)
    assert fractions > max(normalized, spoilt) + 0.03


def short_run(digits, *last, rate, fractions):
    torch.manual_seed(0)
    hidden = nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10), *last)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    images, labels = digits.train[: 200 * 128]
    x = images[:, None] / 255 if fractions else digits.normalize(images)
    for some, truth in zip(x.split(128), labels.split(128), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(some), truth).backward()
        optimizer.step()
    images, labels = digits.val[:]
    x = images[:, None] / 255 if fractions else digits.normalize(images)
    return (model(x).argmax(1) == labels).float().mean().item()


# --- 04: cross-correlation, and kernels that are still their random start -------------------


def test_04_a_mathematician_turns_the_kernel_around():
    image = np.array([[first, 3, 2, 1, 0] for first in (3, 2, 3, 4, 1)])
    kernel = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]])
    ours = [[24, 18, 8], [26, 18, 8], [28, 18, 8]]
    assert signal.convolve2d(image, kernel, "valid").tolist() != ours
    assert signal.convolve2d(image, kernel[::-1, ::-1], "valid").tolist() == ours


def test_04_after_200_steps_much_of_each_kernel_is_its_random_start(digits):
    start, learnt = (models.build("lenet", seed=0) for _ in range(2))
    train.fit(learnt, digits, epochs=1, steps_per_epoch=200, progress=False, device="cpu")
    trained = weights.load("lenet")
    first, now, end = (each.conv1.weight.flatten(1) for each in (start, learnt, trained))
    assert (nn.functional.cosine_similarity(first, now) > 0.6).all()
    assert (nn.functional.cosine_similarity(first, end) < 0.6).all()


# --- 08: a verdict, and probabilities that can be trusted -----------------------------------


def test_08_newnet_beats_every_lenet_but_one_training_of_each_cannot_tell(digits):
    seeds = [weights.info(name)["accuracy_by_seed"].values() for name in ("newnet", "lenet")]
    assert min(seeds[0]) > max(seeds[1])
    assert len(seeds[0]) == len(seeds[1]) == 3
    mlp, lenet, newnet = (right(digits, name) for name in ("mlp", "lenet", "newnet"))
    for one, other, is_clear in ((lenet, mlp, True), (newnet, lenet, False)):
        more, fewer = int((one & ~other).sum()), int((other & ~one).sum())
        assert (stats.binomtest(more, more + fewer).pvalue < 0.05) == is_clear
    assert 0.0005 < newnet.double().mean() - lenet.double().mean() < 0.0015


def right(digits, name):
    """Which test digits a trained network reads."""
    model, (images, labels) = weights.load(name), digits.test[:]
    with torch.no_grad():
        answers = [model(digits.normalize(some)).argmax(1) for some in images.split(500)]
    return torch.cat(answers) == labels


def test_08_the_network_that_only_guesses_at_first_is_among_the_best_in_the_end():
    scores = {name: weights.info(name)["history"]["val_accuracy"] for name in weights.names()}
    first = {name: values[0] for name, values in scores.items()}
    last = min(first, key=first.get)
    assert (last, round(1 / first[last]), len(scores[last])) == ("myvggnet", 9, 80)
    assert max(scores[last][:3]) < 0.12
    assert scores[last][3] > 0.5
    best = {name: max(values) for name, values in scores.items()}
    assert best["lenet"] == best[last]
    assert [name for name in best if best[name] > best[last]] == ["newnet"]


def test_08_probabilities_keep_their_word_on_test_digits_and_not_on_turned_ones(digits):
    lenet, (images, labels) = weights.load("lenet"), digits.test[:]
    turned = torch.tensor(ndimage.rotate(images, 45, (2, 1), reshape=False, order=1))
    gaps = []
    for each in (images, turned):
        with torch.no_grad():
            rows = torch.cat([lenet(digits.normalize(some)).softmax(1) for some in each.split(500)])
        share, answers = rows.max(1)
        group = (share >= 0.9) & (share < 0.99)
        right = (answers == labels)[group].float().mean()
        gaps.append((share[group].mean() - right).item())
    assert abs(gaps[0]) < 0.02
    assert gaps[1] > 0.15


# --- What the sliders of the lessons show ---------------------------------------------------


def test_01_the_first_column_of_ink_that_is_lost_is_seen_in_the_share(digits):
    ink = digits.train.images[8].double()
    left = [ink[:, : 28 - by].sum() / ink.sum() for by in (4, 5)]
    assert [f"{share:.1%}" for share in left] == ["100.0%", f"{left[1]:.1%}"]
    assert f"{left[1]:.1%}" != "100.0%"


def test_08_of_the_digits_that_only_lenet_reads_five_are_a_nine(digits):
    labels = digits.test.labels[right(digits, "lenet") & ~right(digits, "newnet")]
    counts = labels.bincount(minlength=10)
    assert (len(labels), counts[9], counts.sort().values[-2]) == (17, 5, 4)
    assert (counts[6], counts[4], counts[5]) == (4, 3, 0)


def test_09_how_sure_lenet_is_of_a_turned_4(digits):
    turned = [ndimage.rotate(digits.test.images[19], by, reshape=False, order=1) for by in (35, 40)]
    with torch.no_grad():
        rows = weights.load("lenet")(digits.normalize(torch.tensor(np.stack(turned)))).softmax(1)
    assert digits.test.labels[19] == 4
    assert rows[:, 4].tolist() == pytest.approx([0.74, 0.13], abs=0.005)


@pytest.mark.parametrize(("width", "parameters"), [(12, 36_850), (14, 45_510)])
def test_12_parameters_of_a_wider_network(width, parameters):
    channels = [1, width, 2 * width, 4 * width]
    convs = [nn.Conv2d(a, b, 3) for a, b in itertools.pairwise(channels)]
    norms = [nn.BatchNorm2d(b) for b in channels[1:]]
    layers = [*convs, *norms, nn.Linear(4 * width * 7 * 7, 10)]
    assert sum(p.numel() for layer in layers for p in layer.parameters()) == parameters
