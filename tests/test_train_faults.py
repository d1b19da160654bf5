"""Training that cannot go on: told in one sentence, and nothing is lost that was learnt."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vizlib import models, train
from vizlib.data import Digits, Split
from vizlib.recipes import Recipe
from vizlib.train import _checkpoint

PLAIN = Recipe(epochs=2, batch_size=40, learning_rate=0.05, schedule="constant")


def fit(model, digits, **options):
    return train.fit(model, digits, progress=False, **{"recipe": PLAIN, "device": "cpu"} | options)


@pytest.fixture
def few(embedded):
    """As many images as make three steps."""
    return Digits("few", Split(*embedded.train[:120]), Split(*embedded.val[:40]), embedded.test)


def linear(classes=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))


class Answers(nn.Module):
    """A network that gives what is asked for in place of its scores."""

    def __init__(self, change):
        super().__init__()
        self.linear, self.change = linear(), change

    def forward(self, x):
        return self.change(self.linear(x))


def frozen():
    return linear().requires_grad_(requires_grad=False)


def spoilt():
    model = linear()
    with torch.no_grad():
        model[1].weight[3, 7] = float("nan")
    return model


def under_inference_mode():
    with torch.inference_mode():
        return linear()


WRONG_MODELS = {
    "none": (lambda: None, TypeError, "model must be a torch.nn.Module, but was a NoneType"),
    "a name": (lambda: "lenet", TypeError, "model must be a torch.nn.Module, but was a str"),
    "no parameters": (nn.Flatten, ValueError, "Flatten has no parameters: there is not"),
    "frozen": (frozen, ValueError, "Sequential is frozen: set model.requires_grad_"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), ValueError, "lazy layers"),
    "float64": (lambda: linear().double(), ValueError, "computes in float64, and images are"),
    "half": (lambda: linear().half(), ValueError, r"computes in float16, .* model.float\(\)"),
    "meta": (lambda: linear().to("meta"), ValueError, "is on the device 'meta' and has no values"),
    "inference": (under_inference_mode, ValueError, "under torch.inference_mode()"),
    "NaN": (spoilt, ValueError, "answers with NaN or infinity before any training"),
    "7 classes": (lambda: linear(7), ValueError, "labels up to 9, and Sequential gives 7 scores"),
    "1 class": (lambda: linear(1), ValueError, "gives 1 score: it needs 10, for the classes 0 to"),
    "a tuple": (lambda: Answers(lambda y: (y, y)), ValueError, "Answers gives a tuple, where the"),
    "a dict": (lambda: Answers(lambda y: {"y": y}), ValueError, "Answers gives a dict, where the"),
    "nothing": (lambda: Answers(lambda _: None), ValueError, "Answers gives a NoneType, where"),
    "maps": (lambda: Answers(lambda y: y[..., None]), ValueError, r"a tensor \(2, 10, 1\), where"),
    "other images": (lambda: models.build("alexnet"), ValueError, "cannot read images of 1×28×28"),
}


@pytest.mark.parametrize("case", WRONG_MODELS)
def test_a_network_that_cannot_learn_is_told_in_one_sentence(case, few):
    build, error, words = WRONG_MODELS[case]
    with pytest.raises(error, match=words) as told:
        fit(build(), few)
    assert "\n" not in str(told.value)


def of(few, part, images=None, labels=None):
    split = few.split(part)
    images = split.images if images is None else images
    return replace(few, **{part: Split(images, split.labels if labels is None else labels)})


def spoilt_images(few):
    images = few.train.images.float()
    images[5, 3, 3], images[9, 0, 0] = float("nan"), float("inf")
    return images


WRONG_DIGITS = {
    "a list": (lambda d: [d.train, d.val], TypeError, "must be vizlib's Digits, but was a list"),
    "NaN": (lambda d: of(d, "train", spoilt_images(d)), ValueError, "in 2 images, the first at 5"),
    "fewer labels": (
        lambda d: of(d, "train", labels=d.train.labels[:-1]),
        ValueError,
        "the split 'train' has 120 images and 119 labels: give each image one",
    ),
    "no training images": (
        lambda d: of(d, "train", d.train.images[:0], d.train.labels[:0]),
        ValueError,
        "the split 'train' is empty",
    ),
    "no validation images": (
        lambda d: of(d, "val", d.val.images[:0], d.val.labels[:0]),
        ValueError,
        "the split 'val' is empty",
    ),
    "too large": (
        lambda d: of(d, "train", labels=d.train.labels + 3),
        ValueError,
        "the split 'train' has labels up to 12, and Sequential gives 10 scores: it needs 13",
    ),
    "too large in val": (
        lambda d: of(d, "val", labels=d.val.labels * 10),
        ValueError,
        "the split 'val' has labels up to 90",
    ),
    "negative": (
        lambda d: of(d, "train", labels=d.train.labels - 1),
        ValueError,
        "has the label -1: classes are counted from 0",
    ),
    "ignored by torch": (
        lambda d: of(d, "train", labels=torch.full_like(d.train.labels, -100)),
        ValueError,
        "has the label -100",
    ),
    "floats": (
        lambda d: of(d, "train", labels=d.train.labels.float()),
        ValueError,
        r"labels of float32 in the shape \(120,\): make them int64",
    ),
    "bytes": (
        lambda d: of(d, "val", labels=d.val.labels.byte()),
        ValueError,
        "labels of uint8",
    ),
    "columns": (
        lambda d: of(d, "train", labels=d.train.labels[:, None]),
        ValueError,
        r"in the shape \(120, 1\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_DIGITS)
def test_digits_that_teach_nothing_are_told_in_one_sentence(case, few):
    change, error, words = WRONG_DIGITS[case]
    model = linear()
    before = model[1].weight.clone()
    with pytest.raises(error, match=words) as told:
        fit(model, change(few))
    assert "\n" not in str(told.value)
    assert torch.equal(model[1].weight, before)
    assert model.training


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1, or None for all"),
        ({"steps_per_epoch": -1}, ValueError, "at least 1, or None for all, but was -1"),
        ({"snapshot_every": -2}, ValueError, "snapshot_every must be at least 0, but was -2"),
        ({"seed": 10**23}, ValueError, "seed must be a whole number from 0 to 2"),
        ({"seed": -1}, ValueError, "but was -1"),
        ({"seed": 1.5}, ValueError, "but was 1.5"),
        ({"learning_rate": float("inf")}, ValueError, "learning_rate must be less than inf"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be at least 0, but was"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, but was 'fast'"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, but was 1.5"),
        ({"epochs": "3"}, TypeError, "epochs must be a whole number, but was '3'"),
        ({"batch_size": 2**63}, ValueError, "batch_size must be less than 2147483648"),
        ({"average": 1.0}, ValueError, "average must be less than 1, but was 1"),
        ({"label_smoothing": -0.1}, ValueError, "label_smoothing must be at least 0"),
        ({"resume": True}, ValueError, "resume=True needs checkpoint=…"),
    ],
)
def test_numbers_that_mean_nothing_are_told(settings, error, words, few):
    with pytest.raises(error, match=words):
        fit(linear(), few, **settings)


def test_numbers_of_numpy_are_numbers(few):
    numbers = {"epochs": np.int64(1), "learning_rate": np.float32(0.05), "seed": np.int64(3)}
    assert fit(linear(), few, **numbers).epochs == 1


@pytest.mark.parametrize("batch_size", [1, 7, 17])
def test_a_last_batch_of_one_image_is_told_where_it_cannot_be_normalized(batch_size, few):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    before = model[1].running_mean.clone()
    with pytest.raises(ValueError, match=f"in batches of {batch_size} the last is alone: choose"):
        fit(model, few, batch_size=batch_size)
    assert torch.equal(model[1].running_mean, before)
    assert fit(model, few, batch_size=8, epochs=1).epochs == 1
    assert fit(linear(), few, batch_size=17, epochs=1).epochs == 1


class OnlyWhenItTrains(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        return self.linear(x) / (0.0 if self.training else 1.0)


def test_a_loss_that_never_was_a_number_is_not_blamed_on_the_learning_rate(few):
    with pytest.raises(FloatingPointError, match="at step 1, before anything was learnt") as told:
        fit(OnlyWhenItTrains(), few)
    assert "rate" not in str(told.value)


def test_more_classes_than_ten_are_counted_too(few):
    model = linear(1000)
    assert fit(model, few).epochs == 2
    assert train.evaluate(model, few).confusion.shape == (1000, 1000)


def test_evaluate_tells_what_it_cannot_measure(few):
    with pytest.raises(ValueError, match="labels up to 9, and Sequential gives 7 scores"):
        train.evaluate(linear(7), few)
    with pytest.raises(ValueError, match="Answers gives a tuple"):
        train.evaluate(Answers(lambda y: (y, y)), few)
    with pytest.raises(ValueError, match="the split 'val' is empty"):
        train.evaluate(linear(), of(few, "val", few.val.images[:0], few.val.labels[:0]), "val")
    assert train.evaluate(nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10)), few).loss > 0


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_it_learns_also_where_gradients_are_off(around, few):
    expected = fit(linear(), few)
    model = linear()
    with around():
        history = fit(model, few)
    assert history.step_loss == expected.step_loss


# --- Checkpoints ---------------------------------------------------------------------------


@pytest.fixture
def kept(few, tmp_path):
    path = tmp_path / "run.pt"
    fit(linear(), few, checkpoint=path)
    return path


def evil(path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (path.with_name("ran"),)

    torch.save({"model": Evil()}, path)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "ten bytes fewer": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "a byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "text": lambda path: path.write_text("hello" * 50),
    "another program's": lambda path: torch.save({"epoch": 3, "weights": torch.ones(2)}, path),
    "another version's": lambda path: _checkpoint.write(path, {"history": "{}"}),
    "a list": lambda path: _checkpoint.write(path, []),
    "too large": lambda path: os.truncate(path, 100 << 30),
    "code": evil,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_named(damage, kept, few):
    DAMAGES[damage](kept)
    model = linear()
    before = model[1].weight.clone()
    name = re.escape(str(kept))
    with pytest.raises(ValueError, match=f"{name} (is damaged or was|has 107,374 MB)") as told:
        fit(model, few, checkpoint=kept, resume=True)
    assert damage == "too large" or "delete it and start anew" in str(told.value)
    assert "\n" not in str(told.value)
    assert "weights_only" not in str(told.value)
    assert not kept.with_name("ran").exists()
    assert torch.equal(model[1].weight, before)


def test_each_flipped_bit_of_a_checkpoint_is_found(kept, few):
    good = kept.read_bytes()
    places = np.random.default_rng(0).integers(0, len(good), 40).tolist()
    for place in (0, len(good) // 2, len(good) - 1, *places):
        flipped = bytearray(good)
        flipped[place] ^= 1 << place % 8
        kept.write_bytes(flipped)
        with pytest.raises(ValueError, match="is damaged"):
            fit(linear(), few, checkpoint=kept, resume=True)
    kept.write_bytes(good)
    assert fit(linear(), few, checkpoint=kept, resume=True).epochs == 2


@pytest.mark.parametrize(
    ("build", "settings", "words"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 12)), {}, r"\(10, 784\), not \(12, 78"),
        (linear, {"steps_per_epoch": 2}, "steps_per_epoch 3, not 2"),
        (linear, {"seed": 5}, "seed 0, not 5"),
        (linear, {"average": 0.9}, "average 0.0, not 0.9"),
    ],
)
def test_the_checkpoint_of_another_run_says_in_what(build, settings, words, kept, few):
    with pytest.raises(ValueError, match=f"belongs to another run, with .*{words}") as told:
        fit(build(), few, checkpoint=kept, resume=True, **settings)
    assert "\n" not in str(told.value)


def test_a_place_for_no_checkpoint_is_told_before_the_first_epoch(few, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path, tmp_path / "file" / "run.pt", Path("/proc/nope/run.pt")):
        epochs = []
        with pytest.raises(OSError, match=re.escape(str(path))) as told:
            fit(linear(), few, checkpoint=path, on_epoch=epochs.append)
        assert "\n" not in str(told.value)
        assert epochs == []


def test_a_full_disk_costs_nothing_that_was_learnt(few, tmp_path, capsys):
    """The system itself refuses to write more than 4 kB, as a full disk would."""
    resource = pytest.importorskip("resource")
    expected, path = fit(linear(), few), tmp_path / "run.pt"
    fit(linear(), few, epochs=1, checkpoint=path)
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    model = linear()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        history = fit(model, few, checkpoint=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told = capsys.readouterr().out
    assert f"{path} could not be written: File too large. The training goes on" in told
    assert history.step_loss == expected.step_loss
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    assert fit(linear(), few, checkpoint=path).epochs == 2
    assert path.read_bytes() != old


# --- Ctrl-C at any line --------------------------------------------------------------------

FOLDER = str(Path(train.__file__).parent)


def lines_of(work):
    """Every line of vizlib/train that `work` runs, and how often."""
    counted = {}

    def trace(frame, event, _):
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line":
            place = frame.f_code.co_filename, frame.f_lineno
            counted[place] = counted.get(place, 0) + 1
        return trace

    traced(trace, work)
    return counted


def interrupted_at(place, times, work):
    """Do the work, with a Ctrl-C just before the line runs for the so-many-th time."""
    left = times

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line" and (frame.f_code.co_filename, frame.f_lineno) == place:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    return traced(trace, work)


def traced(trace, work):
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return work()
    finally:
        sys.settrace(before)


def test_ctrl_c_between_any_two_lines_leaves_weights_and_history_of_one_moment(few, tmp_path):
    def work():
        model = linear()
        first.append(model)
        return train.fit(
            model, few, recipe=replace(PLAIN, average=0.5), device="cpu", progress=False,
            snapshot_every=1, checkpoint=tmp_path / "run.pt", on_epoch=epochs.append,
        )  # fmt: skip

    first, epochs = [], []
    counted = lines_of(work)
    assert len(counted) > 150
    ended = 0
    for place, often in counted.items():
        for times in {1, often}:
            first.clear()
            epochs.clear()
            try:
                history = interrupted_at(place, times, work)
            except KeyboardInterrupt:
                assert epochs == [], place  # only where nothing was learnt yet
                assert torch.equal(first[0][1].weight, linear()[1].weight), place
                continue
            ended += 1
            consistent(history, first[0], f"{place}, time {times}")
    assert ended > 150


def consistent(history, model, where):
    epochs = history.epochs
    for name in ("train_loss", "val_loss", "val_accuracy", "seconds", "learning_rate"):
        assert len(getattr(history, name)) == epochs, where
    assert len(history.step_loss) == len(history.step_accuracy) == 3 * epochs, where
    assert sorted(history.snapshots) in ([], list(range(epochs + 1))), where
    assert not model.training, where
    expected = history.snapshots[history.best_epoch] if epochs else linear().state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), where
    assert history.interrupted or epochs == 2, where
