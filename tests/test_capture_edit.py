"""Channels that are switched off: the rest of the network answers to that."""

from __future__ import annotations

import threading

import pytest
import torch
from captured import Calls, answer, block_model, last
from torch import nn
from torch.nn import functional as F

from vizlib import capture, models

torch.manual_seed(0)


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
