"""What an explorer shows: images as the network takes them, and what each layer made of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import capture, data, models, plots
from vizlib.models import eval_mode

# Of the recordings so many bytes are kept here, and so many travel along when a view opens.
_KEPT, _OPENING, _OPENING_DIGITS = 1 << 28, 1 << 20, 16
_NEWS = 1 << 17  # bytes: what is larger is felt while one draws
_BARS = 10
_COLOURS = (3, 4)  # channels of an image that are red, green and blue, and perhaps opacity


class Recordings:
    """The recording of each image: made when asked for, the least recently used ones dropped."""

    def __init__(self, model: nn.Module, inputs: Tensor, pictures: np.ndarray) -> None:
        self.model, self.inputs, self.pictures = model, inputs, pictures
        self.name = getattr(model, "name", type(model).__name__)
        self._kept: OrderedDict[int, capture.Recording] = OrderedDict()
        self._peaks: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self.inputs)

    def replace(self, image: int, inputs: Tensor, pictures: np.ndarray) -> None:
        """Put another image, (1, C, H, W) and its picture, in the place of one."""
        # The caller's own images may share this memory.
        self.inputs, self.pictures = self.inputs.clone(), self.pictures.copy()
        self.inputs[image], self.pictures[image] = inputs[0], pictures[0]
        self._kept.pop(image, None)
        self._peaks.pop(image, None)

    def __getitem__(self, image: int) -> capture.Recording:
        if image not in self._kept:
            self._kept[image] = self._record(self.inputs[image : image + 1])
        self._kept.move_to_end(image)
        while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[image]

    def _record(self, x: Tensor) -> capture.Recording:
        kind = next((p.dtype for p in self.model.parameters()), x.dtype)
        try:
            with eval_mode(self.model):
                recording = capture.record(self.model, x.to(kind))
        except RuntimeError as error:
            how_far = "".join(f"; {note.rstrip('.')}" for note in getattr(error, "__notes__", []))
            raise ValueError(
                f"{self.name} fails on images of the shape {tuple(x.shape)}: {error}{how_far}; "
                "either its layers do not fit together, or it was built for images of another size"
            ) from error
        if not recording:
            raise ValueError(f"{self.name} has no layer to look into: it computes nothing")
        return recording

    def packet(self, image: int, chosen: Sequence[int]) -> dict[str, Any]:
        """Return what the browser needs to draw some layers of an image, its values as bytes."""
        recording = self[image]
        stages = list(recording.values())
        classes, chances = _likeliest(recording)
        picture = self.pictures[image]
        buffers = [stages[layer].output for layer in chosen]
        if image not in self._peaks:
            self._peaks[image] = max(map(_finite_peak, stages))
        return {
            "image": image,
            "layers": list(chosen),
            "picture": picture.shape,
            "peak": self._peaks[image],
            "classes": classes,
            "buffers": [picture.tobytes(), *map(_floats, [chances, *buffers])],
        }

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
        is_small = _size(self[image]) <= _NEWS
        return self.packet(image, range(len(self[image])) if is_small else [layer])

    def opening(self, image: int, layer: int) -> Iterator[dict[str, Any]]:
        """Yield what the view holds from the start: more than the first layer where it is small."""
        if _size(self[image]) > _OPENING:
            yield self.packet(image, [layer])
            return
        count = min(_OPENING // max(1, _size(self[image])), _OPENING_DIGITS)
        for near in sorted(range(len(self)), key=lambda other: abs(other - image))[:count]:
            yield self.packet(near, range(len(self[image])))


def _size(recording: capture.Recording) -> int:
    return sum(4 * stage.output.numel() for stage in recording.values())


def _floats(values: Tensor) -> bytes:
    return values.float().contiguous().numpy().tobytes()


def _finite_peak(stage: capture.Stage) -> float:
    """Return the greatest absolute value of a layer, without what is nan or infinite."""
    low, high = stage.output.aminmax()
    peak = max(-float(low), float(high))
    if math.isfinite(peak):
        return peak
    size = stage.output.float().abs()
    return float(size.where(size.isfinite(), 0).amax())


def as_maps(output: Tensor) -> Tensor:
    """Return one image's output (1, …) as (C, H, W), a vector as (F, 1, 1)."""
    values = output[0] if output.dim() and len(output) == 1 else output
    if values.dim() <= 1:
        return values.reshape(-1, 1, 1)
    return values.reshape(-1, *values.shape[-2:])


def for_print(output: Tensor) -> Tensor:
    """Return maps (C, H, W) as `plots.feature_maps` takes them: those of a vector as (F,)."""
    return output[:, 0, 0] if output[0].numel() == 1 else output


def counted(number: int, thing: str) -> str:
    """Return the number and the thing, in the plural where it is not one."""
    return f"{number} {thing}{'s' * (number != 1)}"


def describe(stage: capture.Stage) -> dict[str, Any]:
    """Return a layer's name, its kind and the shape of one image's output, without N."""
    match tuple(stage.output.shape):
        case (1, count):
            shape = [count]
        case _:
            shape = list(as_maps(stage.output).shape)
    return {"name": stage.name, "kind": stage.kind, "shape": shape}


def probabilities(recording: capture.Recording) -> Tensor | None:
    """Return the probability of each class (K,), if the network ends in one score a class."""
    *_, last = recording.values()
    match tuple(last.output.shape):
        case (1, _):
            return models.probabilities(last.output[0])
        case _:
            return None


def _likeliest(recording: capture.Recording) -> tuple[list[int], Tensor]:
    """Return all classes and their probabilities, or the ten likeliest of many."""
    chances = probabilities(recording)
    if chances is None:
        return [], torch.empty(0)
    few = len(chances) <= _BARS
    classes = torch.arange(len(chances)) if few else chances.topk(_BARS).indices
    return classes.tolist(), chances[classes]


def check_model(model: object) -> None:
    """Raise TypeError for what is no network."""
    if isinstance(model, nn.Module):
        return
    hint = f"; try weights.load({model!r})" if isinstance(model, str) else ""
    if isinstance(model, type):
        name = model.__name__
        raise TypeError(f"model must be a network, but was the class {name}; make one: {name}()")
    raise TypeError(
        f"model must be a PyTorch network (torch.nn.Module), but was a {type(model).__name__}{hint}"
    )


def as_inputs(images: Any) -> tuple[Tensor, np.ndarray]:
    """Return the network's input (N, C, H, W) and pictures of it, uint8 (N, H, W, 1 or 3)."""
    values = _as_tensor(images)
    is_bytes = values.dtype == torch.uint8
    match tuple(values.shape), is_bytes:
        case ((height, width), _):
            values = values.reshape(1, 1, height, width)
        case ((_, _, _), True):
            values = values[:, None]
        case ((_, 1, _, _), _) | ((_, _, _, _), False):
            pass
        case _:
            raise _no_images(values)
    if not values.numel():
        raise _no_images(values)
    inputs = data.normalize(values) if is_bytes else values.float()
    return inputs, _as_pictures(values)


def _no_images(values: Tensor) -> ValueError:
    hint = ""
    if values.is_floating_point() and values.dim() + 1 == len("NCHW"):
        hint = "; add the channel axis with images[:, None]"
    return ValueError(
        "images must be uint8 (N, H, W), normalized floats (N, C, H, W) or one image (H, W), "
        f"but were {str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}{hint}"
    )


def _as_tensor(images: Any) -> Tensor:
    try:
        return data.as_tensor(images).detach().cpu()
    except (TypeError, ValueError):
        raise TypeError(
            f"images must be a tensor or an array, but were a {type(images).__name__}; "
            "try data.load().test.images[:10]"
        ) from None


def _as_pictures(values: Tensor) -> np.ndarray:
    """Return images for the eye: bytes as they are, floats from black (least) to white."""
    values = values[:, : 3 if values.shape[1] in _COLOURS else 1]
    if values.dtype != torch.uint8:
        values = values.float().nan_to_num()
        low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
        values = ((values - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8)
    return values.permute(0, 2, 3, 1).contiguous().numpy()


def as_labels(labels: Any, count: int) -> list[int]:
    """Return one label for each of `count` images, or none; raise ValueError otherwise."""
    if labels is None:
        return []
    given = np.atleast_1d(np.asarray(labels))
    if given.ndim > 1:
        raise ValueError(
            f"labels must be one number for each image, but were an array {given.shape}; "
            "of one-hot rows take labels.argmax(1)"
        )
    given = given.tolist()
    if len(given) != count:
        raise ValueError(
            f"labels must be one for each image, {count}, but were {len(given)}; "
            "cut both alike, as in images[:10], labels[:10]"
        )
    return [int(label) for label in given]
