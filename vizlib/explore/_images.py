"""What a view is given: a network, images, labels, and the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import data
from vizlib.explore._sliders import encodable
from vizlib.words import listed, times

_COLOURS = (3, 4)  # channels of an image that are red, green and blue, and perhaps opacity
_LARGEST = 1 << 22  # values of an image: what a network makes of it is many times as large
_TALL = 64  # pixels of the picture of a signal


def name_of(model: nn.Module) -> str:
    """Return what a network is called, in text that can be sent and written."""
    return encodable(str(getattr(model, "name", type(model).__name__)))


def check_model(model: object) -> None:
    """Raise TypeError for what is no network, and ValueError for one without numbers."""
    if not isinstance(model, nn.Module):
        was, hint = f"a {type(model).__name__}", ""
        if isinstance(model, str):
            hint = f"; try weights.load({model!r})"
        if isinstance(model, type):
            was, hint = f"the class {model.__name__}", f"; make one: {model.__name__}()"
        raise TypeError(f"model must be a PyTorch network (torch.nn.Module), but was {was}{hint}")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError("model is on the device meta, without numbers: model.to_empty(...)")


def as_inputs(images: Any, *, signals: bool = False) -> tuple[Tensor, np.ndarray]:
    """Return the network's input (N, C, H, W), and pictures of it, uint8 (N, H, W, 1 or 3).

    With `signals`, floats (N, C, L) are signals: the input is (N, C, L), its picture a curve.
    """
    values = _as_tensor(images)
    if not values.numel():
        raise ValueError(
            f"images must have at least one image, but were empty: {tuple(values.shape)}"
        )
    is_bytes = values.dtype == torch.uint8
    dims = values.dim()
    if not is_bytes and not values.is_floating_point():
        raise ValueError(_what_helps(values))
    if dims == len("HW"):
        values = values[None, None]
    elif dims == len("NHW") and is_bytes:
        values = values[:, None]
    elif dims == len("NCHW") and (values.shape[1] == 1 or not is_bytes):
        pass
    elif dims != len("NCL") or not signals:
        raise ValueError(_what_helps(values))
    _check_size(values)
    inputs = data.normalize(values) if is_bytes else values.float()
    return inputs, as_pictures(values)


def takes_signals(model: nn.Module) -> bool:
    """Return whether a network is made for signals (N, C, L) and not for images."""
    made_for = (nn.Conv1d, nn.RNNBase, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d)
    is_for_images = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return not is_for_images and any(isinstance(module, made_for) for module in model.modules())


def _check_size(values: Tensor) -> None:
    count, shape = values[0].numel(), tuple(values.shape[1:])
    if count > _LARGEST:
        raise ValueError(
            f"an image may have {_LARGEST:,} values, but these have {times(shape)} = {count:,}: "
            "make them smaller, as in torch.nn.functional.interpolate(images, size=(224, 224))"
        )


def _what_helps(values: Tensor) -> str:
    """Return the sentence for a shape that is no images, with what makes images of it."""
    kind, shape = str(values.dtype).removeprefix("torch."), tuple(values.shape)
    was = f"but were {kind} {shape}"
    if values.dim() == len("NCHW") and values.dtype == torch.uint8:
        permuted = ".permute(0, 3, 1, 2)" if shape[-1] in _COLOURS else ""
        return (
            f"colours must be floats (N, C, H, W), {was}; scale them as the network's training "
            f"did, often with images{permuted}.float() / 255"
        )
    hint = ""
    if not values.is_floating_point() and values.dtype != torch.uint8:
        hint = "; make bytes in 0…255 of them with images.to(torch.uint8), or floats"
    elif values.dim() == len("NHW"):
        hint = "; add the channel axis with images[:, None]"
    elif values.dim() > len("NCHW"):
        hint = "; one image has no more axes than C, H and W: choose one moment, images[:, :, 0]"
    return (
        "images must be uint8 (N, H, W), normalized floats (N, C, H, W) or one image (H, W), "
        f"{was}{hint}"
    )


def _as_tensor(images: Any) -> Tensor:
    if isinstance(images, list | tuple) and len({np.shape(each) for each in images}) > 1:
        raise ValueError(
            f"images must be one batch, but were {len(images)} of different shapes; a network "
            "with several inputs needs a module around it that holds all but one of them"
        )
    try:
        return data.as_tensor(images).detach().cpu()
    except (TypeError, ValueError):
        raise TypeError(
            f"images must be a tensor or an array, but were a {type(images).__name__}; "
            "try data.load().test.images[:10]"
        ) from None


def as_pictures(values: Tensor) -> np.ndarray:
    """Return images for the eye: bytes as they are, floats from black (least) to white."""
    if values.dim() == len("NCL"):
        return np.stack([_curve(one) for one in values.float().nan_to_num()])
    values = values[:, : 3 if values.shape[1] in _COLOURS else 1]
    if values.dtype != torch.uint8:
        values = values.float().nan_to_num()
        low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
        values = ((values - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8)
    return values.permute(0, 2, 3, 1).contiguous().numpy()


def _curve(signal: Tensor) -> np.ndarray:
    """Return the first channel of a signal (C, L) as a white line, uint8 (64, L, 1)."""
    values = signal[0]
    low, high = values.aminmax()
    rows = ((high - values) / (high - low).clamp(min=1e-12) * (_TALL - 1)).round()
    before = torch.cat([rows[:1], rows[:-1]])
    place = torch.arange(_TALL)[:, None]
    is_line = (place >= torch.minimum(rows, before)) & (place <= torch.maximum(rows, before))
    return (is_line * 255).to(torch.uint8)[..., None].numpy()


def as_classes(classes: Any, model: nn.Module) -> list[str]:
    """Return the names of the classes, those of `model.classes` if None are given, or none."""
    given = getattr(model, "classes", None) if classes is None else classes
    if given is None or isinstance(given, int | Tensor):
        return []
    if isinstance(given, str) or not isinstance(given, Sequence | Mapping | np.ndarray):
        raise TypeError(
            f"classes must be a list of names, such as ['cat', 'dog'], but was {given!r}"
        )
    names = [given[k] for k in sorted(given)] if isinstance(given, Mapping) else given
    return [encodable(str(name)) for name in names]


def check_classes(classes: Sequence[str], count: int) -> None:
    """Raise ValueError where there is not one name for each class."""
    if classes and len(classes) != count:
        raise ValueError(
            f"classes must be one name for each of the network's {count} classes, "
            f"but were {len(classes)}: {listed(classes, most=6)}"
        )


def as_labels(labels: Any, count: int, classes: Sequence[str] = ()) -> list[int]:
    """Return the number of the class of each of `count` images, or none; raise ValueError else."""
    if labels is None:
        return []
    given = np.atleast_1d(np.asarray(labels))
    if given.shape != (count,):
        raise ValueError(
            f"labels must be one for each image, {count}, but had the shape {given.shape}; cut "
            "both alike, as in images[:10], labels[:10], and of one-hot rows take labels.argmax(1)"
        )
    return [_class_number(label, classes) for label in given.tolist()]


def _class_number(label: Any, classes: Sequence[str]) -> int:
    if label in classes:
        return list(classes).index(label)
    if not isinstance(label, str):
        if isinstance(label, int | float) and label == label // 1:
            return int(label)
        raise ValueError(f"labels must be whole numbers or names of classes, but one was {label}")
    known = f"are {listed(classes)}" if classes else "have no names: give classes=['cat', …]"
    raise ValueError(f"no class is called {label!r}; the classes {known}")


def check_labels(labels: Sequence[int], count: int) -> None:
    """Raise ValueError for a label that is none of the network's `count` classes, from 0."""
    if count > 1 and (wrong := sorted({each for each in labels if not 0 <= each < count})):
        raise ValueError(
            f"labels must be numbers of the network's {count} classes, from 0 to {count - 1}, but "
            f"had {listed(map(str, wrong), most=6)}; where yours begin with 1, give labels - 1"
        )


def class_name(classes: Sequence[str], number: int) -> str:
    """Return what a class is called: its name, or its number."""
    return classes[number] if number < len(classes) else str(number)
