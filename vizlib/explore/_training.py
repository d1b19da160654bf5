"""Watch a training while it goes on: one picture, updated in place."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from math import ceil
from statistics import fmean
from typing import Any

import numpy as np
import torch
from IPython.display import display
from torch import Tensor, nn

from vizlib import plots, recipes, train
from vizlib.data import Digits, Split
from vizlib.explore import _images
from vizlib.explore._lifetime import is_shown
from vizlib.explore._panels import Frame, Lines, Words
from vizlib.explore._view import View, closed
from vizlib.history import History
from vizlib.words import counted, percent

_POINTS = 20  # of the loss in each epoch
_PAUSE = 0.3  # seconds at least between two pictures


def training(
    model: nn.Module,
    digits: Digits | tuple[Any, Any],
    *,
    classes: Sequence[str] | None = None,
    **fit_arguments: Any,
) -> Training:
    """Return the live curves of a training that begins with `.start()`.

    `digits` are those of `data.load`, or images and labels of your own, as in `layers`: signals,
    colours, and labels that are names of `classes` as well. A tenth of them, drawn by chance, is
    then the validation split.

    `fit_arguments` are those of `train.fit`, such as `epochs=3`. `.start()` shows the view below
    the cell, trains, redraws the same picture a few times a second, and returns the history, which
    is `.history` from the first epoch on. Interrupting it (the notebook's stop button) keeps the
    best weights and the history so far. To watch a training that you start yourself, show the view
    and give its `on_epoch` and `on_step` to `train.fit`. `classes` are the names of the classes:
    the network keeps them as `model.classes`, and every explorer shows them.

    At the left are the accuracies after each epoch. At the right is the loss in nats: training, a
    mean over each twentieth of an epoch, and validation, at the end of each epoch. The axes are as
    long as the training will be; upwards each step is a factor, of the loss and of what accuracies
    lack to 100 %. Below are the numbers of the moment.

    Raises TypeError for what is no network, and ValueError for what are no images or labels;
    `.start()` raises what `train.fit` does.

    >>> from vizlib import data, models
    >>> view = training(models.build("mlp", seed=0), data.load("digits"), epochs=1)
    >>> view
    training(mlp, 1 epoch)
    >>> view.start().epochs
    training(mlp, 1 epoch)
    1
    """
    _images.check_model(model)
    if classes is not None:
        vars(model).update(classes=_images.as_classes(classes, model))
    if not isinstance(digits, Digits):
        images, labels = _pair(digits)
        inputs, _ = _images.as_inputs(images, signals=_images.takes_signals(model))
        digits = _own(
            inputs, _images.as_labels(labels, len(inputs), _images.as_classes(classes, model))
        )
    return Training(model, digits, fit_arguments)


def _pair(given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != len(("images", "labels")):
        what = f"{len(given)} things" if isinstance(given, tuple | list) else type(given).__name__
        raise TypeError(
            f"digits must be those of data.load() or a pair (images, labels), but were {what}"
        )
    if given[1] is None:
        raise ValueError("labels were None: to learn, each image needs one")
    return given[0], given[1]


class _Own(Digits):
    """Images and labels of a student's own, which are floats as the network takes them."""

    def normalize(self, images: Tensor) -> Tensor:
        """Return the images as they are."""
        return images


def _own(inputs: Tensor, labels: Sequence[int]) -> Digits:
    """Return a tenth of the images for validation, and the others to learn from."""
    numbers = torch.tensor(labels)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    first, last, none = (
        Split(inputs[rows], numbers[rows])
        for rows in order.tensor_split([len(order) - ceil(len(order) / 10), len(order)])
    )
    return _Own("own", first, last, none)


class Training(View):
    """The curves of `training`, and the training itself."""

    def __init__(self, model: nn.Module, digits: Digits, arguments: dict[str, Any]) -> None:
        """Draw empty axes, as long as the training will be."""
        name = _images.name_of(model)
        self._fit: Callable[..., History] = functools.partial(train.fit, model, digits)
        self._arguments = arguments
        self._progress = curves = _Progress(name, *_length(model, digits, arguments))
        title = f"training({name}, {counted(curves.epochs, 'epoch')})"
        super().__init__(title, [], curves.frame, curves.figure)

    @property
    def history(self) -> History | None:
        """What the training has measured so far, None before its first epoch has ended."""
        return self._progress.history

    def start(self) -> History:
        """Show the view if it is not shown yet, train, and return the history."""
        curves = self._progress
        curves.forget("starting")
        self.refresh()
        given = {"progress": False, **self._arguments}
        given["on_epoch"] = _both(self.on_epoch, given.get("on_epoch"))
        given["on_step"] = _both(self.on_step, given.get("on_step"))
        handle = None if is_shown(self) else display(self, display_id=True)
        try:
            curves.history = self._fit(**given)
        finally:
            curves.end()
            self.refresh()
        # What is saved with the notebook is then the last picture, not the first.
        if handle is not None:
            handle.update(self)
        return curves.history

    def on_epoch(self, history: History) -> None:
        """Draw an epoch that has ended: for `train.fit(…, on_epoch=view.on_epoch)`."""
        self._progress.history = history
        self._redraw()

    def on_step(self, step: int, loss: Tensor) -> None:
        """Draw a step if the last picture is old: for `train.fit(…, on_step=view.on_step)`."""
        # Reading a loss makes a GPU wait: not at every step.
        if self._progress.step(step, loss) > _PAUSE:
            self._redraw()

    def _redraw(self) -> None:
        self._progress.read()
        self.refresh()

    def _release(self) -> None:
        super()._release()
        self._fit, self._arguments = closed, {}


class _Progress:
    """How far a training is, and its curves."""

    def __init__(self, name: str, epochs: int, steps: int) -> None:
        self.name, self.epochs, self.steps = name, epochs, steps
        self.history: History | None = None
        self.forget("waiting for the first step")

    def forget(self, state: str) -> None:
        """Begin anew, in a state that is said in words."""
        self._seen: dict[int, list[float]] = {}
        self._new: list[tuple[int, Tensor]] = []
        self._drawn, self._state = 0.0, state

    def end(self) -> None:
        """Say whether the training came to its end."""
        self._state = "stopped" if self._done < self.epochs else "done"

    def step(self, step: int, loss: Tensor) -> float:
        """Take in a step, and return how many seconds old the last picture is."""
        self._new.append((step, loss))
        epoch, place = (step - 1) // self.steps + 1, (step - 1) % self.steps + 1
        self._state = f"epoch {epoch}, step {place} of {self.steps}"
        return time.monotonic() - self._drawn

    def read(self) -> None:
        """Read the losses of the steps since the last picture."""
        self._drawn = time.monotonic()
        new, self._new = self._new, []
        losses = torch.stack([loss for _, loss in new]).tolist() if new else []
        for (step, _), loss in zip(new, losses, strict=True):
            self._seen.setdefault((step - 1) * _POINTS // self.steps, []).append(loss)

    def frame(self) -> Frame:
        """Return the curves as they are now."""
        part, lines = 1 / _POINTS, self._lines()
        shares = measured(self.history, "accuracy", self.epochs)
        panels = [
            Lines(shares, title="accuracy", percent=True, scale="errors"),
            Lines(self._losses(), title="loss", start=part, step=part, scale="log"),
            Words(lines, prose=True, below=True),
        ]
        return Frame(panels, "; ".join(lines))

    def figure(self) -> plots.Figure:
        """Return the same for print."""
        return plots.curves(self.history or History(network=self.name))

    def _losses(self) -> dict[str, list[float]]:
        """Return the losses at every twentieth of an epoch, nan where there is none."""
        count, ends = _POINTS * self.epochs, measured(self.history, "loss", self.epochs)
        validation = np.full(count, np.nan)
        validation[_POINTS - 1 :: _POINTS] = ends["validation"][1:]
        means = [fmean(self._seen.get(place, [np.nan])) for place in range(count)]
        return {"validation": validation.tolist(), "training": means}

    @property
    def _done(self) -> int:
        return min(self.history.epochs, self.epochs) if self.history else 0

    def _lines(self) -> list[str]:
        """Return where the training is, in words."""
        done, history = self._done, self.history
        lines = [f"{done} of {self.epochs} epochs: {self._state}"]
        if done and history is not None:
            best = f"best {percent(max(history.val_accuracy))} after epoch {history.best_epoch}"
            lines.append(f"validation accuracy {percent(history.val_accuracy[-1])}, {best}")
            seconds = f"{sum(history.seconds):.1f} seconds"
            speed = f"{history.samples_per_second[-1]:,.0f} images a second"
            lines.append(f"learning rate {history.learning_rate[-1]:.2g}, {seconds}, {speed}")
        return lines


def measured(history: History | None, what: str, last: int) -> dict[str, list[float]]:
    """Return accuracy or loss of both splits after epochs 0…last, nan where none was measured."""
    # In this order they have the colours that plots.curves gives them.
    splits = {"validation": f"val_{what}", "training": f"train_{what}"}
    found = {name: getattr(history, field, [])[:last] for name, field in splits.items()}
    return {name: [np.nan, *each, *[np.nan] * (last - len(each))] for name, each in found.items()}


def _length(model: nn.Module, digits: Digits, arguments: dict[str, Any]) -> tuple[int, int]:
    """Return how many epochs a training will have, and how many steps each of them."""
    recipe = arguments.get("recipe") or recipes.recipe(getattr(model, "name", ""))
    given = vars(recipe) | {name: each for name, each in arguments.items() if each is not None}
    most = ceil(len(digits.train) / max(1, given["batch_size"]))
    return given["epochs"], min(given.get("steps_per_epoch") or most, most)


def _both(*calls: Callable[..., object] | None) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        for each in filter(None, calls):
            each(*arguments)

    return call
