"""Every feature map of every layer as PNG files, with an index to leaf through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import capture, data, files, handwriting, models, plots, words
from vizlib.cli import _console

_PIXELS = 112  # a map is enlarged by a whole number, to about as many
_DIGIT = (1, 28, 28)
_NAME = 80  # letters of a layer's name in a file's
# Of ImageNet's training images, for networks that read colours.
_COLOUR_MEAN, _COLOUR_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_COLOURS = len(_COLOUR_MEAN)


@dataclass(frozen=True)
class Picture:
    """What a network is shown: its input (1, C, H, W), the same as bytes, and what it is."""

    x: Tensor
    pixels: np.ndarray
    name: str


def photograph(path: Path, shape: tuple[int, ...]) -> Picture:
    """Read a picture as a network expects it whose input is (C, H, W).

    One channel of 28×28 is a digit, prepared as MNIST was; three channels are the middle square
    of the picture in colour. Raises ValueError for another shape.
    """
    if shape == _DIGIT:
        pixels = handwriting.prepare(path).image
        x = data.normalize(pixels)
        return Picture(x, pixels, path.name)
    if shape[0] == _COLOURS:
        return _in_colour(path, shape)
    raise ValueError(f"no picture can be made into an input of {words.times(shape)}")


def _in_colour(path: Path, shape: tuple[int, ...]) -> Picture:
    from torchvision.transforms import functional

    image = torch.from_numpy(handwriting.in_colour(path)).permute(2, 0, 1) / 255
    square = functional.center_crop(image, [min(image.shape[1:])])
    small = functional.resize(square, list(shape[1:]))
    pixels = (small.permute(1, 2, 0) * 255).round().byte().numpy()
    x = functional.normalize(small, _COLOUR_MEAN, _COLOUR_STD)[None]
    return Picture(x, pixels, path.name)


def of_the_test(digits: data.Digits, index: int, shape: tuple[int, ...]) -> Picture:
    """Take a test image; raises ValueError where there are not so many, or for another network."""
    if shape != _DIGIT:
        raise ValueError("this network reads no digits of 1×28×28: give it a photograph, --image")
    if not 0 <= index < len(digits.test):
        raise ValueError(
            f"--index is one of {len(digits.test):,} test images of {digits.name}, from 0, "
            f"but was {index}"
        )
    image, label = digits.test[index]
    name = f"test image {index} of {digits.name}, a {int(label)}"
    return Picture(digits.normalize(image), image.numpy(), name)


def write(
    folder: Path, model: nn.Module, picture: Picture, *, layers: list[str] | None, scale: str
) -> dict[str, Any]:
    """Write what every layer makes of the picture, and return what index.json holds.

    For each stage there is an overview, `01_conv1.png`, and for each of its channels a file of
    its own, `01_conv1/00.png`, in the colours of `plots.feature_maps`; `scale` is as there, or
    "network" for one scale over all layers. `index.html` shows everything in order.

    Raises UnknownStageError where `layers` match nothing.
    """
    model = model.eval()
    recording = capture.record(model, picture.x, layers=layers)
    with torch.no_grad():
        scores = model(picture.x)[0]
    pixels = np.broadcast_to(np.atleast_3d(picture.pixels), (*picture.pixels.shape[:2], _COLOURS))
    end = plots.largest(recording.values()) if scale == "network" else scale
    stages = list(recording.values())
    entries = [_stage(folder, f"{n:02}", stage, end) for n, stage in enumerate(stages, start=1)]
    files.replace_whole(folder / "input.png", plots.png(_enlarged(pixels)))
    index = {
        "network": getattr(model, "name", type(model).__name__),
        "image": picture.name,
        "answer": int(scores.argmax()),
        "scores": _rounded(scores),
        "probabilities": _rounded(models.probabilities(scores)),
        "scale": scale,
        "stages": entries,
    }
    files.replace_whole(folder / "index.json", _console.to_json(index))
    files.replace_whole(folder / "index.html", _page(index))
    return index


def _stage(folder: Path, number: str, stage: capture.Stage, end: str | float) -> dict[str, Any]:
    """Write the pictures of one stage, and return its entry in the index."""
    values = stage.output[0]
    name = number + "_" + re.sub(r"[^\w.-]", "-", stage.name)[:_NAME]
    figure = plots.feature_maps(stage, scale=end, title=stage.name)
    files.replace_whole(folder / f"{name}.png", figure.to_png())
    entry = {
        "name": stage.name,
        "kind": stage.kind,
        "shape": list(values.shape),
        "least": _rounded(values.min()),
        "greatest": _rounded(values.max()),
        "overview": f"{name}.png",
    }
    if values.dim() == 1:
        return entry | {"values": _rounded(values)}
    return entry | {"maps": _maps(folder, name, values.numpy(), end)}


def _maps(folder: Path, name: str, maps: np.ndarray, end: str | float) -> list[dict[str, Any]]:
    digits = len(str(len(maps) - 1))
    whole = end if isinstance(end, float) else plots.largest([maps])
    entries = []
    for channel, values in enumerate(maps):
        file = f"{name}/{channel:0{max(2, digits)}}.png"
        limit = plots.largest([values]) if end == "map" else whole
        files.replace_whole(folder / file, plots.png(_enlarged(plots.colours(values, limit))))
        low, high = _rounded(values.min()), _rounded(values.max())
        entries.append({"file": file, "least": low, "greatest": high, "end": _rounded(limit)})
    return entries


def _rounded(values: Any) -> Any:
    """Return numbers as Python's own, with six digits: what float32 holds."""
    return np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[float])(values).tolist()


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    times = max(1, round(_PIXELS / max(pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


_COLOURS_SAY = (
    "White is zero, blue positive, orange negative, the darker the further from zero; "
    "the darkest is the greatest absolute value of the"
)
_STYLE = """
body { font: 16px/1.5 sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; }
img { max-width: 100%; } .maps img { image-rendering: pixelated; border: 1px solid #c9ced6; }
.maps { display: flex; flex-wrap: wrap; gap: .5rem; } figure { margin: 0; text-align: center; }
"""


def _page(index: dict[str, Any]) -> str:
    """Return the index as a page that needs nothing but the files beside it."""
    title = f"{index['network']} looks at {index['image']}"
    share = words.share(max(index["probabilities"]))
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>Its answer is <b>{index['answer']}</b>, with a probability of {escape(share)}.</p>",
        f"<p>{_COLOURS_SAY} {index['scale']}.</p>",
        _image("input.png", f"The input: {index['image']}"),
        *map(_section, index["stages"]),
    ]
    return "\n".join(parts) + "\n"


def _section(stage: dict[str, Any]) -> str:
    shape = words.times(stage["shape"])
    what = f"{stage['name']}, {stage['kind']}, {shape}: {stage['least']:g} to {stage['greatest']:g}"
    parts = [f"<h2>{escape(what)}</h2>", _image(stage["overview"], f"All of {what}")]
    if "maps" in stage:
        parts.append('<details><summary>Each map</summary><div class="maps">')
        for channel, each in enumerate(stage["maps"]):
            ends = f"from {each['least']:g} to {each['greatest']:g}"
            image = _image(each["file"], f"{stage['name']}, channel {channel}, {ends}")
            parts.append(f"<figure>{image}<figcaption>{channel}</figcaption></figure>")
        parts.append("</div></details>")
    return "\n".join(parts)


def _image(file: str, text: str) -> str:
    return f'<img src="{escape(file)}" alt="{escape(text)}" loading="lazy">'
