"""All maps of one layer, one of them large, and sliders for image, layer, channel and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import traitlets
from torch import nn

from vizlib import plots
from vizlib.explore._explorer import Canvas, Explorer, script
from vizlib.explore._images import as_classes, as_labels
from vizlib.explore._live import living
from vizlib.explore._panels import palette
from vizlib.explore._recordings import LARGEST, Recordings, as_maps, describe
from vizlib.explore._sliders import Slider, encodable, read, written
from vizlib.words import counted

_NONE = "none"
SCALES = {"map": "per map", "layer": "per layer", "network": "whole network"}


def layers(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Layers:
    """Return sliders for image, layer and channel, and a picture of what is there.

    - `images`: uint8 (N, H, W) in 0…255, normalized as MNIST is (`data.MEAN`, `data.STD`), or
      floats (N, C, H, W) that are normalized already, or one image (H, W); for a network that is
      made for signals, floats (N, C, L)
    - `labels`: the N true classes, as numbers or as names, if they are known
    - `classes`: the names of the classes; those of `model.classes` where it has any

    The model is run in eval mode and comes back as it was. A layer that cannot be shown, such as
    one without values, says so in a sentence.

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
    recordings = Recordings(model, images, as_classes(classes, model))
    return Layers(recordings, as_labels(labels, len(recordings), recordings.classes), state)


class Layers(Explorer):
    """The sliders and the canvas of `layers`."""

    def __init__(self, recordings: Recordings, labels: list[int], state: str | None) -> None:
        """Record the first image and open at `state`."""
        self._recordings, self._labels = recordings, labels
        sliders, pixel = _opened(state, recordings)
        place = {"image": 0} | {slider.name: slider.index for slider in sliders}
        canvas = _Canvas(
            stages=[describe(stage) for stage in recordings[0].values()],
            labels=labels,
            classes=recordings.classes,
            images=len(recordings),
            palette=palette(),
            packets=list(recordings.opening(place["image"], place["layer"])),
            pixel=pixel,
            # From the beginning: linked to a range of nothing, the slider would forget its place.
            last_channel=next(s.count for s in sliders if s.name == "channel") - 1,
            **place,
        )
        images = counted(len(recordings), "image")
        name = f"layers({recordings.name}, {images}, {counted(len(recordings.names), 'layer')})"
        super().__init__(name, sliders, canvas)

    def _reply(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the maps of some layers of an image."""
        packet = self._recordings.packet(asked["image"], asked["layers"])
        buffers = packet.pop("buffers")
        return packet, buffers

    def _living(self) -> str:
        canvas, pixel = self._canvas, ",".join(map(str, self._canvas.pixel))
        layer = self._recordings.names[canvas.layer]
        place = {"layer": layer, "channel": canvas.channel, "image": canvas.image}
        return living(self._recordings, place | ({"pixel": pixel} if pixel else {}), self._labels)

    def _everything(self) -> dict[str, Any]:
        images = range(len(self._recordings))
        if sum(map(self._recordings.size, images)) > LARGEST:
            raise ValueError(
                f"a page of {self!r} would be larger than {LARGEST >> 20} MB; "
                "give the view fewer images"
            )
        every = range(len(self._recordings.names))
        return {"packets": [self._recordings.packet(image, every) for image in images]}

    def replace(self, image: int, pixels: Any, *, silent: bool = False) -> None:
        """Show another image, (H, W) or (1, C, H, W), in the place of one.

        No answer is shown to an image that is `silent`.
        """
        self._recordings.replace(image, pixels, silent=silent)
        self._canvas.packets = [self._recordings.news(image, self._canvas.layer)]

    @property
    def state(self) -> str:
        """The place where the view is, as text that `layers(…, state=…)` opens again."""
        canvas = self._canvas
        place = {
            "model": self._recordings.name,
            "image": str(canvas.image),
            "layer": encodable(self._recordings.names[canvas.layer]),
            "channel": str(canvas.channel),
            "pixel": ",".join(map(str, canvas.pixel)) or _NONE,
            "scale": list(SCALES)[canvas.scale],
            "beside": str(canvas.beside - 1) if canvas.beside else _NONE,
        }
        return written(place)

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print: input, maps, probabilities."""
        canvas, recordings, scale = self._canvas, self._recordings, list(SCALES)[self._canvas.scale]
        maps = recordings.maps(canvas.image, canvas.layer)
        mosaic = plots.feature_maps(
            maps.flatten() if maps[0].numel() == 1 else maps,
            scale=recordings.peak(canvas.image) or 1.0 if scale == "network" else scale,
            title=recordings.names[canvas.layer],
            highlight=canvas.channel,
        )
        return plots.together([recordings.figure(canvas.image), mosaic], self._bars())

    def _bars(self) -> list[plots.Figure]:
        image, labels = self._canvas.image, self._labels
        chances, classes = self._recordings.probabilities(image), self._recordings.classes
        label = labels[image] if labels else None
        return (
            []
            if chances is None
            else [plots.probabilities(chances, label=label, names=classes or None)]
        )

    def _release(self) -> None:
        super()._release()
        self._recordings.close()
        self._canvas.packets = []


class _Canvas(Canvas):
    """The canvas of all maps; what it looks like is in static/canvas.js."""

    _esm = script("writing.js", "numbers.js", "store.js", "painting.js", "words.js", "canvas.js")
    _css = script("canvas.css")
    stages = traitlets.List(traitlets.Dict()).tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    palette = traitlets.Bytes().tag(sync=True)
    packets = traitlets.List(traitlets.Dict()).tag(sync=True)
    images = traitlets.Int().tag(sync=True)
    image = traitlets.Int().tag(sync=True)
    beside = traitlets.Int().tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    channel = traitlets.Int().tag(sync=True)
    pixel = traitlets.List(traitlets.Int()).tag(sync=True)
    scale = traitlets.Int().tag(sync=True)
    last_channel = traitlets.Int().tag(sync=True)


def _opened(state: str | None, recordings: Recordings) -> tuple[list[Slider], list[int]]:
    """Read "image=0 layer=conv2 channel=5 …", any part of it, into sliders and a pixel."""
    stages = recordings[0]
    layer = Slider("layer", list(stages))
    first = {"image": "0", "layer": layer.word, "channel": "0", "scale": "layer"}
    first |= {"beside": _NONE, "pixel": _NONE, "model": recordings.name}
    given = first | read(state, first)
    if given["model"] != recordings.name:
        raise ValueError(
            f"state is a place in {given['model']}, but the model is {recordings.name}"
        )
    layer = layer.at(given["layer"])
    maps = as_maps(list(stages.values())[layer.index].output)
    scale = Slider("scale", list(SCALES)).at(given["scale"])
    beside = Slider("beside", [_NONE, *map(str, range(len(recordings)))])
    sliders = [
        Slider("image", len(recordings)).at(given["image"]),
        layer,
        Slider("channel", max(1, len(maps))).at(given["channel"]),
        replace(scale, options=list(SCALES.values())),
        beside.at(given["beside"]),
    ]
    # A single image leaves nothing to choose.
    shown = sliders if len(recordings) > 1 else sliders[1:4]
    return shown, _pixel(given["pixel"], maps.shape[1:] or (1, 1))


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
