"""All maps of one layer, one of them large, and sliders for image, layer, channel and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anywidget
import traitlets
from torch import nn

from vizlib import plots
from vizlib.explore._explorer import STATIC, Explorer, script
from vizlib.explore._panels import palette
from vizlib.explore._recordings import (
    Recordings,
    as_inputs,
    as_labels,
    as_maps,
    check_model,
    counted,
    describe,
    for_print,
    probabilities,
)
from vizlib.explore._sliders import Slider, read, written

_NONE = "none"
_LARGEST = 50 << 20  # bytes of maps that a page may hold
SCALES = {"map": "per map", "layer": "per layer", "network": "whole network"}


def layers(
    model: nn.Module, images: Any, labels: Any = None, *, state: str | None = None
) -> Layers:
    """Return sliders for image, layer and channel, and a picture of what is there.

    `images` are uint8 (N, H, W) in 0…255, normalized as MNIST is (`data.MEAN`, `data.STD`), or
    floats (N, C, H, W) that are normalized already, or one image (H, W). `labels` are the N true
    classes, if they are known. The model is run in eval mode and comes back as it was.

    At the left stand the input, what it was read as, and the probabilities P0, P1, … (the ten
    likeliest of more than ten classes); the winner is the blue bar, the label is underlined. Beside
    it are all channels of the layer, with light grey between them, the chosen one in a black frame
    and again large; the values of a vector are bars. White is zero, blue positive, orange negative,
    and dark grey is no number. The legend's ends are plus and minus the greatest absolute value of
    the map, of the layer (the default) or of the whole network for that image. Below are the
    numbers: rounded for the eye, computed from the full values.

    The strip on top shows each layer's first nine maps. A 0 on a map says that all of its values
    are zero for this image. The pointer over the large map, or the arrow keys on it, read a value;
    a click keeps the place, which stays while the images change. With a second image `beside`, the
    chosen map of both stands side by side, on one scale.

    `state` opens the view at a place, such as "layer=conv2 channel=5"; `.state` of a view is the
    place where it is. `.figure()` draws that place for print, and `.to_html(path)` writes a page
    that slides without kernel or network.

    Raises TypeError or ValueError where model, images, labels or state are none of these.

    >>> import torch
    >>> from vizlib import models
    >>> view = layers(models.build("mlp", seed=0), torch.zeros(28, 28), state="layer=relu1")
    >>> view.state
    'model=mlp image=0 layer=relu1 channel=0 pixel=none scale=layer beside=none'
    """
    check_model(model)
    inputs, pictures = as_inputs(images)
    labels = as_labels(labels, len(inputs))
    return Layers(Recordings(model, inputs, pictures), labels, state)


class Layers(Explorer):
    """The sliders and the canvas of `layers`."""

    def __init__(self, recordings: Recordings, labels: list[int], state: str | None) -> None:
        """Record the first image and open at `state`."""
        self._recordings, self._labels = recordings, labels
        self._names = list(recordings[0])
        sliders, pixel = _opened(state, recordings)
        place = {"image": 0} | {slider.name: slider.index for slider in sliders}
        canvas = _Canvas(
            stages=[describe(stage) for stage in recordings[0].values()],
            labels=labels,
            images=len(recordings),
            palette=palette(),
            packets=list(recordings.opening(place["image"], place["layer"])),
            pixel=pixel,
            # From the beginning: linked to a range of nothing, the slider would forget its place.
            last_channel=next(s.count for s in sliders if s.name == "channel") - 1,
            **place,
        )
        super().__init__(sliders, canvas)

    def _reply(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the maps of some layers of an image."""
        packet = self._recordings.packet(asked["image"], asked["layers"])
        buffers = packet.pop("buffers")
        return packet, buffers

    def _everything(self) -> dict[str, Any]:
        images = range(len(self._recordings))
        if sum(map(self._recordings.size, images)) > _LARGEST:
            raise ValueError(
                f"a page of {self!r} would be larger than {_LARGEST >> 20} MB; "
                "give the view fewer images"
            )
        return {"packets": [self._recordings.packet(i, range(len(self._names))) for i in images]}

    def replace(self, image: int, pixels: Any) -> None:
        """Show another image, (H, W) or (1, C, H, W), in the place of one."""
        self._recordings.replace(image, *as_inputs(pixels))
        self._canvas.packets = [self._recordings.news(image, self._canvas.layer)]

    @property
    def state(self) -> str:
        """The place where the view is, as text that `layers(…, state=…)` opens again."""
        canvas = self._canvas
        place = {
            "model": self._recordings.name,
            "image": str(canvas.image),
            "layer": self._names[canvas.layer],
            "channel": str(canvas.channel),
            "pixel": ",".join(map(str, canvas.pixel)) or _NONE,
            "scale": list(SCALES)[canvas.scale],
            "beside": str(canvas.beside - 1) if canvas.beside else _NONE,
        }
        return written(place)

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print: input, maps, probabilities."""
        canvas, recording = self._canvas, self._recordings[self._canvas.image]
        stage, scale = recording[self._names[canvas.layer]], list(SCALES)[canvas.scale]
        mosaic = plots.feature_maps(
            for_print(as_maps(stage.output)),
            scale=plots.largest(recording.values()) if scale == "network" else scale,
            title=stage.name,
            highlight=canvas.channel,
        )
        image = self._recordings.figure(canvas.image)
        return plots.together([image, mosaic], self._bars())

    def _bars(self) -> list[plots.Figure]:
        image, labels = self._canvas.image, self._labels
        chances = probabilities(self._recordings[image])
        label = labels[image] if labels else None
        return [] if chances is None else [plots.probabilities(chances, label=label)]

    def __repr__(self) -> str:
        """Return what is shown: network, images, layers."""
        images = counted(len(self._recordings), "image")
        return f"layers({self._recordings.name}, {images}, {counted(len(self._names), 'layer')})"


class _Canvas(anywidget.AnyWidget):
    """What Python and the browser tell each other; what it looks like is in static/canvas.js."""

    _esm = script("writing.js", "numbers.js", "store.js", "painting.js", "words.js", "canvas.js")
    _css = STATIC / "canvas.css"
    stages = traitlets.List().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    palette = traitlets.Bytes().tag(sync=True)
    packets = traitlets.List().tag(sync=True)
    images = traitlets.Int().tag(sync=True)
    image = traitlets.Int().tag(sync=True)
    beside = traitlets.Int().tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    channel = traitlets.Int().tag(sync=True)
    pixel = traitlets.List().tag(sync=True)
    scale = traitlets.Int().tag(sync=True)
    last_channel = traitlets.Int().tag(sync=True)


def _opened(state: str | None, recordings: Recordings) -> tuple[list[Slider], list[int]]:
    """Read "image=0 layer=conv2 channel=5 …", any part of it, into sliders and a pixel."""
    stages = recordings[0]
    first = {"image": "0", "layer": next(iter(stages)), "channel": "0", "scale": "layer"}
    first |= {"beside": _NONE, "pixel": _NONE, "model": recordings.name}
    given = first | read(state, first)
    if given["model"] != recordings.name:
        raise ValueError(
            f"state is a place in {given['model']}, but the model is {recordings.name}"
        )
    layer = Slider("layer", list(stages)).at(given["layer"])
    maps = as_maps(stages[layer.word].output)
    scale = Slider("scale", list(SCALES)).at(given["scale"])
    beside = Slider("beside", [_NONE, *map(str, range(len(recordings)))])
    sliders = [
        Slider("image", len(recordings)).at(given["image"]),
        layer,
        Slider("channel", len(maps)).at(given["channel"]),
        replace(scale, options=list(SCALES.values())),
        beside.at(given["beside"]),
    ]
    # A single image leaves nothing to choose.
    shown = sliders if len(recordings) > 1 else sliders[1:4]
    return shown, _pixel(given["pixel"], maps.shape[1:])


def _pixel(text: str, shape: Sequence[int]) -> list[int]:
    """Read "3,4": row and column of a map of that shape."""
    if text == _NONE:
        return []
    found = [int(part) for part in text.split(",") if part.isdecimal()]
    if len(found) != len(shape) or any(at >= end for at, end in zip(found, shape, strict=True)):
        raise ValueError(
            f"pixel must be a row and a column of a map of {shape[0]}×{shape[1]}, such as 0,0, "
            f"but was {text}"
        )
    return found
