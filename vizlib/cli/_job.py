"""One training as the command line runs it: its settings, its log, and the files it leaves."""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from vizlib import data, models, recipes, train, weights
from vizlib.data import Digits
from vizlib.history import History
from vizlib.recipes import Recipe
from vizlib.train import Metrics, OnStep
from vizlib.words import counted, percent

_UNTOLD = {"split", "recipe", "history", "version", "torch"}  # in the file, not on the screen
_FEW = 200  # steps: with fewer, hardly any network has learnt to read
_DRY = {"epochs": 1, "steps_per_epoch": 1}


def plan(name: str, *, augment: bool | None, **settings: Any) -> Recipe:
    """Return the network's recipe with those settings in it that are not None."""
    given = {key: value for key, value in settings.items() if value is not None}
    if "gamma" in given and given.setdefault("schedule", "step").lower() != "step":
        raise ValueError(f"--gamma goes with --schedule step, not {given['schedule']}")
    if augment is not None:
        given["augment"] = data.Affine() if augment else None
    return recipes.recipe(name).changed(**given)


def untrained(name: str, seed: int, start: Path | None) -> nn.Module:
    """Build a network, with the weights in the file `start` if given."""
    model = models.build(name, seed=seed)
    return weights.load_into(model, start) if start else model


def learn(
    model: nn.Module,
    digits: Digits,
    recipe: Recipe,
    folder: Path | None,
    *,
    dry_run: bool,
    resume: bool,
    log_interval: int,
    **options: Any,
) -> History:
    """Train, with a checkpoint in the folder and a line on stderr every so many steps."""
    checkpoint = folder / "checkpoint.pt" if folder else None
    steps = 1 if dry_run else math.ceil(len(digits.train) / recipe.batch_size)
    _say_what_will_be(checkpoint, resume=resume)
    if not dry_run and recipe.epochs * steps < _FEW:
        sys.stderr.write(
            f"{len(digits.train):,} images make few steps, here {recipe.epochs * steps}: "
            f"--epochs {math.ceil(2 * _FEW / steps)} will teach the network more.\n"
        )
    # What a training says on stdout, when it is interrupted, would be no JSON.
    with contextlib.redirect_stdout(sys.stderr):
        return train.fit(
            model,
            digits,
            recipe=recipe,
            checkpoint=checkpoint,
            resume=resume,
            on_step=_log(log_interval, steps) if log_interval else None,
            **options | (_DRY if dry_run else {}),
        )


def _say_what_will_be(checkpoint: Path | None, *, resume: bool) -> None:
    """Say before a training that it begins anew, where one might not expect that."""
    if checkpoint is None or not checkpoint.is_file():
        if resume:
            sys.stderr.write("There is nothing to resume yet: starting from the beginning.\n")
    elif not resume:
        sys.stderr.write(
            f"This run replaces the one in {checkpoint.parent} when its first epoch is over: stop "
            "it and give --out another folder, or --resume, to keep that.\n"
        )


def _log(every: int, steps: int) -> OnStep:
    def on_step(step: int, loss: torch.Tensor) -> None:
        if step % every == 0:
            epoch, number = divmod(step - 1, steps)
            line = f"epoch {epoch + 1}, step {number + 1} of {steps}: loss {float(loss):.4f}"
            tqdm.write(line, file=sys.stderr)

    return on_step


def keep(model: nn.Module, history: History, facts: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write the weights, with what is known about them, and the history; return their paths.

    Where the folder has no room any more, they go to a new one for temporary files: what was
    trained is not lost.
    """
    try:
        return _written(model, history, facts, folder)
    except OSError as error:
        refuge = Path(tempfile.mkdtemp(prefix="vizlib-"))
        sys.stderr.write(f"{error}: what was trained goes to {refuge}\n")
        return _written(model, history, facts, refuge)


def _written(
    model: nn.Module, history: History, facts: dict[str, Any], folder: Path
) -> dict[str, str]:
    files = {"weights": folder / "weights.safetensors", "history": folder / "history.json"}
    weights.save(model, files["weights"], **history.facts() | facts)
    history.save(files["history"])
    return {name: str(path) for name, path in files.items()}


def facts(history: History, metrics: Metrics) -> dict[str, Any]:
    """Return what came out of a training, in the names that `weights.info` has for it."""
    told = {key: value for key, value in history.facts().items() if key not in _UNTOLD}
    tested = int(metrics.confusion.sum())
    return told | {"accuracy": metrics.accuracy, "loss": metrics.loss, "tested": tested}


def report(facts: dict[str, Any]) -> str:
    """Return the same in words."""
    epochs = counted(facts["epochs"], "epoch")
    lines = [
        f"{facts['network']}, {epochs} of {facts['data']}: {facts['seconds']} s",
        f"best epoch  {facts['best_epoch']}",
        f"validation  {percent(facts['val_accuracy'])}",
        f"test        {percent(facts['accuracy'])} of {facts['tested']:,} images",
    ]
    return "\n".join(lines + [f"written     {path}" for path in facts.get("files", {}).values()])
