"""The table of a network: LeNet's numbers counted by hand, the others' by torch's own counter."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from vizlib import models

# Output, parameters and multiply-adds, worked out from the kernel sizes.
LENET = {
    "conv1": ((1, 6, 24, 24), 6 * (5 * 5 + 1), 6 * 5 * 5 * 24 * 24),
    "relu1": ((1, 6, 24, 24), 0, None),
    "pool1": ((1, 6, 12, 12), 0, None),
    "conv2": ((1, 16, 8, 8), 16 * (6 * 5 * 5 + 1), 16 * 6 * 5 * 5 * 8 * 8),
    "relu2": ((1, 16, 8, 8), 0, None),
    "pool2": ((1, 16, 4, 4), 0, None),
    "flatten": ((1, 256), 0, None),
    "fc1": ((1, 120), 120 * 257, 120 * 256),
    "relu3": ((1, 120), 0, None),
    "fc2": ((1, 84), 84 * 121, 84 * 120),
    "relu4": ((1, 84), 0, None),
    "fc3": ((1, 10), 10 * 85, 10 * 84),
}


class Shared(nn.Module):
    """Layers that are called twice, one that is never called, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 8))
        self.fc, self.relu, self.idle = nn.Linear(8, 8), nn.ReLU(), nn.Linear(3, 3)

    def forward(self, x):
        return self.relu(self.fc(self.relu(self.fc(x + self.token))))


def test_lenet_is_what_one_counts_by_hand():
    table = models.summary(models.build("lenet"))
    rows = {
        layer.name: (layer.output_shape, layer.parameters, layer.multiply_adds)
        for layer in table.layers
    }
    assert rows == LENET
    assert table.parameters == 44_426
    assert table.multiply_adds == sum(products or 0 for *_, products in LENET.values())


@pytest.mark.parametrize("name", models.names())
def test_every_network_costs_what_torch_counts(name):
    model = models.build(name).eval()
    table = models.summary(model)
    inputs = [torch.zeros(1, *model.input_shape)] * (2 if name == "twobranch" else 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    assert table.multiply_adds == counter.get_total_flops() // 2
    assert table.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(layer.parameters for layer in table.layers) == table.parameters


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(6, 9, (3, 5), stride=(2, 1), padding=(4, 2), groups=3), (6, 20, 20)),
        (nn.Conv2d(2, 3, 3, dilation=(3, 1)), (2, 20, 20)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (4, 7, 7)),
        (nn.Conv1d(2, 3, 3, stride=2), (2, 9)),
        (nn.Linear(5, 7), (11, 5)),
    ],
)
def test_other_layers_cost_what_torch_counts(layer, shape):
    model = nn.Sequential(layer)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    assert models.summary(model, shape).multiply_adds == counter.get_total_flops() // 2


def test_a_layer_that_is_called_again_is_listed_and_not_counted_again():
    """What no layer in the list holds, such as the weights of an idle one, stands at the model."""
    table = models.summary(Shared(), (8,))
    assert [layer.name for layer in table.layers] == ["Shared", "fc", "relu", "fc:2", "relu:2"]
    assert [layer.parameters for layer in table.layers] == [8 + 12, 72, 0, 0, 0]
    assert table.parameters == 20 + 72
    assert table.multiply_adds == 2 * 64


def test_the_table_is_text_with_a_line_for_each_layer():
    lines = repr(models.summary(models.build("lenet"))).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "multiply-adds"]
    assert lines[4].split() == ["conv2", "Conv2d", "16×8×8", "2,416", "153,600"]
    assert lines[-1].split() == ["total", "lenet", "44,426", "281,640"]
    assert len(lines) == 14
    assert len({len(line) for line in lines}) == 1


def test_the_model_comes_back_as_it_was():
    model = models.build("newnet", seed=0).train()
    model.features[1].eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    models.summary(model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(before, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_shape_that_nobody_knows_is_asked_for():
    with pytest.raises(ValueError, match=r"Linear does not say what it expects: give input_shape"):
        models.summary(nn.Linear(4, 2))


def test_a_shape_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"Linear cannot take an input \(5,\): .*shapes cannot"):
        models.summary(nn.Linear(4, 2), (5,))
    with pytest.raises(ValueError, match=r"lenet cannot take an input \(3, 8, 8\): lenet expects"):
        models.summary(models.build("lenet"), (3, 8, 8))


class Loop(nn.Module):
    """A container that is called three times, and a layer that never is."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 4)))
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        for _ in range(3):
            x = self.block(x)
        return x


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x))


def pruned() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


def holding_a_script() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), scripted(nn.Linear(4, 4)))


def scripted(model: nn.Module) -> nn.Module:
    return torch.jit.script(model)


def traced() -> nn.Module:
    return torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.zeros(1, 4))


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning"
)
@pytest.mark.parametrize(
    "make",
    [Loop, Tied, pruned, holding_a_script, traced, lambda: scripted(nn.Linear(4, 4)), Shared],
    ids=["loop", "tied", "pruned", "part scripted", "traced", "scripted", "shared"],
)
def test_rows_add_up_to_the_total(make):
    model = make()
    table = models.summary(model, (8,) if make is Shared else (4,))
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(layer.parameters for layer in table.layers) == table.parameters == total > 0


def test_container_that_is_called_again_has_no_row_of_its_own():
    names = [layer.name for layer in models.summary(Loop(), (4,)).layers]
    once = ["block.0", "block.1", "block.2.0"]
    again = [f"{name}:{call}" for call in (2, 3) for name in once]
    assert names == ["Loop", *once, *again]


def test_random_numbers_and_buffers_come_back():
    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return self.fc(x) + torch.randn_like(x)

    model, before = Restless(), torch.get_rng_state()
    models.summary(model, (4,))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.calls.item() == 0


@pytest.mark.parametrize(
    "first", [torch.tensor(3), torch.ones(1, dtype=torch.cfloat), torch.tensor([True])], ids=str
)
def test_numbers_are_in_the_precision_of_the_first_floating_parameter(first):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(first, requires_grad=False)
            self.fc = nn.Linear(4, 2).double()

        def forward(self, x):
            assert x.dtype == torch.float64
            return self.fc(x)

    assert models.summary(Scaled(), (4,)).multiply_adds == 8


class Answers(nn.Module):
    """A linear layer, and something that is done with what it takes and gives."""

    def __init__(self, take=lambda x: x, give=lambda y: y):
        super().__init__()
        self.take, self.fc, self.give = take, nn.Linear(4, 2), give

    def forward(self, x):
        return self.give(self.fc(self.take(x)))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Embedding(5, 3)),
        Answers(take=lambda words: words["text"]),
        Answers(give=lambda y: torch.distributions.Categorical(logits=y)),
        Answers(give=lambda y: torch.distributions.Normal(y, 1)),
    ],
    ids=["embedding", "dictionary", "categorical", "normal"],
)
def test_model_that_no_table_can_be_made_of_is_told_in_one_sentence(model):
    name = type(model).__name__
    words = rf"{name} cannot take an input \(4,\): .*; a table needs a model that takes torch"
    with pytest.raises(ValueError, match=words):
        models.summary(model, (4,))
    assert not any(module._forward_hooks for module in model.modules())
