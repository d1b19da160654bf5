"""The networks: shapes, parameters and keys as published, worked out here by other means."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import models

PARAMETERS = {
    "lenet": 44_426,
    "newnet": 391_032,
    "mlp": 218_058,
    "mlp500": 397_510,
    "mlp256": 203_530,
    "cnn": 61_610,
    "defaultnet": 1_199_882,
    "myfullconvnet": 74_290,
    "mynetv1": 9_172_350,
    "mynetv2": 75_098,
    "myvggnet": 287_642,
    "arithmetic": 9,
    "lenet5": 62_006,
    "alexnet": 61_100_840,
    "vgg11": 9_231_114,
    "vgg13": 9_416_010,
    "vgg16": 14_728_266,
    "vgg19": 20_040_522,
    "twobranch": 405_130,
}
KEYS = {
    "lenet": ["conv1", "conv2", "fc1", "fc2", "fc3"],
    "lenet5": ["conv1", "conv2", "fc1", "fc2", "fc3"],
    "mlp": ["linear1", "linear2", "linear3"],
    "mlp500": ["fc1", "fc2"],
    "mlp256": ["fc1", "fc2"],
    "cnn": ["conv.0", "conv.3", "fc.0", "fc.1", "fc.2"],
    "defaultnet": ["conv1", "conv2", "fc1", "fc2"],
    "myfullconvnet": ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc1"],
    "mynetv1": [*(f"features.{i}" for i in (0, 2, 4, 6)), *(f"classifier.{i}" for i in (1, 4, 6))],
    "mynetv2": [*(f"features.{i}" for i in (0, 2, 4, 6, 8)), "classifier.1", "classifier.3"],
    "myvggnet": [
        *(f"features.{i}" for i in (0, 2, 5, 7, 9, 12, 14)),
        *("classifier.1", "classifier.3"),
    ],
}


def inputs(model, batch=2):
    images = torch.randn(batch, *model.input_shape, generator=torch.Generator().manual_seed(0))
    return (images, images.flip(0)) if model.name == "twobranch" else (images,)


def test_every_network_is_listed():
    assert models.names() == list(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_logits(name):
    model = models.build(name).eval()
    outputs = {"arithmetic": 4, "alexnet": 1000}.get(name, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    with torch.no_grad():
        assert model(*inputs(model)).shape == (2, outputs)
    assert model.name == name


@pytest.mark.parametrize("name", KEYS)
def test_state_dict_keys_are_the_published_ones(name):
    expected = [f"{layer}.{part}" for layer in KEYS[name] for part in ("weight", "bias")]
    assert list(models.build(name).state_dict()) == expected


def test_newnet_keeps_its_positions():
    state = models.build("newnet").state_dict()
    convs = [key for key, value in state.items() if value.dim() == 4]
    assert convs == [f"features.{i}.weight" for i in (0, 3, 7, 10, 14, 17, 21, 25)]
    prelu = [key for key in state if key.count(".") == 2 and f"{key[:-6]}bias" not in state]
    slopes = [key for key in prelu if key.endswith("weight")]
    assert [state[key].numel() for key in slopes] == [16, 16, 64, 64, 128, 128, 96, 10]


def test_lenet_is_what_the_formula_says():
    """Rebuild LeNet from torch's functions and its own weights."""
    model = models.build("lenet", seed=1)
    state, (x,) = model.state_dict(), inputs(model)

    def weight_and_bias(name):
        return state[f"{name}.weight"], state[f"{name}.bias"]

    for name in ("conv1", "conv2"):
        x = F.max_pool2d(F.relu(F.conv2d(x, *weight_and_bias(name))), 2)
    x = x.reshape(len(x), 256)
    for name in ("fc1", "fc2"):
        x = F.relu(F.linear(x, *weight_and_bias(name)))
    torch.testing.assert_close(model(*inputs(model)), F.linear(x, *weight_and_bias("fc3")))


def test_newnet_uses_stride_2_in_place_of_pooling():
    model = models.build("newnet").eval()
    sides, x = [], torch.zeros(1, 1, 28, 28)
    for layer in model.features:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            sides.append(x.shape[-1])
    assert sides == [28, 14, 14, 7, 7, 4, 2, 1]
    assert [layer.p for layer in model.features if isinstance(layer, torch.nn.Dropout)] == [0.2] * 5


def test_arithmetic_gives_the_worked_example():
    rows = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
    weight = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]
    by_hand = [
        [
            sum(rows[i + a][j + b] * weight[a][b] for a in range(3) for b in range(3))
            for j in range(3)
        ]
        for i in range(3)
    ]
    model, x = models.build("arithmetic"), torch.tensor(rows).float()[None, None]
    assert model.conv(x)[0, 0].tolist() == by_hand
    # Padded by one, the 2×2 windows start at -1 and 1.
    pooled = [
        by_hand[0][0],
        max(by_hand[0][1:]),
        max(by_hand[1][0], by_hand[2][0]),
        max(by_hand[1][1:] + by_hand[2][1:]),
    ]
    assert model(x)[0].tolist() == pooled


def test_twobranch_looks_at_both_inputs():
    model = models.build("twobranch", seed=0)
    left, right = inputs(model)
    assert not torch.equal(model(left, right), model(left, left))
    assert not torch.equal(model(left, right), model(right, right))


def test_a_seed_gives_the_same_weights_and_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    one, two, other = (models.build("lenet", seed=seed).conv1.weight for seed in (7, 7, 8))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [2**63, -1, 10**30, 1.5, float("nan"), "7", torch.tensor(7)])
def test_a_seed_that_torch_does_not_take_is_told_in_a_sentence(seed):
    with pytest.raises(ValueError, match=r"^seed must be a whole number from 0 to 2\*\*63"):
        models.build("lenet", seed=seed)


def test_a_seed_of_numpy_is_a_seed():
    one, two = (models.build("lenet", seed=seed).conv1.weight for seed in (2**63 - 1, 7))
    assert torch.equal(two, models.build("lenet", seed=np.uint8(7)).conv1.weight)
    assert torch.equal(one, models.build("lenet", seed=np.int64(2**63 - 1)).conv1.weight)


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(ValueError, match=r"no network is called 'lenett'; did you mean 'lenet'\?"):
        models.build("lenett")
    with pytest.raises(ValueError, match=r"choose from lenet, newnet, mlp, .*, twobranch"):
        models.build("zzz")


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((1, 28, 28), r"got \(1, 28, 28\); add the batch axis with x\[None\]"),
        ((28, 28), r"got \(28, 28\); add the batch and channel axes with x\[None, None\]"),
        ((1, 3, 32, 32), r"lenet expects a batch of images \(N, 1, 28, 28\), but got \(1, 3, 32"),
    ],
)
def test_images_of_another_shape_are_refused_kindly(shape, advice):
    with pytest.raises(ValueError, match=advice):
        models.build("lenet")(torch.zeros(shape))


def test_a_flat_network_takes_vectors_too():
    model, x = models.build("mlp", seed=0), torch.randn(3, 1, 28, 28)
    assert torch.equal(model(x), model(x.reshape(3, 784)))


def test_a_network_can_be_cut_like_any_chain():
    model, x = models.build("lenet", seed=0), torch.randn(1, 1, 28, 28)
    head, tail = model[:3], model[3:]
    assert list(head.state_dict()) == ["conv1.weight", "conv1.bias"]
    assert torch.equal(tail(head(x)), model(x))


# --- Eval mode ----------------------------------------------------------------------------------


class Fragile(nn.Module):
    def forward(self, x):
        return x

    def train(self, *mode):
        raise NotImplementedError(mode)


def scripted():
    return torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout()))


def frozen():
    return torch.jit.freeze(scripted().eval())


def exported():
    return torch.export.export(nn.BatchNorm2d(1).eval(), (torch.zeros(1, 1, 8, 8),)).module()


MADE = {
    "scripted": scripted,
    "frozen": frozen,
    "optimized": lambda: torch.jit.optimize_for_inference(scripted().eval()),
    "exported": exported,
    "fragile": Fragile,
    "within": lambda: nn.Sequential(exported(), Fragile(), frozen(), nn.Dropout()),
}


def modes(model):
    return [getattr(module, "training", None) for module in model.modules()]


@pytest.mark.parametrize("made", MADE)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_models_that_refuse_eval_answer_in_eval_mode_and_keep_their_modes(made):
    model, x = MADE[made](), torch.randn(1, 1, 8, 8)
    before = modes(model)
    with models.eval_mode(model):
        assert torch.equal(model(x), model(x))
        assert True not in modes(model)
    assert modes(model) == before
