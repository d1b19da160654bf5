"""Training: against a loop written out here, through interruptions, and in several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizlib import data, models, train
from vizlib.history import History
from vizlib.recipes import Recipe

PLAIN = Recipe(
    epochs=2, batch_size=100, learning_rate=0.05, optimizer="sgd", schedule="constant", augment=None
)


def run(model, digits, **options):
    return train.fit(model, digits, progress=False, **{"recipe": PLAIN, "device": "cpu"} | options)


def state(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_same(one, two):
    assert one.keys() == two.keys()
    for key in one:
        assert torch.equal(one[key], two[key]), key


@pytest.fixture
def mlp():
    return models.build("mlp256", seed=0)


def test_a_step_is_the_textbook_step(mlp, embedded):
    """The same epochs in a loop written out by hand, without the module under test."""
    by_hand = models.build("mlp256", seed=0)
    order = torch.Generator().manual_seed(5)
    x = (embedded.train.images / 255 - 0.1307) / 0.3081
    losses = []
    for _ in range(2):
        for rows in torch.randperm(len(x), generator=order).split(100):
            logits = by_hand(x[rows, None])
            loss = -F.log_softmax(logits, 1)[range(len(rows)), embedded.train.labels[rows]].mean()
            by_hand.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in by_hand.parameters():
                    parameter.sub_(0.05 * parameter.grad)
            losses.append(loss.item())
    history = run(mlp, embedded, seed=5)
    torch.testing.assert_close(history.step_loss, losses, atol=1e-5, rtol=1e-5)
    assert history.best_epoch == 2
    for ours, theirs in zip(mlp.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_evaluate_counts_as_one_would_by_hand(mlp, embedded):
    metrics = train.evaluate(mlp, embedded, "test")
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    losses = []
    with torch.no_grad():
        for image, label in zip(embedded.test.images, embedded.test.labels, strict=True):
            logits = mlp((image[None, None] / 255 - 0.1307) / 0.3081)[0]
            confusion[label, logits.argmax()] += 1
            losses.append(-logits.log_softmax(0)[label])
    assert torch.equal(metrics.confusion, confusion)
    assert metrics.accuracy == pytest.approx(confusion.diag().sum().item() / 360)
    assert metrics.loss == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_evaluate_can_take_the_first_images_alone(mlp, embedded):
    metrics = train.evaluate(mlp, embedded, first=17, batch_size=5)
    with torch.no_grad():
        given = mlp(embedded.normalize(embedded.test.images[:17])).argmax(1)
    right = (given == embedded.test.labels[:17]).double().mean()
    assert metrics.confusion.sum() == 17
    assert metrics.accuracy == pytest.approx(right.item())
    with pytest.raises(ValueError, match="first must be at least 1, but was 0"):
        train.evaluate(mlp, embedded, first=0)


def test_evaluate_gives_every_module_its_mode_back(embedded):
    model = models.build("newnet").train()
    model.features[1].eval()
    before = [module.training for module in model.modules()]
    train.evaluate(model, embedded, first=1)
    assert [module.training for module in model.modules()] == before


def test_the_best_weights_by_validation_are_kept(mlp, embedded):
    """A learning rate that grows and grows: the last epoch is not the best."""
    recipe = Recipe(
        epochs=6,
        batch_size=100,
        learning_rate=0.02,
        schedule="ExponentialLR",
        schedule_options={"gamma": 1.15},
    )
    accuracies = []
    history = run(
        mlp,
        embedded,
        recipe=recipe,
        snapshot_every=1,
        on_epoch=lambda h: accuracies.append(h.val_accuracy[-1]),
    )
    best = history.best_epoch
    assert accuracies == history.val_accuracy
    assert history.val_accuracy[best - 1] == max(history.val_accuracy)
    assert history.val_accuracy[-1] < max(history.val_accuracy)
    assert_same(state(mlp), history.snapshots[best])
    assert train.evaluate(mlp, embedded, "val").accuracy == max(history.val_accuracy)
    assert not mlp.training


def test_training_never_reads_the_test_split(mlp, embedded):
    class Sealed:
        def __getattr__(self, name):
            raise AssertionError(f"training read the test split's {name}")

    run(mlp, data.Digits("digits", embedded.train, embedded.val, Sealed()))


def test_snapshots_begin_before_training(mlp, embedded):
    before = state(mlp)
    history = run(mlp, embedded, epochs=4, snapshot_every=2)
    assert list(history.snapshots) == [0, 2, 4]
    assert_same(history.snapshots[0], before)


def test_the_history_counts_what_happened(mlp, embedded):
    history = run(mlp, embedded)
    assert history.epochs == 2
    assert len(history.step_loss) == len(history.step_accuracy) == 2 * 13
    assert history.network == "mlp256"
    assert history.data == "digits"
    assert history.recipe["learning_rate"] == history.learning_rate[0] == 0.05
    sizes = torch.tensor([100.0] * 12 + [57])
    first = torch.tensor(history.step_loss[:13])
    assert history.train_loss[0] == pytest.approx((first * sizes).sum().item() / 1257, rel=1e-5)
    for seconds, speed in zip(history.seconds, history.samples_per_second, strict=True):
        assert seconds * speed == pytest.approx(1257)


def test_averaged_weights_are_the_mean_that_the_formula_says(embedded):
    """One step an epoch: the snapshots of the plain run give the average of the other."""
    recipe = Recipe(epochs=5, batch_size=2000, learning_rate=0.1, schedule="constant")
    plain = run(models.build("mlp256", seed=0), embedded, recipe=recipe, snapshot_every=1)
    averaged = run(
        models.build("mlp256", seed=0), embedded, recipe=recipe, snapshot_every=1, average=0.9
    )
    mean = plain.snapshots[1]["fc1.weight"].clone()
    for count, epoch in enumerate(range(2, 6), start=1):
        keep = min(0.9, (1 + count) / (10 + count))
        mean = keep * mean + (1 - keep) * plain.snapshots[epoch]["fc1.weight"]
        torch.testing.assert_close(averaged.snapshots[epoch]["fc1.weight"], mean)


def test_augmentation_and_smoothing_reach_the_loss(embedded):
    losses = [
        run(models.build("mlp256", seed=0), embedded, epochs=1, **changes).step_loss[0]
        for changes in ({}, {"augment": data.Affine()}, {"label_smoothing": 0.2})
    ]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_is_what_the_layers_compute_in(mlp, embedded, precision, expected):
    seen = set()
    mlp.fc1.register_forward_hook(lambda m, _, out: seen.add(out.dtype) if m.training else None)
    run(mlp, embedded, precision=precision, steps_per_epoch=1)
    assert seen == {expected}


def test_the_random_numbers_of_others_are_left_alone(mlp, embedded):
    before = torch.get_rng_state()
    run(mlp, embedded, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_decides_everything(embedded):
    recipe = Recipe(epochs=2, batch_size=200, augment=data.Affine())
    results = []
    for seed in (1, 1, 2):
        model = models.build("mynetv2", seed=0)
        run(model, embedded, recipe=recipe, seed=seed)
        results.append(state(model))
    assert_same(results[0], results[1])
    assert not torch.equal(results[0]["features.0.weight"], results[2]["features.0.weight"])


def test_steps_per_epoch_cuts_an_epoch_short(mlp, embedded):
    assert len(run(mlp, embedded, steps_per_epoch=3).step_loss) == 6


def test_each_step_is_told_with_its_loss(mlp, embedded):
    told = {}
    history = run(mlp, embedded, on_step=lambda step, loss: told.update({step: float(loss)}))
    assert list(told) == list(range(1, 27))
    assert list(told.values()) == pytest.approx(history.step_loss)


class InterruptError(Exception):
    pass


# Dropout, augmentation, momentum, averaging and a moving learning rate: all must go on in step.
RESUMED = Recipe(
    epochs=4,
    batch_size=128,
    learning_rate=0.05,
    optimizer_options={"momentum": 0.9},
    augment=data.Affine(),
    average=0.95,
)


def test_resuming_goes_on_bit_for_bit(embedded, tmp_path):
    whole, parts = (models.build("mynetv2", seed=0) for _ in range(2))
    expected = run(whole, embedded, recipe=RESUMED)

    def stop(history):
        if history.epochs == 2:
            raise InterruptError

    with pytest.raises(InterruptError):
        run(parts, embedded, recipe=RESUMED, checkpoint=tmp_path / "run.pt", on_epoch=stop)
    parts = models.build("mynetv2", seed=99)
    history = run(parts, embedded, recipe=RESUMED, checkpoint=tmp_path / "run.pt", resume=True)
    assert_same(state(parts), state(whole))
    assert history.step_loss == expected.step_loss
    assert history.val_loss == expected.val_loss


KILLED = """
import sys, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from test_train import RESUMED
from vizlib import data, models, train
model = models.build("mynetv2", seed=0)
train.fit(model, data.load("digits"), recipe=RESUMED, device="cpu", progress=False,
    checkpoint={path!r}, on_epoch=lambda h: print(h.epochs, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_bit_for_bit(embedded, tmp_path):
    path = tmp_path / "run.pt"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"1\n"
        assert child.stdout.readline() == b"2\n"
        time.sleep(0.02)  # into the middle of the third epoch
        child.send_signal(signal.SIGKILL)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, whole = (models.build("mynetv2", seed=0) for _ in range(2))
        history = run(resumed, embedded, recipe=RESUMED, checkpoint=path, resume=True)
        expected = run(whole, embedded, recipe=RESUMED)
    finally:
        torch.set_num_threads(threads)
    assert history.epochs == 4
    assert history.step_loss == expected.step_loss
    assert_same(state(resumed), state(whole))
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".pt"] == ["run.pt"]


def test_another_runs_checkpoint_is_refused(mlp, embedded, tmp_path):
    run(mlp, embedded, epochs=1, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="belongs to another run, with learning_rate 0.05, not 0"):
        run(mlp, embedded, checkpoint=tmp_path / "run.pt", resume=True, epochs=1, learning_rate=0.5)


def test_interrupting_keeps_the_best_weights_and_the_history(mlp, embedded, capsys):
    def stop(history):
        if history.epochs == 2:
            raise KeyboardInterrupt

    history = run(mlp, embedded, epochs=9, snapshot_every=1, on_epoch=stop)
    assert history.interrupted
    assert history.epochs == 2
    assert_same(state(mlp), history.snapshots[history.best_epoch])
    assert "Stopped after 2 of 9 epochs" in capsys.readouterr().out


def test_a_loss_that_is_no_number_names_the_learning_rate(mlp, embedded):
    with pytest.raises(FloatingPointError, match="no longer a number at step .* try 1e"):
        run(mlp, embedded, learning_rate=1e30)
    assert all(parameter.isfinite().all() for parameter in mlp.parameters())


def test_a_setting_that_does_not_exist_is_named(mlp, embedded):
    with pytest.raises(
        ValueError, match="no setting of fit is called 'lr'; choose from epochs, batch_size"
    ):
        run(mlp, embedded, lr=0.1)


@pytest.mark.parametrize("device", ["cuda:9", "gpu", "xpu"])
def test_a_device_that_is_not_here_is_named(mlp, embedded, device):
    with pytest.raises(ValueError, match=f"there is no device '{device}' here; choose "):
        run(mlp, embedded, device=device)


def test_any_module_of_your_own_trains(embedded):
    torch.manual_seed(0)
    own = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    history = train.fit(own, embedded, epochs=3, progress=False, device="cpu")
    assert history.val_accuracy[-1] > 0.8
    assert history.network == "Sequential"


def test_the_progress_bar_tells_the_steps_and_the_accuracy(mlp, embedded, capsys):
    train.fit(mlp, embedded, recipe=PLAIN, device="cpu")
    bar = capsys.readouterr().err
    assert "26/26" in bar
    assert "validation" in bar


SEVERAL = """
import os, sys, torch
torch.set_num_threads(1)
from vizlib import data, models, train
from vizlib.recipes import Recipe
digits = data.load("digits")
seen = []
model = models.build("lenet", seed=0)
recipe = Recipe(epochs=2, batch_size=100, learning_rate=0.05, augment=data.Affine(2, 0.02, 1, 0.02))
original = data.Batches._batch
def noted(self, rows):
    batch = original(self, rows)
    if len(self.labels) == len(digits.train):
        seen.extend(rows[self.share[0]::self.share[1]].tolist())
    return batch
data.Batches._batch = noted
history = train.fit(model, digits, recipe=recipe, device="cpu", progress=False)
rank = os.environ.get("RANK", "0")
torch.save({"state": model.state_dict(), "seen": seen, "loss": history.step_loss,
    "accuracy": history.train_accuracy}, f"{sys.argv[1]}/{rank}.pt")
"""


def test_two_processes_train_as_one(tmp_path):
    (tmp_path / "job.py").write_text(SEVERAL)
    results = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        start = launcher if count > 1 else []
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }  # fmt: skip
        subprocess.run(
            [sys.executable, *start, str(tmp_path / "job.py"), str(folder)],
            env=environment, check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        results.append([torch.load(folder / f"{rank}.pt") for rank in range(count)])
    (one,), (left, right) = results
    assert_same(left["state"], right["state"])
    for epoch in range(2):
        halves = [
            part["seen"][epoch * len(part["seen"]) // 2 :][: len(part["seen"]) // 2]
            for part in (left, right)
        ]
        assert sorted(halves[0] + halves[1]) == list(range(1257))
    for key, value in one["state"].items():
        torch.testing.assert_close(left["state"][key], value, atol=1e-4, rtol=0)
    torch.testing.assert_close(left["loss"], one["loss"], atol=1e-4, rtol=1e-3)
    assert left["accuracy"] == pytest.approx(one["accuracy"], abs=2e-3)


def test_the_history_of_a_run_is_written_and_read(mlp, embedded, tmp_path):
    history = run(mlp, embedded, snapshot_every=1)
    history.save(tmp_path / "run.json")
    again = History.load(tmp_path / "run.json")
    assert again.step_loss == history.step_loss
    assert_same(again.snapshots[2], history.snapshots[2])
    assert json.loads((tmp_path / "run.json").read_text())["recipe"]["augment"] == "None"
