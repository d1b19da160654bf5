"""Forward passes that somebody else runs: listening, nesting, threads, changes on the way."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch
from captured import IMAGE, Calls, answer, block_model
from torch import nn
from torch.nn import functional as F

from vizlib import capture, models

torch.manual_seed(0)


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
