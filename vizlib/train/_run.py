"""One training run: what changes while it goes on, and how to save and restore that."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from vizlib import files
from vizlib.data import Digits
from vizlib.history import History
from vizlib.recipes import Recipe
from vizlib.train._evaluate import Metrics, evaluate

if TYPE_CHECKING:
    from accelerate import Accelerator


OnEpoch = Callable[[History], object]
OnStep = Callable[[int, Tensor], object]
# Of one step: the sum of the losses, the right answers, and the images.
Counts = tuple[Tensor, Tensor, int]


class Run:
    """A network, its optimizer and its random numbers, from one epoch to the next."""

    def __init__(
        self,
        model: nn.Module,
        digits: Digits,
        plan: Recipe,
        accelerator: Accelerator | None,
        *,
        seed: int,
        steps: int | None,
    ) -> None:
        self.plan, self.digits, self.accelerator = plan, digits, accelerator
        self.device = next(model.parameters()).device
        # Convolutions run up to half again as fast with the channels innermost.
        self.model = model.to(memory_format=torch.channels_last)
        self.stepped = accelerator.prepare_model(model) if accelerator else model
        self.averaged = _averaged(model, plan.average) if plan.average else None
        self.generator = torch.Generator().manual_seed(seed)
        rank = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
        self.batches = digits.batches(
            "train",
            plan.batch_size,
            device=self.device,
            shuffle=True,
            augment=plan.augment,
            generator=self.generator,
            share=rank,
        )
        self.steps = min(steps or len(self.batches), len(self.batches))
        self.optimizer = plan.make_optimizer(self.stepped)
        self.schedule = plan.make_schedule(self.optimizer, self.steps)
        settings = asdict(plan) | {"augment": repr(plan.augment), "seed": seed}
        name = getattr(model, "name", type(model).__name__)
        self.history = History(name, digits.name, settings)
        self.best = _copy(model)
        self.snapshot_every = 0
        self.checkpoint: Path | None = None

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and draws the progress bar."""
        return self.accelerator is None or self.accelerator.is_main_process

    def train(
        self, on_epoch: OnEpoch | None, on_step: OnStep | None = None, *, progress: bool
    ) -> None:
        """Run the epochs that are left."""
        history, total = self.history, self.plan.epochs * self.steps
        bar = tqdm(
            total=total,
            initial=history.epochs * self.steps,
            unit="step",
            disable=not (progress and self.leads),
        )
        if self.snapshot_every and not history.snapshots:
            history.snapshots[0] = _copy(self.model)
        try:
            while history.epochs < self.plan.epochs:
                self._epoch(bar, on_step)
                if self.checkpoint and self.leads:
                    self._save()
                if on_epoch:
                    on_epoch(history)
        except KeyboardInterrupt:
            history.interrupted = True
            bar.write(
                f"Stopped after {history.epochs} of {self.plan.epochs} epochs; "
                f"the best weights so far (epoch {history.best_epoch}) and the history are kept."
            )
        finally:
            bar.close()

    def _epoch(self, bar: tqdm, on_step: OnStep | None) -> None:
        started, epoch = time.perf_counter(), self.history.epochs + 1
        self.stepped.train()
        done = len(self.history.step_loss)
        steps = []
        for number, (images, labels) in zip(range(self.steps), self.batches, strict=False):
            steps.append(self._step(number, images, labels))
            bar.update()
            if on_step and self.leads:
                on_step(done + number + 1, steps[-1][0] / len(labels))
        counts = self._gathered(steps)
        self._refuse_nan(counts[:, 0])
        seconds = time.perf_counter() - started
        metrics = evaluate(self._candidate(), self.digits, "val")
        self._remember(counts, seconds, metrics)
        if self.history.best_epoch == epoch:
            self.best = _copy(self._candidate())
        if self.snapshot_every and epoch % self.snapshot_every == 0:
            self.history.snapshots[epoch] = _copy(self._candidate())
        bar.set_postfix_str(f"validation {metrics.accuracy:.2%}")

    def _step(self, number: int, images: Tensor, labels: Tensor) -> Counts:
        left = len(self.batches.labels) - number * self.plan.batch_size
        rows = min(self.plan.batch_size, left)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bfloat16()):
            logits = self.stepped(images)
        loss = F.cross_entropy(
            logits.float(), labels, label_smoothing=self.plan.label_smoothing, reduction="sum"
        )
        self.optimizer.zero_grad(set_to_none=True)
        # Several processes average their gradients: the mean over the whole batch is then the
        # sum over this share, divided by an equal part of the rows.
        loss.backward(torch.full_like(loss, self.batches.share[1] / rows))
        self.optimizer.step()
        self.schedule.step()
        if self.averaged:
            self.averaged.update_parameters(self.model)
        # Left on the device: reading a number at every step would make a GPU wait.
        return loss.detach(), (logits.argmax(1) == labels).sum(), len(labels)

    def _is_bfloat16(self) -> bool:
        if self.plan.precision == "auto":
            is_gpu = self.device.type == "cuda"
            return is_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.plan.precision == "bfloat16"

    def _candidate(self) -> nn.Module:
        return self.averaged.module if self.averaged else self.model

    def _gathered(self, steps: list[Counts]) -> Tensor:
        """Return the counts of each step and of all processes as one tensor (steps, 3)."""
        losses, rights, sizes = zip(*steps, strict=True)
        seen = torch.tensor(sizes, dtype=torch.float32, device=self.device)
        counts = torch.stack([torch.stack(losses), torch.stack(rights).float(), seen], dim=1)
        if self.accelerator:
            counts = self.accelerator.reduce(counts, "sum")
        return counts.cpu()

    def _refuse_nan(self, losses: Tensor) -> None:
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            step = len(self.history.step_loss) + int(broken[0]) + 1
            rate = self.plan.learning_rate
            raise FloatingPointError(
                f"the loss was no longer a number at step {step}, with a learning rate of up to "
                f"{rate:g}: it was probably too large, try {rate / 10:g}"
            )

    def _remember(self, counts: Tensor, seconds: float, metrics: Metrics) -> None:
        history, (loss, right, seen) = self.history, counts.double().sum(0).tolist()
        history.step_loss += (counts[:, 0] / counts[:, 2]).tolist()
        history.step_accuracy += (counts[:, 1] / counts[:, 2]).tolist()
        history.train_loss.append(loss / seen)
        history.train_accuracy.append(right / seen)
        history.val_loss.append(metrics.loss)
        history.val_accuracy.append(metrics.accuracy)
        history.learning_rate.append(self.schedule.get_last_lr()[0])
        history.seconds.append(seconds)
        history.samples_per_second.append(seen / seconds)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged else {},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "best": self.best,
            "snapshots": self.history.snapshots,
            "history": self.history.to_json(),
        }

    def _save(self) -> None:
        content = io.BytesIO()
        torch.save(self._state(), content)
        files.replace_whole(self.checkpoint, content.getbuffer())

    def resume(self) -> None:
        """Take up the run that the checkpoint holds; ValueError if it was another one."""
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        history = History.from_json(state["history"])
        self._refuse_other(history)
        history.snapshots = state["snapshots"]
        self.history, self.best = history, state["best"]
        self.model.load_state_dict(state["model"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["random"])

    def _refuse_other(self, history: History) -> None:
        mine = {"network": self.history.network, "data": self.history.data, **self.history.recipe}
        theirs = {"network": history.network, "data": history.data, **history.recipe}
        other = [f"{k} {theirs.get(k)!r}, not {v!r}" for k, v in mine.items() if theirs.get(k) != v]
        if other:
            raise ValueError(
                f"{self.checkpoint} belongs to another run, with {'; '.join(other)}: "
                "resume with the same settings, or choose another checkpoint"
            )


def _averaged(model: nn.Module, keep: float) -> AveragedModel:
    def update(means: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        # A young mean forgets faster, or it would carry the random start for hundreds of steps.
        share = min(keep, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(share)(means, values, count)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
