"""Back in time: the view of a network as it was after each epoch of its training."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import models, plots
from vizlib.explore._doors import overview
from vizlib.explore._explorer import Explorer, script
from vizlib.explore._images import as_classes, check_model
from vizlib.explore._network import MODULES, Front, Network
from vizlib.explore._panels import Frame, Lines, Maps
from vizlib.explore._place import NONE, OLD, WORDS, opened
from vizlib.explore._recordings import Recordings
from vizlib.explore._sliders import Slider, encodable, read, written
from vizlib.explore._training import measured
from vizlib.explore._view import View
from vizlib.history import History
from vizlib.words import counted, percent

_KERNELS = 64  # of a wide first layer so many are shown


def epochs(
    history: History,
    image: Any = None,
    *,
    model: nn.Module | None = None,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Explorer:
    """Return the view of a network with a slider over the snapshots of its training.

    `history` is what `train.fit(…, snapshot_every=1)` returned; `image` one image (28, 28) or
    several, as in `layers`. The network is built by `models.build(history.network)`; for a network
    of your own give it as `model`, which is copied and left as it is. `classes` are as in `layers`.

    Above the network stand the kernels of its first convolution, or of a network without one what
    each unit of the first linear layer weighs the pixels with (the first 64 of them), and one of
    them large. White is zero, blue positive, orange negative; the darkest colours are plus and
    minus the greatest absolute value of *all* epochs, so that what grows gets darker. Beside them
    are accuracy and loss on the training and the validation split, on the scales of `plots.curves`;
    the line across is at the epoch. Epoch 0 is before training, where nothing was measured.

    The network below is that of the epoch, as in `layers`: draw a digit, and step through the
    epochs to see what it was read as. It opens at the first convolution, after the last epoch.
    Without an image there is an empty pad; a network that takes no digits of 28×28 is then left
    out.

    Raises ValueError for a history without snapshots, and where they do not fit the network.

    >>> import torch
    >>> lenet = models.build("lenet", seed=0)
    >>> history = History(network="lenet", snapshots={0: lenet.state_dict()})
    >>> view = epochs(history, torch.zeros(28, 28), state="channel=4")
    >>> view, view.state
    (epochs(lenet, 1 snapshot), 'epoch=0 channel=4')
    """
    network = _network(history, model)
    training = _Training(history, network)
    snapshots = counted(len(training.epochs), "snapshot")
    name = encodable(f"epochs({history.network or type(network).__name__}, {snapshots})")
    names = as_classes(classes, network)
    try:
        past = _Past(training, torch.zeros(28, 28, dtype=torch.uint8) if image is None else image)
    except ValueError:
        if image is not None:
            raise
        return View(name, training.sliders(), training.frame, state=state)
    past.name_classes(names)
    return _Epochs(training, past, name, state, is_pad=image is None)


class _Training:
    """The weights after each epoch, and what is seen of them beside the network."""

    def __init__(self, history: History, model: nn.Module) -> None:
        self.history, self.model, self.epochs = history, model, sorted(history.snapshots)
        self.layer, first = _first(model)
        self.kernels: list[Tensor] = []
        for epoch in range(len(self.epochs)):
            self.load(epoch)
            self.kernels.append(_kernels(first))
        self.darkest = plots.largest(self.kernels)

    def load(self, epoch: int) -> None:
        """Give the network the weights of an epoch, by its number among the snapshots."""
        try:
            self.model.load_state_dict(self.history.snapshots[self.epochs[epoch]])
        except RuntimeError as error:
            raise ValueError(
                f"the snapshots of {self.history.network or 'the history'} do not fit the network "
                f"{type(self.model).__name__}: {str(error).splitlines()[-1].strip()} Give the "
                "network that was trained, epochs(history, image, model=…)"
            ) from error

    def sliders(self) -> list[Slider]:
        """Return them after the last epoch; the second one is for the kernels alone."""
        words = list(map(str, self.epochs))
        epoch = Slider("epoch", words, len(words) - 1, stepped=True)
        return [epoch, Slider("channel", len(self.kernels[0]))]

    def frame(self, epoch: int, channel: int = 0) -> Frame:
        """Return the kernels after an epoch, one of them large, and the curves."""
        kernels = self.kernels[epoch]
        look: dict[str, Any] = {"limit": self.darkest, "pick": {"channel": "channel"}}
        title = f"weights of {self.layer}"
        panels = [
            Maps(kernels, title=title, chosen=channel, width=130, **look),
            Maps(kernels[channel], title=f"weights of channel {channel}", width=84, **look),
            *(self._curves(self.epochs[epoch]) if self.history.epochs else []),
        ]
        return Frame(panels, self._says(self.epochs[epoch]))

    def packed(self, *, with_kernels: bool) -> list[dict[str, Any]]:
        """Return the same for the browser, which makes the large kernel itself, or all of them."""
        frames = [self.frame(epoch).packed() for epoch in range(len(self.epochs))]
        for frame in frames:
            del frame["panels"][1]
            if not with_kernels:
                del frame["panels"][0]["data"]
        return frames

    def _curves(self, epoch: int) -> Iterator[Lines]:
        size: dict[str, Any] = {"at": epoch, "width": 200, "height": 104}
        last = max(self.epochs[-1], self.history.epochs)
        accuracy, loss = (measured(self.history, what, last) for what in ("accuracy", "loss"))
        yield Lines(accuracy, title="accuracy", percent=True, scale="errors", **size)
        yield Lines(loss, title="loss", scale="log", **size)

    def _says(self, epoch: int) -> str:
        accuracy = self.history.val_accuracy[epoch - 1 : epoch] if epoch else []
        told = [f"validation accuracy {percent(value)}" for value in accuracy]
        return ", ".join([f"epoch {epoch}", *told])


class _Past(Recordings):
    """What the layers made of each image after one epoch or another."""

    def __init__(self, training: _Training, images: Any) -> None:
        self.sets = len(training.epochs)
        self._load, self._epoch = training.load, self.sets - 1
        super().__init__(training.model, images)

    def at(self, epoch: int) -> _Past:
        """Return itself with the weights of an epoch."""
        if epoch != self._epoch and len(self):
            self._load(epoch)
            self._epoch = epoch
            self._kept.clear()
        return self

    def each(self) -> Iterator[nn.Module]:
        """Yield the network after each epoch."""
        for epoch in range(self.sets):
            yield self.at(epoch).model


class _Canvas(Front):
    """The canvas of both; what is above the network is painted by static/epochs.js."""

    _esm = script(
        *(f"{name}.js" for name in (*MODULES, "maps", "charts", "panels", "look", "epochs"))
    )
    _css = script("colours.css", "pad.css", "live.css", "learn.css", "sliders.css", "epochs.css")


class _Epochs(Network):
    """The view of a network, and above it what is seen of its training."""

    _front = _Canvas

    def __init__(
        self, training: _Training, past: _Past, name: str, state: str | None, *, is_pad: bool
    ) -> None:
        self._training, self._past, [epoch, _] = training, past, training.sliders()
        self._first = training.layer if training.layer in past.names else past.names[0]
        given = read(state, ["epoch", *WORDS, *OLD])
        epoch = epoch.at(given.pop("epoch", epoch.word))
        sliders, _ = opened(past, written({"layer": self._first}))
        self._usual = {"pixel": NONE} | {slider.name: slider.word for slider in sliders}
        place = opened(past, written({"layer": self._first} | given))
        super().__init__(past, name, place, overview, ink=b"" if is_pad else None, first=[epoch])

    @property
    def recordings(self) -> Recordings:
        """What the layers made of the images after this epoch."""
        return self._past.at(self._canvas.epoch)

    @property
    def state(self) -> str:
        """The epoch and the channel, and what else is not as it was when the view was new."""
        here, usual = self.words(), self._usual
        del here["model"]
        known = {"channel", "image"} if len(self._recordings) > 1 else {"channel"}
        names = sorted(here, key=lambda name: name != "channel")
        told = {name: here[name] for name in names if name in known or here[name] != usual[name]}
        return written({"epoch": self._sliders[0].word_of(self._canvas.epoch), **told})

    def figure(self) -> plots.Figure:
        """Return the training and the network as they are shown, for print."""
        network, place = super().figure(), self.where
        channel = place.channel if place.layer == self._first else 0
        above = self._training.frame(self._canvas.epoch, min(channel, _KERNELS - 1))
        return plots.together([above.figure()], [network])

    def _held(self, *, recorded: bool = False) -> dict[str, Any]:
        held = super()._held(recorded=recorded)
        # What the network computes with is shown, where the page has it.
        has_kernels = held["isComputed"] and self._first == self._training.layer
        frames = self._training.packed(with_kernels=not has_kernels)
        epochs = list(map(str, self._training.epochs))
        return held | {"epochs": epochs, "first": self._first, "frames": frames}

    def __repr__(self) -> str:
        """Return what it is."""
        return self._name

    def _release(self) -> None:
        super()._release()
        del self._training


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


def _first(model: nn.Module) -> tuple[str, nn.Conv2d | nn.Linear]:
    """Return the first convolution, or of a network without one the first linear layer."""
    for kind in (nn.Conv2d, nn.Linear):
        for name, module in model.named_modules():
            if isinstance(module, kind):
                return name, module
    raise ValueError(
        f"{type(model).__name__} has neither a Conv2d nor a Linear layer whose weights could be "
        "looked at"
    )


def _kernels(first: nn.Conv2d | nn.Linear) -> Tensor:
    """Return the weights of the first layer as maps (C, H, W)."""
    weight = first.weight.detach()[:_KERNELS].float().clone()
    if isinstance(first, nn.Conv2d):
        # As deep as its input: its layers stand below each other.
        return weight.flatten(1, 2)
    side = isqrt(weight.shape[1])
    return weight.reshape(len(weight), -1, side if side**2 == weight.shape[1] else weight.shape[1])
