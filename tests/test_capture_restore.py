"""The model comes back as it was, whatever its forward pass does."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from captured import Calls, answer, last
from torch import nn
from torch.nn import functional as F

from vizlib import capture, models

torch.manual_seed(0)


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


class Bounded(nn.Module):
    """Shrinks a parameter of another name on the way, as an embedding does its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.max_norm, self.scale = 0.5, nn.Parameter(torch.ones(3))

    def forward(self, x):
        with torch.no_grad():
            self.scale.clamp_(max=self.max_norm)
        return x * self.scale


def test_whatever_a_layer_with_max_norm_calls_its_weight_it_comes_back():
    model = Bounded()
    recording = capture.record(model, torch.ones(1, 3))
    assert model.scale.tolist() == [1, 1, 1]
    torch.testing.assert_close(last(recording).output, torch.full((1, 3), 0.5))


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


@pytest.mark.parametrize("layer", [nn.Linear(3, 3), nn.Conv1d(1, 1, 1)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float64])
def test_numbers_of_another_type_are_told_how_to_become_the_model_s(layer, kind):
    with pytest.raises(RuntimeError) as raised:
        capture.record(layer, torch.ones(1, 1, 3, dtype=kind))
    assert raised.value.__notes__[1] == (
        "The input has another type of numbers than the model: data.normalize(images) makes floats "
        "of bytes, x.float(), x.double() or x.half() others."
    )


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
