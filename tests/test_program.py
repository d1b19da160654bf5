"""Networks as programs of a page: every stage that `record` has, with torch's own values."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision import models as zoo

from vizlib import capture, models, weights
from vizlib.explore._moves import _runs
from vizlib.explore._program import NotComputableError, program

STATIC = Path(__file__).parents[1] / "vizlib/explore/static"
CLOSE = 5e-6  # of a layer's largest value
# What torch made lies in the page as well: millions of numbers are soon compared there, and late if
# they travel through the browser's door.
PACKED = """<script id="data" type="application/json">%s</script><script type="module">%s
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const weights = floats(data.weights), count = (shape) => shape.reduce((a, b) => a * b, 1);
const valuesOf = ({ shape, at }) => weights.subarray(at, at + count(shape));
const held = data.tensors.map((each) => ({ shape: each.shape, values: valuesOf(each) }));
const network = { input: "input", steps: data.steps };
const image = { shape: data.shape, values: floats(data.image) };
const farApart = (own, text) => {
  let most = 0, largest = 0;
  floats(text).forEach((value, i) => {
    most = Math.max(most, Math.abs(value - own[i]));
    largest = Math.max(largest, Math.abs(value));
  });
  return most / (largest || 1);
};
"""
PAGE = (
    PACKED
    + """
const made = Object.fromEntries(run(network, held, image));
window.apart = Object.entries(data.expected).map(([name, { shape, values }]) => {
  if (String(made[name]?.shape) !== String(shape)) return [name, String(made[name]?.shape)];
  return [name, farApart(made[name].values, values)];
});
</script>"""
)


def text(values):
    return base64.b64encode(values.detach().float().contiguous().numpy().tobytes()).decode("ascii")


@pytest.fixture
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def check(page, tmp_path):
    """Every stage in the page is what torch made, for an image that made no program."""

    def checked(model, *shape):
        model = model.eval()
        found, x = program(model, torch.randn(1, *shape)), torch.randn(1, *shape)
        expected = {name: stage.output for name, stage in capture.record(model, x).items()}
        with torch.no_grad():
            expected[found.output] = model(x)
        data = {
            "steps": found.steps,
            "tensors": found.tensors,
            "weights": base64.b64encode(found.packed(np.float32)).decode("ascii"),
            "shape": list(x.shape),
            "image": text(x),
            "expected": {
                name: {"shape": list(values.shape), "values": text(values)}
                for name, values in expected.items()
            },
        }
        engine = (STATIC / "engine.js").read_text("utf-8")
        (tmp_path / "page.html").write_text(PAGE % (json.dumps(data), engine), "utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("() => window.apart")
        apart = page.evaluate("() => window.apart")
        assert len(apart) == len(expected)
        assert [
            each for each in apart if not (each[1] is not None and float(each[1]) <= CLOSE)
        ] == []

    return checked


@pytest.mark.browser
@pytest.mark.parametrize("name", sorted(set(weights.names()) - {"mynetv1"}))
def test_trained_networks(check, name):
    check(weights.load(name), 1, 28, 28)


class Tutorial(nn.Module):
    """A forward as tutorials write it: functions, and layers that are shared."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(256, 84), nn.Linear(84, 10)
        self.drop = nn.Dropout()

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.drop(self.conv2(x))), (2, 2))
        x = x.view(x.size(0), -1)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class UNet(nn.Module):
    """Down and up again, with what was on the way down beside it."""

    def __init__(self):
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(1, 8, 3, padding="same"), nn.BatchNorm2d(8), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU())
        self.pool, self.up = nn.MaxPool2d(2), nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.smooth = nn.Upsample(scale_factor=2, mode="bilinear")
        self.out = nn.Conv2d(32, 1, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(self.pool(one))
        return self.out(torch.cat([one, self.up(two), self.smooth(two)], dim=1)).sigmoid()


class Everything(nn.Module):
    """Operators, slices, constants, shapes and views between the layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
        self.scale = torch.tensor([1.0, -2.0, 3.0, 0.5]).reshape(1, 4, 1, 1)
        self.norm, self.line = nn.LayerNorm(28), nn.Conv1d(4, 6, 3, padding=1)
        self.parts = nn.Sequential(nn.ReLU6(), nn.Hardtanh(), nn.GELU(), nn.LeakyReLU(0.2))

    def forward(self, x):
        y = self.conv(x)
        z = 2 / (3 + (1 - y) ** 2)
        z = z * self.scale
        z += y
        z = torch.cat((z[:, 1:], y[:, :1], z[:, -1][:, None]), dim=1)[..., 2:, ::2]
        z = self.parts(self.norm(F.pad(z, (7, 7))))
        z = z.mean(2).permute(0, 2, 1).transpose(1, 2)[:, :4]
        return self.line(z).amax(-1).unsqueeze(1).flatten(1)


class Shared(nn.Module):
    """The same layers called again and again."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        first = self.relu(self.conv(x))
        second = self.relu(self.conv(first))
        return (first + second).mean((2, 3))


class Moving(nn.Module):
    """Values that only move, in ways that have no name in the page."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 8, 3, stride=3), nn.Linear(8, 5)
        self.unfold, self.kept = nn.Unfold(3, padding=1, stride=2), torch.tensor([3, 0, 7, 3])
        self.token = nn.Parameter(torch.rand(1, 1, 9))

    def forward(self, x):
        a, b = self.conv(x).chunk(2, dim=1)
        c, d, _ = b.roll((1, -2), (2, 3)).split([1, 2, 1], dim=1)
        y = torch.stack([a, a.flip(3)], 2).flatten(1, 2) + c.expand(-1, 8, -1, -1)
        y = F.channel_shuffle(torch.cat([y, d.repeat(1, 2, 1, 1)], 1), 4)[:, [5, 1, 2, 8]]
        y = self.unfold(F.pixel_unshuffle(y[..., 1:, 1:], 2))[:, 20:29].movedim(1, 2)
        y = torch.cat([self.token.expand(len(y), -1, -1), y.rot90(2, (1, 2))], 1)
        first, *_ = y.transpose(1, 2)[:, self.kept].repeat_interleave(2, 1).unbind(2)
        return self.out((first + torch.arange(8)).square().log().cos())


class Attention(nn.Module):
    """Patches that look at each other, as in a vision transformer."""

    def __init__(self):
        super().__init__()
        self.patch, self.near = nn.Conv2d(1, 8, 7, 7), nn.GroupNorm(2, 8)
        self.place, self.norm = nn.Parameter(torch.rand(1, 16, 8)), nn.LayerNorm(8)
        self.read, self.mix = nn.Linear(8, 24), nn.Linear(8, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.both = nn.MultiheadAttention(8, 4)
        self.out = nn.Linear(8, 10)

    def forward(self, x):
        x = self.near(self.patch(x)).flatten(2).transpose(1, 2) + self.place
        q, k, v = self.read(self.norm(x)).chunk(3, dim=-1)
        x = self.block(x + self.mix(F.scaled_dot_product_attention(q, k, v)))
        x = (x + (x @ x.transpose(1, 2)).softmax(1) @ x).transpose(0, 1)
        x = self.both(x[:3], x, x.square(), need_weights=False)[0]
        x = self.both(x[:, 0], x[:, 0], x[:, 0])[0]
        return self.out(x.mean(0, keepdim=True))


def filled(runs: list[int]) -> list[int]:
    stretches = zip(runs[::3], runs[1::3], runs[2::3], strict=True)
    return [first + k * far for first, count, far in stretches for k in range(count)]


class Indexed(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.index = index

    def forward(self, x):
        return F.relu(x)[self.index]


@pytest.mark.parametrize(
    "index",
    [
        *(0, -1, None, ..., slice(0, 0), [0, 0], (..., slice(None, None, 2)), (0, ..., -3)),
        *((slice(None), 1, slice(3, 1)), (slice(None), [2, 0], None, slice(-5, -1, 3), 4)),
        (0, torch.tensor([1, 2]), ..., torch.tensor([[0], [3]])),
    ],
)
def test_an_index_finds_the_places_that_torch_finds(index):
    x = torch.arange(1.0, 61).reshape(1, 3, 4, 5)
    *_, step = program(Indexed(index), x).steps
    assert step["operation"] == "move"
    assert step["options"]["shape"] == list(x[index].shape)
    assert filled(step["options"]["runs"]) == x[index].flatten().tolist()


@given(numbers=st.lists(st.integers(0, 5), max_size=12))
def test_stretches_are_the_numbers_that_they_are_made_of(numbers):
    runs = _runs(torch.tensor(numbers))
    assert filled(runs) == numbers
    assert runs[1::3].count(1) <= 1 + len(runs) // 6  # none stands alone without need


@pytest.mark.browser
@pytest.mark.parametrize("network", [Tutorial, UNet, Everything, Shared, Moving, Attention])
def test_networks_of_ones_own(check, network):
    torch.manual_seed(0)
    check(network(), 1, 28, 28)


def signals():
    return nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2, padding=2), nn.ELU(), nn.AvgPool1d(3, ceil_mode=True),
        nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1), nn.PReLU(3), nn.AdaptiveMaxPool1d(4),
        nn.Flatten(), nn.Linear(12, 5), nn.Softmax(dim=-1),
    )  # fmt: skip


@pytest.mark.browser
def test_signals(check):
    torch.manual_seed(0)
    check(signals(), 2, 40)


@pytest.mark.browser
def test_a_classic_in_colour(check):
    check(models.build("lenet5", seed=0), 3, 32, 32)


@pytest.mark.browser
@pytest.mark.slow
def test_large_networks_of_the_course(check):
    check(weights.load("mynetv1"), 1, 28, 28)
    check(models.build("vgg11", seed=0), 3, 32, 32)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        *(zoo.resnet18, zoo.mobilenet_v3_small, zoo.squeezenet1_1, zoo.densenet121),
        *(zoo.efficientnet_b0, zoo.shufflenet_v2_x0_5),
    ],
)
def test_networks_of_torchvision(check, build):
    torch.manual_seed(0)
    check(build(weights=None), 3, 64, 64)


# --- The graph, by torch.export --------------------------------------------------------------


def exported(model, x):
    """The operations that torch.export finds, each with how many results it reads."""
    graph = torch.export.export(model.eval(), (x,)).graph
    calls = [node for node in graph.nodes if node.op == "call_function"]
    return [str(node.target).split(".")[1].rstrip("_") for node in calls]


@pytest.mark.slow
@pytest.mark.parametrize("network", [Tutorial, UNet, Shared, zoo.resnet18])
def test_the_steps_are_those_of_torch_export(network):
    model = network()
    x = torch.randn(1, 3, 64, 64) if network is zoo.resnet18 else torch.randn(1, 1, 28, 28)
    same = {"view": "reshape", "upsample_bilinear2d": "interpolate"}
    skipped = {"identity", "dropout"}
    ours = [step["operation"] for step in program(model.eval(), x).steps]
    theirs = [same.get(each, each) for each in exported(model, x)]
    assert [each for each in ours if each not in skipped] == [
        each for each in theirs if each not in skipped
    ]


# --- What a page cannot compute --------------------------------------------------------------


class Noisy(nn.Module):
    def forward(self, x):
        return F.relu(x + torch.rand_like(x))


class Summing(nn.Module):
    def forward(self, x):
        return F.relu(torch.cumsum(x, 2))


class Attending(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x, **self.how)


class Choosing(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, x[0, 0, 0].argsort()]


class Resizing(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return F.relu(F.interpolate(x, scale_factor=2, **self.how))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Summing(), "cannot compute cumsum$"),
        (Attending(is_causal=True), "cannot compute attention with is_causal"),
        (Attending(dropout_p=0.1), "cannot compute attention with dropout"),
        (Choosing(), "cannot compute argsort"),
        (Resizing(mode="bicubic"), "cannot compute bicubic resizing"),
        (Resizing(mode="area"), "cannot compute area resizing"),
        (Resizing(mode="bilinear", antialias=True), "cannot compute antialiased resizing"),
        (Noisy(), "rand_like"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 2)).train().append(nn.Dropout()), "training"),
    ],
)
def test_what_cannot_be_computed_is_named(model, words):
    with pytest.raises(NotComputableError, match=words):
        program(model, torch.ones(1, 1, 28, 28))
