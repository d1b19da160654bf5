"""What a layer reads of the one before it: the layers that pass values on, and those of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vizlib.arithmetic._activations import activation
from vizlib.arithmetic._linear import LinearStep, linear_step
from vizlib.arithmetic._norms import norm_step
from vizlib.arithmetic._softmax import ProbabilityStep, probability_step
from vizlib.arithmetic._steps import Place, Step, largest_place
from vizlib.arithmetic._sums import SumStep
from vizlib.capture import Stage

Seen = list[set[int]]

# What a formula takes for granted, and what a module of an activation is set to.
_USUAL = {"gelu": {"approximate": "none"}, "softplus": {"beta": 1.0, "threshold": 20.0}}
_SETTINGS = {
    "prelu": ("weight",),
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha",),
    "hardtanh": ("min_val", "max_val"),
}


class NoReaderError(ValueError):
    """A layer whose arithmetic is not known here; the message says why, to follow its name."""


class Reader:
    """What a layer reads of the values before it (C, …); this one passes each value on."""

    # Whether each value goes on to one value alone, so that a single one can be followed back.
    passes_on = True

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Look at a stage and at the output before it, of one image and without N."""
        self.module, self.before = stage.module, before
        self.shape = tuple(stage.output.shape[1:])

    def rerun(self, x: Tensor) -> Tensor:
        """Return the whole output for x (1, C, …), as torch computes it."""
        return x if self.module is None else self.module(x)

    def step(self, place: Place) -> tuple[float, Step | None]:
        """Return the value at a place, and how it comes about."""
        return self.before[self.behind(place, None)].item(), None

    def behind(self, place: Place, _step: Step | None) -> Place | None:
        """Return the place before the layer that this value owes most to; None in padding."""
        return place

    def turn(self, _step: Step | None) -> int:
        """Return which of the outputs that are read this value owes most to."""
        return 0

    def seen(self, seen: Seen) -> Seen:
        """Return which positions before the layer can change those positions after it."""
        return seen

    def everything(self) -> Seen:
        """Return every position of each axis behind the channels."""
        return [set(range(count)) for count in self.before.shape[1:]]


class Sum(Reader):
    """Two outputs of one shape, added."""

    passes_on = False

    def __init__(self, stage: Stage, befores: Sequence[Tensor], names: tuple[str, str]) -> None:
        """Take both, and what they are called."""
        super().__init__(stage, befores[0])
        self.befores, self.names = befores, names

    def step(self, place: Place) -> tuple[float, SumStep]:
        """Return the sum at a place."""
        terms = torch.stack([before[place] for before in self.befores])
        total = terms.sum().item()
        return total, SumStep(terms, self.names, total)

    def turn(self, step: SumStep) -> int:
        """Return the larger term's number."""
        return step.largest


class Reshape(Reader):
    """flatten, view, reshape: the same values in the same order in another shape."""

    def rerun(self, x: Tensor) -> Tensor:
        """Return x in the shape that was recorded."""
        return x.reshape(1, *self.shape)

    def behind(self, place: Place, _step: Step | None) -> Place:
        """Return the place with the same number, counted row by row."""
        number = 0
        for index, count in zip(place, self.shape, strict=True):
            number = number * count + index
        found = []
        for count in reversed(self.before.shape):
            number, index = divmod(number, count)
            found.append(index)
        return tuple(reversed(found))

    def seen(self, _seen: Seen) -> Seen:
        """Return everything: a channel is not asked for here, and a row of it is many values."""
        return self.everything()


class Activation(Reader):
    """ReLU and its kin, one value at a time."""

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Find the formula by the name of the class or of the function."""
        super().__init__(stage, before)
        self.name = operation(stage)
        for setting, usual in _USUAL.get(self.name, {}).items():
            if getattr(self.module, setting, usual) != usual:
                raise NoReaderError(
                    f"is {self.name} with {setting}={getattr(self.module, setting)!r}; "
                    f"only {usual!r} is taken apart"
                )
        settings = _SETTINGS.get(self.name, ()) if self.module is not None else ()
        self.settings = {name: getattr(self.module, name) for name in settings}
        if "weight" in self.settings:
            weight = self.settings["weight"].detach().cpu().double()
            self.settings["weight"] = weight.view(-1, *[1] * (before.dim() - 1)).expand(
                before.shape
            )
        try:
            self.rerun(before)
        except ValueError as error:
            raise NoReaderError(f"is {self.name}, which has no formula here: {error}") from None

    def rerun(self, x: Tensor) -> Tensor:
        """Return the activation of everything, by the formula."""
        return activation(self.name, x, **self.settings).y

    def step(self, place: Place) -> tuple[float, Step]:
        """Return the activation of one value."""
        settings = {n: v[place] if torch.is_tensor(v) else v for n, v in self.settings.items()}
        step = activation(self.name, self.before[place], **settings)
        return step.total, step


class Norm(Reader):
    """BatchNorm with its running mean and variance, one value at a time."""

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Note whether mean and variance are the layer's own or this image's."""
        super().__init__(stage, before)
        is_batch_norm = isinstance(
            self.module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
        )
        self.is_running = is_batch_norm and self.module.running_mean is not None
        self.passes_on = self.is_running or isinstance(self.module, nn.LocalResponseNorm)

    def step(self, place: Place) -> tuple[float, Step]:
        """Return the normalization of one value."""
        layer = self.module
        if not self.is_running:
            raise NoReaderError(
                "normalizes with what it sees in this image; only BatchNorm with running "
                "statistics is taken apart"
            )
        values = {"mean": layer.running_mean, "variance": layer.running_var}
        if layer.affine:
            values |= {"weight": layer.weight, "bias": layer.bias}
        values = {name: value[place[0]].item() for name, value in values.items()}
        step = norm_step(self.before[place], eps=layer.eps, **values)
        return step.total, step

    def seen(self, seen: Seen) -> Seen:
        """Return the same positions, or all of them where the mean is the image's own."""
        return seen if self.passes_on else self.everything()


class Linear(Reader):
    """A fully connected layer: each value reads all values before it."""

    passes_on = False

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Refuse weights that are not known, and inputs that are more than a vector."""
        super().__init__(stage, before)
        if not isinstance(stage.module, nn.Linear):
            raise NoReaderError("is called as a function, which keeps its weights to itself")
        if before.dim() != 1:
            raise NoReaderError(f"reads a whole array {tuple(before.shape)}; flatten it before")

    def step(self, place: Place) -> tuple[float, Step]:
        """Return the sum of one neuron."""
        step = linear_step(self.before, self.module.weight, self.module.bias, channel=place[0])
        return step.total, step

    def behind(self, _place: Place, step: LinearStep) -> Place:
        """Return the input with the largest contribution, of either sign."""
        return largest_place(step.products)

    def seen(self, _seen: Seen) -> Seen:
        """Return everything."""
        return self.everything()


class Softmax(Reader):
    """Softmax over the scores of a vector, or its logarithm."""

    passes_on = False

    def __init__(self, stage: Stage, before: Tensor) -> None:
        """Refuse softmax over maps."""
        super().__init__(stage, before)
        self.is_log = "log" in operation(stage)
        if before.dim() != 1:
            raise NoReaderError("is taken over maps; only softmax over a vector is taken apart")

    def rerun(self, x: Tensor) -> Tensor:
        """Return all probabilities, or their logarithms."""
        return x.log_softmax(1) if self.is_log else x.softmax(1)

    def step(self, place: Place) -> tuple[float, ProbabilityStep]:
        """Return one class's probability."""
        step = probability_step(self.before, channel=place[0], is_log=self.is_log)
        return step.total, step

    def seen(self, _seen: Seen) -> Seen:
        """Return everything."""
        return self.everything()


def operation(stage: Stage) -> str:
    """Return what a stage does as torch.nn.functional calls it: leaky_relu, max_pool2d."""
    if stage.module is None:
        return stage.name.rpartition(".")[2].partition(":")[0]
    name = type(stage.module).__name__
    known = {
        "LeakyReLU": "leaky_relu", "PReLU": "prelu", "LogSoftmax": "log_softmax",
        "ReLU": "relu", "ReLU6": "relu6", "SiLU": "silu", "ELU": "elu", "SELU": "selu",
        "GELU": "gelu",
    }  # fmt: skip
    pooled = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return known.get(name, pooled)
