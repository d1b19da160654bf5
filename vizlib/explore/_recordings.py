"""What each layer of a network made of each image, in the form in which it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import capture, models
from vizlib.explore._images import as_inputs, check_classes, check_model, name_of, takes_signals

LARGEST = 50 << 20  # bytes of one layer's maps, or of a frame, or of a page
CLOSED = "this view is closed; make it anew"
_KEPT = 2  # recordings: as many as stand side by side


class Recordings:
    """The recording of each image: made when asked for, and kept until others are.

    `names` and `shapes` are those of the layers, as they are shown: (1,) where one cannot be.
    """

    # A network that was trained has other weights after each epoch.
    sets = 1

    def __init__(self, model: nn.Module, images: Any, classes: Sequence[str] = ()) -> None:
        """Raise TypeError or ValueError for what is no network or no images for it."""
        check_model(model)
        self.model, self.name = model, name_of(model)
        self.inputs, self.pictures = as_inputs(images, signals=takes_signals(model))
        self._kept: dict[int, capture.Recording] = {}
        self.names = list(self[0])
        self.shapes = [_shape(stage) for stage in self[0].values()]
        self.name_classes(classes)

    def name_classes(self, classes: Sequence[str]) -> None:
        """Take the classes' names; raise ValueError where there is not one for each score."""
        if (chances := probabilities(self[0])) is not None:
            check_classes(classes, len(chances))
        self.classes = classes

    def __len__(self) -> int:
        return len(self.inputs)

    def each(self) -> Iterator[nn.Module]:
        """Yield the network with each of its sets of weights."""
        yield self.model

    def close(self) -> None:
        """Let go of the network, the images and what was recorded."""
        self._kept.clear()
        self.model, self.inputs, self.pictures = nn.Identity(), self.inputs[:0], self.pictures[:0]

    def __getitem__(self, image: int) -> capture.Recording:
        if image not in self._kept:
            if len(self._kept) == _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[image] = self.record(self.inputs[image : image + 1])
        return self._kept[image]

    def record(self, x: Tensor) -> capture.Recording:
        """Return what all layers make of an image x (1, C, H, W); raise ValueError if they fail."""
        if not len(self):
            raise ValueError(CLOSED)
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
        notes = getattr(error, "__notes__", [])
        how_far = "".join(f"; {note[0].lower()}{note[1:].rstrip('.')}" for note in notes)
        if "`listen`" not in how_far:  # which says already what helps
            how_far += "; either its layers do not fit together, or it was built for images of "
            how_far += "another size"
        return f"{self.name} fails on images of the shape {tuple(x.shape)}: {error}{how_far}"


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


def _shape(stage: capture.Stage) -> tuple[int, ...]:
    return (1,) if refusal(stage) else tuple(maps_of(stage).shape)


def maps_of(stage: capture.Stage) -> Tensor:
    """Return what a layer made of one image, as the view of a network shows it.

    (C, H, W); (C, 1, L) of a signal; (F,) of a vector. Raises ValueError if it cannot be shown.
    """
    if sentence := refusal(stage):
        raise ValueError(sentence)
    values = capture.real(stage.output)
    height, width = (1, 1, *values.shape)[-2:]
    if values.dim() == len("NCL"):
        height = 1  # a signal's channels are lines
    is_vector = values.dim() < len("NCL") or height * width == 1
    return values.flatten() if is_vector else values.reshape(-1, height, width)


def strongest(values: Tensor) -> list[int]:
    """Return the place of the value farthest from zero, one number for each axis."""
    found = torch.unravel_index(values.abs().argmax(), values.shape)
    return [int(at) for at in found]


def probabilities(recording: capture.Recording) -> Tensor | None:
    """Return the probability of each class (K,), if the network ends in one score a class."""
    *_, last = recording.values()
    match tuple(last.output.shape):
        case (1, count) if count:
            return models.probabilities(capture.real(last.output)[0])
        case _:
            return None
