"""The way back in a page against autograd: every rule, whole networks, and a step of SGD."""

from __future__ import annotations

import base64
import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from test_engine import (
    ACTIVATIONS,
    SEVERAL,
    borders,
    convolutions,
    in_double,
    linear_layers,
    matrices,
    norms,
    pairs,
    pools,
    rows_of_tensors,
    small,
    told,
    values,
)
from test_program import PACKED, Attention, Moving, text
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib import capture, weights
from vizlib import data as datasets
from vizlib.explore._explorer import script
from vizlib.explore._program import program

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]

CLOSE = 1e-5  # of the largest value
BACK = """([operation, options, slopes]) => {
  const plain = (each) => Array.isArray(each) ? each.map(plain)
    : each?.shape ? { shape: each.shape, values: Float32Array.from(each.values) } : each;
  const named = Object.entries(options).map(([name, each]) => [name, plain(each)]);
  const back = RULES[operation](plain(slopes), Object.fromEntries(named));
  const listed = (part) => Array.isArray(part) && part[0]?.length ? part.map(listed) : [...part];
  return Object.fromEntries(Object.entries(back).map(([name, part]) => [name, listed(part)]));
}"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    names = "RULES, run, backward, crossEntropy, stepped"
    modules = script("engine.js", "gradient.js")
    page.set_content(
        f'<script type="module">{modules}\nObject.assign(window, {{ {names} }});</script>'
    )
    page.wait_for_function("() => window.RULES")
    yield page
    page.close()


def leaves(option: object) -> list[Tensor]:
    """The tensors in an option, from now on with gradients."""
    found = option if isinstance(option, list) else [option]
    return [each.requires_grad_() for each in found if isinstance(each, Tensor)]


def close(made: object, expected: Tensor) -> None:
    made = torch.tensor(made).reshape(expected.shape)
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    assert float((made - expected).abs().max()) <= CLOSE * max(largest, 1e-9)


def check(page, function, operation=None, without=(), **options) -> None:
    """The rule gives what autograd gives, for each tensor that the function is given."""
    exact = {name: in_double(each) for name, each in options.items()}
    tensors = {name: own for name in {*exact} - {*without} if (own := leaves(exact[name]))}
    output = function(**exact)
    slopes = values(*output.shape)
    flat = [each for own in tensors.values() for each in own]
    expected = iter(torch.autograd.grad(output, flat, slopes.double(), allow_unused=True))
    made = page.evaluate(BACK, [operation or function.__name__, told(options), told(slopes)])
    for name, own in tensors.items():
        parts = made[name] if isinstance(options[name], list) else [made[name]]
        for part in parts[: len(own)]:
            close(part, next(expected))
    assert {*made} - {"other"} == {*tensors} - {"other"}


# --- Rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2])
@given(data=st.data())
@SEVERAL
def test_convolution(page, axes, data):
    check(page, {1: F.conv1d, 2: F.conv2d}[axes], **data.draw(convolutions(axes)))


@given(options=linear_layers())
@SEVERAL
def test_linear(page, options):
    check(page, F.linear, **options)
    check(page, F.linear, **options | {"bias": None})


@given(factors=matrices())
@SEVERAL
def test_matrix_product(page, factors):
    left, right = factors
    check(page, torch.matmul, input=left, other=right)


def apart(*shape: int) -> Tensor:
    """Values of which no two are close to each other, or to zero."""
    count = int(np.prod(shape))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    return ((order.float() - count / 2 + 0.3) / 4).reshape(shape)


@pytest.mark.parametrize("name", ["max_pool2d", "max_pool1d", "avg_pool2d", "avg_pool1d"])
@given(data=st.data())
@SEVERAL
def test_pooling(page, name, data):
    shape, options = data.draw(pools(name))
    check(page, getattr(F, name), name, input=apart(*shape), **options)


def test_of_equal_values_the_first_wins(page):
    check(page, F.max_pool2d, "max_pool2d", input=torch.zeros(1, 1, 4, 4), kernel_size=[2, 2])


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("kind", ["avg", "max"])
@given(data=st.data())
@SEVERAL
def test_adaptive_pooling(page, kind, axes, data):
    name, size = f"adaptive_{kind}_pool{axes}d", [data.draw(st.integers(1, 9)) for _ in range(axes)]
    target = [data.draw(st.integers(1, 6)) for _ in size]
    check(page, getattr(F, name), name, input=apart(2, 3, *size), output_size=target)


@given(options=norms())
@SEVERAL
def test_batch_norm(page, options):
    check(page, F.batch_norm, None, ("running_mean", "running_var"), **options)


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_activations(page, name, options):
    x = torch.cat([torch.linspace(-8.03, 8.05, 201), torch.tensor([0.0, 1e-6, -1e-6])])
    function = torch.sigmoid if name == "sigmoid" else getattr(F, name)
    check(page, function, name, input=x, **options)


@given(shape=st.lists(small, min_size=2, max_size=4), last=st.integers(1, 2), plain=st.booleans())
@SEVERAL
def test_layer_norm(page, shape, last, plain):
    size = shape[-last:]
    assume(np.prod(size) > 1)  # of one value alone the slope is 0
    own = {} if plain else {"weight": values(*size), "bias": values(*size)}
    check(page, F.layer_norm, input=apart(*shape), normalized_shape=size, **own)


@given(groups=small, each=small, size=st.lists(small, min_size=1, max_size=2))
@SEVERAL
def test_group_and_instance_norm(page, groups, each, size):
    channels = groups * each
    assume(np.prod(size) > 1)
    own = {"weight": values(channels), "bias": values(channels)}
    x = apart(2, channels, *size)
    check(page, F.group_norm, input=x, num_groups=groups, **own)
    check(page, F.instance_norm, input=x, **own)


@pytest.mark.parametrize("name", ["abs", "neg", "exp", "sqrt", "clamp"])
def test_functions(page, name):
    options = {"min": 0.5} if name == "clamp" else {}
    check(page, getattr(torch, name), name, input=torch.linspace(0.1, 3, 50), **options)


@given(shape=st.lists(small, min_size=2, max_size=4), one=st.booleans())
@SEVERAL
def test_prelu(page, shape, one):
    check(page, torch.prelu, "prelu", input=apart(*shape), weight=values(1 if one else shape[1]))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@given(shape=st.lists(small, min_size=1, max_size=4), data=st.data())
@SEVERAL
def test_softmax(page, function, shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    assume(shape[dim] > 1)  # of one value alone the slope is 0
    check(page, function, input=values(*shape), dim=dim)


@pytest.mark.parametrize("function", [torch.add, torch.sub, torch.mul, torch.div])
@given(pair=pairs())
@SEVERAL
def test_arithmetic_repeats_axes_of_one(page, function, pair):
    left, right = pair
    check(page, function, input=left, other=right)
    check(page, function, input=left, other=2.5)


@given(options=rows_of_tensors())
@SEVERAL
def test_concatenation(page, options):
    check(page, torch.cat, **options)


@given(shape=st.lists(small, min_size=2, max_size=4), data=st.data())
@SEVERAL
def test_axes(page, shape, data):
    x, axis = values(*shape), st.integers(-len(shape), len(shape) - 1)
    one, other = data.draw(axis), data.draw(axis)
    check(page, torch.transpose, input=x, dim0=one, dim1=other)
    check(page, torch.permute, input=x, dims=data.draw(st.permutations(range(len(shape)))))
    check(page, torch.reshape, input=x, shape=[shape[-1], x.numel() // shape[-1]])
    check(page, torch.flatten, input=x)
    keepdim = data.draw(st.booleans())
    dim = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    check(page, torch.mean, input=x, dim=dim, keepdim=keepdim)
    check(page, torch.sum, input=x, dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@given(data=st.data())
@SEVERAL
def test_padding(page, mode, data):
    check(page, F.pad, "pad", **data.draw(borders(mode)))


# --- Whole networks -------------------------------------------------------------------------

# What autograd made lies in the page as well, where all of it is soon compared.
LEARNED = (
    PACKED
    + """
const made = { input: image, ...Object.fromEntries(run(network, held, image, data.changes)) };
const { loss, slopes } = crossEntropy(made[data.scores], data.label);
const way = backward(network, held, made, data.changes, data.scores, slopes);
let going = way.next();
while (!going.done) going = way.next();
const found = going.value, learns = data.tensors.map(({ parameter }) => Boolean(parameter));
const later = stepped(held, learns, found.tensors, data.rate);
const number = Object.fromEntries(data.tensors.map(({ parameter }, i) => [parameter, i]));
const gradients = Object.entries(data.gradients).map(([name, values]) =>
  [name, farApart(found.tensors[number[name]].values, values)]);
const after = Object.entries(data.after).map(([name, values]) =>
  [name, farApart(later[number[name]].values, values)]);
const unread = data.tensors.filter(({ parameter }) => parameter && !(parameter in data.gradients));
const own = farApart(found.stages.input.values, data.image_gradient);
window.found = { loss, gradients, after, unread, own, kept: farApart(weights, data.weights) };
</script>"""
)


def all_encoded(tensors: dict[str, Tensor]) -> dict[str, str]:
    return {name: text(each) for name, each in tensors.items()}


def learn(browser, path, model, x, *, label=4, rate=0.05, scores=None, changes=None) -> None:
    """What the page makes of one step, held against torch.optim.SGD in eval mode."""
    model = model.eval()
    with torch.no_grad():
        found = program(model, x)
    data = {
        "steps": found.steps,
        "tensors": found.tensors,
        "weights": base64.b64encode(found.packed(np.float32)).decode("ascii"),
        "shape": list(x.shape),
        "image": text(x),
        "scores": scores or found.output,
        "label": label,
        "rate": rate,
        "changes": changes or {},
    }
    x = x.double().requires_grad_()
    exact = copy.deepcopy(model).double()
    optimizer = torch.optim.SGD(exact.parameters(), rate)
    own = {layer: {int(c): by for c, by in each.items()} for layer, each in (changes or {}).items()}
    with capture.edit(exact, own):
        loss = F.cross_entropy(exact(x), torch.tensor([label]))
        loss.backward()
    loss = loss.item()
    own = dict(exact.named_parameters())
    data["gradients"] = all_encoded({n: p.grad for n, p in own.items() if p.grad is not None})
    data["image_gradient"] = text(x.grad)
    optimizer.step()
    data["after"] = all_encoded({name: own[name] for name in data["gradients"]})
    modules = script("engine.js", "gradient.js")
    (path / "page.html").write_text(LEARNED % (json.dumps(data), modules), "utf-8")
    page = browser.new_page()
    page.goto((path / "page.html").as_uri())
    page.wait_for_function("() => window.found")
    made = page.evaluate("() => window.found")
    page.close()
    assert abs(made["loss"] - loss) <= CLOSE * loss
    assert {name: each for name, each in made["gradients"] if each > CLOSE} == {}
    assert {name: each for name, each in made["after"] if each > CLOSE} == {}
    assert {*data["gradients"]} == {n for n, p in model.named_parameters() if p.requires_grad}
    assert made["own"] <= CLOSE
    assert made["unread"] == []
    assert made["kept"] == 0  # the old weights are still there


DIGIT = datasets.normalize(datasets.load("digits").test.images[:1])


@pytest.mark.parametrize("name", sorted(set(weights.names()) - {"mynetv1"}))
def test_a_trained_network_learns_as_with_sgd(browser, tmp_path, name):
    learn(browser, tmp_path, weights.load(name), DIGIT)


class Residual(nn.Module):
    """Sums, joined maps, a shared layer, a stretched signal, and a share of each map."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8)
        self.squeeze, self.scale = nn.Conv2d(8, 8, 1), nn.Parameter(torch.rand(8, 1, 1))
        self.line, self.act = nn.Conv1d(16, 6, 3, padding=2, dilation=2), nn.LeakyReLU(0.2)
        self.out, self.frozen = nn.Linear(16, 5), nn.Linear(5, 5)
        self.frozen.requires_grad_(requires_grad=False)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 3, stride=2, padding=1)
        y = F.silu(self.norm2(self.conv2(x))) * self.scale - x / 2
        y = self.act(self.conv2(y) + x) * torch.sigmoid(self.squeeze(F.adaptive_avg_pool2d(y, 1)))
        y = self.line(torch.cat([y, F.avg_pool2d(x, 3, 1, 1)], 1).flatten(2)).transpose(1, 2)
        y = F.softmax(F.pad(y, (1, 1)), dim=-1).mean(1)
        return F.log_softmax(self.frozen(self.out(torch.cat([y, y.tanh()], 1))), dim=1)


def stirred(model: nn.Module) -> nn.Module:
    """The model with running means and weights of norms as after some training."""
    torch.manual_seed(0)
    for each in [*model.parameters(), *model.buffers()]:
        if each.is_floating_point():
            each.data += 0.2 * torch.rand_like(each)
    return model


def test_branches_sums_and_shared_weights_learn_as_with_sgd(browser, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(1, 1, 20, 20)
    learn(browser, tmp_path, stirred(Residual()), x, label=2, rate=0.1)


@pytest.mark.parametrize("network", [Attention, Moving])
def test_what_looks_around_learns_as_with_sgd(browser, tmp_path, network):
    torch.manual_seed(0)
    learn(browser, tmp_path, stirred(network()), DIGIT, label=3)


@pytest.mark.parametrize("scores", ["output", "frozen"])
def test_a_softmax_at_the_end_changes_no_gradient(browser, tmp_path, scores):
    """The loss may be that of the scores, or of the logarithm of softmax after them."""
    torch.manual_seed(0)
    own = {"scores": "frozen"} if scores == "frozen" else {}
    learn(browser, tmp_path, stirred(Residual()), torch.randn(1, 1, 20, 20), label=0, **own)


def test_a_channel_that_is_weaker_learns_less(browser, tmp_path):
    changes = {"conv1": {"3": 0.0}, "relu2": {"5": 0.4, "1": 0.0}}
    learn(browser, tmp_path, weights.load("lenet"), DIGIT, changes=changes)
