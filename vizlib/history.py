"""What a training run measured, kept as plain JSON that any program can read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vizlib
from vizlib import files, weights

_MOST_BYTES = 100_000_000
_MOST_DIGITS = 9  # of an epoch's number


@dataclass
class History:
    """One entry an epoch, and the loss and accuracy of every step.

    Losses are mean cross-entropies in nats and accuracies shares in 0…1. The training figures
    are means over an epoch, taken while the network learns; the validation figures are taken at
    its end. `step_kind` says whether steps were "graphed", each launched on a GPU at once, or
    "ordinary", and then why. `snapshots` maps an epoch (0 is before training) to the weights it
    ended with.

    >>> history = History(network="lenet", val_accuracy=[0.97, 0.99, 0.98], val_loss=[0.1] * 3)
    >>> history.epochs, history.best_epoch
    (3, 2)
    """

    network: str = ""
    data: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    step_accuracy: list[float] = field(default_factory=list)
    interrupted: bool = False
    step_kind: str = ""
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def epochs(self) -> int:
        """How many epochs were completed."""
        return len(self.val_accuracy)

    @property
    def scores(self) -> list[tuple[float, float]]:
        """What ranks epochs, and runs by their best one: most right, then least loss.

        >>> History(val_accuracy=[0.97, 0.99, 0.99], val_loss=[0.1, 0.05, 0.04]).scores[1:]
        [(0.99, -0.05), (0.99, -0.04)]
        """
        return [(a, -b) for a, b in zip(self.val_accuracy, self.val_loss, strict=True)]

    @property
    def best_epoch(self) -> int:
        """The epoch (1, 2, …) whose weights were kept, the one with the best score; 0 if none."""
        return self.scores.index(max(self.scores)) + 1 if self.scores else 0

    def facts(self) -> dict[str, Any]:
        """Return what a reader of the weights should know about their training, curves and all.

        >>> history = History(network="lenet", val_accuracy=[0.97, 0.99], val_loss=[0.1, 0.1])
        >>> history.facts()["best_epoch"], history.facts()["history"]["val_accuracy"]
        (2, [0.97, 0.99])
        """
        curves = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")
        return {
            "network": self.network,
            "data": self.data,
            "split": "validation held out of the training images by a permutation with seed 0",
            "recipe": {key: value for key, value in self.recipe.items() if key != "seed"},
            "seed": self.recipe.get("seed"),
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "val_accuracy": max(self.val_accuracy, default=None),
            "seconds": round(sum(self.seconds), 1),
            "interrupted": self.interrupted,
            "history": {name: [round(v, 5) for v in getattr(self, name)] for name in curves},
            "version": vizlib.__version__,
            "torch": torch.__version__,
        }

    def to_json(self) -> str:
        """Return all but the snapshots as JSON text."""
        return json.dumps({k: v for k, v in vars(self).items() if k != "snapshots"}, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str | Path = "the text") -> History:
        """Read what `to_json` wrote; raises ValueError for any other text, naming its `source`."""
        try:
            history = cls(**json.loads(text))
            fault = _fault(history)
        except (TypeError, ValueError, OverflowError, RecursionError):
            fault = "it is no JSON with the names that History.to_json gives"
        if fault:
            raise ValueError(f"{source} holds no training history: {fault}")
        return history

    def save(self, path: str | Path) -> None:
        """Write JSON to `path`, all or nothing, and the snapshots beside it as safetensors."""
        path = Path(path)
        files.replace_whole(path, self.to_json())
        if self.snapshots:
            named = {f"{e}/{k}": v for e, state in self.snapshots.items() for k, v in state.items()}
            weights.save_tensors(named, path.with_suffix(".snapshots.safetensors"))

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what `save` wrote; raises FileNotFoundError, or ValueError for another file."""
        path = files.check_readable(path, _MOST_BYTES)
        history = cls.from_json(path.read_bytes().decode(errors="replace"), path)
        beside = path.with_suffix(".snapshots.safetensors")
        if beside.is_file():
            for key, value in weights.read_tensors(beside).items():
                epoch, _, name = key.partition("/")
                if not epoch.isdecimal() or len(epoch) > _MOST_DIGITS:
                    raise ValueError(
                        f"{beside} holds no snapshots: {key[:40]!r} begins with no epoch"
                    )
                history.snapshots.setdefault(int(epoch), {})[name] = value
        return history


def _fault(history: History) -> str:
    """Return what is wrong with a history that was read from a text; nothing if all is right."""
    for name, usual in vars(History()).items():
        value = getattr(history, name)
        if type(value) is not type(usual):
            return f"{name} is {type(value).__name__}, not {type(usual).__name__}"
        if isinstance(value, list) and not all(
            type(each) in {int, float} and math.isfinite(each) for each in value
        ):
            return f"{name} holds something that is not a number"
    if history.snapshots:
        return "its snapshots are tensors, which are kept in a file beside it"
    lists = {name: value for name, value in vars(history).items() if isinstance(value, list)}
    lengths = {name: len(value) for name, value in lists.items() if not name.startswith("step_")}
    if len(history.val_loss) != history.epochs or set(lengths.values()) - {0, history.epochs}:
        return f"its lists do not have one entry for each epoch: {lengths}"
    return ""
