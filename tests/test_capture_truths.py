"""What a stage is: held against hooks written here and against torch's own functions."""

from __future__ import annotations

import pytest
import torch
from captured import IMAGE, Calls, answer, hooked, last
from torch import nn
from torch.nn import functional as F

from vizlib import capture

torch.manual_seed(0)


# --- 1. In place ---------------------------------------------------------------------------

IN_PLACE = [
    nn.ReLU(inplace=True),
    nn.ReLU6(inplace=True),
    nn.SiLU(inplace=True),
    nn.Hardswish(inplace=True),
    nn.Hardtanh(inplace=True),
    nn.LeakyReLU(0.1, inplace=True),
    nn.ELU(inplace=True),
    nn.Mish(inplace=True),
    nn.Threshold(0.1, 7.0, inplace=True),
]


@pytest.mark.parametrize("layer", IN_PLACE, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("before", [nn.Conv2d(2, 3, 3), nn.Identity()], ids=["conv", "identity"])
def test_layer_in_place_changes_no_stage_before_it(before, layer):
    model, x = nn.Sequential(before, layer), torch.randn(1, 2, 6, 6)
    expected = answer(before, x).clone()
    recording = capture.record(model, x.clone())
    assert torch.equal(recording["0"].output, expected)
    assert not torch.equal(recording["1"].output, expected)


WRITING = {
    "F.relu_": F.relu_,
    "torch.relu_": torch.relu_,
    "Tensor.relu_": lambda y: y.relu_(),
    "F.relu(inplace)": lambda y: F.relu(y, inplace=True),
    "add_": lambda y: y.add_(1.0),
    "+=": lambda y: y.__iadd__(torch.ones(1)),
    "*=": lambda y: y.__imul__(2.0),
    "sigmoid_": lambda y: y.sigmoid_(),
    "fill_": lambda y: y.fill_(3.0),
    "numpy": lambda y: y.numpy().fill(3.0),
    "index": lambda y: y.__setitem__(0, 5.0),
}


@pytest.mark.parametrize("write", WRITING.values(), ids=WRITING)
def test_function_in_place_changes_no_stage_before_it(write):
    model, x = Calls(lambda self, x: write(self.fc(x)), fc=nn.Linear(4, 4)), torch.randn(2, 4)
    recording = capture.record(model, x)
    assert torch.equal(recording["fc"].output, F.linear(x, model.fc.weight, model.fc.bias).detach())


def test_writing_on_the_answer_changes_no_recording():
    model, x = nn.Sequential(nn.Linear(4, 4)), torch.randn(2, 4)
    with capture.listen(model) as recording, torch.no_grad():
        model(x).zero_()
    assert torch.equal(recording["0"].output, answer(model, x))


def test_no_two_stages_share_memory_and_none_is_the_input_or_a_weight():
    model = nn.Sequential(
        *(nn.Flatten(), nn.Identity(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(), nn.Flatten()),
        *(nn.Unflatten(1, (2, 4)), nn.Upsample(scale_factor=1), nn.AdaptiveAvgPool1d(4)),
        *(nn.MaxPool1d(1), nn.AvgPool1d(1), nn.ConstantPad1d(0, 0.0), nn.Softmax(2)),
        *(nn.BatchNorm1d(2), nn.LayerNorm(4)),
    ).eval()
    x = torch.randn(2, 2, 4)
    recording = capture.record(model, x)
    kept = [stage.output for stage in recording.values()]
    places = [t.untyped_storage().data_ptr() for t in (*kept, x, *model.parameters())]
    assert len(kept) == len(model)
    assert len(set(places)) == len(places)


# --- 2. Reuse ------------------------------------------------------------------------------


def test_module_called_three_times_is_three_stages_in_order():
    relu, x = nn.ReLU(), torch.randn(3, 4)
    model = nn.Sequential(relu, nn.Linear(4, 4), relu, nn.Linear(4, 4), relu)
    recording = capture.record(model, x)
    assert list(recording) == ["0", "1", "0:2", "3", "0:3"]
    for stage, (_, output) in zip(recording.values(), hooked(model, x), strict=True):
        assert torch.equal(stage.output, output)


def test_module_shared_by_two_parents_goes_by_its_first_path():
    shared = nn.Linear(4, 4)
    model = Calls(
        lambda self, x: self.right(self.left(x)),
        left=nn.Sequential(shared, nn.Tanh()),
        right=nn.Sequential(nn.Sigmoid(), shared),
    )
    assert list(capture.record(model, torch.ones(1, 4))) == [
        *("left.0", "left.1"),
        *("right.0", "left.0:2"),
    ]


def test_module_keeps_its_path_and_functions_of_that_name_are_counted_on():
    model = Calls(lambda self, x: F.relu(self.relu(F.relu(x))), relu=nn.ReLU())
    recording = capture.record(model, torch.ones(1))
    assert list(recording) == ["relu:2", "relu", "relu:3"]
    assert [stage.module for stage in recording.values()] == [None, model.relu, None]
    with capture.edit(model, {"relu": {0: 3.0}}):
        assert capture.record(model, torch.ones(1, 1))["relu"].output.item() == 3


# --- 3. Functions --------------------------------------------------------------------------

KERNEL, MATRIX = torch.randn(4, 3, 3, 3), torch.randn(5, 8)
FUNCTIONS = {
    "conv2d": ("conv", lambda x: F.conv2d(x, KERNEL)),
    "relu": ("relu", F.relu),
    "relu ": ("relu", torch.relu),
    "relu  ": ("relu", lambda x: x.relu()),
    "max_pool2d": ("pool", lambda x: F.max_pool2d(x, 2)),
    "max_pool2d ": ("pool", lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "avg_pool2d": ("pool", lambda x: F.avg_pool2d(x, 2)),
    "adaptive_avg_pool2d": ("pool", lambda x: F.adaptive_avg_pool2d(x, 1)),
    "adaptive_max_pool2d": ("pool", lambda x: F.adaptive_max_pool2d(x, 2)),
    "linear": ("linear", lambda x: F.linear(x, MATRIX)),
    "matmul": ("linear", lambda x: x @ MATRIX.T),
    "flatten": ("flatten", lambda x: torch.flatten(x, 1)),
    "flatten ": ("flatten", lambda x: x.flatten()),
    "view": ("flatten", lambda x: x.view(2, -1)),
    "reshape": ("flatten", lambda x: x.reshape(2, -1)),
    "softmax": ("softmax", lambda x: F.softmax(x, dim=1)),
    "softmax ": ("softmax", lambda x: x.softmax(1)),
    "log_softmax": ("softmax", lambda x: F.log_softmax(x, dim=1)),
    "cat": ("cat", lambda x: torch.cat([x, x], dim=1)),
    "add": ("add", lambda x: x + x),
    "add ": ("add", lambda x: torch.add(x, x)),
    "add  ": ("add", lambda x: 1 + x),
    "mul": ("multiply", lambda x: x * x),
    "dropout": ("dropout", lambda x: F.dropout(x, 0.0, training=True)),
    "batch_norm": ("norm", lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3))),
    "layer_norm": ("norm", lambda x: F.layer_norm(x, (8,))),
    "gelu": ("activation", F.gelu),
    "sigmoid": ("activation", torch.sigmoid),
    "tanh": ("activation", lambda x: x.tanh()),
    "silu": ("activation", F.silu),
    "interpolate": ("resize", lambda x: F.interpolate(x, scale_factor=2)),
    "pad": ("pad", lambda x: F.pad(x, (1, 1))),
    "scaled_dot_product_attention": (
        "attention",
        lambda x: F.scaled_dot_product_attention(x, x, x),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_one_stage_under_the_module_that_called_it(name):
    kind, function = FUNCTIONS[name]
    model = nn.Sequential(Calls(lambda _, x: function(x), part=nn.Identity()))
    recording = capture.record(model, IMAGE)
    assert [(stage.name, stage.kind) for stage in recording.values()] == [
        (f"0.{name.strip()}", kind)
    ]
    assert torch.equal(last(recording).output, function(IMAGE))
    assert last(recording).module is None


def test_function_takes_the_shape_of_its_first_input():
    recording = capture.record(Calls(lambda _, x: torch.cat([x, x[:1]])), torch.ones(2, 3))
    assert recording["cat"].input_shape == (2, 3)


def test_call_inside_a_layer_is_that_layer():
    class Squash(nn.Module):
        def forward(self, x):
            return torch.tanh(F.relu(x) + 1)

    model = Calls(
        lambda self, x: F.relu(self.squash(self.conv(x))), squash=Squash(), conv=nn.Conv2d(3, 2, 3)
    )
    recording = capture.record(model, IMAGE)
    assert [(s.name, s.kind) for s in recording.values()] == [
        *(("conv", "conv"), ("squash", "squash"), ("relu", "relu")),
    ]


def test_layer_that_calls_a_module_it_does_not_own_is_still_one_stage():
    inner = nn.Linear(3, 3)

    class Outer(nn.Module):
        def forward(self, x):
            return inner(x)

    model = Calls(lambda self, x: self.inner(self.outer(x)), outer=Outer(), inner=inner)
    assert list(capture.record(model, torch.ones(1, 3))) == ["outer", "inner"]
    assert list(capture.record(model, torch.ones(1, 3), layers="inner")) == ["inner"]


def test_functions_outside_of_the_model_are_not_its_stages():
    model = nn.Sequential(nn.Linear(3, 3), Calls(lambda _, x: F.relu(x), part=nn.Identity()))
    with capture.listen(model) as recording:
        F.softmax(model(F.relu(torch.ones(1, 3))), dim=1).add(1)
    assert list(recording) == ["0", "1.relu"]


def test_module_made_on_the_way_leaves_its_function():
    model = Calls(lambda self, x: nn.ReLU()(self.fc(x)), fc=nn.Linear(3, 3))
    assert list(capture.record(model, torch.ones(1, 3))) == ["fc", "relu"]


def test_another_mode_inside_the_forward_pass_stays_in_force():
    def forward(self, x):
        with torch.device("meta"):
            y = self.fc(x)
            made = torch.ones(2)
        return F.relu(y) if made.is_meta and torch.ones(1).is_cpu else y

    model = Calls(forward, fc=nn.Linear(3, 3))
    assert list(capture.record(model, torch.ones(1, 3))) == ["fc", "relu"]
