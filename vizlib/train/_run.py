"""One training run: what changes while it goes on, and how to save and restore that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizlib.data import Digits
from vizlib.history import History
from vizlib.recipes import Recipe
from vizlib.train import _checkpoint
from vizlib.train._evaluate import Metrics, evaluate
from vizlib.train._graph import Cuda, GraphedStep
from vizlib.train._step import RunningMean, Step

if TYPE_CHECKING:
    from accelerate import Accelerator


OnEpoch = Callable[[History], object]
OnStep = Callable[[int, Tensor], object]
State = dict[str, Tensor]


@dataclass(eq=False)
class Run:
    """A network, its optimizer and its random numbers, from one epoch to the next."""

    model: nn.Module
    digits: Digits
    plan: Recipe
    device: torch.device
    accelerator: Accelerator | None
    seed: int
    steps_per_epoch: int | None
    snapshot_every: int
    checkpoint: Path | None

    def __post_init__(self) -> None:
        """Take the first weights as the best so far."""
        plan, many = self.plan, self.accelerator
        self.home = next((parameter.device for parameter in self.model.parameters()), self.device)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.batches = self.digits.batches(
            "train",
            plan.batch_size,
            device=self.device,
            shuffle=True,
            augment=plan.augment,
            generator=self.generator,
            share=(many.process_index, many.num_processes) if many else (0, 1),
        )
        # How many images each step sees, in all processes together.
        rows = torch.arange(len(self.batches.labels)).split(plan.batch_size)
        self.sizes = torch.tensor([len(each) for each in rows[: self.steps_per_epoch]])
        self.leads = many is None or many.is_main_process  # writes files, draws the bar
        settings = asdict(plan) | {"augment": repr(plan.augment), "seed": self.seed}
        name = getattr(self.model, "name", type(self.model).__name__)
        # In one tuple: whoever is interrupted finds both from before an epoch, or both from after.
        self.kept = History(name, self.digits.name, settings), _copy(self.model)

    @property
    def history(self) -> History:
        """How the epochs went that are over."""
        return self.kept[0]

    @property
    def best(self) -> State:
        """The weights of the best of them."""
        return self.kept[1]

    def train(
        self, on_epoch: OnEpoch | None, on_step: OnStep | None, *, resume: bool, progress: bool
    ) -> History:
        """Run the epochs that are left, and leave the model with its best weights."""
        try:
            self._begin()
            if resume and self.checkpoint and self.checkpoint.is_file():
                self._resume(self.checkpoint)
            self._epochs(on_epoch, on_step, progress=progress)
        finally:
            self._put_back()
        return self.history

    def stopped(self) -> History:
        """Return the history of the epochs that were over when Ctrl-C came, and say so."""
        self._put_back()  # once more: it may have come in the middle of that
        history = self.history
        history.interrupted = True
        kept = f"the best weights so far (epoch {history.best_epoch}) and the history are kept"
        what = f"; {kept}" if history.epochs else ": the network is as it was before"
        tqdm.write(f"Stopped after {history.epochs} of {self.plan.epochs} epochs{what}.")
        return history

    def _begin(self) -> None:
        # Convolutions run up to half again as fast with the channels innermost.
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.stepped = self.model
        if self.accelerator:
            self.stepped = self.accelerator.prepare_model(self.model)
        self.mean = RunningMean(self.model, self.plan.average) if self.plan.average else None
        self.candidate = self.mean.model if self.mean else self.model
        self.optimizer = self.plan.make_optimizer(self.stepped)
        self.schedule = self.plan.make_schedule(self.optimizer, len(self.sizes))
        alone = f"the device is {self.device.type}"
        kind = f"ordinary: {'several processes train together' if self.accelerator else alone}"
        how = self.plan.label_smoothing, self._is_bfloat16(), kind
        step = Step(self.stepped, self.optimizer, self.schedule, self.mean, *how)
        cuda = None if self.accelerator else _cuda(self.device)
        self.step = GraphedStep(step, cuda, self.plan.batch_size) if cuda else step

    def _put_back(self) -> None:
        self.model.load_state_dict(self.best)
        self.model.to(self.home).to(memory_format=torch.contiguous_format).eval()

    def _epochs(self, on_epoch: OnEpoch | None, on_step: OnStep | None, *, progress: bool) -> None:
        if self.snapshot_every and not self.history.snapshots:
            self.history.snapshots[0] = _on_cpu(_copy(self.model))
        with tqdm(
            total=self.plan.epochs * len(self.sizes),
            initial=self.history.epochs * len(self.sizes),
            unit="step",
            disable=not (progress and self.leads),
        ) as bar:
            while self.history.epochs < self.plan.epochs:
                self._epoch(bar, on_step)
                if self.checkpoint and self.leads:
                    self._save(self.checkpoint)
                if on_epoch:
                    on_epoch(self.history)

    def _epoch(self, bar: tqdm, on_step: OnStep | None) -> None:
        started = time.perf_counter()
        self.stepped.train()
        counts = self._steps(bar, on_step)
        self._refuse_nan(counts[:, 0])
        seconds = time.perf_counter() - started
        metrics = evaluate(self.candidate, self.digits, "val")
        history = self._continued(counts, seconds, metrics)
        is_best = history.best_epoch == history.epochs
        if self.snapshot_every and history.epochs % self.snapshot_every == 0:
            snapshot = _on_cpu(_copy(self.candidate))
            history.snapshots = history.snapshots | {history.epochs: snapshot}
        self.kept = history, _copy(self.candidate) if is_best else self.best
        bar.set_postfix_str(f"validation {metrics.accuracy:.2%}")

    def _steps(self, bar: tqdm, on_step: OnStep | None) -> Tensor:
        """Learn from each batch; return what `Step` counted, of all processes, as (steps, 2)."""
        done, counts = len(self.history.step_loss), []
        for size, (images, labels) in zip(self.sizes.tolist(), self.batches, strict=False):
            # Several processes average their gradients: the mean over the whole batch is then the
            # sum over this share, divided by an equal part of the rows.
            counts.append(self.step(images, labels, self.batches.share[1] / size))
            bar.update()
            if on_step and self.leads:
                on_step(done + len(counts), counts[-1][0] / len(labels))
        total = torch.stack(counts)
        return (self.accelerator.reduce(total, "sum") if self.accelerator else total).cpu()

    def _is_bfloat16(self) -> bool:
        if self.plan.precision == "auto":
            is_gpu = self.device.type == "cuda"
            return is_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.plan.precision == "bfloat16"

    def _refuse_nan(self, losses: Tensor) -> None:
        broken = (~losses.isfinite()).nonzero()
        if not len(broken):
            return
        step, rate = len(self.history.step_loss) + int(broken[0]) + 1, self.plan.learning_rate
        reason = f"with a learning rate of {rate:g}: it was probably too large, try {rate / 10:g}"
        if step == 1:
            reason = "before anything was learnt: look at what the network does when it trains"
        raise FloatingPointError(f"the loss was no longer a number at step {step}, {reason}")

    def _continued(self, counts: Tensor, seconds: float, metrics: Metrics) -> History:
        """Return the history with another epoch, and leave the one that is there as it is."""
        loss, right = counts.double().sum(0).tolist()
        seen = int(self.sizes.sum())
        new = {
            "train_loss": [loss / seen],
            "train_accuracy": [right / seen],
            "val_loss": [metrics.loss],
            "val_accuracy": [metrics.accuracy],
            "learning_rate": [self.schedule.get_last_lr()[0]],
            "seconds": [seconds],
            "samples_per_second": [seen / seconds],
            "step_loss": (counts[:, 0] / self.sizes).tolist(),
            "step_accuracy": (counts[:, 1] / self.sizes).tolist(),
        }
        longer = {name: getattr(self.history, name) + values for name, values in new.items()}
        return replace(self.history, step_kind=self.step.kind, **longer)

    def _state(self) -> dict[str, Any]:
        history, best = self.kept
        return {
            "model": self.model.state_dict(),
            "mean": (self.mean.model.state_dict(), self.mean.count) if self.mean else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.generator.get_state(),
            "random": [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self._gpu())],
            "steps": len(self.sizes),
            "best": best,
            "snapshots": history.snapshots,
            "history": history.to_json(),
        }

    def _gpu(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []

    def _save(self, path: Path) -> None:
        try:
            _checkpoint.write(path, self._state())
        except OSError as error:
            tqdm.write(f"{error}. The training goes on, and tries again after the next epoch.")

    def _resume(self, path: Path) -> None:
        """Take up the run that the checkpoint holds; ValueError if it was another one."""
        state = _checkpoint.read(path)
        history = History.from_json(state["history"], path)
        self._refuse_other(history, state)
        history.snapshots = state["snapshots"]
        self.model.load_state_dict(state["model"])
        if self.mean:
            weights, self.mean.count = state["mean"]
            self.mean.model.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["order"])
        cpu, *gpus = state["random"]
        torch.set_rng_state(cpu)
        for numbers, gpu in zip(gpus, self._gpu(), strict=False):
            torch.cuda.set_rng_state(numbers, gpu)
        self.kept = history, state["best"]

    def _refuse_other(self, history: History, state: dict[str, Any]) -> None:
        mine = _facts(self.history, len(self.sizes), self.model.state_dict())
        theirs = _facts(history, state["steps"], state["model"])
        other = [f"{k} {theirs.get(k)!r}, not {v!r}" for k, v in mine.items() if theirs.get(k) != v]
        if other:
            raise ValueError(
                f"{self.checkpoint} belongs to another run, with {'; '.join(other)}: "
                "resume with the same settings, or choose another checkpoint"
            )


def _cuda(device: torch.device) -> Cuda | None:
    return Cuda(device) if device.type == "cuda" else None


def _facts(history: History, steps: int, weights: State) -> dict[str, Any]:
    """Return all in which a run must agree with the one that it goes on with."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    about = {"network": history.network, "data": history.data, "steps_per_epoch": steps}
    return {**about, **history.recipe, **shapes}


def _copy(model: nn.Module) -> State:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def _on_cpu(weights: State) -> State:
    return {key: value.cpu() for key, value in weights.items()}
