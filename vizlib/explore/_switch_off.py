"""Fade a channel out and see what the network answers then: cause, not correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from vizlib import capture, models
from vizlib.explore._images import as_classes, as_labels, class_name
from vizlib.explore._lifetime import kept
from vizlib.explore._live import living
from vizlib.explore._panels import Bars, Frame, Maps, Picture, Words
from vizlib.explore._recordings import Recordings, channel_maps, largest, no_answer, probabilities
from vizlib.explore._sliders import Slider
from vizlib.explore._view import View
from vizlib.words import counted, listed, share

_LEAST = 0.0005  # a change that three decimals can show
_TENTHS = ["0", *(f"0.{tenth}" for tenth in range(1, 10)), "1"]


def switch_off(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    off: Mapping[str, int | Sequence[int]] | None = None,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> View:
    """Return a slider that fades one channel of a layer out, and the probabilities that answer.

    `images`, `labels` and `classes` are as in `layers`; one image (28, 28) will do. Choose a layer
    and a channel, with the sliders or a click on a map; *keep* is what remains of the channel: 1
    leaves it as it is, 0.5 halves all of its values, 0 switches it off. The layers after it get to
    see no more than that. Only the chosen channel is changed: move on, and it is whole again. To
    keep several away, name them in `off`, such as `off={"conv1": [3, 5]}`: they stay off
    throughout, wherever the sliders stand.

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
    recordings = Recordings(model, images, as_classes(classes, model))
    labels = as_labels(labels, len(recordings), recordings.classes)
    channels = _Channels(recordings, labels, off or {})
    name = f"switch_off({recordings.name}, {counted(len(recordings), 'image')})"
    return View(name, channels.sliders(), channels.show, state=state, living=channels.living)


class _Channels:
    """The network with one channel faded out, and others away for good."""

    def __init__(
        self,
        recordings: Recordings,
        labels: list[int],
        off: Mapping[str, int | Sequence[int]],
    ) -> None:
        self.recordings, self.labels = recordings, labels
        self._before(0)
        self.off = {name: self._numbers(name, given) for name, given in off.items()}

    def _before(self, image: int) -> Tensor:
        return self._answered(self.recordings.probabilities(image))

    def _answered(self, chances: Tensor | None) -> Tensor:
        if chances is None:
            raise ValueError(no_answer(self.recordings, "change"))
        return chances

    def sliders(self) -> list[Slider]:
        """Return them where they stand at first: the first layer, untouched."""
        layers = self.recordings.names
        return [
            Slider("image", len(self.recordings)),
            Slider("layer", layers),
            Slider("channel", max(map(self.recordings.channels, range(len(layers)))), stepped=True),
            Slider("keep", _TENTHS, len(_TENTHS) - 1),
        ]

    def show(self, image: int, layer: int, channel: int, keep: int) -> Frame:
        """Return what is seen there."""
        name, count = self.recordings.names[layer], self.recordings.channels(layer)
        channel = min(channel, count - 1)
        limit = largest(self.recordings.maps(image, layer))
        maps, after = self.answer(image, layer, channel, keep)
        lines = self._lines(image, after, name, channel, keep)
        bars = {"whole network": self._before(image), "changed network": after}
        panels = [
            Picture(self.recordings.pictures[image], title=f"image {image}", width=114),
            Maps(
                maps,
                title=f"{name}: channel {channel} × {_TENTHS[keep]}",
                limit=limit,
                chosen=channel,
                pick={"channel": "channel"},
                width=252,
            ),
            *(self._bars(title, chances, image) for title, chances in bars.items()),
            Words(lines, below=True),
        ]
        return Frame(panels, " ".join(lines), {"channel": count})

    def _bars(self, title: str, chances: Tensor, image: int) -> Bars:
        label = self.labels[image] if self.labels else None
        return Bars(chances, label, self.recordings.classes, title=title, width=190)

    def living(self, image: int, layer: int, channel: int, keep: int) -> str:
        """Return the page in which the network computes, opened at a place, as it is changed."""
        name, channel = (
            self.recordings.names[layer],
            min(channel, self.recordings.channels(layer) - 1),
        )
        place = {"layer": name, "channel": channel, "image": image}
        return living(self.recordings, place, self.labels, self._changes(name, channel, keep))

    def _changes(self, layer: str, channel: int, keep: int) -> dict[str, dict[int, float]]:
        changes = {each: dict.fromkeys(channels, 0.0) for each, channels in self.off.items()}
        # A channel that is off for good stays off, whatever is kept of it.
        changes.setdefault(layer, {}).setdefault(channel, keep / 10)
        return changes

    # The frames beside each other share the image, and often the edited network.
    @kept(256)
    def answer(self, image: int, layer: int, channel: int, keep: int) -> tuple[Tensor, Tensor]:
        """Return the layer's maps and the probabilities (K,) of the changed network."""
        names = self.recordings.names
        if not self.recordings.stage(image, layer).output.is_floating_point():
            raise ValueError(f"{names[layer]} gave no real numbers that could be faded out")
        changes = self._changes(names[layer], channel, keep)
        model, x = self.recordings.model, self.recordings.inputs[image : image + 1]
        seen = list(dict.fromkeys([names[layer], names[-1]]))
        with models.eval_mode(model), capture.edit(model, changes):
            changed = capture.record(model, models.as_input(model, x), layers=seen)
        return channel_maps(changed[names[layer]]), self._answered(probabilities(changed))

    def _lines(self, image: int, after: Tensor, name: str, channel: int, keep: int) -> list[str]:
        """Return what the change did, in words."""
        before, classes = self._before(image), self.recordings.classes
        winner, now = int(before.argmax()), int(after.argmax())
        was, is_ = class_name(classes, winner), class_name(classes, now)
        answer = f" The answer changes from {was} to {is_}." if now != winner else ""
        what = was if classes else f"P{winner}"
        start, end = before[winner].item(), after[winner].item()
        ends = f"{what}: {share(start)} → {share(end)}"
        lines = [f"{ends}, a change of {_change(end - start)}.{answer}"]
        if self.off:
            lines.append("Off throughout: " + ", ".join(self._words()) + ".")
        if channel in self.off.get(name, ()) and keep:
            lines.append(f"Channel {channel} of {name} is one of them: keep changes nothing.")
        return lines

    def _words(self) -> list[str]:
        return [f"{name} {', '.join(map(str, channels))}" for name, channels in self.off.items()]

    def _numbers(self, name: str, given: int | Sequence[int]) -> list[int]:
        names = self.recordings.names
        if name not in names:
            raise ValueError(
                f"off names the layer {name!r}, but {self.recordings.name} has {listed(names)}"
            )
        count = self.recordings.channels(names.index(name))
        channels = [given] if isinstance(given, int) else [int(channel) for channel in given]
        for channel in channels:
            if not 0 <= channel < count:
                raise ValueError(
                    f"off names channel {channel} of {name}, but its channels are numbered "
                    f"from 0 to {count - 1}"
                )
        return channels


def _change(difference: float) -> str:
    if abs(difference) < _LEAST:
        return "less than 0.001"
    return f"{difference:+.3f}".replace("-", "−")
