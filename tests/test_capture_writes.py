"""Nothing that is written on an output later, by whatever way, shows in a recording."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from vizlib import capture

torch.manual_seed(0)


X = torch.randn(2, 1, 8, 8)


class Network(nn.Module):
    """A convolution, something done to what it gives, and a ReLU; the something is the test's."""

    def __init__(self, between, **parts: nn.Module) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 3, 3), nn.ReLU()
        self.between, self.kept = between, None
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        y = self.conv(x)
        z = self.between(self, y)
        return self.relu(y if z is None else z)


def conv_by_hand(model: Network) -> torch.Tensor:
    return F.conv2d(X, model.conv.weight, model.conv.bias).detach()


class Zeroes(nn.Module):
    """A layer of somebody's own that empties what it is given."""

    def forward(self, y):
        y.zero_()


class ZeroesWhatItFinds(nn.Module):
    """A layer that empties what it was never given."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def forward(self):
        self.found[0].zero_()


def nothing(_value) -> None:
    """Let the network go on with the output itself."""


def fill(array, _value) -> None:
    array.fill(0)


def scripted(y: torch.Tensor) -> torch.Tensor:
    return y.zero_()


def in_a_thread(y: torch.Tensor) -> None:
    thread = threading.Thread(target=y.zero_)
    thread.start()
    thread.join()


def find_and_call(model, y):
    model.layer.found.append(y)
    model.layer()


def turn_in_place(model, _y):
    model.relu.inplace = True


WRITES = {
    "method": lambda _, y: y.zero_(),
    "function": lambda _, y: torch.zero_(y),
    "data": lambda _, y: y.data.zero_(),
    "detach": lambda _, y: y.detach().zero_(),
    "view": lambda _, y: y.view(-1).zero_(),
    "row": lambda _, y: y[0].zero_(),
    "item": lambda _, y: y.__setitem__((slice(None), 0), 0.0),
    "chunk": lambda _, y: y.chunk(2)[1].zero_(),
    "out": lambda _, y: torch.mul(y, 0, out=y),
    "relu, position": lambda _, y: F.relu(y, *[True]),
    "relu, keyword": lambda _, y: F.relu(y, inplace=True),
    "relu, all keywords": lambda _, y: F.relu(input=y, inplace=True),
    "add": lambda _, y: y.add_(1),
    "+=": lambda _, y: y.__iadd__(torch.ones(())),
    "copy": lambda _, y: y.copy_(torch.zeros(())),
    "list": lambda _, y: nothing(torch._foreach_zero_([y])),
    "init": lambda _, y: nn.init.zeros_(y),
    "numpy": lambda _, y: y.numpy().fill(0),
    "asarray": lambda _, y: np.asarray(y).fill(0),
    "dlpack": lambda _, y: torch.from_dlpack(y).zero_(),
    "memory": lambda _, y: nothing(ctypes.memset(y.data_ptr(), 0, y.nbytes)),
    "storage": lambda _, y: nothing(y.untyped_storage().fill_(0)),
    "other storage": lambda _, y: y.set_(torch.zeros_like(y)),
    "other data": lambda _, y: setattr(y, "data", torch.zeros_like(y)),
    "in-place layer": lambda model, y: model.layer(y),
    "in-place layer, keyword": lambda model, y: model.layer(input=y),
    "own layer": lambda model, y: model.layer(y),
    "own layer, not given": find_and_call,
    "layer turned in-place on the way": turn_in_place,
    "script": lambda model, y: model.script(y),
    "thread": lambda _, y: in_a_thread(y),
    "array made before an in-place layer": lambda model, y: fill(y.numpy(), model.layer(y)),
}
LAYERS = {
    "in-place layer": nn.ReLU6(inplace=True),
    "in-place layer, keyword": nn.ReLU(inplace=True),
    "array made before an in-place layer": nn.ReLU(inplace=True),
    "own layer": Zeroes(),
    "own layer, not given": ZeroesWhatItFinds(),
}


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_whatever_writes_on_an_output_changes_no_stage(way):
    parts = {"layer": LAYERS[way]} if way in LAYERS else {}
    model = Network(WRITES[way], **parts)
    if way == "script":
        model.script = torch.jit.script(scripted)
    expected = conv_by_hand(model)
    torch.testing.assert_close(capture.record(model, X)["conv"].output, expected)


def test_array_that_shares_memory_changes_no_stage_after_an_in_place_layer_either():
    model = Network(WRITES["array made before an in-place layer"], layer=nn.ReLU(inplace=True))
    expected = conv_by_hand(model).relu()
    torch.testing.assert_close(capture.record(model, X)["layer"].output, expected)


def keep(value):
    return lambda model, y: setattr(model, "kept", value(model, y))


HOLDS = {
    "itself": keep(lambda _, y: y),
    "list": keep(lambda _, y: [y]),
    "view": keep(lambda _, y: y.view(-1)),
    "detached": keep(lambda _, y: y.detach()),
    "slice": keep(lambda _, y: y[:, 0]),
    "transposed": keep(lambda _, y: y.T),
    "array": keep(lambda _, y: torch.from_numpy(y.numpy())),
    "Flatten": keep(lambda model, y: model.layer(y)),
    "Identity": keep(lambda model, y: model.layer(y)),
    "in-place layer": keep(lambda model, y: model.layer(y)),
    "+=": keep(lambda _, y: y.__iadd__(0.0)),
}


@pytest.mark.filterwarnings("ignore:The use of `x.T`")
@pytest.mark.parametrize("way", HOLDS)
def test_what_the_model_holds_on_to_is_not_the_recordings(way):
    layers = {"Flatten": nn.Flatten(), "Identity": nn.Identity()}
    layer = layers.get(way, nn.Hardtanh(-9, 9, inplace=True))
    model = Network(HOLDS[way], layer=layer)
    expected = conv_by_hand(model)
    recording = capture.record(model, X)
    for kept in model.kept if isinstance(model.kept, list) else [model.kept]:
        kept.fill_(7.0)
    for stage in recording.values():
        if stage.name != "relu":
            torch.testing.assert_close(stage.output.reshape(expected.shape), expected)
    torch.testing.assert_close(recording["relu"].output, expected.relu())


def test_answer_that_is_held_until_the_next_forward_pass():
    def between(model, y):
        if model.kept is not None:
            model.kept.zero_()
        model.kept = y

    model = Network(between)
    first = capture.record(model, X)
    second = capture.record(model, X)
    for recording in first, second:
        torch.testing.assert_close(recording["conv"].output, conv_by_hand(model))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_other_modes_inside_the_forward_pass(mode):
    class Moded(Network):
        def forward(self, x):
            with mode():
                return super().forward(x)

    model = Moded(lambda _, y: y.detach().mul_(0))
    output = capture.record(model, X)["conv"].output
    torch.testing.assert_close(output, conv_by_hand(model))
    assert not output.requires_grad


def test_everybodys_hook_that_writes():
    handle = register_module_forward_hook(
        lambda module, args, _output: args[0].zero_() if isinstance(module, nn.ReLU) else None
    )
    try:
        model = Network(lambda *_: None)
        torch.testing.assert_close(capture.record(model, X)["conv"].output, conv_by_hand(model))
    finally:
        handle.remove()


def test_edit_of_a_layer_before_an_in_place_one():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Flatten())
    plain = F.conv2d(X, model[0].weight, model[0].bias).detach()
    plain[:, 1] = 0
    with capture.edit(model, {"0": {1: 0.0}}):
        recording = capture.record(model, X)
    torch.testing.assert_close(recording["0"].output, plain)
    torch.testing.assert_close(recording["1"].output, plain.relu())
