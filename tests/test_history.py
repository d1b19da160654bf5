import json

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
