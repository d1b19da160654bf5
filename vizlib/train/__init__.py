"""Train a network, keep its best weights by validation, and remember how it went.

>>> from vizlib import data, models
>>> digits, model = data.load("digits"), models.build("mlp", seed=0)
>>> history = fit(model, digits, epochs=2, progress=False)
>>> history.epochs, evaluate(model, digits).accuracy > 0.5
(2, True)

Training looks at the training and validation splits alone; the test split is read by `evaluate`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vizlib import recipes, words
from vizlib.data import Digits
from vizlib.history import History
from vizlib.models import checked_seed
from vizlib.recipes import Recipe
from vizlib.train import _checkpoint
from vizlib.train._check import check_digits, check_model, check_numbers
from vizlib.train._evaluate import Metrics, evaluate
from vizlib.train._run import OnEpoch, OnStep, Run

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["History", "Metrics", "Recipe", "evaluate", "fit", "pick_device"]


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on; "auto" is CUDA, then Apple's MPS, then the CPU.

    Raises ValueError for a device that is not here.
    """
    if str(device) != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError):
            best = pick_device()
            raise ValueError(f"there is no device {str(device)!r} here; choose {best}") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def fit(
    model: nn.Module,
    digits: Digits,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    recipe: Recipe | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    snapshot_every: int = 0,
    steps_per_epoch: int | None = None,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    **changes: Any,
) -> History:
    """Train `model`, and leave it with its best weights, in eval mode, on the device it was on.

    How it is trained stands in a `Recipe`: the one given, else the network's own; `epochs`,
    `batch_size`, `learning_rate` and any other field named in `changes` replace what stands
    there. The best weights are those with the highest accuracy on the **validation** split after
    an epoch.

    With a `checkpoint` (a path), all that is needed to go on is written there after each epoch,
    and `resume=True` goes on from it: on a CPU with as many threads as before, to the very bits
    that an uninterrupted run would have reached. `snapshot_every=k` keeps the weights of epoch 0
    and of every k-th epoch in the history. `steps_per_epoch` cuts each epoch short, for trying
    things out. `on_epoch` is called with the history after each epoch, `on_step` with the number
    of the step (1, 2, …) and its mean loss after each batch; the loss is a tensor on the device,
    and a GPU waits for whoever reads it. Interrupting (Ctrl-C, a notebook's stop button) keeps the
    best weights and the history so far.

    On an NVIDIA GPU a whole step is launched at once, as a graph, where that is the same; the
    history's `step_kind` says whether it was, and why not. Started by `torchrun` or
    `accelerate launch`, every process trains on its share of each batch.

    Raises ValueError for a setting that does not exist, and for digits, a network or a checkpoint
    that cannot be trained with; TypeError for what is no network or no digits; OSError where no
    checkpoint can be written; FloatingPointError where the loss is no longer a number.
    """
    named = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    changes |= {key: value for key, value in named.items() if value is not None}
    seed = checked_seed(seed)
    check_numbers(steps=steps_per_epoch, snapshot_every=snapshot_every)
    check_digits(digits)
    plan = _plan(model, recipe, changes)
    path = _checkpoint_path(checkpoint, resume=resume)
    accelerator = _accelerator()
    target = accelerator.device if accelerator else pick_device(device)
    with _training_allowed(target):
        check_model(model, digits, plan.batch_size)
    run = Run(model, digits, plan, target, accelerator, seed, steps_per_epoch, snapshot_every, path)
    try:
        with _training_allowed(target):
            torch.manual_seed(seed)
            return run.train(on_epoch, on_step, resume=resume, progress=progress)
    except KeyboardInterrupt:
        return run.stopped()


@contextmanager
def _training_allowed(device: torch.device) -> Iterator[None]:
    """Train also inside `no_grad`, and leave the random numbers of others alone."""
    devices = [device] if device.type == "cuda" else []
    with torch.inference_mode(mode=False), torch.enable_grad(), torch.random.fork_rng(devices):
        yield


def _checkpoint_path(checkpoint: str | Path | None, *, resume: bool) -> Path | None:
    if checkpoint is None:
        if resume:
            raise ValueError("resume=True needs checkpoint=…, the file that the run was kept in")
        return None
    _checkpoint.refuse_unwritable(Path(checkpoint))
    return Path(checkpoint)


def _plan(model: nn.Module, recipe: Recipe | None, changes: dict[str, Any]) -> Recipe:
    known = list(Recipe.__dataclass_fields__)
    for name in changes.keys() - known:
        raise ValueError(words.unknown("setting of fit", name, known))
    return (recipe or recipes.recipe(getattr(model, "name", ""))).changed(**changes)


def _accelerator() -> Accelerator | None:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from accelerate import Accelerator

    return Accelerator()
