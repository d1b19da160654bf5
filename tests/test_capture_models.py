"""Any model is recorded: the course's, torchvision's, and what nobody here wrote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from captured import IMAGE, Calls, answer, hooked, last
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.overrides import TorchFunctionMode

from vizlib import capture, models

torch.manual_seed(0)


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
