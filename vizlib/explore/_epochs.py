"""Back in time: what the first layer looked like after each epoch of a training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import capture, models, plots
from vizlib.explore._images import as_classes, as_inputs, check_model, class_name
from vizlib.explore._lifetime import kept
from vizlib.explore._panels import Bars, Frame, Lines, Maps, Panel, Picture
from vizlib.explore._recordings import as_maps, probabilities
from vizlib.explore._sliders import Slider, encodable
from vizlib.explore._view import View
from vizlib.history import History
from vizlib.words import counted, percent

_KERNELS = 64  # of a wide first layer so many are shown
_NO_IMAGES: tuple[Tensor, np.ndarray] = torch.empty(0), np.empty(0, np.uint8)


def epochs(
    history: History,
    image: Any = None,
    *,
    model: nn.Module | None = None,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> View:
    """Return a slider over the snapshots of a training, from epoch 0 to the last.

    `history` is what `train.fit(…, snapshot_every=1)` returned; `image` one image (28, 28) or
    several, as in `layers`. The network is built by `models.build(history.network)`; for a network
    of your own give it as `model`, which is copied and left as it is. `classes` are as in `layers`.

    From the left: the kernels of the first convolution, or of a network without one what each unit
    of the first linear layer weighs the pixels with (the first 64 of them), and one of them large;
    the image; the map that each kernel makes of it, and what the network answers after that epoch.
    White is zero, blue positive, orange negative; the darkest colours are plus and minus the
    greatest absolute value of *all* epochs, so that what grows gets darker. Below are
    accuracy and loss on the training and the validation split, on the scales of `plots.curves`; the
    line across is at the epoch. Epoch 0 is before training, where nothing was measured.

    Raises ValueError for a history without snapshots, and where they do not fit the network.

    >>> import torch
    >>> lenet = models.build("lenet", seed=0)
    >>> history = History(network="lenet", snapshots={0: lenet.state_dict()})
    >>> view = epochs(history, torch.zeros(28, 28), state="channel=4")
    >>> view, view.state
    (epochs(lenet, 1 snapshot), 'epoch=0 channel=4')
    """
    network = _network(history, model)
    training = _Epochs(history, network, image, as_classes(classes, network))
    snapshots = counted(len(training.epochs), "snapshot")
    name = encodable(f"epochs({history.network or training.name}, {snapshots})")
    return View(name, training.sliders(), training.show, state=state)


class _Epochs:
    """A network as it was after each epoch, and what it then made of the images."""

    def __init__(
        self, history: History, model: nn.Module, image: Any, classes: Sequence[str]
    ) -> None:
        self.classes = classes
        self.history, self.model, self.epochs = history, model, sorted(history.snapshots)
        self.name = type(model).__name__
        self.images, self.pictures = _NO_IMAGES if image is None else as_inputs(image)
        self.layer, self.first = _first(model)
        self._load(self.epochs[-1])
        self.kernels = {epoch: self._kernels(epoch) for epoch in self.epochs}
        self.darkest = plots.largest(self.kernels.values())

    def sliders(self) -> list[Slider]:
        """Return them where they stand at first: after the last epoch."""
        count = len(self.kernels[self.epochs[0]])
        sliders = [
            Slider("epoch", list(map(str, self.epochs)), len(self.epochs) - 1, stepped=True),
            Slider("channel", count),
        ]
        count = len(self.images)
        return [*sliders, Slider("image", count)] if count > 1 else sliders

    def show(self, epoch: int, channel: int, image: int = 0) -> Frame:
        """Return what is seen there."""
        epoch = self.epochs[epoch]
        kernels = self.kernels[epoch]
        size: dict[str, Any] = {"at": epoch, "width": 280, "height": 166}
        charts = [
            Lines(
                self._curves("accuracy"),
                title="accuracy",
                below=True,
                percent=True,
                scale="errors",
                **size,
            ),
            Lines(self._curves("loss"), title="loss", scale="log", **size),
        ]
        panels = [
            _maps(kernels, channel, f"weights of {self.layer}", self.darkest, 178),
            *self._answer(epoch, channel, image),
            *(charts if self.history.epochs else []),
            Maps(
                kernels[channel],
                title=f"weights of channel {channel}",
                limit=self.darkest,
                width=166,
                below=not self.history.epochs,
            ),
        ]
        return Frame(panels, self._says(epoch, image))

    def _answer(self, epoch: int, channel: int, image: int) -> list[Panel]:
        """Return the panels about an image, where there is one."""
        if len(self.images) == 0:
            return []
        maps, chances = self.recorded(epoch, image)
        panels: list[Panel] = [
            Picture(self.pictures[image], title=f"image {image}", width=114),
            _maps(maps, channel, f"what {self.layer} makes", self.brightest(image), 222),
        ]
        return (
            panels
            if chances is None
            else [*panels, Bars(chances, None, self.classes, title="answer", width=190)]
        )

    def _curves(self, what: str) -> dict[str, list[float]]:
        # In this order they have the colours that plots.curves gives them.
        names = {"validation": f"val_{what}", "training": f"train_{what}"}
        both = {name: getattr(self.history, field) for name, field in names.items()}
        # Nothing was measured before the first epoch; a history cut short still has its epochs.
        empty = [np.nan] * (max(self.epochs[-1], self.history.epochs) + 1)
        return {name: [*empty[:1], *each, *empty[len(each) + 1 :]] for name, each in both.items()}

    def _says(self, epoch: int, image: int) -> str:
        accuracy = self.history.val_accuracy[epoch - 1 : epoch] if epoch else []
        words = [f"epoch {epoch}", *(f"validation accuracy {percent(value)}" for value in accuracy)]
        chances = self.recorded(epoch, image)[1] if len(self.images) else None
        if chances is not None:
            words.append(f"answer {class_name(self.classes, int(chances.argmax()))}")
        return ", ".join(words)

    def _kernels(self, epoch: int) -> Tensor:
        """Return the first layer's weights after an epoch as maps (C, H, W)."""
        weight = self.history.snapshots[epoch][f"{self.layer}.weight" if self.layer else "weight"]
        weight = weight.detach().cpu().float()[:_KERNELS]
        if isinstance(self.first, nn.Conv2d):
            # As deep as its input: its layers stand below each other.
            return weight.flatten(1, 2)
        side = isqrt(weight.shape[1])
        return weight.reshape(
            len(weight), -1, side if side**2 == weight.shape[1] else weight.shape[1]
        )

    def _load(self, epoch: int) -> None:
        try:
            self.model.load_state_dict(self.history.snapshots[epoch])
        except RuntimeError as error:
            raise ValueError(
                f"the snapshots of {self.history.network or 'the history'} do not fit the network "
                f"{self.name}: {str(error).splitlines()[-1].strip()} Give the network that was "
                "trained, epochs(history, image, model=…)"
            ) from error

    @kept(512)
    def recorded(self, epoch: int, image: int) -> tuple[Tensor, Tensor | None]:
        """Return the first layer's maps (C, H, W) of an image, and the probabilities (K,)."""
        self._load(epoch)
        x = models.as_input(self.model, self.images[image : image + 1])
        recording = capture.record(self.model, x)
        return as_maps(recording[self.layer].output)[:_KERNELS], probabilities(recording)

    @kept(64)
    def brightest(self, image: int) -> float:
        return plots.largest(self.recorded(epoch, image)[0] for epoch in self.epochs)


def _maps(maps: Tensor, channel: int, title: str, limit: float, width: int) -> Maps:
    pick = {"channel": "channel"}
    return Maps(maps, title=title, limit=limit, chosen=channel, pick=pick, width=width)


def _network(history: History, model: nn.Module | None) -> nn.Module:
    """Return a network of our own that takes the snapshots, in eval mode on the CPU."""
    if not isinstance(history, History):
        raise TypeError(
            f"history must be what train.fit returned, but was a {type(history).__name__}"
        )
    if not history.snapshots:
        raise ValueError(
            f"the history of {history.network or 'this training'} has no snapshots to go back to: "
            "train with train.fit(…, snapshot_every=1)"
        )
    if model is not None:
        check_model(model)
        return copy.deepcopy(model).cpu().eval()
    if history.network not in models.names():
        raise ValueError(
            f"the history is of {history.network or 'a network without a name'}, which "
            "models.build does not know: give the network, epochs(history, image, model=…)"
        )
    return models.build(history.network).eval()


def _first(model: nn.Module) -> tuple[str, nn.Module]:
    """Return the first convolution, or of a network without one the first linear layer."""
    for kind in (nn.Conv2d, nn.Linear):
        for name, module in model.named_modules():
            if isinstance(module, kind):
                return name, module
    raise ValueError(
        f"{type(model).__name__} has neither a Conv2d nor a Linear layer whose weights could be "
        "looked at"
    )
