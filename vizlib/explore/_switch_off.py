"""Fade a channel out and see what the network answers then: cause, not correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from vizlib import capture, plots
from vizlib.explore._panels import Bars, Frame, Maps, Picture, Words
from vizlib.explore._recordings import (
    Recordings,
    as_inputs,
    as_labels,
    as_maps,
    check_model,
    counted,
    for_print,
    probabilities,
)
from vizlib.explore._sliders import Slider
from vizlib.explore._view import View
from vizlib.models import eval_mode

_TENTHS = ["0", *(f"0.{tenth}" for tenth in range(1, 10)), "1"]


def switch_off(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    off: Mapping[str, int | Sequence[int]] | None = None,
    state: str | None = None,
) -> View:
    """Return a slider that fades one channel of a layer out, and the probabilities that answer.

    `images` and `labels` are as in `layers`; one image (28, 28) will do. Choose a layer and a
    channel, with the sliders or a click on a map; *keep* is what remains of the channel: 1 leaves
    it as it is, 0.5 halves all of its values, 0 switches it off. The layers after it get to see
    no more than that. Only the chosen channel is changed: move on, and it is whole again. To keep
    several away, name them in `off`, such as `off={"conv1": [3, 5]}`: they stay off throughout,
    wherever the sliders stand.

    From the left: the image; all maps of the layer as they are then, the chosen one in a black
    frame, where white is zero, blue positive, orange negative, and the darkest colours are plus
    and minus the layer's greatest absolute value *before* the change, so that what fades gets
    paler; the probabilities of the network as it was trained, and of what is left of it. The
    winner is the blue bar, the label is underlined. Below is what that did to the first winner.

    Raises TypeError or ValueError where model, images, labels or state are none of these, or the
    network gives no probabilities; and ValueError for a layer or a channel in `off` that is not
    there.

    >>> import torch
    >>> from vizlib import models
    >>> lenet = models.build("lenet", seed=0)
    >>> view = switch_off(lenet, torch.zeros(28, 28), state="layer=conv2 channel=5 keep=0.3")
    >>> view, view.state
    (switch_off(lenet, 1 image), 'image=0 layer=conv2 channel=5 keep=0.3')
    """
    check_model(model)
    inputs, pictures = as_inputs(images)
    switches = _Switches(
        Recordings(model, inputs, pictures), as_labels(labels, len(inputs)), off or {}
    )
    name = f"switch_off({switches.recordings.name}, {counted(len(inputs), 'image')})"
    return View(name, switches.sliders(), switches.show, switches.figure, state=state)


class _Switches:
    """The network with one channel faded out, and others away for good."""

    def __init__(
        self,
        recordings: Recordings,
        labels: list[int],
        off: Mapping[str, int | Sequence[int]],
    ) -> None:
        self.recordings, self.labels = recordings, labels
        self.whole = recordings[0]
        if probabilities(self.whole) is None:
            raise ValueError(
                f"{recordings.name} ends in {tuple(list(self.whole.values())[-1].output.shape)}, "
                "not in one score a class (N, K), so that there is no answer to change"
            )
        self.layers = list(self.whole)
        self.off = {name: self._channels(name, given) for name, given in off.items()}
        # The frames beside each other share the image, and often the edited network.
        self.answer = lru_cache(256)(self._answer)

    def sliders(self) -> list[Slider]:
        """Return them where they stand at first: the first layer, untouched."""
        return [
            Slider("image", len(self.recordings)),
            Slider("layer", self.layers),
            Slider("channel", max(map(self._count, self.layers)), stepped=True),
            Slider("keep", _TENTHS, len(_TENTHS) - 1),
        ]

    def show(self, image: int, layer: int, channel: int, keep: int) -> Frame:
        """Return what is seen there."""
        name, count = self.layers[layer], self._count(self.layers[layer])
        channel = min(channel, count - 1)
        maps, after = self.answer(image, name, channel, keep)
        before, label = probabilities(self.recordings[image]), self._label(image)
        lines = self._lines(before, after, name, channel, keep)
        panels = [
            Picture(self.recordings.pictures[image], title=f"image {image}", width=114),
            Maps(
                maps,
                title=f"{name}: channel {channel} × {_TENTHS[keep]}",
                limit=float(self.recordings[image][name].output.abs().max()),
                chosen=channel,
                pick={"channel": "channel"},
                width=252,
            ),
            Bars(before, label, title="whole network", width=190),
            Bars(after, label, title="changed network", width=190),
            Words(lines, below=True),
        ]
        return Frame(panels, " ".join(lines), {"channel": count})

    def figure(self, image: int, layer: int, channel: int, keep: int) -> plots.Figure:
        """Return the same for print."""
        name = self.layers[layer]
        channel = min(channel, self._count(name) - 1)
        maps, after = self.answer(image, name, channel, keep)
        before, label = probabilities(self.recordings[image]), self._label(image)
        mosaic = plots.feature_maps(
            for_print(maps),
            scale=float(self.recordings[image][name].output.abs().max()) or 1.0,
            title=f"{name}: channel {channel} × {_TENTHS[keep]}",
            highlight=channel,
        )
        titled = {"whole network": before, "changed network": after}
        return plots.together(
            [self.recordings.figure(image), mosaic],
            [plots.answers(titled, label=label)],
        )

    def _answer(self, image: int, name: str, channel: int, keep: int) -> tuple[Tensor, Tensor]:
        """Return the layer's maps (C, H, W) and the probabilities (K,) of the changed network."""
        changes = {layer: dict.fromkeys(channels, 0.0) for layer, channels in self.off.items()}
        # A channel that is off for good stays off, whatever is kept of it.
        changes.setdefault(name, {}).setdefault(channel, keep / 10)
        model, x = self.recordings.model, self.recordings.inputs[image : image + 1]
        parameter = next(model.parameters(), x)
        with eval_mode(model), capture.edit(model, changes):
            changed = capture.record(
                model, x.to(parameter.dtype), layers=list({name: 0, self.layers[-1]: 0})
            )
        return as_maps(changed[name].output), probabilities(changed)

    def _lines(
        self, before: Tensor, after: Tensor, name: str, channel: int, keep: int
    ) -> list[str]:
        """Return what the change did, in words."""
        winner, now = int(before.argmax()), int(after.argmax())
        change = f"{after[winner] - before[winner]:+.4f}".replace("-", "−")
        answer = f"The answer changes from {winner} to {now}." if now != winner else ""
        lines = [
            f"P{winner}: {before[winner]:.4f} → {after[winner]:.4f}, a change of {change}. {answer}"
        ]
        if self.off:
            lines.append("Off throughout: " + ", ".join(self._words()) + ".")
        if channel in self.off.get(name, ()) and keep:
            lines.append(f"Channel {channel} of {name} is one of them: keep changes nothing.")
        return lines

    def _words(self) -> list[str]:
        return [f"{name} {', '.join(map(str, channels))}" for name, channels in self.off.items()]

    def _count(self, layer: str) -> int:
        return len(as_maps(self.whole[layer].output))

    def _label(self, image: int) -> int | None:
        return self.labels[image] if self.labels else None

    def _channels(self, name: str, given: int | Sequence[int]) -> list[int]:
        if name not in self.layers:
            raise ValueError(
                f"off names the layer {name!r}, but {self.recordings.name} has "
                f"{', '.join(self.layers)}"
            )
        channels = [given] if isinstance(given, int) else [int(channel) for channel in given]
        for channel in channels:
            if not 0 <= channel < self._count(name):
                raise ValueError(
                    f"off names channel {channel} of {name}, but its channels are numbered "
                    f"from 0 to {self._count(name) - 1}"
                )
        return channels
