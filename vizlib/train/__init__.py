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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vizlib import recipes
from vizlib.data import Digits
from vizlib.history import History
from vizlib.recipes import Recipe
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
    and `resume=True` goes on from it, on the CPU to the very bits that an uninterrupted run would
    have reached. `snapshot_every=k` keeps the weights of epoch 0 and of every k-th epoch in the
    history. `steps_per_epoch` cuts each epoch short, for trying things out. `on_epoch` is called
    with the history after each epoch, `on_step` with the number of the step (1, 2, …) and its mean
    loss after each batch; the loss is a tensor on the device, and a GPU waits for whoever reads
    it. Interrupting (Ctrl-C, a notebook's stop button) keeps the best weights and the history so
    far.

    Started by `torchrun` or `accelerate launch`, every process trains on its share of each batch.

    Raises ValueError for a setting that does not exist, and FloatingPointError where the loss is
    no longer a number.
    """
    named = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    changes |= {key: value for key, value in named.items() if value is not None}
    plan = _plan(model, recipe, changes)
    accelerator = _accelerator()
    home = next(model.parameters()).device
    target = accelerator.device if accelerator else pick_device(device)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        run = Run(model.to(target), digits, plan, accelerator, seed=seed, steps=steps_per_epoch)
        run.snapshot_every, run.checkpoint = snapshot_every, checkpoint and Path(checkpoint)
        if resume and run.checkpoint and run.checkpoint.is_file():
            run.resume()
        try:
            run.train(on_epoch, on_step, progress=progress)
        finally:
            model.load_state_dict(run.best)
            model.to(home, memory_format=torch.contiguous_format).eval()
    return run.history


def _plan(model: nn.Module, recipe: Recipe | None, changes: dict[str, Any]) -> Recipe:
    unknown = set(changes) - set(Recipe.__dataclass_fields__)
    if unknown:
        known = ", ".join(Recipe.__dataclass_fields__)
        raise ValueError(f"fit has no setting {', '.join(sorted(unknown))}; a recipe has {known}")
    return replace(recipe or recipes.recipe(getattr(model, "name", "")), **changes)


def _accelerator() -> Accelerator | None:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from accelerate import Accelerator

    return Accelerator()
