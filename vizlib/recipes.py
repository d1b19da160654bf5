"""How each network is trained: one table, and the optimizers and schedules it names.

>>> recipe("lenet").optimizer
'sgd'
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

from torch import nn, optim
from torch.optim import lr_scheduler

from vizlib import words
from vizlib.data import Affine, Augment

_MANY = 2**31  # more epochs, or images in a batch, than anybody has
# Of each number: whether it is whole, the least that it may be, and what it must be below.
_LIMITS: dict[str, tuple[type, int, Any]] = {
    "epochs": (Integral, 0, _MANY),
    "batch_size": (Integral, 1, _MANY),
    "learning_rate": (Real, 0, math.inf),
    "label_smoothing": (Real, 0, 1),
    "average": (Real, 0, 1),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained.

    `optimizer` is a class of `torch.optim` and `schedule` one of `SCHEDULES` or a class of
    `torch.optim.lr_scheduler`, stepped after every batch; both are named in any case and take
    further `…_options`. `gamma` is the factor on the learning rate after each epoch of schedule
    "step". `average` is the share that a running mean of the weights keeps at each step (0 for
    none). `precision` is "float32", "bfloat16" or "auto": bfloat16 on a GPU that computes in it.
    Few other processors do; one that has to emulate it takes seven times as long.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.05
    optimizer: str = "sgd"
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    schedule: str = "onecycle"
    schedule_options: dict[str, Any] = field(default_factory=dict)
    gamma: float = 0.5
    label_smoothing: float = 0.0
    augment: Augment | None = None
    average: float = 0.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything: ValueError, TypeError for what is none."""
        for name, (kind, least, below) in _LIMITS.items():
            value: Any = getattr(self, name)
            if not issubclass(type(value), kind):
                what = "whole number" if kind is Integral else "number"
                raise TypeError(f"{name} must be a {what}, but was {value!r}")
            if not value >= least:
                raise ValueError(f"{name} must be at least {least}, but was {value}")
            if not value < below:
                raise ValueError(f"{name} must be less than {below}, but was {value}")
        for name in ("optimizer", "schedule"):
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(
                    f"{name} must be a name, such as 'sgd' or 'onecycle', but was {value}"
                )
        if self.precision not in {"auto", "float32", "bfloat16"}:
            raise ValueError(f"precision is auto, float32 or bfloat16, but was {self.precision!r}")

    def changed(self, **settings: Any) -> Recipe:
        """Return the recipe with other settings; another optimizer or schedule drops its options.

        >>> recipe("lenet").changed(optimizer="adamw").optimizer_options
        {}
        """
        for name in ("optimizer", "schedule"):
            own = getattr(self, name)
            if str(settings.get(name, own)).lower() != own.lower():
                settings.setdefault(f"{name}_options", {})
        return replace(self, **settings)

    def make_optimizer(self, model: nn.Module) -> optim.Optimizer:
        """Return the optimizer over the model's parameters; ValueError for an unknown name."""
        kinds = _classes(optim, optim.Optimizer, but=("lbfgs", "sparseadam"))
        kind = kinds.get(self.optimizer.lower())
        if kind is None:
            raise ValueError(words.unknown("optimizer", self.optimizer, sorted(kinds)))
        # One pass over each parameter in place of one for each operation: up to four times as fast.
        fused = {"fused": True} if "fused" in inspect.signature(kind).parameters else {}
        return kind(model.parameters(), lr=self.learning_rate, **fused | self.optimizer_options)

    def make_schedule(
        self, optimizer: optim.Optimizer, steps_per_epoch: int
    ) -> lr_scheduler.LRScheduler:
        """Return the schedule of the learning rate, to be stepped after each batch."""
        name, options = self.schedule.lower(), self.schedule_options
        steps = max(1, self.epochs * steps_per_epoch)
        if name == "onecycle":
            defaults = {"max_lr": self.learning_rate, "pct_start": 0.25, "cycle_momentum": False}
            return lr_scheduler.OneCycleLR(optimizer, total_steps=steps, **(defaults | options))
        if name == "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, **options)
        if name == "step":
            return lr_scheduler.StepLR(optimizer, steps_per_epoch, self.gamma, **options)
        if name == "constant":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0, **options)
        kinds = _classes(lr_scheduler, lr_scheduler.LRScheduler, but=("reducelronplateau",))
        if name not in kinds:
            known = [*SCHEDULES, *sorted(kinds)]
            raise ValueError(words.unknown("schedule", self.schedule, known))
        try:
            return kinds[name](optimizer, **options)
        except TypeError as error:
            raise ValueError(
                f"the schedule {self.schedule!r} needs other schedule_options than {options}: "
                f"{error}; give them, or choose from {', '.join(SCHEDULES)}"
            ) from error


SCHEDULES = ("onecycle", "cosine", "step", "constant")


def _classes(module: Any, base: type, *, but: tuple[str, ...]) -> dict[str, type]:
    """Return a module's public classes, but those that want more at a step than it has."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    named = {kind.__name__.lower(): kind for kind in kinds if issubclass(kind, base)}
    unfit = {base.__name__.lower(), *but}
    return {name: kind for name, kind in named.items() if name[0] != "_" and name not in unfit}


_SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
_CONV = Recipe(learning_rate=0.06, optimizer_options=_SGD, augment=Affine(), average=0.998)


_EPOCHS = {
    "lenet": 40,
    "newnet": 60,
    "mlp": 120,
    "mlp500": 40,
    "mlp256": 40,
    "cnn": 30,
    "defaultnet": 12,
    "myfullconvnet": 20,
    "mynetv1": 10,
    "mynetv2": 25,
    "myvggnet": 80,
}
_RECIPES = {name: replace(_CONV, epochs=epochs) for name, epochs in _EPOCHS.items()}


def names() -> list[str]:
    """Return the networks that have a recipe of their own."""
    return list(_RECIPES)


def recipe(network: str) -> Recipe:
    """Return how the network of that name is trained; a plain recipe where none is known."""
    return _RECIPES.get(network, Recipe(optimizer_options=_SGD))
