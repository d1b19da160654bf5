"""Neurons that learn, step by step: every number is held against autograd and `torch.optim.SGD`."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn, optim

from vizlib import arithmetic, explore, plots

X, NEURONS, TARGET = [1.0, -2.0, 0.5], [([0.5, 0.25, -1.0], 1.0), ([2.0], 0.5)], 3.0


def learnt(activation, rate, steps):
    """Return weights, gradients and loss before each step, as torch makes them."""
    bend = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[activation]
    layers = [nn.Linear(len(weights), 1).double() for weights, _ in NEURONS]
    for layer, (weights, bias) in zip(layers, NEURONS, strict=True):
        layer.weight.data[0] = torch.tensor(weights)
        layer.bias.data[0] = bias
    optimizer = optim.SGD([p for layer in layers for p in layer.parameters()], lr=rate)
    for _ in range(steps + 1):
        optimizer.zero_grad()
        value = torch.tensor(X, dtype=torch.float64)
        for layer in layers:
            value = bend(layer(value))
        loss = nn.MSELoss()(value, torch.tensor([TARGET], dtype=torch.float64))
        loss.backward()
        yield (
            [layer.weight[0].clone().detach() for layer in layers],
            [layer.weight.grad[0].clone() for layer in layers],
            loss.item(),
        )
        optimizer.step()


def said(view, **place):
    return view.frame(**place)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("rate", [0.01, 0.07])
def test_every_step_is_the_one_that_sgd_takes(activation, rate):
    view = explore.backpropagation(X, NEURONS, TARGET, activation=activation, rate=rate, steps=12)
    losses = []
    for at, (weights, gradients, loss) in enumerate(learnt(activation, rate, 12)):
        *panels, chart, words = said(view, step=at).panels
        for number in range(2):
            inputs, weight, products, gradient = panels[4 * number : 4 * number + 4]
            torch.testing.assert_close(weight.values[0], weights[number])
            torch.testing.assert_close(gradient.values[0], gradients[number])
            torch.testing.assert_close(products.values, inputs.values * weight.values)
        losses.append(loss)
        after = "before the first step" if at == 0 else f"after {at} step{'s' * (at > 1)}"
        assert words.title == f"{after}: loss {loss:.4g}".replace("-", "−")
        assert chart.at == at
    np.testing.assert_allclose(chart.series["loss"], losses, rtol=1e-9)
    assert said(view).counts == {"step": 13}


def test_the_words_are_the_factors_and_the_next_weight():
    view = explore.backpropagation(X, NEURONS, TARGET, activation="tanh", rate=0.1)
    words = "\n".join(said(view, step=3).panels[-1].lines).replace("−", "-")
    steps = list(learnt("tanh", 0.1, 4))
    (weights, gradients, _), (after, *_) = steps[3], steps[4]
    for name, gradient in (("w1[1]", gradients[0][1]), ("w2[0]", gradients[1][0])):
        line = re.search(rf"∂loss/∂{re.escape(name)} = (.*) = (\S+)$", words, re.MULTILINE)
        product = np.prod([float(factor.strip("()")) for factor in line[1].split(" · ")])
        assert product == pytest.approx(gradient.item(), rel=0.02)
        assert float(line[2]) == pytest.approx(gradient.item(), rel=1e-3)
    line = re.search(r"next step: w1\[0\] = (\S+) ([-+]) 0.1 · (\S+) = (\S+)$", words, re.MULTILINE)
    weight, sign, taken, then = line.groups()
    expected = [weights[0][0].item(), -gradients[0][0].item(), after[0][0].item()]
    assert [float(weight), float(sign + taken), float(then)] == pytest.approx(expected, rel=1e-3)


def test_steps_that_leave_the_map_end():
    view = explore.backpropagation(X, NEURONS, 400.0, activation="leaky_relu", rate=0.3, steps=50)
    frame = said(view, step=49)
    losses = frame.panels[-2].series["loss"]
    assert len(losses) == frame.counts["step"] < 50
    assert np.isfinite(losses).all()
    assert frame.panels[-2].at == len(losses) - 1


def test_each_column_has_one_scale_for_all_steps():
    view = explore.backpropagation(X, NEURONS, TARGET, activation="tanh", rate=0.1, steps=5)
    limits = [[panel.limit for panel in said(view, step=at).panels[:8]] for at in range(6)]
    assert limits == [limits[0]] * 6
    gradients = [gradients[0].abs().max().item() for _, gradients, _ in learnt("tanh", 0.1, 5)]
    assert limits[0][3] == pytest.approx(max(gradients))


def test_state_opens_it_again_and_what_cannot_be_is_refused():
    view = explore.backpropagation(X, NEURONS, TARGET, state="step=4 rate=0.03")
    assert view.state == "step=4 rate=0.03"
    with pytest.raises(
        ValueError, match="rate must be above 0 and steps at least 1, but they were"
    ):
        explore.backpropagation(X, NEURONS, TARGET, rate=-1)
    with pytest.raises(ValueError, match="each neuron multiplies 2 inputs"):
        explore.backpropagation(X, [([1.0, 2.0], 0.0)], TARGET)


def test_the_figure_has_every_number_of_the_step():
    step = arithmetic.backpropagation(X, NEURONS, TARGET, activation="relu")
    figure = plots.backpropagation(step)
    texts = [text.get_text() for text in figure.axes[0].texts]
    # 1·0.5 − 2·0.25 − 0.5·1 + 1 = 0.5, twice that and 0.5 is 1.5, which lacks 1.5.
    assert "loss = (1.5 − 3)² = 2.25" in texts
    assert "∂loss/∂w1[1] = (−3) · 1 · 2 · 1 · (−2) = 12" in texts
    assert {"inputs", "× weights", "= products", "∂loss/∂w1", "∂loss/∂w2"} <= set(texts)
    cells = texts[texts.index("∂loss/∂w1") + 1 :][:3]
    assert cells == ["−6", "12", "−3"]
    with pytest.raises(TypeError, match="what arithmetic.backpropagation returned, but was a int"):
        plots.backpropagation(3)
    view = explore.backpropagation(X, NEURONS, TARGET, activation="relu")
    assert "loss = (1.5 − 3)² = 2.25" in [t.get_text() for t in view.figure().axes[0].texts]


@pytest.mark.browser
def test_it_slides_without_a_kernel(browser, tmp_path):
    view = explore.backpropagation(X, NEURONS, TARGET, activation="relu", steps=5)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"file://{view.to_html(tmp_path / 'learning.html')}")
    page.get_by_text("before the first step: loss 2.25").wait_for()
    page.get_by_role("button", name="Next").click()
    loss = list(learnt("relu", 0.01, 1))[1][2]
    page.get_by_text(f"after 1 step: loss {loss:.4g}").wait_for()
    page.close()
