"""Whole steps as graphs, on a CPU: a tape that does again what torch did, without Python's part.

Like a CUDA graph, the tape keeps the operations, the addresses and the numbers of one step. What
changes between steps and does not lie in a tensor would stay as it was: then a test here fails.
"""

import random
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vizlib import data, models, train
from vizlib.recipes import Recipe
from vizlib.train import _graph, _run
from vizlib.train._graph import Cuda


class Tape(TorchDispatchMode):
    """The operations of a step, done again on the same memory."""

    def __init__(self):
        super().__init__()
        self.calls, self.made, self.before = [], set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for tensor in tensors_in((args, kwargs)):
            if id(tensor) not in self.made:
                self.made.add(id(tensor))
                self.before.append((tensor, tensor.clone()))
        result = func(*args, **kwargs)
        self.made.update(map(id, tensors_in(result)))
        self.calls.append((func, args, kwargs, result))
        return result

    def undo(self):
        """A graph is recorded without being done."""
        with torch.no_grad():
            for tensor, value in self.before:
                tensor.copy_(value)

    def play(self):
        with torch.no_grad():
            for func, args, kwargs, result in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(tensors_in(result), tensors_in(again), strict=True):
                    old.copy_(new)


def tensors_in(values):
    return [leaf for leaf in tree_leaves(values) if torch.is_tensor(leaf)]


class Unread(TorchDispatchMode):
    """Refuses what CUDA's watch over reading refuses."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("called a synchronizing CUDA operation")
        return func(*args, **(kwargs or {}))


class OnCpu:
    """What `Cuda` is on a GPU."""

    def __init__(self, *, fails=False):
        self.fails, self.plays = fails, 0

    aside = staticmethod(nullcontext)

    @contextmanager
    def unread(self):
        with Unread():
            yield

    def capture(self, work):
        if self.fails:
            raise RuntimeError("operation not permitted\nwhen a stream is capturing")
        numbers, tape = torch.get_rng_state(), Tape()
        with tape:
            work()
        tape.undo()
        torch.set_rng_state(numbers)

        def play():
            self.plays += 1
            tape.play()

        return play


@pytest.fixture
def on_cpu(monkeypatch):
    def use(**options):
        cuda = OnCpu(**options)
        monkeypatch.setattr(_run, "_cuda", lambda _: cuda)
        return cuda

    return use


# A rate that float32 holds to the last bit, and nothing that rounds otherwise: the same bits.
EXACT = Recipe(
    epochs=2,
    batch_size=100,
    learning_rate=0.0625,
    schedule="constant",
    optimizer_options={"momentum": 0.9, "nesterov": True},
    augment=data.Affine(),
)
FULL = replace(EXACT, schedule="onecycle", average=0.9, label_smoothing=0.1)


def fit(model, digits, recipe=EXACT, **options):
    return train.fit(model, digits, recipe=recipe, device="cpu", progress=False, **options)


def both(on_cpu, monkeypatch, build, digits, recipe, **options):
    """Train ordinarily, then with the tape; return (model, history, plays) of each."""
    results = []
    for cuda in (None, on_cpu()):
        monkeypatch.setattr(_run, "_cuda", lambda _, cuda=cuda: cuda)
        model = build()
        history = fit(model, digits, recipe, **options)
        results.append((model, history, cuda.plays if cuda else 0))
    return results


@pytest.mark.parametrize("name", ["lenet", "mlp", "newnet"])
def test_a_graph_learns_to_the_bit_what_the_ordinary_step_learns(
    name, on_cpu, monkeypatch, embedded
):
    # NewNet's dropout draws on the device, anew at each launch: here that is the CPU.
    monkeypatch.setattr(_graph, "_drawn", list)
    build = lambda: models.build(name, seed=0)  # noqa: E731
    steps = {"steps_per_epoch": 6} if name == "newnet" else {}
    (plain, expected, _), (graphed, history, plays) = both(
        on_cpu, monkeypatch, build, embedded, EXACT, **steps
    )
    per_epoch = steps.get("steps_per_epoch", 12)
    assert plays == 2 * per_epoch - 2  # all full batches but the first two
    assert history.step_kind == "graphed"
    assert expected.step_kind == "ordinary: the device is cpu"
    assert history.step_loss == expected.step_loss
    assert history.step_accuracy == expected.step_accuracy
    assert history.val_loss == expected.val_loss
    for one, two in zip(graphed.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_rates_that_move_and_means_reach_the_graph(optimizer, on_cpu, monkeypatch, embedded):
    options = FULL.optimizer_options if optimizer == "sgd" else {}
    rate = 0.05 if optimizer == "sgd" else 0.003
    recipe = replace(FULL, optimizer=optimizer, optimizer_options=options, learning_rate=rate)
    build = lambda: models.build("mlp256", seed=0)  # noqa: E731
    (plain, expected, _), (graphed, history, plays) = both(
        on_cpu, monkeypatch, build, embedded, recipe
    )
    assert plays == 22
    assert history.learning_rate == expected.learning_rate
    assert history.step_loss == pytest.approx(expected.step_loss, rel=1e-4)
    for one, two in zip(graphed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


# --- What no graph can hold takes the ordinary step ----------------------------------------


class Own(nn.Module):
    """A network of one's own, with a BatchNorm that must not count a batch twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = nn.BatchNorm2d(1), nn.Linear(784, 10)
        self.calls, self.seen, self.state = 0, [], torch.zeros(())
        self.register_buffer("memory", torch.zeros(()))

    def forward(self, x):
        return self.linear(self.changed(self.norm(x)).flatten(1))

    def changed(self, x):
        return x


class Reads(Own):
    def changed(self, x):
        return x if x.mean().item() > 0 else 2 * x


class Branches(Own):
    def changed(self, x):
        return 2 * x if x.sum() > 0 else x


class Counts(Own):
    def changed(self, x):
        self.calls += self.training
        return x * (1 + self.calls / 10)


class Collects(Own):
    def changed(self, x):
        self.seen.append(x.detach().mean())
        return x


class Remembers(Own):
    def changed(self, x):
        self.state = 0.9 * self.state + x.detach().mean()
        return x + self.state


class RemembersTwice(Remembers):
    def changed(self, x):
        return super().changed(super().changed(x))


class Replaces(Own):
    def changed(self, x):
        self.memory = 0.9 * self.memory + x.detach().mean()
        return x + self.memory


class DrawsByTorch(Own):
    def changed(self, x):
        return x * torch.rand(()) if self.training else x


class DrawsByPython(Own):
    def changed(self, x):
        return x if random.random() < 0.5 else 2 * x  # noqa: S311


class DrawsByNumpy(Own):
    def changed(self, x):
        return x if np.random.rand() < 0.5 else 2 * x  # noqa: NPY002


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Reads, "the network reads values while it computes"),
        (Branches, "the network reads values while it computes"),
        (Counts, "changes by itself, or draws random numbers on the CPU"),
        (Collects, "changes by itself"),
        (Remembers, "changes by itself"),
        (RemembersTwice, "changes by itself"),
        (Replaces, "changes by itself"),
        (DrawsByTorch, "draws random numbers on the CPU"),
        (DrawsByPython, "draws random numbers on the CPU"),
        (DrawsByNumpy, "draws random numbers on the CPU"),
    ],
)
def test_a_network_that_python_takes_part_in_goes_the_ordinary_way(
    build, reason, on_cpu, monkeypatch, embedded
):
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    plain = build()
    monkeypatch.setattr(_run, "_cuda", lambda _: None)
    expected = fit(plain, embedded)
    cuda = on_cpu()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    model = build()
    history = fit(model, embedded)
    assert history.step_kind.startswith("ordinary: ")
    assert reason in history.step_kind
    assert cuda.plays == 0
    assert history.step_loss == expected.step_loss
    for one, two in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_an_ordinary_network_of_ones_own_is_graphed(on_cpu, embedded):
    cuda = on_cpu()
    assert fit(Own(), embedded).step_kind == "graphed"
    assert cuda.plays == 22


def test_a_network_with_hooks_goes_the_ordinary_way(on_cpu, embedded):
    on_cpu()
    model, seen = Own(), []
    model.linear.register_forward_hook(lambda *_: seen.append(1))
    assert "hooks" in fit(model, embedded, epochs=1, steps_per_epoch=5).step_kind
    assert len(seen) >= 5


def test_an_optimizer_that_keeps_numbers_on_the_cpu_goes_the_ordinary_way(on_cpu, embedded):
    on_cpu()
    history = fit(Own(), embedded, optimizer="rmsprop", optimizer_options={}, learning_rate=1e-3)
    assert history.step_kind == "ordinary: the optimizer RMSprop keeps numbers on the CPU"


def test_a_momentum_that_the_schedule_moves_ends_the_graph(on_cpu, monkeypatch, embedded):
    recipe = replace(EXACT, schedule="onecycle", schedule_options={"cycle_momentum": True})
    (plain, expected, _), (model, history, _) = both(on_cpu, monkeypatch, Own, embedded, recipe)
    assert "more than the learning rate changes" in history.step_kind
    assert history.step_loss == pytest.approx(expected.step_loss, rel=1e-4)
    torch.testing.assert_close(model.linear.weight, plain.linear.weight, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_frozen_on_the_way_stays_as_it_is(on_cpu, embedded):
    on_cpu()
    model, kept = Own(), []

    def freeze(_):
        model.linear.requires_grad_(requires_grad=False)
        kept.append(model.linear.weight.clone())

    history = fit(model, embedded, epochs=3, on_epoch=freeze, snapshot_every=1)
    assert "changes between steps" in history.step_kind
    for epoch in (2, 3):
        assert torch.equal(history.snapshots[epoch]["linear.weight"], kept[0])


def test_a_step_that_cannot_be_captured_is_made_ordinarily(on_cpu, monkeypatch, embedded):
    monkeypatch.setattr(_run, "_cuda", lambda _: None)
    expected = fit(Own(), embedded)
    on_cpu(fails=True)
    history = fit(Own(), embedded)
    assert history.step_kind == "ordinary: CUDA could not capture it (operation not permitted)"
    assert history.step_loss == expected.step_loss


def test_batches_that_are_never_full_go_the_ordinary_way(on_cpu, embedded):
    on_cpu()
    history = fit(Own(), embedded, batch_size=5000)
    assert history.step_kind == "ordinary: there were too few full batches for a graph"


# --- What holds for the ordinary step holds for the graph ----------------------------------


def test_each_graphed_step_is_told_with_its_loss(on_cpu, embedded):
    on_cpu()
    told = []
    history = fit(Own(), embedded, on_step=lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == list(range(1, 27))
    assert [float(loss) for _, loss in told] == pytest.approx(history.step_loss)


def test_a_graphed_loss_that_is_no_number_is_told(on_cpu, embedded):
    on_cpu()
    model = Own()
    with pytest.raises(FloatingPointError, match="no longer a number at step .* try 1e"):
        fit(model, embedded, learning_rate=1e30)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_graphed_run_stops_and_goes_on(on_cpu, embedded, tmp_path):
    on_cpu()
    whole, part = Own(), Own()
    expected = fit(whole, embedded, EXACT, epochs=4)

    def stop(history):
        if history.epochs == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    stopped = fit(part, embedded, EXACT, epochs=4, checkpoint=path, on_epoch=stop)
    assert (stopped.interrupted, stopped.epochs) == (True, 2)
    again = Own()
    history = fit(again, embedded, EXACT, epochs=4, checkpoint=path, resume=True)
    assert history.step_loss == expected.step_loss
    for one, two in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")
def test_a_gpu_learns_by_graphs_what_it_learns_by_steps(monkeypatch, embedded):
    results = []
    for cuda in (None, Cuda(torch.device("cuda"))):
        monkeypatch.setattr(_run, "_cuda", lambda _, cuda=cuda: cuda)
        model = models.build("lenet", seed=0)
        history = train.fit(
            model, embedded, recipe=FULL, device="cuda", progress=False, precision="float32"
        )
        results.append((model, history))
    (plain, expected), (graphed, history) = results
    assert history.step_kind == "graphed"
    assert history.step_loss == pytest.approx(expected.step_loss, rel=1e-3)
    for one, two in zip(graphed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-3)
