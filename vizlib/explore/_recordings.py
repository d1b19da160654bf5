"""What each layer of a network made of each image, in the form in which it is shown."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import capture, models, plots
from vizlib.explore._images import as_inputs, check_classes, check_model, name_of, takes_signals
from vizlib.words import times

LARGEST = 50 << 20  # bytes of one layer's maps, or of a frame, or of a page
# Bytes of recordings that are kept, and those that travel along when a view opens.
_KEPT = 1 << 28
_OPENING = 1 << 20
_OPENING_IMAGES = 16
_NEWS = 1 << 17  # bytes: what is larger is felt while one draws
_BARS = 10
_CLOSED = "this view is closed; make it anew"


class Recordings:
    """The recording of each image: made when asked for, the least recently used ones dropped."""

    def __init__(self, model: nn.Module, images: Any, classes: Sequence[str] = ()) -> None:
        """Raise TypeError or ValueError for what is no network or no images for it."""
        check_model(model)
        self.model, self.classes, self.name = model, classes, name_of(model)
        self.inputs, self.pictures = as_inputs(images, signals=takes_signals(model))
        self.silent: set[int] = set()  # images to which no answer is shown
        self._kept: OrderedDict[int, capture.Recording] = OrderedDict()
        self._peaks: dict[int, float] = {}
        self.names = list(self[0])
        if (chances := self.probabilities(0)) is not None:
            check_classes(classes, len(chances))

    def __len__(self) -> int:
        return len(self.inputs)

    def close(self) -> None:
        """Let go of the network, the images and what was recorded."""
        self._kept.clear()
        self.model, self.inputs, self.pictures = nn.Identity(), self.inputs[:0], self.pictures[:0]

    def replace(self, image: int, pixels: Any, *, silent: bool = False) -> None:
        """Put another image, (H, W) or (1, C, H, W), in the place of one."""
        inputs, pictures = as_inputs(pixels)
        # The caller's own images may share this memory.
        self.inputs, self.pictures = self.inputs.clone(), self.pictures.copy()
        self.inputs[image], self.pictures[image] = inputs[0], pictures[0]
        self.silent = self.silent | {image} if silent else self.silent - {image}
        self._kept.pop(image, None)
        self._peaks.pop(image, None)

    def __getitem__(self, image: int) -> capture.Recording:
        if not len(self):
            raise ValueError(_CLOSED)
        if image not in self._kept:
            self._kept[image] = self._record(self.inputs[image : image + 1])
        self._kept.move_to_end(image)
        while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[image]

    def _record(self, x: Tensor) -> capture.Recording:
        try:
            with models.eval_mode(self.model):
                recording = capture.record(self.model, models.as_input(self.model, x))
        except (RuntimeError, TypeError) as error:
            raise ValueError(self._why_not(x, error)) from error
        if not recording:
            raise ValueError(f"{self.name} has no layer to look into: it computes nothing")
        return recording

    def _why_not(self, x: Tensor, error: Exception) -> str:
        if isinstance(error, TypeError) and "argument" in str(error):
            return (
                f"{self.name} does not take one batch of images alone ({error}); put a module "
                "around it that holds its other inputs and hands them on"
            )
        how_far = "".join(f"; {note.rstrip('.')}" for note in getattr(error, "__notes__", []))
        if "`listen`" not in how_far:  # which says already what helps
            how_far += "; either its layers do not fit together, or it was built for images of "
            how_far += "another size"
        return f"{self.name} fails on images of the shape {tuple(x.shape)}: {error}{how_far}"

    def stage(self, image: int, layer: int) -> capture.Stage:
        """Return what a layer, by number, made of an image."""
        return self[image][self.names[layer]]

    def maps(self, image: int, layer: int) -> Tensor:
        """Return the same as maps (C, H, W), or (F,); raise ValueError if it cannot be shown."""
        stage = self.stage(image, layer)
        if sentence := refusal(stage):
            raise ValueError(sentence)
        return as_maps(stage.output)

    def channels(self, layer: int) -> int:
        """Return how many channels a layer has; one where it gave no values."""
        return max(1, len(channel_maps(self.stage(0, layer))))

    def probabilities(self, image: int) -> Tensor | None:
        """Return the probability of each class (K,), if the network ends in one score a class."""
        return None if image in self.silent else probabilities(self[image])

    def packet(self, image: int, chosen: Sequence[int]) -> dict[str, Any]:
        """Return what the browser needs to draw some layers of an image, its values as bytes."""
        stages = list(self[image].values())
        shown = [layer for layer in chosen if not refusal(stages[layer])]
        classes, chances = _likeliest(self.probabilities(image))
        picture = self.pictures[image]
        if image not in self._peaks:
            self._peaks[image] = self.peak(image)
        return {
            "image": image,
            "layers": shown,
            "picture": picture.shape,
            "peak": self._peaks[image],
            "classes": classes,
            "buffers": [
                picture.tobytes(),
                _floats(chances),
                *(_floats(plain(stages[layer].output)) for layer in shown),
            ],
        }

    def peak(self, image: int) -> float:
        """Return the greatest absolute value of all layers for an image."""
        return max(largest(stage.output) for stage in self[image].values())

    def figure(self, image: int) -> plots.Figure:
        """Return the image itself for print."""
        picture = self.pictures[image].transpose(2, 0, 1)[None]
        return plots.images(picture, titles=[f"image {image}"])

    def size(self, image: int) -> int:
        """Return how many bytes the maps of an image take."""
        return _size(self[image])

    def news(self, image: int, layer: int) -> dict[str, Any]:
        """Return what is shown of an image that has changed: all layers, or the chosen one first.

        The browser asks for what is missing when it has painted what is there.
        """
        is_small = self.size(image) <= _NEWS
        return self.packet(image, range(len(self.names)) if is_small else [layer])

    def opening(self, image: int, layer: int) -> Iterator[dict[str, Any]]:
        """Yield what the view holds from the start: more than the first layer where it is small."""
        if self.size(image) > _OPENING:
            yield self.packet(image, [layer])
            return
        count = min(_OPENING // max(1, self.size(image)), _OPENING_IMAGES)
        for near in sorted(range(len(self)), key=lambda other: abs(other - image))[:count]:
            yield self.packet(near, range(len(self.names)))


def refusal(stage: capture.Stage) -> str:
    """Return the sentence that says why a layer cannot be shown, or nothing where it can be."""
    output = stage.output
    if not output.numel():
        return f"{stage.name} gave no values: its shape is {tuple(output.shape)}"
    if output.is_complex():
        return f"{stage.name} gave complex numbers, which have no place between orange and blue"
    if 4 * output.numel() > LARGEST:
        return (
            f"{stage.name} has {4 * output.numel() >> 20} MB of maps, and a view shows "
            f"{LARGEST >> 20} MB at most: give the network smaller images"
        )
    return ""


def _size(recording: capture.Recording) -> int:
    return sum(4 * stage.output.numel() for stage in recording.values())


def _floats(values: Tensor) -> bytes:
    return values.contiguous().numpy().tobytes()


def plain(output: Tensor) -> Tensor:
    """Return a layer's output as floats, whatever it was."""
    output = output.dequantize() if output.is_quantized else output
    return (output.abs() if output.is_complex() else output).float()


def largest(output: Tensor) -> float:
    """Return the greatest absolute value of an output, without what is nan or infinite."""
    if not output.numel():
        return 0.0
    values = plain(output)
    low, high = values.aminmax()
    peak = max(-float(low), float(high))
    if math.isfinite(peak):
        return peak
    size = values.abs()
    return float(size.where(size.isfinite(), 0).amax())


def as_maps(output: Tensor) -> Tensor:
    """Return one image's output (1, …) as maps (C, H, W), or a vector as (F,)."""
    values = plain(output[0] if output.dim() and len(output) == 1 else output)
    if values.dim() <= 1:
        return values.reshape(-1)
    return values.reshape(math.prod(values.shape[:-2]), *values.shape[-2:])


def channel_maps(stage: capture.Stage) -> Tensor:
    """Return the same with one map for each channel: (C, 1, L) of what is made of a signal."""
    output = plain(stage.output)
    if output.dim() != len("NCL") or len(output) > 1 or not output.numel():
        return as_maps(output)
    is_last = len(stage.channels().mean) != output.shape[1]
    return (output[0].T if is_last else output[0])[:, None]


def describe(stage: capture.Stage) -> dict[str, Any]:
    """Return a layer's name, kind and shape without N, and why it cannot be shown, if so."""
    shape = as_maps(stage.output).shape
    return {
        "name": stage.name,
        "kind": stage.kind,
        "shape": list(shape) if stage.output.numel() else [1],
        "says": refusal(stage),
    }


def probabilities(recording: capture.Recording) -> Tensor | None:
    """Return the probability of each class (K,), if the network ends in one score a class."""
    *_, last = recording.values()
    match tuple(last.output.shape):
        case (1, count) if count:
            return models.probabilities(plain(last.output)[0])
        case _:
            return None


def no_answer(recordings: Recordings, task: str) -> str:
    """Return the sentence for a network that has no classes."""
    *_, last = recordings[0].values()
    return (
        f"{recordings.name} ends in {times(last.output.shape) or 'a single number'}, not in one "
        f"score a class (N, K), so that there is no answer to {task}"
    )


def _likeliest(chances: Tensor | None) -> tuple[list[int], Tensor]:
    """Return all classes and their probabilities, or the ten likeliest of many."""
    if chances is None:
        return [], torch.empty(0)
    few = len(chances) <= _BARS
    classes = torch.arange(len(chances)) if few else chances.topk(_BARS).indices
    return classes.tolist(), chances[classes]
