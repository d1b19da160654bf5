"""Capture held against hooks written here, against torch's own functions, and against gradients."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.overrides import TorchFunctionMode

from vizlib import capture, data, models

torch.manual_seed(0)


class Calls(nn.Module):
    """A module around a function of itself and the input: each test writes its own forward."""

    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def hooked(model: nn.Module, x: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """What plain hooks on childless modules see: each call in its order, cloned."""
    seen, handles = [], []
    for path, module in model.named_modules():
        if not list(module.children()):

            def hook(_module, _args, output, path=path):
                seen.append((path, output.detach().clone()))

            handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def answer(model: nn.Module, *args):
    with torch.no_grad():
        return model(*args)


def last(recording: capture.Recording) -> capture.Stage:
    return list(recording.values())[-1]


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

IMAGE, KERNEL, MATRIX = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3), torch.randn(5, 8)
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


# --- 4. Any model --------------------------------------------------------------------------


class QuickWeights(TorchFunctionMode):
    """Lets networks start from weights that repeat: to draw 130 million takes seconds."""

    DRAWING = (torch.Tensor.uniform_, torch.Tensor.normal_, nn.init.uniform_, nn.init.normal_)
    SOME = torch.linspace(-0.05, 0.06, 4099)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        tensor = args[0] if args else (kwargs or {}).get("tensor")
        if func not in self.DRAWING or tensor.numel() < 1e6 or tensor.is_meta:
            return func(*args, **(kwargs or {}))
        with torch.no_grad():
            flat = tensor.view(-1)
            whole = len(flat) // 4099 * 4099
            flat[:whole].view(-1, 4099).copy_(self.SOME)
            flat[whole:] = 0.01
        return tensor


@pytest.mark.parametrize("name", models.names())
def test_network_of_the_course_is_recorded_as_plain_hooks_see_it(name):
    with QuickWeights():
        model = models.build(name, seed=0).eval()
    x = torch.randn(1, *model.input_shape)
    if name == "alexnet":
        x = x[..., :64, :64]
    inputs = (x, x) if name == "twobranch" else (x,)
    recording = capture.record(model, inputs)
    modules = [stage for stage in recording.values() if stage.module is not None]
    seen = hooked(Calls(lambda self, _: self.m(*inputs), m=model), x)
    assert [f"m.{stage.name}" for stage in modules] == [path for path, _ in seen]
    for stage, (_, output) in zip(modules, seen, strict=True):
        assert torch.equal(stage.output, output)
    assert torch.equal(last(recording).output, answer(model, *inputs))


@pytest.mark.parametrize("name", ["lenet", "newnet", "mynetv1"])
def test_watching_functions_finds_no_more_in_our_networks_than_not_watching(name):
    """Our networks are trusted to call none outside of a layer; around them everything is seen."""
    model = models.build(name, seed=0).eval()
    x = torch.randn(2, *model.input_shape)
    watched = capture.record(Calls(lambda self, x: self.m(x), m=model), x)
    assert list(watched) == [f"m.{path}" for path in capture.record(model, x)]


ZOO = {
    "resnet18": (64, {}),
    "vgg11_bn": (32, {}),
    "alexnet": (64, {}),
    "googlenet": (64, {"init_weights": False}),
    "densenet121": (32, {}),
    "mobilenet_v3_small": (32, {}),
    "squeezenet1_1": (32, {}),
    "vit_b_16": (32, {"image_size": 32}),
    "convnext_tiny": (32, {}),
    "swin_t": (64, {}),
    "efficientnet_b0": (32, {}),
}


@pytest.mark.parametrize("name", ZOO)
def test_torchvision_model_has_a_stage_for_each_conv_and_ends_in_its_answer(name):
    import torchvision

    side, options = ZOO[name]
    with QuickWeights():
        model = torchvision.models.get_model(name, weights=None, **options).eval()
    x = torch.randn(2, 3, side, side)
    count = count_convs(model)
    expected = answer(model, x)
    convs = count()
    recording = capture.record(model, x)
    assert len(recording.kind("conv")) == convs > 0
    assert torch.equal(last(recording).output, expected)


def count_convs(model: nn.Module):
    calls = []
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    handles = [conv.register_forward_hook(lambda *_: calls.append(1)) for conv in convs]

    def stop() -> int:
        for handle in handles:
            handle.remove()
        return len(calls)

    return stop


def test_module_list_loop_and_branch():
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            if x.sum() > 0:
                x = F.relu(x)
        return x

    layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
    for layer, bias in zip(layers, (5.0, -5.0, 5.0), strict=True):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    recording = capture.record(Calls(forward, layers=layers), torch.ones(1, 3))
    assert list(recording) == ["layers.0", "relu", "layers.1", "layers.2", "relu:2"]


@dataclass
class Outputs:
    count: int
    logits: torch.Tensor


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: (y, y + 1),
        lambda y: [None, y],
        lambda y: {"logits": y},
        lambda y: Outputs(3, y),
        lambda y: ({"a": [y]},),
    ],
    ids=["tuple", "list", "dict", "dataclass", "nested"],
)
def test_layer_with_several_outputs_is_recorded_by_its_first_tensor(wrap):
    class Leaf(nn.Module):
        def forward(self, x):
            return wrap(x * 2)

    x = torch.randn(2, 3)
    recording = capture.record(nn.Sequential(Leaf()), x)
    assert torch.equal(recording["0"].output, x * 2)


def test_layer_without_a_tensor_is_no_stage():
    class Count(nn.Module):
        def forward(self, x):
            return len(x)

    assert (
        len(capture.record(Calls(lambda self, x: self.count(x), count=Count()), torch.ones(1))) == 0
    )


def test_several_inputs_and_named_ones():
    model = Calls(lambda self, a, b: self.fc(input=a) + b, fc=nn.Linear(3, 3))
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    recording = capture.record(model, (a, b))
    assert recording["fc"].input_shape == (2, 3)
    assert torch.equal(recording["add"].output, answer(model, a, b))


@pytest.mark.parametrize("writable", [True, False])
def test_arrays_are_inputs_too(writable):
    model = nn.Sequential(nn.Linear(3, 2))
    x = np.ones((1, 3), np.float32)
    x.flags.writeable = writable
    assert torch.equal(capture.record(model, x)["0"].output, answer(model, torch.ones(1, 3)))


def test_model_that_is_one_layer_and_model_that_is_one_function():
    assert list(capture.record(nn.Conv2d(3, 2, 3), IMAGE)) == ["conv2d"]
    assert list(capture.record(Calls(lambda _, x: x.relu()), IMAGE)) == ["relu"]


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layer(layer):
    model = Calls(
        lambda self, x: self.head(self.rnn(x)[0][:, -1]),
        rnn=layer(4, 6, batch_first=True),
        head=nn.Linear(6, 2),
    )
    x = torch.randn(2, 5, 4)
    recording = capture.record(model, x)
    assert [(s.name, s.kind) for s in recording.values()] == [
        ("rnn", "recurrent"),
        ("head", "linear"),
    ]
    assert torch.equal(recording["rnn"].output, answer(model.rnn, x)[0])


def test_attention_is_one_layer():
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(2, 5, 8)
    model = Calls(lambda self, x: self.attention(x, x, x)[0], attention=attention)
    recording = capture.record(model, x)
    assert [(s.name, s.kind) for s in recording.values()] == [("attention", "attention")]
    assert torch.allclose(recording["attention"].output, answer(model, x), atol=1e-6)


@pytest.mark.parametrize("layers", [None, "layers.1.linear2", "linear"])
def test_transformer_encoder_takes_no_shortcut_past_its_layers(layers):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(2, 5, 8)
    recording = capture.record(model, x, layers=layers)
    assert "layers.1.linear2" in recording
    if layers is None:
        assert len(recording.kind("attention")) == 2
        assert len(recording.kind("add")) == 4
        assert torch.allclose(last(recording).output, answer(model, x), atol=1e-5)


def test_data_parallel_is_looked_through():
    inner = nn.DataParallel(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    inner.device_ids = [0, 1]  # as on a machine with two accelerators
    model = nn.DataParallel(nn.Sequential(inner, nn.Linear(3, 2)))
    assert list(capture.record(model, torch.ones(2, 3))) == ["0.0", "0.1", "1"]
    assert inner.device_ids == [0, 1]


def test_compiled_models_and_parts_are_looked_through():
    compiled = nn.Sequential(nn.Linear(3, 3), torch.compile(nn.ReLU(), backend="eager"))
    x = torch.randn(2, 3)
    expected = answer(compiled, x)
    for model in (compiled, torch.compile(compiled, backend="eager")):
        recording = capture.record(model, x)
        assert list(recording) == ["0", "1"]
        assert torch.equal(recording["1"].output, expected)
        assert list(capture.record(model, x, layers="1")) == ["1"]


def test_compiled_code_is_seen_again_and_compiles_again_afterwards():
    @torch.compile(backend="eager")
    def twice(x):
        compiling.append(torch.compiler.is_compiling())
        return F.relu(x) * 2

    compiling = []
    model = Calls(lambda _, x: twice(x), part=nn.Identity())
    model.compile(backend="eager")
    assert list(capture.record(model, torch.ones(2))) == ["relu", "mul"]
    calls = []

    def count(graph, _inputs):
        calls.append(graph)
        return graph.forward

    after = torch.compile(lambda x: x + 1, backend=count)
    after(torch.ones(2))
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore")  # torch speaks of its own plans for these
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm", "old_weight_norm", "prune"])
def test_layer_with_a_computed_weight_is_one_stage(norm):
    fc = nn.Linear(4, 4)
    {
        "weight_norm": nn.utils.parametrizations.weight_norm,
        "spectral_norm": nn.utils.parametrizations.spectral_norm,
        "old_weight_norm": nn.utils.weight_norm,
        "prune": lambda m: prune.l1_unstructured(m, "weight", amount=0.5),
    }[norm](fc)
    model, x = Calls(lambda self, x: F.relu(self.fc(x)), fc=fc).eval(), torch.randn(2, 4)
    recording = capture.record(model, x)
    assert [(s.name, s.kind) for s in recording.values()] == [("fc", "linear"), ("relu", "relu")]
    assert torch.equal(recording["fc"].output, answer(fc, x))


def test_computed_weight_that_a_function_uses_is_no_stage():
    fc = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    model = Calls(lambda self, x: F.linear(x, self.fc.weight), fc=fc)
    assert list(capture.record(model, torch.ones(1, 4))) == ["linear"]


@pytest.mark.filterwarnings("ignore")  # torch speaks of its own plans for these
def test_layer_that_trains_for_quantization_is_one_stage_with_what_the_next_layer_gets():
    from torch.ao import quantization

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).train()
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    model = quantization.prepare_qat(model)
    model(IMAGE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recording = capture.record(model, IMAGE)
    assert [s.kind for s in recording.values()] == ["conv", "relu", "flatten", "linear"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    with torch.no_grad():
        assert torch.equal(recording["0"].output, model[0](IMAGE))


def test_hook_that_changes_a_layers_output_is_part_of_the_layer():
    model, x = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.randn(2, 3)
    model[0].register_forward_hook(lambda _module, _args, output: output + 100)
    recording = capture.record(model, x)
    assert list(recording) == ["0", "1"]
    assert torch.equal(recording["0"].output, answer(model[0], x))
    assert torch.equal(capture.record(model, x, layers="0")["0"].output, answer(model[0], x))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float64])
def test_precision_is_kept(precision):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).to(
        precision
    )
    recording = capture.record(model, IMAGE.to(precision))
    assert {stage.output.dtype for stage in recording.values()} == {precision}
    assert torch.equal(last(recording).output, answer(model, IMAGE.to(precision)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_model_on_a_cuda_device():
    model = models.build("newnet", seed=0).cuda().train()
    before = torch.cuda.get_rng_state_all()
    recording = capture.record(model, torch.randn(4, 1, 28, 28))
    assert all(stage.output.is_cpu for stage in recording.values())
    assert all(map(torch.equal, before, torch.cuda.get_rng_state_all()))
    model.eval()
    x = torch.randn(4, 1, 28, 28)
    assert torch.equal(last(capture.record(model, x)).output, answer(model, x.cuda()).cpu())


# --- 5. The model comes back ---------------------------------------------------------------


class Restless(nn.Module):
    """Changes whatever a forward pass can change."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails
        self.norm, self.drop, self.frozen = nn.BatchNorm1d(3), nn.Dropout(), nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 3)
        self.register_buffer("counter", torch.zeros(1))
        self.register_buffer("later", None)
        self.register_buffer("shared", torch.ones(2))

    def forward(self, x):
        self.counter += 1
        self.later = torch.ones(3)
        self.shared = self.shared * 2
        self.frozen.train(not self.frozen.training)
        random.random(), np.random.rand()  # noqa: NPY002, S311 - what it must put back
        x = self.drop(self.fc(self.norm(x))) + torch.rand(1)
        if self.fails:
            raise RuntimeError("on purpose")
        return x


def all_there_is(model: nn.Module) -> dict:
    return {
        "flags": [module.training for module in model.modules()],
        "buffers": {
            n: None if b is None else (id(b), b.tolist())
            for m in model.modules()
            for n, b in m._buffers.items()
        },
        "versions": [tensor._version for tensor in (*model.buffers(), *model.parameters())],
        "gradients": [(id(p.grad), p.grad.tolist()) for p in model.parameters()],
        "hooks": [
            {name: len(hooks) for name, hooks in vars(module).items() if "_hooks" in name and hooks}
            for module in model.modules()
        ],
        "global": [
            len(hooks)
            for name, hooks in vars(nn.modules.module).items()
            if name.startswith("_global_") and isinstance(hooks, dict)
        ],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": str(np.random.get_state(legacy=False)),  # noqa: NPY002 - what it must put back
        "grad mode": torch.is_grad_enabled(),
        "modes": torch.overrides._get_current_function_mode_stack(),
    }


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("layers", [None, "fc"])
def test_model_comes_back_as_it_was(fails, layers):
    model = Restless(fails=fails)
    model.frozen.eval()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    x = torch.randn(4, 3)
    before = all_there_is(model)
    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            capture.record(model, x, layers=layers)
    else:
        capture.record(model, x, layers=layers)
    after = all_there_is(model)
    for what in before:
        assert after[what] == before[what], what


@pytest.mark.parametrize(
    "model", [models.build("newnet"), nn.Sequential(nn.RReLU(), nn.FractionalMaxPool2d(2, 4))]
)
def test_networks_of_torchs_own_layers_come_back_too(model):
    x = torch.randn(4, 1, 28, 28)
    for training in (True, False):
        model.train(training)
        random_numbers, buffers = torch.get_rng_state(), [b.clone() for b in model.buffers()]
        capture.record(model, x)
        assert torch.equal(torch.get_rng_state(), random_numbers)
        assert all(map(torch.equal, model.buffers(), buffers))


def test_training_numbers_are_those_of_the_users_own_forward_pass():
    model, x = models.build("newnet", seed=0).train(), torch.randn(8, 1, 28, 28)
    torch.manual_seed(3)
    recording = capture.record(model, x)
    torch.manual_seed(3)
    assert torch.equal(last(recording).output, answer(model, x))


def test_recording_between_forward_and_backward_disturbs_no_gradient():
    x = torch.randn(8, 3)
    gradients = []
    for records in (False, True):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU()).train()
        loss = model(x).square().sum()
        if records:
            capture.record(model, torch.randn(4, 3))
        loss.backward()
        gradients.append(model[0].weight.grad)
    assert torch.equal(*gradients)


def test_buffer_shared_by_two_modules_stays_shared_during_the_forward_pass():
    class Adds(nn.Module):
        def __init__(self, total):
            super().__init__()
            self.register_buffer("total", total)

        def forward(self, x):
            self.total += 1
            return x + self.total

    total = torch.zeros(1)
    recording = capture.record(nn.Sequential(Adds(total), Adds(total)), torch.zeros(1))
    assert [stage.output.item() for stage in recording.values()] == [1.0, 3.0]
    assert total.item() == 0


class Tied(nn.Module):
    """Reads its scores with the weight that its embedding shrinks on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.scores = nn.Embedding(5, 3, max_norm=0.5), nn.Linear(3, 5)
        self.scores.weight = self.words.weight

    def forward(self, x):
        return self.scores(self.words(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Embedding(5, 3, max_norm=0.5)),
        lambda: nn.Sequential(nn.EmbeddingBag(5, 3, max_norm=0.5)),
        Tied,
    ],
    ids=["embedding", "bag", "tied"],
)
def test_weight_that_an_embedding_shrinks_comes_back(make):
    model, x = make(), torch.tensor([[0, 1, 4]])
    weight = next(model.parameters())
    before, version = weight.detach().clone(), weight._version
    recording = capture.record(model, x)
    assert next(model.parameters()) is weight
    assert torch.equal(weight, before)
    assert weight._version == version
    assert torch.equal(last(recording).output, answer(model, x))
    assert not torch.equal(weight, before)  # the forward pass of its own does shrink it


LEARNING = {
    "conv": (lambda: nn.Conv2d(2, 3, 2), torch.ones(2, 2, 4, 4)),
    "transposed": (lambda: nn.ConvTranspose1d(2, 3, 2), torch.ones(2, 2, 4)),
    "linear": (lambda: nn.Linear(4, 3), torch.ones(2, 4)),
    "prelu": (nn.PReLU, torch.ones(2, 4)),
    "batch norm": (lambda: nn.BatchNorm2d(2), torch.rand(2, 2, 4, 4)),
    "instance norm": (lambda: nn.InstanceNorm2d(2, affine=True), torch.rand(2, 2, 4, 4)),
    "group norm": (lambda: nn.GroupNorm(1, 2), torch.rand(2, 2, 4, 4)),
    "layer norm": (lambda: nn.LayerNorm(4), torch.rand(2, 4)),
    "rms norm": (lambda: nn.RMSNorm(4), torch.rand(2, 4)),
    "lstm": (lambda: nn.LSTM(4, 3), torch.rand(2, 4)),
    "gru cell": (lambda: nn.GRUCell(4, 3), torch.rand(2, 4)),
    "transformer": (lambda: nn.TransformerEncoderLayer(4, 2), torch.rand(2, 4)),
    "embedding": (lambda: nn.Embedding(5, 3), torch.tensor([[0, 1]])),
    "embedding, max_norm": (lambda: nn.Embedding(5, 3, max_norm=0.1), torch.tensor([[0, 1]])),
    "bag, max_norm": (lambda: nn.EmbeddingBag(5, 3, max_norm=0.1), torch.tensor([[0, 1]])),
}


def test_of_torchs_layers_embeddings_alone_write_on_their_parameters():
    """What is put back rests on this: a copy of every parameter would cost too much."""
    writing = []
    for name, (make, x) in LEARNING.items():
        layer = make().train()
        before = [parameter._version for parameter in layer.parameters()]
        answer(layer, x)
        writing += [name] if [p._version for p in layer.parameters()] != before else []
    assert writing == ["embedding, max_norm", "bag, max_norm"]


def test_error_passes_through_and_says_how_far_the_forward_pass_got():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as raised:
        capture.record(model, torch.ones(1, 3))
    assert raised.value.__notes__ == ["The last layer recorded is '1'."]
    with pytest.raises(RuntimeError) as raised:
        capture.record(model, torch.ones(1, 2))
    assert raised.value.__notes__ == ["No layer is recorded."]


def test_error_that_the_model_catches_leaves_no_trace_in_the_names():
    def forward(self, x):
        try:
            self.block(x)
        except RuntimeError:
            x = F.relu(x)
        return self.last(x)

    block = Calls(lambda self, x: self.fc(x), fc=nn.Linear(4, 2))
    model = Calls(forward, block=block, last=nn.Linear(3, 3))
    assert list(capture.record(model, torch.ones(1, 3))) == ["relu", "last"]


def test_interrupted_recording_leaves_nothing_behind():
    def interrupt(_self, _x):
        raise KeyboardInterrupt

    model = Calls(lambda self, x: self.part(x), part=nn.ReLU())
    model.part.forward = interrupt.__get__(model.part)
    before = torch.overrides._get_current_function_mode_stack()
    with torch.device("cpu"), pytest.raises(KeyboardInterrupt):
        capture.record(model, torch.ones(1))
    assert torch.overrides._get_current_function_mode_stack() == before
    assert not nn.modules.module._global_forward_hooks


def test_lazy_layer_is_refused():
    with pytest.raises(ValueError, match="LazyLinear takes its shape from its first input"):
        capture.record(nn.Sequential(nn.LazyLinear(3)), torch.ones(1, 3))


# --- 6. layers= ----------------------------------------------------------------------------


def block_model() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    return Calls(
        lambda self, x: F.relu(self.fc(F.relu(self.features(x)).flatten(1))),
        features=features,
        fc=nn.Linear(64, 3),
    ).eval()


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("fc", ["fc"]),
        (["fc", "features.0"], ["features.0", "fc"]),
        ("features.*", ["features.0", "features.1", "features.2"]),
        ("relu", ["features.1", "relu", "relu:2"]),
        ("relu:2", ["relu:2"]),
        ("conv", ["features.0", "features.2"]),
        ("fl*", ["flatten"]),
        (["linear", "flatten"], ["flatten", "fc"]),
        ([], []),
    ],
)
def test_layers_picks_by_name_pattern_and_kind(layers, expected):
    everything = capture.record(block_model(), IMAGE)
    assert set(expected) <= set(everything)
    recording = capture.record(model := block_model(), IMAGE, layers=layers)
    assert list(recording) == expected
    full = capture.record(model, IMAGE)
    assert all(torch.equal(recording[name].output, full[name].output) for name in expected)


def test_layers_picks_one_of_several_calls():
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(3, 3), relu)
    x = torch.randn(1, 3)
    recording = capture.record(model, x, layers="0:2")
    assert list(recording) == ["0:2"]
    assert torch.equal(recording["0:2"].output, answer(model, x))


@pytest.mark.parametrize(
    "model",
    [models.build("newnet", seed=0), nn.Sequential(models.build("lenet", seed=0), nn.Softmax(1))],
    ids=["network", "in a chain"],
)
def test_chain_of_torchs_own_layers_is_recorded_as_any_model(model):
    """Its layers are called one by one, without hooks."""
    x = torch.randn(2, 1, 28, 28)
    recording = capture.record(model.eval(), x)
    with capture.listen(model) as hooked:
        answer(model, x)
    assert list(recording) == list(hooked)
    for name, stage in recording.items():
        assert torch.equal(stage.output, hooked[name].output)
        assert (stage.kind, stage.input_shape, stage.module, stage.inputs) == (
            *(hooked[name].kind, hooked[name].input_shape),
            *(hooked[name].module, hooked[name].inputs),
        )
    with pytest.raises(
        ValueError, match=r"(lenet|newnet) expects a batch of images \(N, 1, 28, 28\)"
    ):
        capture.record(model, x[0])


@pytest.mark.parametrize("before", [False, True])
def test_hooks_that_are_everybodys_are_called_as_ever(before):
    everywhere = nn.modules.module
    hang = (
        everywhere.register_module_forward_pre_hook
        if before
        else everywhere.register_module_forward_hook
    )
    model, heard = models.build("lenet"), [[], []]
    for run, calls in zip((answer, capture.record), heard, strict=True):
        handle = hang(lambda module, *_, calls=calls: calls.append(module))
        run(model, torch.zeros(1, 1, 28, 28))
        handle.remove()
    assert len(heard[0]) == 13
    assert heard[1] == heard[0]


@pytest.mark.parametrize("layers", ["conv11", "features.9", "max_pol2d", "conv3*"])
def test_name_that_matches_nothing_raises_with_the_closest_and_the_list(layers):
    for model in (models.build("lenet"), block_model()):
        x = torch.randn(1, *getattr(model, "input_shape", (3, 8, 8)))
        with pytest.raises(capture.UnknownStageError) as raised:
            capture.record(model, x, layers=["linear", layers])
        message = str(raised.value)
        assert message.startswith(f"no stage is called {layers!r}; ")
        assert ", ".join(capture.record(model, x)) in message


def test_wrong_name_gets_the_closest_ones():
    recording = capture.record(models.build("lenet"), torch.zeros(1, 1, 28, 28))
    with pytest.raises(KeyError, match="no stage is called 'covn1'; did you mean 'conv1'"):
        recording["covn1"]
    with pytest.raises(KeyError, match=r"did you mean 'conv1'.*this model has conv1, relu1, pool1"):
        capture.record(models.build("lenet"), torch.zeros(1, 1, 28, 28), layers="covn1")


def test_layer_that_is_there_and_not_called_is_told_apart():
    model = Calls(lambda self, x: self.used(x), used=nn.ReLU(), aux=nn.Linear(3, 3))
    with pytest.raises(KeyError, match="this forward pass did not call 'aux'"):
        capture.record(model, torch.ones(1, 3), layers=["aux", "used"])


# --- samples= ------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "rows"), [(0, [0]), ([2, 0], [2, 0]), (-1, [3]), ([1], [1])])
def test_samples_keeps_images_of_the_batch_by_number(samples, rows):
    model, x = models.build("lenet", seed=0), torch.randn(4, 1, 28, 28)
    full = capture.record(model, x)
    for name, stage in capture.record(model, x, samples=samples).items():
        assert torch.equal(stage.output, full[name].output[rows])
        assert stage.input_shape == full[name].input_shape


def test_samples_leaves_alone_what_has_another_first_axis():
    model = Calls(lambda self, x: self.fc(x.view(-1, 2)), fc=nn.Linear(2, 2))
    recording = capture.record(model, torch.randn(3, 4), samples=1)
    assert recording["fc"].output.shape == (6, 2)


def test_sample_that_the_batch_does_not_have():
    with pytest.raises(
        IndexError, match="sample 4 was asked for, but the batch has 4, numbered from 0 to 3"
    ):
        capture.record(nn.Sequential(nn.ReLU()), torch.ones(4, 3), samples=[0, 4])


# --- 7. Listening --------------------------------------------------------------------------


def test_listening_to_a_training_step_changes_nothing_about_it():
    results = []
    for listens in (False, True):
        torch.manual_seed(0)
        model = models.build("newnet", seed=0).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.randn(8, 1, 28, 28), torch.arange(8)
        if listens:
            with capture.listen(model) as recording:
                F.cross_entropy(model(x), y).backward()
            assert list(recording)[-1] == "flatten"
            assert not any(stage.output.requires_grad for stage in recording.values())
        else:
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
        results.append([*model.state_dict().values()])
    assert all(map(torch.equal, *results))


def test_two_forward_passes_are_counted_on_and_can_be_read_inside_the_block():
    model = nn.Sequential(nn.Linear(3, 3))
    with capture.listen(model) as recording:
        first = model(torch.ones(1, 3))
        assert list(recording) == ["0"]
        model(first)
    assert list(recording) == ["0", "0:2"]


def test_nested_listening():
    inner = Calls(lambda self, x: F.relu(self.fc(x)), fc=nn.Linear(3, 3))
    outer = Calls(lambda self, x: torch.tanh(self.inner(x)), inner=inner)
    with capture.listen(outer) as wide:
        with capture.listen(inner) as narrow:
            outer(torch.ones(1, 3))
        inner(torch.ones(1, 3))
    assert list(narrow) == ["fc", "relu"]
    assert list(wide) == ["inner.fc", "inner.relu", "tanh", "inner.fc:2", "inner.relu:2"]


def test_recording_inside_a_forward_pass_that_is_listened_to():
    other = Calls(lambda self, x: F.relu(self.fc(x)), fc=nn.Linear(3, 3))

    def forward(self, x):
        inside.append(list(capture.record(other, x)))
        return F.relu(self.fc(x))

    inside = []
    model = Calls(forward, fc=nn.Linear(3, 3))
    # The other model is no part of this one, which called its functions all the same.
    assert list(capture.record(model, torch.ones(1, 3))) == ["linear", "relu", "fc", "relu:2"]
    assert inside == [["fc", "relu"]]


def test_calls_in_another_thread_are_not_recorded():
    model = block_model()
    with capture.listen(model) as recording:
        thread = threading.Thread(target=model, args=(IMAGE,))
        thread.start()
        thread.join()
        assert len(recording) == 0
        model(IMAGE)
    assert list(recording) == list(capture.record(model, IMAGE))


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.build("lenet", seed=0),
        lambda: models.build("newnet", seed=0).train(),
        lambda: Calls(lambda self, x: F.relu(self.m(x)), m=models.build("newnet", seed=0)).train(),
    ],
    ids=["plain", "training", "own code"],
)
def test_threads_record_one_model_at_once_and_do_not_mix(make):
    model = make()
    buffers = [id(buffer) for buffer in model.buffers()]
    values = [buffer.clone() for buffer in model.buffers()]
    images = [torch.full((2 + size, 1, 28, 28), float(size)) for size in range(4)]
    names, wrong = list(capture.record(model, images[0])), []

    def work(x):
        for _ in range(5):
            recording = capture.record(model, x)
            shapes = {stage.output.shape[0] for stage in recording.values()}
            if list(recording) != names or shapes != {len(x)}:
                wrong.append(list(recording))

    threads = [threading.Thread(target=work, args=(x,)) for x in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [id(buffer) for buffer in model.buffers()] == buffers
    assert all(map(torch.equal, model.buffers(), values))


@pytest.mark.parametrize("options", [{}, {"layers": "linear"}, {"samples": 0}], ids=str)
@pytest.mark.parametrize(
    "watch_module",
    [
        nn.modules.module.register_module_forward_hook,
        nn.modules.module.register_module_forward_pre_hook,
    ],
    ids=["after", "before"],
)
def test_hooks_that_are_taken_off_while_another_thread_is_about_to_call_them(watch_module, options):
    model, failed = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), []
    listening = contextlib.ExitStack()
    # torch has the list of a layer's hooks in hand by the time that the first of them closes it.
    handle = watch_module(lambda *_: listening.close())
    listening.enter_context(capture.listen(model, **options))

    def work():
        try:
            model(torch.ones(2, 3))
        except Exception as error:  # noqa: BLE001 - a thread's error is nobody's
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    handle.remove()
    assert not failed


def test_change_of_the_model_between_two_recordings_is_seen():
    model, x = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.randn(1, 3)
    assert list(capture.record(model, x)) == ["0", "1"]
    model[1] = Calls(lambda _, x: F.softmax(x, dim=1), part=nn.Identity())
    assert list(capture.record(model, x)) == ["0", "1.softmax"]
    model[1] = nn.Sequential(nn.Tanh(), nn.ReLU(inplace=False))
    assert list(capture.record(model, x)) == ["0", "1.0", "1.1"]
    model[1][1].inplace = True
    assert torch.equal(capture.record(model, x)["1.0"].output, torch.tanh(answer(model[0], x)))
    model.forward = lambda x: F.relu(model[0](x))
    assert list(capture.record(model, x)) == ["0", "relu"]
    del model.forward
    nn.utils.parametrizations.weight_norm(model[0])
    assert list(capture.record(model, x)) == ["0", "1.0", "1.1"]
    model.add_module("last", model._modules.pop("1"))
    assert list(capture.record(model, x)) == ["0", "last.0", "last.1"]


# --- 8. Memory -----------------------------------------------------------------------------


def in_a_fresh_process(code: str) -> str:
    """Run code where every large tensor is a mapping of its own, so that peaks are exact."""
    code = textwrap.dedent(PEAK) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PEAK = """
    import gc, resource, torch
    from pathlib import Path
    from torch import nn
    from vizlib import capture

    def peak_of(work):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
        work()
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    def plain(model, x):
        with torch.no_grad():
            model(x)
"""
linux_only = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks are read as Linux counts them"
)


@linux_only
def test_vgg16_costs_no_more_than_its_activations_and_a_tenth():
    code = """
        from torchvision.models import vgg16
        with torch.device("meta"):
            features = vgg16(weights=None).features
        features = features.to_empty(device="cpu").eval()
        for parameter in features.parameters():
            nn.init.constant_(parameter, 1e-3)
        forward = lambda self, x: torch.flatten(self.f(x), 1)
        model = type("Own", (nn.Module,), {"forward": forward})()
        model.f = features
        x = torch.ones(1, 3, 160, 160)
        plain(model, x)
        before = peak_of(lambda: plain(model, x))
        kept = []
        after = peak_of(lambda: kept.append(capture.record(model, x)))
        own = sum(stage.output.nbytes for stage in kept[0].values())
        assert own > 50e6, own
        print((after - before) / own)
    """
    assert float(in_a_fresh_process(code)) <= 1.1


@linux_only
def test_one_sample_of_a_large_batch_peaks_as_a_plain_forward_pass_does():
    code = """
        from torchvision.models import resnet18
        model = resnet18(weights=None).eval()
        x = torch.randn(64, 3, 48, 48)
        plain(model, x)
        before = peak_of(lambda: plain(model, x))
        print(peak_of(lambda: capture.record(model, x, samples=0)) / before)
        print(peak_of(lambda: capture.record(model, x)) / before)
    """
    one, everything = map(float, in_a_fresh_process(code).split())
    assert one <= 1.05
    assert everything > 1.1  # else this could not fail


@linux_only
def test_a_thousand_recordings_leave_memory_flat():
    code = """
        from vizlib import models
        gc.disable()
        x = torch.randn(1, 1, 28, 28)
        own = type("Own", (nn.Module,), {"forward": lambda self, x: torch.relu(self.f(x))})()
        own.f = nn.Sequential(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(inplace=True)).train()
        for model in (models.build("lenet"), own):
            for count in range(1000):
                recording = capture.record(model, x)
                list(recording)
                if count == 200:
                    before, objects = peak_of(list), len(gc.get_objects())
            print(peak_of(list) - before, len(gc.get_objects()) - objects)
    """
    for line in in_a_fresh_process(code).splitlines():
        grown, objects = map(int, line.split())
        assert grown < 2e6
        assert objects < 100


def test_recorded_model_can_go():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    weight = torch.nn.utils.parameters_to_vector(model.parameters()).data_ptr()
    assert weight
    import weakref

    gone = weakref.ref(model)
    recording = capture.record(model, torch.ones(1, 3))
    del model
    gc.collect()
    assert gone() is None
    assert list(recording) == ["0", "1"]


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
    assert not channels.saturated.any()


@pytest.mark.parametrize(
    ("model", "ends"),
    [
        (nn.Sigmoid(), (0, 1)),
        (nn.Tanh(), (-1, 1)),
        (nn.ReLU6(), (0, 6)),
        (nn.Hardtanh(-2, 3), (-2, 3)),
        (Calls(lambda _, x: torch.sigmoid(x)), (0, 1)),
    ],
)
def test_saturated_channels(model, ends):
    x = torch.zeros(1, 3, 10, 10)
    x[:, 0], x[:, 1] = 100, -100
    x[:, 2] = sum(ends) / 2 if ends[1] > 1 else 0.3
    stage = last(capture.record(model, x))
    assert stage.channels().saturated.tolist() == [True, True, False]
    x[0, 0, 0] = x[0, 2, 0, 0]  # a tenth of the channel is in the middle now
    assert last(capture.record(model, x)).channels().saturated.tolist() == [False, True, False]


def test_channels_of_tokens_lie_on_the_last_axis():
    x = torch.randn(2, 5, 3)
    recording = capture.record(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), x)
    assert recording["0"].channels().mean.shape == (4,)
    expected = recording["0"].output.mean(dim=(0, 1))
    assert torch.allclose(recording["0"].channels().mean, expected, atol=1e-6)
    assert recording["1"].channels().mean.shape == (4,)
    assert recording["1"].channels(axis=1).mean.shape == (5,)


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


def test_top_images_of_a_channel_that_there_is_not():
    model, digits = models.build("lenet"), data.load("digits")
    with pytest.raises(
        IndexError, match="channel 6 of 'conv1' was asked for, but it has 6, numbered from 0 to 5"
    ):
        capture.top_images(model, digits, "conv1", 6)
    with pytest.raises(KeyError, match="did you mean 'conv1'"):
        capture.top_images(model, digits, "konv1", 0)


# --- Interventions -------------------------------------------------------------------------


def test_silenced_channel_is_zero_and_the_rest_of_the_network_answers_to_that():
    model, x = models.build("lenet", seed=0).eval(), torch.randn(3, 1, 28, 28)
    before = answer(model, x)
    with capture.edit(model, {"conv1": {3: 0.0, 0: 2.0}}):
        edited, recording = answer(model, x), capture.record(model, x)
    maps = answer(model.conv1, x)
    factors = torch.tensor([2.0, 1, 1, 0, 1, 1]).view(1, 6, 1, 1)
    expected = answer(nn.Sequential(*list(model)[1:]), maps * factors)
    assert torch.equal(edited, expected)
    assert torch.equal(recording["conv1"].output, maps * factors)
    assert torch.equal(last(recording).output, expected)
    assert torch.equal(answer(model, x), before)
    assert not torch.equal(edited, before)


@pytest.mark.parametrize(
    ("make", "name", "layers"),
    [
        (lambda: models.build("lenet", seed=0), "conv1", None),
        (lambda: models.build("lenet", seed=0), "conv1", ["conv", "linear"]),
        (block_model, "relu", None),
        (block_model, "relu", ["conv", "relu"]),
        (block_model, "fc", "fc"),
    ],
)
def test_who_listens_hears_an_edit_whichever_came_first(make, name, layers):
    torch.manual_seed(2)
    model = make().eval()
    x = torch.randn(2, *getattr(model, "input_shape", (3, 8, 8)))
    changes = {name: {0: 3.0, 1: 3.0, 2: 3.0}}
    before = all_hooks(model)
    with capture.edit(model, changes), capture.listen(model, layers=layers) as first:
        expected = answer(model, x)
    with capture.listen(model, layers=layers) as second:
        with capture.edit(model, changes):
            edited = answer(model, x)
        count = len(second)
        unchanged = answer(model, x)
    assert torch.equal(edited, expected)
    assert not torch.equal(unchanged, expected)
    assert list(second)[:count] == list(first)
    assert all(torch.equal(second[stage].output, first[stage].output) for stage in first)
    assert all_hooks(model) == before


def test_edit_that_comes_after_another_mode_is_heard():
    model = block_model()
    listen, edit = capture.listen(model), capture.edit(model, {"relu": {0: 0.0}})
    with listen as recording, torch.device("cpu"), edit:
        answer(model, torch.ones(1, 3, 8, 8))
    assert not recording["relu"].output[:, 0].any()


@pytest.mark.parametrize("relu", [F.relu, lambda x: x.relu_(), lambda x: F.relu(x, inplace=True)])
def test_function_can_be_edited(relu):
    model, x = (
        Calls(lambda self, x: self.b(relu(self.a(x))), a=nn.Linear(3, 4), b=nn.Linear(4, 2)),
        torch.randn(2, 3),
    )
    with capture.edit(model, {"relu": {1: 0.0}}):
        edited = answer(model, x)
    hidden = answer(model.a, x).relu()
    hidden[:, 1] = 0
    assert torch.equal(edited, answer(model.b, hidden))


def test_function_whose_result_is_ignored_can_be_edited():
    def forward(self, x):
        x = self.a(x)
        x.relu_()
        return x

    model, x = Calls(forward, a=nn.Linear(3, 4)), torch.randn(2, 3)
    with capture.edit(model, {"relu": {1: 0.0}}):
        assert answer(model, x)[:, 1].tolist() == [0, 0]


def test_second_call_alone_can_be_edited():
    relu = nn.ReLU()
    model, x = nn.Sequential(relu, nn.Linear(3, 3), relu), torch.randn(4, 3)
    with capture.edit(model, {"0:2": {0: 5.0}}):
        edited = answer(model, x)
    expected = answer(model, x)
    expected[:, 0] *= 5
    assert torch.equal(edited, expected)


def test_edit_of_a_layer_with_several_outputs_keeps_the_others():
    model = Calls(lambda self, x: self.rnn(x), rnn=nn.LSTM(3, 4, batch_first=True))
    x = torch.randn(1, 2, 3)
    with capture.edit(model, {"rnn": {2: 0.0}}):
        output, (hidden, _) = answer(model, x)
    expected, (state, _) = answer(model, x)
    assert output[..., 2].tolist() == [[0, 0]]
    assert torch.equal(output[..., :2], expected[..., :2])
    assert torch.equal(hidden, state)


def test_gradients_flow_through_an_edit():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), torch.randn(8, 3)
    with capture.edit(model, {"1": {2: 0.0}}):
        model(x).sum().backward()
    assert model[0].weight.grad[2].tolist() == [0, 0, 0]
    assert model[0].weight.grad.abs().sum() > 0


def test_edit_restores_itself_after_an_error():
    model = models.build("lenet", seed=0)
    before = all_hooks(model)
    with pytest.raises(RuntimeError, match="mine"), capture.edit(model, {"conv1": {0: 0.0}}):
        raise RuntimeError("mine")
    assert all_hooks(model) == before


def all_hooks(model):
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]


@pytest.mark.parametrize("make", [lambda: models.build("lenet"), block_model])
def test_edit_refuses_a_name_and_a_channel_that_there_are_not(make):
    model = make()
    x = torch.randn(1, *getattr(model, "input_shape", (3, 8, 8)))
    with (
        pytest.raises(KeyError, match="no stage is called 'convv'"),
        capture.edit(model, {"convv": {0: 0.0}}),
    ):
        pytest.fail("entered")
    name = next(n for n, m in model.named_modules() if isinstance(m, nn.Linear))
    count = model.get_submodule(name).out_features
    with (
        pytest.raises(IndexError, match=f"channel {count} of {name!r} was asked for"),
        capture.edit(model, {name: {count: 0.0}}),
    ):
        model(x)


def test_edit_of_a_name_that_is_a_kind_as_well_changes_that_layer_alone():
    model = nn.Sequential()
    model.conv, model.conv2 = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
    x = torch.ones(1, 1, 3, 3)
    with torch.no_grad(), capture.edit(model, {"conv": {0: 0.0}}):
        found = model(x)
    with torch.no_grad():
        middle = model.conv(x)
        middle[:, 0] = 0
        assert torch.equal(found, model.conv2(middle))


def test_edit_of_a_kind_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    words = r"no stage is called 'relu'; .*has 0, 1"
    with (
        pytest.raises(capture.UnknownStageError, match=words),
        capture.edit(model, {"relu": {0: 0.0}}),
    ):
        model(torch.ones(1, 2))


def test_edit_in_one_thread_leaves_the_others_alone():
    model, x = nn.Sequential(nn.Linear(3, 3)), torch.randn(2, 3)
    answers = []
    with capture.edit(model, {"0": {0: 0.0}}):
        thread = threading.Thread(target=lambda: answers.append(answer(model, x)))
        thread.start()
        thread.join()
    assert torch.equal(answers[0], answer(model, x))
