"""Receptive fields against gradients, and the way back from a value against the layers that ran."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from vizlib import arithmetic, capture, models, plots

CHAINS = ["lenet", "newnet", "mlp", "cnn", "defaultnet", "myfullconvnet", "mynetv2", "myvggnet",
          "arithmetic", "lenet5", "vgg11"]  # fmt: skip


def built(name):
    """A network in float64 whose BatchNorm has something to do, and an image."""
    model = models.build(name, seed=0).double().eval()
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    return model, torch.randn(1, *model.input_shape, generator=generator).double()


def pick(shape, number):
    """A place (channel, row, column) of an output (C, …), well mixed."""
    return tuple((number * 7919 + 31 * axis) % n for axis, n in enumerate(shape))


def positive(layer):
    """The same windows, with weights and means that no value can cancel in."""
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    for parameter in layer.parameters(recurse=False):
        parameter.data.abs_().add_(0.1)
    for name, child in layer.named_children():
        setattr(layer, name, positive(child))
    return layer


def box_of_gradient(model, shape, stage, place):
    """The rows and columns of the input that the value's gradient is not zero at."""
    x = torch.ones(1, *shape, dtype=torch.double, requires_grad=True)
    kept = []
    layer = model.get_submodule(stage)
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: kept.append(output))
    model(x)
    handle.remove()
    (gradient,) = torch.autograd.grad(kept[0][(0, *place)], x, materialize_grads=True)
    rows, columns = gradient[0].abs().sum(0).nonzero(as_tuple=True)
    if not len(rows):
        return (0, 0, 0, 0)
    edges = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return tuple(int(edge) for edge in edges)


# --- Receptive fields ----------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAINS)
def test_receptive_fields_equal_those_of_gradients(name):
    model, x = built(name)
    chain = arithmetic.Chain(model, x)
    shapes = {stage.name: stage.output.shape[1:] for stage in chain.recording.values()}
    model = positive(copy.deepcopy(model))
    maps = [stage for stage, shape in shapes.items() if len(shape) == 3]
    for number, stage in enumerate([*maps, list(shapes)[-1]]):
        place = pick(shapes[stage], number + 1)
        box = box_of_gradient(model, model.input_shape, stage, place)
        if len(place) == 3:
            assert chain.receptive_field(stage, *place[1:]) == box
        assert chain.trace(stage, *place)[0].field == box


windows = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
layers = st.lists(st.tuples(st.sampled_from(["conv", "pool", "up"]), windows), max_size=4)


def chain_of(drawn):
    """Layers that fit an image of 11×9, those that do not fit left out."""
    found, x = [nn.Conv2d(2, 2, 3, padding=1)], torch.ones(1, 2, 11, 9)
    for kind, (kernel, stride, padding, dilation) in drawn:
        made = {
            "conv": lambda: nn.Conv2d(2, 2, kernel, stride, padding, dilation),  # noqa: B023
            "pool": lambda: nn.AvgPool2d(kernel, stride, padding, ceil_mode=dilation > 1),  # noqa: B023
            "up": lambda: nn.ConvTranspose2d(2, 2, kernel, stride, padding, dilation=dilation),  # noqa: B023
        }[kind]()
        try:
            x = made(x).detach()
        except RuntimeError:
            continue
        found += [made, nn.ReLU()]
    return nn.Sequential(*found, nn.AdaptiveAvgPool2d(2)).double()


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(layers, st.integers(0, 10**6))
def test_receptive_fields_of_any_chain(drawn, seed):
    model = positive(chain_of(drawn))
    chain = arithmetic.Chain(model, torch.ones(1, 2, 11, 9))
    for number, stage in enumerate(chain.recording):
        place = pick(chain.recording[stage].output.shape[1:], seed + number)
        box = box_of_gradient(model, (2, 11, 9), stage, place)
        assert chain.receptive_field(stage, *place[1:]) == box


def test_two_kernels_of_three_see_as_far_as_one_of_five():
    x = torch.zeros(1, 1, 28, 28)
    two = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 3))
    five = nn.Sequential(nn.Conv2d(1, 1, 5))
    box = arithmetic.receptive_field(two, x, "1", 3, 4)
    assert box == arithmetic.receptive_field(five, x, "0", 3, 4) == (3, 4, 8, 9)
    assert (box.height, box.width) == (5, 5)


def test_the_box_cuts_the_image_as_a_slice():
    model, x = built("lenet")
    top, left, bottom, right = arithmetic.receptive_field(model, x, "pool2", 3, 2)
    other = torch.randn_like(x)
    other[..., top:bottom, left:right] = x[..., top:bottom, left:right]
    before, after = (capture.record(model, image)["pool2"].output for image in (x, other))
    assert torch.equal(before[..., 3, 2], after[..., 3, 2])
    assert not torch.equal(before, after)


def test_nothing_but_padding_sees_nothing():
    model = nn.Sequential(nn.Conv2d(1, 1, 1, padding=1))
    x = torch.ones(1, 1, 3, 3)
    assert arithmetic.receptive_field(model, x, "0", 0, 0) == (0, 0, 0, 0)
    way = arithmetic.trace(model, x, "0", 0, 0, 0)
    assert len(way) == 1
    assert "sees –" in repr(way)


def test_reflected_padding_sees_where_it_is_reflected_from():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=2, padding_mode="reflect"))
    assert arithmetic.receptive_field(model, torch.ones(1, 1, 6, 6), "0", 0, 0) == (0, 0, 3, 3)


def test_normalizing_over_the_image_sees_it_all():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2))
    x = torch.ones(1, 1, 6, 6)
    assert arithmetic.receptive_field(model, x, "0", 1, 1) == (1, 1, 4, 4)
    assert arithmetic.receptive_field(model, x, "1", 1, 1) == (0, 0, 6, 6)


# --- The way back --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CHAINS, "mlp500", "mlp256"])
def test_each_step_equals_what_ran(name):
    model, x = built(name)
    recording = capture.record(model, x)
    chain = arithmetic.Chain(model, x)
    for number, stage in enumerate(chain.recording):
        place = pick(recording[stage].output.shape[1:], number + 1)
        way = chain.trace(stage, *place)
        assert [step.stage for step in way] == ["input", *chain.recording][number + 1 :: -1][
            : len(way)
        ]
        for step in way[: number + 1]:
            assert step.value == recording[step.stage].output[(0, *step.place)].item()
            assert abs(step.difference) < 1e-9
        if way[-1].stage == "input":
            assert way[-1].value == x[(0, *way[-1].place)].item()


@pytest.mark.parametrize("name", ["lenet", "newnet", "myvggnet"])
def test_each_step_goes_on_to_what_matters_most(name):
    model, x = built(name)
    way = arithmetic.trace(model, x, list(capture.record(model, x))[-1], 7)
    assert way[-1].stage == "input"
    for step, behind in pairwise(way):
        outer, inner = step.field, behind.field
        assert outer.top <= inner.top < inner.bottom <= outer.bottom
        assert outer.left <= inner.left < inner.right <= outer.right
        match step.kind:
            case "conv" | "linear":
                products = step.step.products
                bound = products.abs().max().item()
                inputs = step.step.patch if step.kind == "conv" else step.step.inputs
                assert behind.value in inputs[products.abs() == bound].tolist()
            case "pool":
                assert behind.value == step.value
                assert behind.place == (step.place[0], *step.step.source)
            case "relu":
                assert step.value == max(0, behind.value)
            case "flatten" | "dropout":
                assert step.value == behind.value
                assert step.step is None


def test_the_winner_is_followed_where_a_smaller_value_is_farther_from_zero():
    x = torch.tensor([[[[-9.0, 1.0], [-3.0, -2.0]]]])
    way = arithmetic.trace(nn.Sequential(nn.MaxPool2d(2)), x, "0", 0, 0, 0)
    assert way[-1].place == (0, 0, 1)


def test_float32_is_explained_to_its_last_digits():
    model = models.build("lenet", seed=0)
    way = arithmetic.trace(model, torch.randn(3, 1, 28, 28), "fc3", 4)
    assert all(abs(step.difference) < 1e-5 for step in way)
    assert any(step.difference for step in way)


def test_a_trace_in_one_dimension():
    model = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)).double()
    x = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(0)).double()
    way = arithmetic.trace(model, x, "2", 1, 3)
    assert [len(step.place) for step in way] == [2] * 4
    assert way[0].field == (0, 5, 1, 8)
    assert way[0].value == model(x)[0, 1, 3].item()
    assert repr(arithmetic.trace(model, x, "2", 1, col=3)) == repr(way)
    assert arithmetic.receptive_field(model, x, "2", col=3) == way[0].field
    with pytest.raises(IndexError, match="col must be from 0 to 3, but was 99: a map of '2' is 4"):
        arithmetic.receptive_field(model, x, "2", col=99)
    with pytest.raises(IndexError, match="row must be from 0 to 0, but was 2: 2 is 2×4 and has no"):
        arithmetic.trace(model, x, "2", 1, row=2, col=1)


class Functions(nn.Module):
    """PyTorch's own example for MNIST writes its network in this way."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4 * 12 * 12, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)


def test_functions_are_followed_too():
    torch.manual_seed(0)
    model = Functions()
    x = torch.randn(1, 1, 28, 28)
    way = arithmetic.trace(model, x, "log_softmax", 3)
    names = ["log_softmax", "fc", "flatten", "max_pool2d", "relu:2", "conv2", "relu", "conv1"]
    assert [step.stage for step in way] == [*names, "input"]
    assert way[3].step.patch.shape == (2, 2)
    assert way[0].value == model(x)[0, 3].item()


def after_a_convolution(function):
    """A network that ends in a function of a convolution's output, its input and its last stage."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return function(self.conv(x))

    torch.manual_seed(0)
    model, x = Net().double(), torch.randn(1, 1, 8, 8).double()
    *_, last = capture.record(model, x).values()
    return model, x, last


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2),
        lambda x: F.avg_pool2d(x, 3),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        F.silu,
        lambda x: torch.softmax(x.flatten(1), 1),
        lambda x: x.view(1, 3, 6, 4),
    ],
)
def test_the_window_of_a_function_is_found(function):
    model, x, last = after_a_convolution(function)
    assert last.name != "conv"
    place = pick(last.output.shape[1:], 5)
    way = arithmetic.trace(model, x, last.name, *place)
    assert abs(way[0].total - model(x)[(0, *place)].item()) < 1e-12


def test_the_model_comes_back_as_it_was():
    model = models.build("newnet", seed=0)
    model.train()
    model.features[3].eval()
    flags = [layer.training for layer in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    arithmetic.trace(model, torch.randn(1, 1, 28, 28), "flatten", 3)
    assert flags == [layer.training for layer in model.modules()]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_layers_in_place_are_followed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 1, 3))
    x = torch.randn(1, 1, 8, 8)
    before = x.clone()
    way = arithmetic.trace(model, x, "2", 0, 1, 1)
    assert [step.stage for step in way] == ["2", "1", "0", "input"]
    assert torch.equal(x, before)


# --- Around a block and together again -----------------------------------------------------


class Residual(nn.Module):
    """Two blocks with a way around each, the second one through a convolution of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.one, self.two = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.three, self.four = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.around, self.relu = nn.Conv2d(3, 4, 1, 2), nn.ReLU()
        self.end = nn.Linear(4 * 25, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        y = self.two(self.relu(self.one(x)))
        y += x
        z = self.four(self.relu(self.three(y)))
        z = self.relu(z + self.around(y))
        return self.end(z.flatten(1))


# What each stage of it reads.
READ = {
    "first": ["input"], "norm": ["first"], "relu": ["norm"], "one": ["relu"], "relu:2": ["one"],
    "two": ["relu:2"], "add": ["two", "relu"], "three": ["add"], "relu:3": ["three"],
    "four": ["relu:3"], "around": ["add"], "add:2": ["four", "around"], "relu:4": ["add:2"],
    "flatten": ["relu:4"], "end": ["flatten"],
}  # fmt: skip


def residual():
    torch.manual_seed(3)
    model, x = Residual().double().eval(), torch.randn(1, 1, 10, 9).double()
    model.norm.running_mean.normal_()
    return model, x


def test_sums_of_two_outputs_are_followed_back_to_the_larger():
    model, x = residual()
    recording = capture.record(model, x)
    chain, turns = arithmetic.Chain(model, x), set()
    assert list(chain.recording) == list(READ)
    for number, stage in enumerate(READ):
        for extra in range(6):
            place = pick(recording[stage].output.shape[1:], number + 17 * extra + 1)
            way = chain.trace(stage, *place)
            for one, behind in pairwise(way):
                assert behind.stage in READ[one.stage]
                assert one.value == recording[one.stage].output[(0, *one.place)].item()
                assert abs(one.difference) < 1e-12
                if len(READ[one.stage]) > 1:
                    terms = [recording[n].output[(0, *one.place)].item() for n in READ[one.stage]]
                    assert sorted(one.step.terms.tolist()) == sorted(terms)
                    assert behind.value == max(terms, key=abs)
                    assert behind.place == one.place
                    torch.testing.assert_close(one.before, recording[behind.stage].output[0])
                    turns.add((one.stage, behind.stage))
    # Each way around was taken, and each way through.
    assert turns == {("add", "two"), ("add", "relu"), ("add:2", "four"), ("add:2", "around")}


def test_a_sum_sees_what_both_see():
    model, x = residual()
    chain = arithmetic.Chain(model, x)
    shapes = {stage.name: stage.output.shape[1:] for stage in chain.recording.values()}
    model, image = positive(copy.deepcopy(model)), torch.ones_like(x).requires_grad_()
    for name, output in model_sums(model, image).items():
        for extra in range(8):
            place = pick(shapes[name], 5 * extra + 2)
            (gradient,) = torch.autograd.grad(output[(0, *place)], image, retain_graph=True)
            rows, columns = gradient[0].abs().sum(0).nonzero(as_tuple=True)
            box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert chain.receptive_field(name, *place[1:]) == tuple(map(int, box))


def model_sums(model, x):
    """The two sums of a `Residual`, made once more by hand."""
    x = model.relu(model.norm(model.first(x)))
    first = model.two(model.relu(model.one(x))) + x
    return {"add": first, "add:2": model.four(model.relu(model.three(first))) + model.around(first)}


class Cross(nn.Module):
    """Two ways of which neither sees all that the other one sees."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 1)
        self.wide = nn.Conv2d(2, 2, (1, 5), padding=(0, 2))
        self.tall = nn.Conv2d(2, 2, (5, 1), padding=(2, 0))
        self.end = nn.Conv2d(2, 2, 2)

    def forward(self, x):
        x = self.first(x)
        return self.end(self.wide(x) + self.tall(x))


def test_ways_that_meet_again_see_what_either_sees():
    model, x = Cross().double(), torch.randn(1, 1, 12, 11).double()
    chain = arithmetic.Chain(model, x)
    model = positive(model)
    for row, col in ((0, 0), (4, 5), (10, 9), (3, 0)):
        box = box_of_gradient(model, (1, 12, 11), "end", (1, row, col))
        assert chain.receptive_field("end", row, col) == box
    assert chain.receptive_field("add", 5, 5) == (3, 3, 8, 8)
    assert chain.receptive_field("wide", 5, 5) == (5, 3, 6, 8)


def test_a_sum_in_words():
    step = arithmetic.trace(*residual(), "add", 1, 2, 3)[0].step
    one, other = step.terms.tolist()
    text = step.in_words().replace("−", "-").replace("\xa0", " ")
    assert f"{one:.4g} (two)" in text
    assert text.endswith(f" = {one + other:.4g}")
    assert "(relu)" in text
    drawn = plots.trace(arithmetic.trace(*residual(), "add", 1, 2, 3)).axes[0].texts
    assert "sum of two" in [each.get_text() for each in drawn]


def test_every_stage_of_resnet18_is_followed_back():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model, x = torchvision.models.resnet18(weights=None).eval(), torch.randn(1, 3, 64, 64)
    chain = arithmetic.Chain(model, x)
    recording = capture.record(model, x)
    assert list(chain.recording) == list(recording)
    for number, stage in enumerate(chain.recording):
        way = chain.trace(stage, *pick(recording[stage].output.shape[1:], number + 1))
        for one in way:
            assert abs(one.difference) < 1e-4 * max(1, abs(one.value))


# --- What was moved on the way -------------------------------------------------------------


class Swin(nn.Module):
    """Channels go last, are normalized there, rolled, cut into windows and put together again."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 2, 2), nn.LayerNorm(6)
        self.mlp, self.last = nn.Linear(6, 6), nn.LayerNorm(6)
        self.place = nn.Parameter(torch.randn(1, 4, 4, 6))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.conv(x).permute(0, 2, 3, 1) + self.place
        y = torch.roll(self.norm(x), (-1, -1), (1, 2))
        y = y.view(1, 2, 2, 2, 2, 6).transpose(2, 3).reshape(4, 4, 6)
        y = self.mlp(y)
        y = y.view(1, 2, 2, 2, 2, 6).transpose(2, 3).reshape(1, 4, 4, 6)
        x = x + torch.roll(y, (1, 1), (1, 2))
        return self.fc(self.last(x).mean((1, 2)))


class Dense(nn.Module):
    """Outputs side by side, parted again; a signal of rows; sizes by shuffling and by repeating."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.group, self.instance = nn.GroupNorm(2, 4), nn.InstanceNorm2d(8, affine=True)
        self.up, self.pad = nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1)
        self.down, self.line = nn.PixelUnshuffle(2), nn.Conv1d(8, 3, 3)

    def forward(self, x):
        x = torch.cat([x, self.one(x)], 1)
        x = self.group(self.two(x))
        left, right = x.chunk(2, dim=1)
        x = torch.stack([left, right.flip(3)]).flatten(0, 1)[:, :, 1:].reshape(1, 4, 7, 8)
        x = self.down(self.pad(self.up(x)))[:, :8]
        x = self.instance(x)
        return self.line(x.mean(2))


class Heads(nn.Module):
    """Heads that are folded into the batch, as in attention, and a number for the printer."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 2, 2), nn.Linear(16, 10)

    def forward(self, x):
        heads = self.conv(x).reshape(2, 4, 16)
        heads = torch.relu(heads)
        self.sparsity = heads.mean()
        return self.fc(F.leaky_relu(heads, 0.3).mean((0, 1))[None])


@pytest.mark.parametrize("network", [Swin, Dense, Heads])
def test_what_was_moved_is_followed_to_the_pixels_that_change_it(network):
    torch.manual_seed(2)
    model, x = network().double().eval(), torch.randn(1, 1, 8, 8).double()
    chain, recording, others = (
        arithmetic.Chain(model, x),
        capture.record(model, x),
        changed(model, x),
    )
    for number, (name, stage) in enumerate(recording.items()):
        whole = stage.output.shape
        shape = whole[1:] if whole[:1] == (1,) else whole
        if not 1 <= len(shape) <= 3:
            continue
        for extra in range(3):
            place = pick(shape, number + 13 * extra)
            way = chain.trace(name, *place)
            assert way[0].value == stage.output.reshape(shape)[place].item()
            assert all(abs(one.difference) < 1e-9 for one in way)
            assert all(b.value == one.value for one, b in pairwise(way) if one.step is None)
            pixels = [
                pixel
                for pixel, other in others
                if abs(other[name].output.reshape(shape)[place].item() - way[0].value) > 1e-12
            ]
            rows, columns = zip(*pixels, strict=True)
            box = min(rows), min(columns), max(rows) + 1, max(columns) + 1
            assert way[0].field == box


def changed(model, x):
    """What is recorded where one pixel alone is changed, for every pixel, up and down."""
    found = []
    for row, col in torch.cartesian_prod(*map(torch.arange, x.shape[2:])).tolist():
        for by in (-40.0, 50.0):
            other = x.clone()
            other[..., row, col] += by
            found.append(((row, col), capture.record(model, other)))
    return found


def test_the_ways_go_where_they_must():
    torch.manual_seed(2)
    x = torch.randn(1, 1, 8, 8)
    way = arithmetic.trace(Swin(), x, "fc", 1)
    assert [one.stage for one in way][:4] == ["fc", "mean", "last", "add:2"]
    assert {one.stage for one in way} & {"add", "conv", "input"} == {"add", "conv", "input"}
    way = arithmetic.trace(Heads(), x, "fc", 3)
    stages = ["fc", "mean:2", "leaky_relu", "relu", "reshape", "conv", "input"]
    assert [one.stage for one in way] == stages
    assert len(way[2].place) == 3  # the head, its channel and its position


def test_a_number_is_no_map_and_all_else_is_followed():
    model, x = Heads(), torch.randn(1, 1, 8, 8)
    sentence = r"mean is a single number; only the values of maps .* choose another stage"
    with pytest.raises(arithmetic.NoReaderError, match=sentence):
        arithmetic.trace(model, x, "mean", 0)
    with pytest.raises(arithmetic.NoReaderError, match=sentence):
        arithmetic.receptive_field(model, x, "mean")
    assert arithmetic.receptive_field(model, x, "fc") == (0, 0, 8, 8)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.GroupNorm(2, 6), (1, 6, 3, 4)),
        (nn.GroupNorm(3, 6, affine=False), (1, 6, 5)),
        (nn.LayerNorm(4), (1, 6, 3, 4)),
        (nn.LayerNorm((3, 4), bias=False), (1, 6, 3, 4)),
        (nn.LayerNorm(7), (1, 7)),
        (nn.InstanceNorm2d(6), (1, 6, 3, 4)),
        (nn.InstanceNorm1d(6, affine=True, track_running_stats=True), (1, 6, 8)),
        (nn.BatchNorm2d(6, track_running_stats=False), (1, 6, 3, 4)),
    ],
)
def test_normalizations_equal_those_of_torch(layer, shape):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    model, x = nn.Sequential(layer).double().eval(), torch.randn(shape).double()
    with torch.no_grad():
        expected = model(x)
    for number in range(8):
        place = pick(shape[1:], number)
        one = arithmetic.trace(model, x, "0", *place)[0]
        assert one.total == pytest.approx(expected[(0, *place)].item(), abs=1e-12)
        gradient = torch.autograd.functional.jacobian(lambda y: model(y)[(0, *place)], x)  # noqa: B023
        reads = gradient[0].abs() > 1e-9
        if len(shape) == 4:
            rows, columns = reads.any(0).nonzero(as_tuple=True)
            box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            assert one.field == tuple(map(int, box))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.leaky_relu(x, 0.3),
        lambda x: F.elu(x, alpha=2.0),
        lambda x: F.hardtanh(x, -0.5, 0.25),
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, (2, 3), (1, 2), (1, 0), count_include_pad=False),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: torch.mean(x, -1),
        lambda x: F.log_softmax(x, dim=3),
        lambda x: x + 1.5,
        lambda x: 2 + x,
        lambda x: x + x[:, :1, :1],
    ],
)
def test_functions_are_followed_with_what_they_were_given(function):
    model, x, last = after_a_convolution(function)
    for number in range(6):
        place = pick(last.output.shape[1:], number)
        way = arithmetic.trace(model, x, last.name, *place)
        assert abs(way[0].total - model(x)[(0, *place)].item()) < 1e-12
        assert way[-1].stage == "input"


def test_a_function_with_its_own_parameters_is_followed():
    class Loosely(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernels = nn.Parameter(torch.randn(4, 1, 3, 3))
            self.matrix, self.offset = nn.Parameter(torch.randn(2, 64)), nn.Parameter(torch.ones(2))

        def forward(self, x):
            x = F.conv2d(x, self.kernels, None, 2, 1, 1)
            return F.linear(x.flatten(1), self.matrix, self.offset)

    torch.manual_seed(0)
    way = arithmetic.trace(Loosely(), torch.randn(1, 1, 8, 8), "linear", 1)
    assert [one.stage for one in way] == ["linear", "flatten", "conv2d", "input"]


@pytest.mark.parametrize("kind", [torch.int64, torch.complex64], ids=["whole", "complex"])
def test_the_image_has_the_kind_of_the_first_parameter_that_images_may_have(kind):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3, dtype=kind), requires_grad=False)
            self.conv = nn.Conv2d(1, 1, 3).double()

        def forward(self, x):
            return self.conv(x)

    way = arithmetic.trace(Scaled(), torch.full((1, 1, 3, 3), 0.5), "conv", 0)
    assert way[-1].value == 0.5


def test_a_layer_at_rest_gives_back_what_it_read():
    class Skips(nn.Module):
        def forward(self, x):
            return x if not self.training else torch.zeros_like(x)

    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(1, 2, 3), Skips(), nn.ReLU()), torch.randn(1, 1, 5, 5)
    way = arithmetic.trace(model, x, "2", 1, 2, 1)
    assert [one.stage for one in way] == ["2", "1", "0", "input"]
    assert way[1].value == way[2].value


def test_a_layer_may_be_called_as_the_image_is():
    class Named(nn.Module):
        """Goes from the image to its sum in two ways, of which a bias makes one the larger."""

        def __init__(self, bias):
            super().__init__()
            self.input, self.relu = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()
            self.input.bias.data[:] = bias

        def forward(self, x):
            return self.relu(self.input(x) + x)

    for bias, kinds in ((9.0, ["relu", "add", "conv", "input"]), (0.0, ["relu", "add", "input"])):
        torch.manual_seed(0)
        model, x = Named(bias), torch.full((1, 1, 5, 5), 3.0)
        way = arithmetic.trace(model, x, "relu", 0, 2, 1)
        assert [one.kind for one in way] == kinds
        assert way[-2].source == (0, 2, 1) or bias
        assert way[1].value == (model.input(x) + x)[0, 0, 2, 1].item()
        assert way[0].field == (1, 0, 4, 3)


# --- What is no chain ----------------------------------------------------------------------


class Branches(nn.Module):
    """Two convolutions side by side, multiplied."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.left, self.right = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        return self.left(x) * self.right(x)


class Outside(nn.Module):
    """Adds numbers that come from outside of torch."""

    def forward(self, x):
        return torch.relu(x + torch.from_numpy(np.ones((8, 8), np.float32)))


class FarOutside(nn.Module):
    """Adds two of them."""

    def forward(self, x):
        for _ in range(2):
            x = x + torch.from_numpy(np.ones((8, 8), np.float32))
        return torch.relu(x)


class Opaque(nn.Conv2d):
    """A convolution that scales its weights on the way."""

    def forward(self, x):
        return super().forward(x) * 2


class Scaled(nn.Module):
    """Divides its input first, which is no layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x / 255)


class Loose(nn.Module):
    """A convolution whose weights are nobody's."""

    def forward(self, x):
        return F.conv2d(x, torch.ones(1, 1, 3, 3))


@pytest.mark.parametrize(
    ("model", "stage", "sentence"),
    [
        (
            Branches(),
            "mul",
            (
                "mul is of the kind 'multiply'; what is not taken apart cannot be followed back: "
                "choose a stage up to 'right'"
            ),
        ),
        (Scaled(), "conv", "div is of the kind 'div'; what is"),
        (Outside(), "relu", "add reads what no layer gave, such as numbers from outside of torch"),
        (FarOutside(), "relu", "add:2 reads what no layer gave"),
        (Loose(), "conv2d", "conv2d is called as a function, which keeps its weights to itself"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2, mode="bilinear")),
            "1",
            "1 resizes by 'bilinear'; what is",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softshrink()),
            "1",
            "1 is softshrink, which has no formula here",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 3), nn.LPPool2d(2, 2)),
            "1",
            "1 is LPPool2d, neither max nor average pooling",
        ),
        (nn.Sequential(nn.Softmin(dim=1)), "0", "0 is softmin; what is"),
        (nn.Sequential(nn.RMSNorm(8)), "0", "0 is RMSNorm; what is"),
        (nn.Sequential(nn.ConstantPad2d(1, 5.0)), "0", "0 pads with 5.0; what is"),
        (
            nn.Sequential(nn.GELU("tanh")),
            "0",
            "0 is gelu with approximate='tanh'; only 'none' is taken apart",
        ),
        (
            nn.Sequential(nn.Softplus(beta=2)),
            "0",
            "0 is softplus with beta=2; only 1.0 is taken apart",
        ),
    ],
)
def test_what_is_no_chain_is_told_so(model, stage, sentence):
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="followed back") as caught:
        arithmetic.trace(model, x, stage, 0)
    assert str(caught.value).startswith(sentence)


def test_a_chain_up_to_the_branch_is_followed():
    torch.manual_seed(0)
    way = arithmetic.trace(Branches(), torch.randn(1, 1, 8, 8), "right", 1, 2, 3)
    assert [step.stage for step in way] == ["right", "first", "input"]


def test_a_layer_that_does_more_than_its_class_is_told_so():
    model, x = nn.Sequential(Opaque(1, 1, 3)), torch.ones(1, 1, 8, 8)
    first = next(iter(capture.record(model, x)))
    with pytest.raises(ValueError, match="it does more than its class says|makes something else"):
        arithmetic.trace(model, x, first, 0, 1, 1)


def test_a_chain_does_not_explain_what_was_learnt_since():
    torch.manual_seed(0)
    model, x = (
        nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)),
        torch.ones(1, 1, 8, 8),
    )
    chain = arithmetic.Chain(model, x)
    model[2].weight.data += 1
    with pytest.raises(ValueError, match="has learnt something since"):
        chain.trace("2", 0)


def test_two_inputs_are_no_chain():
    model = models.build("twobranch", seed=0)
    images = torch.zeros(1, 3, 32, 32)
    with pytest.raises(TypeError, match="a network with several inputs is no chain"):
        arithmetic.trace(model, (images, images), "fc", 0)


@pytest.mark.parametrize(
    ("where", "error", "sentence"),
    [
        (("conv9", 0, 0, 0), KeyError, "no stage is called 'conv9'; did you mean"),
        (
            ("conv1", 6, 0, 0),
            IndexError,
            "channel must be from 0 to 5, but was 6: conv1 is 6×24×24",
        ),
        (
            ("conv1", 0, 24, 0),
            IndexError,
            "row must be from 0 to 23, but was 24: a map of 'conv1' is",
        ),
        (("conv1", 0, 0, -1), IndexError, "col must be from 0 to 23, but was -1"),
        (("fc3", 10, 0, 0), IndexError, "channel must be from 0 to 9, but was 10: fc3 is 10"),
    ],
)
def test_a_place_that_is_not_there_is_named(where, error, sentence):
    model = models.build("lenet", seed=0)
    with pytest.raises(error) as caught:
        arithmetic.trace(model, torch.zeros(1, 1, 28, 28), *where)
    assert str(caught.value).startswith(sentence)


def test_an_image_without_a_batch_axis_is_told_so():
    with pytest.raises(ValueError, match=r"x must be a batch \(N, C, H, W\), but had"):
        arithmetic.trace(models.build("mlp", seed=0), torch.zeros(784), "linear1", 0)


def test_a_trace_may_end_early():
    model, x = built("lenet")
    chain = arithmetic.Chain(model, x)
    whole, part = (chain.trace("pool2", 3, 1, 2, until=name) for name in (None, "conv2"))
    assert [one.stage for one in part] == ["pool2", "relu2", "conv2"]
    assert [repr(one) for one in part] == [repr(one) for one in whole[:3]]
    assert len(whole) > 3


def test_a_mean_may_divide_by_another_number():
    model, x = nn.Sequential(nn.AvgPool2d(2, divisor_override=3)), torch.randn(1, 1, 4, 4)
    [step, _] = arithmetic.trace(model, x, "0", 0, 1, 0)
    assert step.total == pytest.approx(float(model(x)[0, 0, 1, 0]))
