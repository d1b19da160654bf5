"""What each step read: every recording and every program is played again from its names alone."""

from __future__ import annotations

import threading

import pytest
import torch
from captured import IMAGE, Calls, answer, block_model
from torch import nn
from torch.nn import functional as F

from vizlib import capture, models

torch.manual_seed(0)


def play(steps, x, tensors, modules=None) -> dict[str, list[torch.Tensor]]:
    """Compute all steps again, each from what its arguments name; return copies of what they gave.

    The oracle of this file: a wrong name is a wrong value.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    values = dict(tensors)
    values |= {f"input[{n}]" if n else "input": tensor.clone() for n, tensor in enumerate(inputs)}
    copies = {}

    def look(given):
        if isinstance(given, capture.Value):
            return values[given]
        if isinstance(given, tuple | list):
            return type(given)(look(part) for part in given)
        return {name: look(part) for name, part in given.items()} if type(given) is dict else given

    for name, step in steps.items():
        function = (modules or {}).get(name, step.function)
        args = look(step.arguments)
        with torch.no_grad():
            output = function(*args, **look(step.options))
        found = [args[0]] if output is None else flat(output)
        values |= {f"{name}[{n}]" if n else name: tensor for n, tensor in enumerate(found)}
        copies[name] = [tensor.clone() for tensor in found]
    return copies


def flat(output) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in flat(part)] if output is not None else []


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: t.detach() for n, t in (*model.named_parameters(), *model.named_buffers())}


class Residual(nn.Module):
    """What own networks are made of: branches, slices, arithmetic, writing in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.LayerNorm(8)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout()
        self.scale, self.fc = nn.Parameter(torch.full((8, 1, 1), 0.5)), nn.Linear(8, 3)
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.1))

    def forward(self, x):
        y = self.relu(F.relu(self.conv((x - self.mean) / 0.3)) - 0.1)
        z = self.norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
        a, b = z.chunk(2, dim=1)
        y = y + torch.cat([b, a], dim=1) * self.scale
        y += z
        y[:, 0] = 0
        y = F.max_pool2d(1 - y, 2, return_indices=True)[0]
        y = self.drop(y.view(y.shape[0], 8, -1)).mean(-1)
        return self.fc(y).softmax(1), y.max(dim=1)[0]


MODELS = {
    "lenet": (lambda: models.build("lenet"), (2, 1, 28, 28)),
    "newnet": (lambda: models.build("newnet"), (2, 1, 28, 28)),
    "twobranch": (lambda: models.build("twobranch"), None),
    "functions": (block_model, (2, 3, 8, 8)),
    "residual": (Residual, (2, 3, 8, 8)),
    "resnet18": (None, (1, 3, 32, 32)),
    "densenet121": (None, (1, 3, 32, 32)),
    "mobilenet_v3_small": (None, (1, 3, 32, 32)),
    "squeezenet1_1": (None, (1, 3, 32, 32)),
    "convnext_tiny": (None, (1, 3, 32, 32)),
    "swin_t": (None, (1, 3, 64, 64)),
}


def built(name):
    make, shape = MODELS[name]
    if make is None:
        from torchvision.models import get_model

        make = lambda: get_model(name, weights=None)  # noqa: E731 - one line says it
    model = make().eval()
    x = torch.randn(shape or (2, *model.input_shape))
    return model, x if shape else (x, x.flip(-1))


@pytest.mark.parametrize("name", MODELS)
def test_recording_can_be_played_again_from_what_its_steps_name(name):
    model, x = built(name)
    recording = capture.record(model, x)
    modules = {stage.name: stage.module for stage in recording.values() if stage.module}
    again = play(recording.steps, x, state(model), modules)
    assert again.keys() == recording.steps.keys() >= recording.keys()
    for stage in recording.values():
        assert torch.equal(again[stage.name][0], stage.output), stage.name
        assert tuple(recording.steps[stage.name].shape) == stage.output.shape


@pytest.mark.parametrize("name", MODELS)
def test_program_can_be_played_again_without_the_model(name):
    model, x = built(name)
    recording, program = capture.record(model, x), capture.program(model, x)
    again = play(program.steps, x, program.tensors)
    again |= {"input": [x[0] if isinstance(x, tuple) else x]}
    assert list(program.stages) == list(recording)
    for stage, step in program.stages.items():
        assert torch.allclose(again[step][0], recording[stage].output, atol=1e-6), stage
    outputs = [again[name.partition("[")[0]] for name in program.outputs]
    expected = flat(answer(model, *(x if isinstance(x, tuple) else (x,))))
    assert torch.allclose(outputs[0][0], expected[0], atol=1e-6)
    assert len(outputs) == len(expected)


def test_names_of_a_network_with_everything():
    recording = capture.record(Residual().eval(), IMAGE)
    read = {name: step.inputs for name, step in recording.steps.items()}
    assert read == {
        "sub": ("input",),
        "div": ("sub",),
        "conv": ("div",),
        "relu:2": ("conv",),
        "sub:2": ("relu:2",),
        "relu": ("sub:2",),
        "permute": ("relu",),
        "norm": ("permute",),
        "permute:2": ("norm",),
        "contiguous": ("permute:2",),
        "chunk": ("contiguous",),
        "cat": ("chunk[1]", "chunk"),
        "mul": ("cat",),
        "add": ("relu", "mul"),
        "add:2": ("add", "contiguous"),
        "setitem": ("add:2",),
        "rsub": ("setitem",),
        "max_pool2d": ("rsub",),
        "view": ("max_pool2d",),
        "drop": ("view",),
        "mean": ("drop",),
        "fc": ("mean",),
        "softmax": ("fc",),
        "max": ("mean",),
    }
    assert recording["cat"].inputs == ("chunk[1]", "chunk")
    assert recording.steps["mul"].arguments == ("cat", "scale")
    assert isinstance(recording.steps["mul"].arguments[1], capture.Constant)
    assert recording.steps["view"].arguments[1:] == (2, 8, -1)
    assert recording["max_pool2d"].operation == "max_pool2d"
    assert recording["drop"].operation == "dropout"


@pytest.mark.parametrize(
    ("spelling", "function"),
    [
        *(("relu", relu) for relu in (F.relu, torch.relu, torch.relu_, lambda x: x.relu())),
        *(("add", add) for add in (lambda x: x + 1, lambda x: 1 + x, lambda x: x.add_(1))),
        ("add", lambda x: x.__iadd__(1)),
        *(("mul", mul) for mul in (lambda x: 2 * x, lambda x: torch.multiply(x, 2))),
        *(("cat", cat) for cat in (lambda x: torch.cat([x]), lambda x: torch.concat([x]))),
        *(("div", div) for div in (lambda x: x / 2, lambda x: torch.divide(x, 2))),
        ("max_pool2d", lambda x: F.max_pool2d(x, 2)),
        ("max_pool2d", lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
        ("rsub", lambda x: 1 - x),
        ("rdiv", lambda x: 1 / x),
        ("neg", lambda x: -x),
        ("pow", lambda x: x**2),
        ("matmul", lambda x: x @ x),
    ],
)
def test_one_word_for_an_operation_however_it_is_spelt(spelling, function):
    recording = capture.record(Calls(lambda _, x: function(x.sub(1))), IMAGE)
    assert [step.operation for step in recording.steps.values()] == ["sub", spelling]


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Conv2d(3, 2, 3), nn.MaxPool2d(2), nn.Flatten()])
def test_module_and_its_function_are_one_operation(layer):
    recording = capture.record(nn.Sequential(layer), IMAGE)
    program = capture.program(nn.Sequential(layer), IMAGE)
    assert recording["0"].operation == program.steps[program.stages["0"]].operation


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def through_a_view(y):
    y[:, 0].mul_(3)
    return y


def detached(y):
    y.detach().mul_(3)
    return y


HELD = torch.ones(2, 3, 6, 6)
UNSEEN = {
    "numpy": lambda y: torch.from_numpy(y.numpy() * 2),
    "thread": lambda y: in_a_thread(lambda: y * 2),
    "script": lambda y: scripted(twice)(y),  # noqa: PLW0108 - made when it is called
    "held": lambda _y: HELD,
    "write through a view": through_a_view,
    "write on what is detached": detached,
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("way", UNSEEN)
def test_what_nobody_saw_is_unknown(way):
    model = Calls(lambda self, x: F.relu(UNSEEN[way](self.conv(x))), conv=nn.Conv2d(3, 3, 3))
    read = capture.record(model, IMAGE)["relu"].inputs
    assert read == ("unknown",)


def test_number_that_is_read_from_a_tensor_is_a_step():
    """What is made of it is a constant to everybody who reads on."""
    model = Calls(lambda _, x: F.relu(x / float(x.max())) if x.sum() > 0 else -x)
    steps = capture.record(model, torch.ones(2, 3)).steps
    items = [name for name, step in steps.items() if step.operation == "item"]
    assert [steps[name].inputs for name in items] == [("gt",), ("max",)]
    made = capture.record(Calls(lambda _, x: F.relu(torch.tensor(x.tolist()))), torch.ones(2)).steps
    assert [step.inputs for step in made.values()] == [("input",), (), ("tensor",)]


def scripted(function):
    return torch.jit.script(function)


def twice(y: torch.Tensor) -> torch.Tensor:
    return y * 2


def test_no_op_is_no_step_and_what_gives_its_input_back_is_the_last_to_have_given_it():
    layers = {"drop": nn.Dropout(), "same": nn.Identity()}
    model = Calls(lambda self, x: F.relu(self.same(self.drop(x.contiguous().float()))), **layers)
    recording = capture.record(model.eval(), IMAGE)
    assert [(s.name, s.inputs) for s in recording.values()] == [
        *(("drop", ("input",)), ("same", ("drop",)), ("relu", ("same",))),
    ]
    assert list(recording.steps) == list(recording)


def test_inputs_of_several_kinds():
    model = Calls(lambda self, a, b, *, c: self.fc(a) + b["x"] + c, fc=nn.Linear(3, 3))
    a, b, c = torch.ones(2, 3), {"x": torch.ones(2, 3)}, torch.ones(2, 3)
    recording = capture.record(model, (a, b), c=c)
    assert [s.inputs for s in recording.values()] == [
        *(("input",), ("fc", "input[1]"), ("add", "input[2]")),
    ]
    with capture.listen(model) as heard:
        model(a, b, c=c)
    assert [s.inputs for s in heard.values()] == [s.inputs for s in recording.values()]
    assert torch.equal(heard["add:2"].output, recording["add:2"].output)


def test_keeping_few_stages_loses_no_step():
    model = block_model()
    few, everything = capture.record(model, IMAGE, layers="fc"), capture.record(model, IMAGE)
    assert list(few) == ["fc"]
    assert dict(few.steps) == dict(everything.steps)
    assert few["fc"].inputs == everything["fc"].inputs == ("flatten",)


def test_weights_that_are_computed_are_constants_of_the_program():
    fc = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    program = capture.program(nn.Sequential(fc), x := torch.randn(2, 4))
    (step,) = program.steps.values()
    assert step.arguments == ("input", "0.parametrizations.weight", "0.bias")
    assert torch.equal(play(program.steps, x, program.tensors)["0.linear"][0], answer(fc, x))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_script_is_one_step_of_a_program():
    model = nn.Sequential(nn.Linear(4, 3), torch.jit.script(nn.ReLU()), nn.Softmax(1))
    program = capture.program(model, torch.ones(1, 4))
    assert [step.operation for step in program.steps.values()] == ["linear", "scripted", "softmax"]
    assert program.stages == {"0": "0.linear", "1": "1", "2": "2.softmax"}
    assert program.steps["1"].function is None


def test_own_layer_is_opened_in_a_program():
    class Squash(nn.Module):
        def forward(self, x):
            return torch.tanh(F.relu(x) + 1)

    program = capture.program(nn.Sequential(Squash(), nn.Identity()), torch.ones(1, 4))
    assert [(s.name, s.inputs) for s in program.steps.values()] == [
        *(("0.relu", ("input",)), ("0.add", ("0.relu",)), ("0.tanh", ("0.add",))),
    ]
    assert program.stages == {"0": "0.tanh", "1": "0.tanh"}
    assert program.outputs == ("0.tanh",)


def test_constant_that_is_no_parameter_is_kept_with_its_value():
    program = capture.program(Calls(lambda _, x: x + HELD[0] * KERNEL), torch.ones(1, 3, 6, 6))
    assert torch.equal(program.tensors["unknown"], HELD)
    assert torch.equal(program.tensors["unknown:2"], KERNEL)


KERNEL = torch.full((3, 1, 1), 2.0)


def test_tensor_that_is_gone_gives_nobody_its_name():
    """A new tensor may lie where an old one was; the names go by more than that."""

    def forward(_self, x):
        for _ in range(200):
            F.relu(x)
            x = F.relu(torch.from_numpy(x.numpy() + 1))
        return x

    recording = capture.record(Calls(forward), torch.ones(3))
    inputs = [stage.inputs for stage in recording.values()]
    assert inputs[2::2] == [(name,) for name in list(recording)[1:-1:2]]
    assert all(name.startswith("unknown") for (name,) in inputs[1::2])


def test_steps_cannot_be_changed_from_outside():
    recording = capture.record(block_model(), IMAGE)
    with pytest.raises(TypeError):
        recording.steps["x"] = None


def test_what_writes_on_a_buffer_is_a_step():
    def forward(self, x):
        self.count -= 1
        return F.relu(x - self.count)

    model = Calls(forward)
    model.register_buffer("count", torch.full((3,), 5.0))
    steps = capture.record(model, torch.ones(2, 3)).steps
    read = [("count",), ("input", "sub"), ("sub:2",)]
    assert [tuple(filter(is_name, step.arguments)) for step in steps.values()] == read


def is_name(argument):
    return isinstance(argument, capture.Value)
