"""Some stages and some images of the batch alone: `layers=` and `samples=`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captured import IMAGE, Calls, answer, block_model
from torch import nn

from vizlib import capture, models

torch.manual_seed(0)


# --- 6. layers= ----------------------------------------------------------------------------


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


def test_sample_of_an_empty_batch():
    with pytest.raises(IndexError, match="sample 0 was asked for, but the batch has none"):
        capture.record(nn.Sequential(nn.ReLU()), torch.ones(0, 3), samples=0)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"layers": 5}, "layers must be a text or a list of these, but was 5"),
        ({"layers": [nn.ReLU]}, "layers must be a text or a list of these, but was .*ReLU"),
        ({"samples": "a"}, "samples must be a whole number or a list of these, but was 'a'"),
        ({"samples": [0.5]}, r"samples must be a whole number or a list of these, but was \[0.5\]"),
    ],
)
def test_choice_that_is_none_is_told(choice, words):
    with pytest.raises(TypeError, match=words):
        capture.record(nn.Sequential(nn.ReLU()), torch.ones(1, 3), **choice)


def test_samples_may_be_numbers_of_numpys():
    model, x = models.build("lenet", seed=0), torch.randn(4, 1, 28, 28)
    rows = capture.record(model, x, samples=np.array([2, 0]))["conv1"].output
    assert torch.equal(rows, capture.record(model, x)["conv1"].output[[2, 0]])
