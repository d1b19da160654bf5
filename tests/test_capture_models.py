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


# --- Models that nobody here wrote ---------------------------------------------------------


class NormAndReLU(nn.BatchNorm2d):
    """As in timm: a layer of torch's with a layer of its own."""

    def __init__(self, channels):
        super().__init__(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(super().forward(x))


class Adapted(nn.Linear):
    """As in fine-tuning: a linear layer with two small ones beside it."""

    def __init__(self):
        super().__init__(4, 4)
        self.down, self.up = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x):
        return super().forward(x) + self.up(self.down(x))


class Heads(nn.MultiheadAttention):
    """A class of one's own that adds nothing."""

    def forward(self, x):
        return super().forward(x, x, x)[0]


class MaskedConv(nn.Conv2d):
    """A layer without layers in it, with a forward of its own."""

    def forward(self, x):
        return super().forward(x) * 0.5


@pytest.mark.parametrize(
    ("layer", "x", "stages"),
    [
        (NormAndReLU(3), IMAGE, [("0", "norm"), ("0.act", "relu")]),
        (
            Adapted(),
            torch.ones(1, 4),
            [("0", "linear"), ("0.down", "linear"), ("0.up", "linear"), ("0.add", "add")],
        ),
        (Heads(8, 2), torch.ones(2, 8), [("0", "attention")]),
        (MaskedConv(3, 2, 3), IMAGE, [("0", "conv")]),
    ],
    ids=["norm and relu", "adapter", "attention", "no layer inside"],
)
def test_layers_inside_of_a_layer_of_ones_own_are_stages(layer, x, stages):
    model = nn.Sequential(layer).eval()
    recording = capture.record(model, x)
    assert [(stage.name, stage.kind) for stage in recording.values()] == stages
    assert torch.allclose(last(recording).output, answer(model, x), atol=1e-6)
    modules = {s.name: s.output for s in recording.values() if s.module is not None}
    for path, output in hooked(model, x):
        if path in modules:
            assert torch.allclose(modules[path], output, atol=1e-6)


def test_relu_inside_of_a_layer_is_counted_as_every_hook_does():
    model = nn.Sequential(nn.Conv2d(3, 3, 3), NormAndReLU(3), nn.Conv2d(3, 2, 3)).eval()
    relus = [path for path, _ in hooked(model, IMAGE) if path.endswith("act")]
    recording = capture.record(model, IMAGE)
    assert [stage.name for stage in recording.kind("relu")] == relus == ["1.act"]
    assert (recording["1"].output < 0).any()


def scripts():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    return {
        "scripted": torch.jit.script(model),
        "traced": torch.jit.trace(model, IMAGE),
        "frozen": torch.jit.freeze(torch.jit.script(model)),
    }


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("how", ["scripted", "traced", "frozen"])
def test_script_is_one_stage_wherever_it_stands(how):
    script = scripts()[how]
    recording = capture.record(script, IMAGE)
    assert [(s.name, s.kind, s.inputs) for s in recording.values()] == [
        ("scripted", "scripted", ("input",))
    ]
    assert torch.equal(recording["scripted"].output, answer(script, IMAGE))
    model = nn.Sequential(nn.Conv2d(3, 3, 1), script, nn.Flatten(), nn.Linear(144, 2))
    assert list(capture.record(model, IMAGE)) == ["0", "1", "2", "3"]
    for layers in ("0", "1", "scripted", ["3", "1"]):
        full, some = capture.record(model, IMAGE), capture.record(model, IMAGE, layers=layers)
        assert len(some) > 0
        assert all(torch.equal(some[name].output, full[name].output) for name in some)
    for name in ("0", "1", "3"):
        with capture.edit(model, {name: {0: 0.0}}):
            assert not capture.record(model, IMAGE)[name].output[:, 0].any()
    assert not any(vars(module)["_forward_hooks"] for module in model.modules())


@pytest.mark.parametrize("kind", ["exported", "traced by fx"])
def test_graph_modules_are_recorded_by_their_operations(kind):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    if kind == "exported":
        graph = torch.export.export(model, (IMAGE,)).module()
    else:
        graph = torch.fx.symbolic_trace(model)
    recording, expected = capture.record(graph, IMAGE), capture.record(model, IMAGE)
    stages = [s for s in recording.values() if s.kind in {"conv", "relu", "linear"}]
    for stage, other in zip(stages, [expected[name] for name in "013"], strict=True):
        assert stage.kind == other.kind
        assert torch.allclose(stage.output, other.output, atol=1e-6)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda x: x, "<lambda> is none: put it into an nn.Module"),
        (F.relu, "relu is none"),
        (nn.ReLU, r"ReLU is none: make one, ReLU\(\)"),
        (None, "NoneType is none"),
    ],
)
def test_what_is_no_module_is_told(what, words):
    for use in (
        lambda: capture.record(what, IMAGE),
        lambda: capture.listen(what).__enter__(),
        lambda: capture.edit(what, {}).__enter__(),
        lambda: capture.program(what, IMAGE),
        lambda: capture.contributions(what, IMAGE),
    ):
        with pytest.raises(TypeError, match=f"only an nn.Module can be watched, and {words}"):
            use()


def test_exported_program_is_told_what_to_give():
    exported = torch.export.export(nn.Sequential(nn.ReLU()), (IMAGE,))
    with pytest.raises(TypeError, match=r"ExportedProgram is none: try its .module\(\)"):
        capture.record(exported, IMAGE)


def penalty(self, x):
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(self.fc(x).sum(), x, create_graph=True)
    return self.fc(x) + gradient.mean()


def test_forward_that_needs_gradients_is_told_to_be_listened_to():
    model = Calls(penalty, fc=nn.Linear(4, 2))
    with pytest.raises(RuntimeError) as raised:
        capture.record(model, torch.ones(1, 4))
    assert raised.value.__notes__[-1] == (
        "`record` runs without gradients: run the model inside `listen`."
    )
    with capture.listen(model) as recording:
        model(torch.ones(1, 4))
    assert list(recording) == ["fc", "fc:2", "mean", "add"]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda f, x: torch.vmap(f)(x), lambda x, fc: fc(x)),
        (lambda f, x: torch.vmap(f, in_dims=1)(x.T), lambda x, fc: fc(x)),
        (lambda f, x: torch.vmap(torch.func.grad(lambda r: f(r).sum()))(x), lambda x, fc: fc(x)),
        (
            lambda f, x: torch.vmap(torch.vmap(f), in_dims=1)(torch.stack([x, x], 1)),
            lambda x, fc: torch.stack([fc(x)] * 2),
        ),
    ],
    ids=["rows", "columns", "gradients", "twice"],
)
def test_stage_inside_of_vmap_holds_all_samples(transform, expected):
    model = Calls(lambda self, x: transform(self.fc, x), fc=nn.Linear(4, 2))
    x = torch.randn(3, 4)
    output = capture.record(model, x)["fc"].output
    with torch.no_grad():
        assert torch.allclose(output, expected(x, model.fc), atol=1e-6)
    assert output.sum().isfinite()


@pytest.mark.filterwarnings("ignore")  # torch speaks of its own plans for these
def test_quantized_model_is_recorded_and_measured():
    from torch.ao import quantization

    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)]
    model = nn.Sequential(quantization.QuantStub(), *layers, quantization.DeQuantStub()).eval()
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    quantization.prepare(model, inplace=True)(IMAGE)
    quantization.convert(model, inplace=True)
    recording = capture.record(model, IMAGE)
    assert [s.kind for s in recording.values()][1:5] == ["conv", "relu", "flatten", "linear"]
    channels = recording["1"].channels()
    by_hand = answer(model[:2], IMAGE).dequantize()
    assert torch.equal(channels.max, by_hand.amax((0, 2, 3)))
    assert torch.equal(last(recording).output, answer(model, IMAGE))


def test_complex_and_whole_numbers_are_recorded():
    def forward(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.weight) * self.count

    model = Calls(forward)
    model.weight = nn.Parameter(torch.randn(8, 5, dtype=torch.cfloat))
    model.count = nn.Parameter(torch.tensor(2), requires_grad=False)
    recording = capture.record(model, IMAGE)
    assert [s.output.dtype for s in recording.values()] == [torch.cfloat, torch.float32]
    expected = torch.fft.rfft2(IMAGE) * model.weight.detach()
    assert torch.allclose(recording["mul"].channels().mean, expected.abs().mean((0, 2, 3)))


def test_single_number_is_a_stage_without_channels():
    model = Calls(lambda self, x: self.fc(x) * x.mean(), fc=nn.Linear(4, 2))
    recording = capture.record(model, torch.ones(3, 4))
    assert recording["mean"].output.shape == ()
    with pytest.raises(ValueError, match="'mean' gave a single number, which has no channels"):
        recording["mean"].channels()
    with (
        pytest.raises(ValueError, match="'mean' gave a single number"),
        capture.edit(model, {"mean": {0: 0.0}}),
    ):
        model(torch.ones(3, 4))


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 3, 8, 0)])
def test_stage_without_values_is_recorded_and_told(shape):
    recording = capture.record(Calls(lambda _, x: F.relu(x)), torch.zeros(shape))
    assert recording["relu"].output.shape == shape
    with pytest.raises(ValueError, match=r"'relu' gave no values: \(\d, 3, 8, \d\)"):
        recording["relu"].channels()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: (y, y + 1),
        lambda y: [y, None],
        lambda y: {"logits": y},
        lambda y: Outputs(3, y),
        lambda y: torch.return_types.max((y, y + 1)),
        lambda y: ({"a": [y]}, 4),
    ],
    ids=["tuple", "list", "dict", "dataclass", "torch's tuple", "nested"],
)
def test_edit_of_a_layer_leaves_what_its_output_is_wrapped_in(wrap):
    class Leaf(nn.Module):
        def forward(self, x):
            return wrap(x * 2)

    model, x = nn.Sequential(Leaf()), torch.ones(1, 3)
    with capture.edit(model, {"0": {1: 0.0}}):
        edited = model(x)
    assert type(edited) is type(model(x))
    assert repr(edited).replace(" ", "").count("[2.,0.,2.]") == 1
