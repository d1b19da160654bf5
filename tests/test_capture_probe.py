"""Channels, contributions and top images against numpy, gradients and loops."""

from __future__ import annotations

import pytest
import torch
from captured import Calls, answer
from torch import nn

from vizlib import capture, data, models

torch.manual_seed(0)


# --- Measures ------------------------------------------------------------------------------


def test_channels_against_numpy():
    output = torch.randn(3, 4, 5, 5).relu()
    output[:, 2] = 0
    channels = capture.Stage("relu", "relu", output, (), nn.ReLU()).channels()
    for c in range(4):
        values = output.numpy()[:, c]
        assert channels.min[c] == values.min()
        assert channels.max[c] == values.max()
        assert channels.mean[c].item() == pytest.approx(values.mean(), rel=1e-5)
        assert channels.zeros[c].item() == pytest.approx((values == 0).mean())
    assert channels.dead.tolist() == [False, False, True, False]


def test_channels_of_tokens_lie_on_the_last_axis():
    x = torch.randn(2, 5, 3)
    recording = capture.record(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), x)
    assert recording["0"].channels().mean.shape == (4,)
    expected = recording["0"].output.mean(dim=(0, 1))
    assert torch.allclose(recording["0"].channels().mean, expected, atol=1e-6)
    assert recording["1"].channels().mean.shape == (4,)


@pytest.mark.parametrize("name", ["lenet", "mlp", "myvggnet"])
def test_contributions_sum_exactly_to_the_scores(name):
    model = models.build(name, seed=0).eval()
    x = torch.randn(5, *model.input_shape)
    parts = capture.contributions(model, x)
    scores = answer(model, x)
    assert torch.equal(parts.logits, scores.double())
    assert torch.equal(parts.units.sum(-1) + parts.bias + parts.rounding, parts.logits)
    assert parts.rounding.abs().max() < 1e-5
    assert parts.stage == [n for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]


def test_contributions_are_gradient_times_input():
    model, x = models.build("lenet", seed=0).eval(), torch.randn(1, 1, 28, 28)
    parts = capture.contributions(model, x)
    values = nn.Sequential(*list(model)[:-1])(x).detach().requires_grad_()
    for digit in range(10):
        (gradient,) = torch.autograd.grad(model[-1](values)[0, digit], values)
        assert torch.allclose(parts.units[0, digit].float(), (gradient * values)[0], atol=1e-6)


def test_contributions_need_a_linear_layer():
    with pytest.raises(KeyError, match="no stage is called 'linear'"):
        capture.contributions(models.build("newnet").eval(), torch.zeros(1, 1, 28, 28))


def test_top_images_are_those_that_a_loop_finds():
    model, digits = models.build("lenet", seed=0).train(), data.load("digits")
    top = capture.top_images(model, digits, "relu2", channel=5, k=7, batch_size=50)
    assert model.training
    images = digits.normalize(digits.test.images)
    with torch.no_grad():
        maps = model.relu2(model.conv2(model.pool1(model.relu1(model.conv1(images)))))
    peaks = [float(maps[n, 5].max()) for n in range(len(images))]
    best = sorted(range(len(images)), key=lambda n: -peaks[n])[:7]
    assert [round(v, 5) for v in top.values.tolist()] == [round(peaks[n], 5) for n in best]
    assert torch.equal(top.images, digits.test.images[top.indices])
    assert torch.equal(top.labels, digits.test.labels[top.indices])


def test_top_images_of_a_unit_of_a_linear_layer():
    model, digits = models.build("mlp", seed=0), data.load("digits")
    top = capture.top_images(model, digits, "linear3", channel=2, k=3)
    scores = answer(model.eval(), digits.normalize(digits.test.images))[:, 2]
    assert torch.allclose(top.values, scores.topk(3).values, atol=1e-5)


def test_top_images_of_an_unknown_channel_and_stage():
    model, digits = models.build("lenet"), data.load("digits")
    with pytest.raises(
        IndexError, match="channel 6 of 'conv1' was asked for, but it has 6, numbered from 0 to 5"
    ):
        capture.top_images(model, digits, "conv1", 6)
    with pytest.raises(KeyError, match="did you mean 'conv1'"):
        capture.top_images(model, digits, "konv1", 0)


def test_top_images_of_any_pair_of_images_and_labels():
    digits = data.load("digits")
    lenet = models.build("lenet", seed=0)
    pair = digits.test.images, digits.test.labels
    of_bytes = capture.top_images(lenet, pair, "conv1", 2, k=5, batch_size=40)
    inputs = (data.normalize(pair[0]), pair[1])
    of_floats = capture.top_images(lenet, inputs, "conv1", 2, k=5)
    assert torch.equal(of_bytes.indices, of_floats.indices)
    assert torch.equal(of_bytes.images, pair[0][of_bytes.indices])
    assert torch.equal(of_floats.images, inputs[0][of_bytes.indices])
    colour, labels = torch.randn(6, 3, 8, 8), torch.arange(6)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    top = capture.top_images(model, (colour, labels), "0", 1, k=9)
    peaks = answer(model[0], colour)[:, 1].amax((1, 2))
    assert torch.equal(top.labels, peaks.argsort(descending=True))
    assert torch.allclose(top.values, peaks.sort(descending=True).values)


@pytest.mark.parametrize(
    ("model", "stage", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "0", r"the model cannot take images \(6, 3, 8, 8\): "),
        (
            Calls(lambda _, x: x.mean()),
            "mean",
            "'mean' gave a single number, which has no channels",
        ),
        (
            Calls(lambda _, x: x.view(2, 9, 64).relu()),
            "relu",
            r"'relu' gave \(2, 9, 64\): no values for each of 6 images",
        ),
    ],
    ids=["other images", "one number", "batch folded"],
)
def test_top_images_of_ones_own_model_are_refused_in_a_sentence(model, stage, words):
    with pytest.raises(ValueError, match=words):
        capture.top_images(model, (torch.randn(6, 3, 8, 8), torch.arange(6)), stage, 0)


def test_contributions_multiply_out_the_last_layer_alone(monkeypatch):
    """Those of the others would take a thousand times the memory of the network."""
    made = []
    double = torch.Tensor.double
    monkeypatch.setattr(torch.Tensor, "double", lambda t: made.append(t.numel()) or double(t))
    model = Calls(
        lambda self, x: self.head(self.body(x).mean(1)),
        body=nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64)),
        head=nn.Linear(64, 3),
    )
    parts = capture.contributions(model, x := torch.randn(1, 50, 64))
    assert parts.stage == "head"
    assert parts.units.shape == (1, 3, 64)
    values = answer(model.body, x).mean(1)
    assert torch.allclose(parts.units[0].float(), values * model.head.weight.detach(), atol=1e-6)
    assert max(made) <= 50 * 256  # what goes into a layer, and never its products
