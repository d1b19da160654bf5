import json
import os

import pytest
import torch

from vizlib import weights
from vizlib.history import History


@pytest.fixture
def history():
    return History(
        network="lenet", val_accuracy=[0.9, 0.95, 0.95, 0.95], val_loss=[0.1, 0.3, 0.2, 0.25]
    )


def test_the_best_epoch_is_most_right_then_least_loss(history):
    assert history.best_epoch == 3
    assert History().best_epoch == 0


def test_it_comes_back_from_plain_json(history, tmp_path):
    history.save(tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["val_loss"] == [0.1, 0.3, 0.2, 0.25]
    assert History.load(tmp_path / "run.json") == history


def test_snapshots_go_beside_it(history, tmp_path):
    history.snapshots = {0: {"fc.weight": torch.ones(2)}, 10: {"fc.weight": torch.zeros(2)}}
    history.save(tmp_path / "run.json")
    again = History.load(tmp_path / "run.json")
    assert list(again.snapshots) == [0, 10]
    assert torch.equal(again.snapshots[0]["fc.weight"], torch.ones(2))
    assert torch.equal(again.snapshots[10]["fc.weight"], torch.zeros(2))


@pytest.mark.parametrize("text", ["{", "[1]", '{"speed": 3}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json holds no training history"):
        History.load(tmp_path / "run.json")


def test_weights_of_the_same_name_are_not_mistaken_for_snapshots(history, tmp_path):
    weights.save_tensors({"fc.weight": torch.ones(2)}, tmp_path / "run.safetensors")
    history.save(tmp_path / "run.json")
    assert History.load(tmp_path / "run.json").snapshots == {}


ODD = {
    "a number as text": '{"val_accuracy": ["a"], "val_loss": [1]}',
    "lists of unlike length": '{"val_accuracy": [1, 1], "val_loss": [1]}',
    "no number": '{"val_accuracy": [NaN], "val_loss": [NaN]}',
    "infinity": '{"val_accuracy": [1], "val_loss": [Infinity]}',
    "a list of objects": '{"val_accuracy": [{}], "val_loss": [{}]}',
    "an object for a list": '{"val_accuracy": {"a": 1}, "val_loss": {"a": 1}}',
    "a text for a list": '{"val_accuracy": "abc", "val_loss": "abc"}',
    "true": '{"val_accuracy": [true], "val_loss": [false]}',
    "null": '{"val_accuracy": null}',
    "a number for a name": '{"network": 5}',
    "a list for a recipe": '{"recipe": []}',
    "snapshots": '{"snapshots": [1]}',
    "named snapshots": '{"snapshots": {"1": 5}}',
    "deep": "[" * 100_000,
    "nothing": "",
    "a list": "[]",
    "a text": '"lenet"',
    "a huge number": '{"val_accuracy": [1e999], "val_loss": [1]}',
    "one list too short": '{"val_accuracy": [1, 1], "val_loss": [1, 1], "train_loss": [1]}',
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_odd_history_is_one_sentence(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json holds no training history: ") as error:
        History.load(tmp_path / "run.json")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0" * 50, b"\x80" * 9])
def test_bytes_that_are_no_text_are_one_sentence(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json holds no training history: "):
        History.load(tmp_path / "run.json")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, str])
def test_what_is_no_file_is_told_at_once(tmp_path, make):
    make(tmp_path / "run.json")
    with pytest.raises((ValueError, OSError), match=r"run\.json( is a (pipe|folder)|$)"):
        History.load(tmp_path / "run.json")


def test_odd_snapshots_are_named(history, tmp_path):
    history.save(tmp_path / "run.json")
    beside = tmp_path / "run.snapshots.safetensors"
    weights.save_tensors({"fc.weight": torch.ones(2)}, beside)
    with pytest.raises(ValueError, match=r"run\.snapshots\.safetensors holds no snapshots: 'fc\."):
        History.load(tmp_path / "run.json")
    weights.save_tensors({f"{'9' * 5000}/fc.weight": torch.ones(2)}, beside)
    with pytest.raises(ValueError, match=r"run\.snapshots\.safetensors holds no snapshots: '999"):
        History.load(tmp_path / "run.json")
    beside.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"run\.snapshots\.safetensors is damaged"):
        History.load(tmp_path / "run.json")
