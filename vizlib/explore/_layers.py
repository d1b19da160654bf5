"""All maps of one layer, one of them large, and sliders for image, layer, channel and scale."""

from __future__ import annotations

from typing import Any

import anywidget
import numpy as np
import traitlets
from torch import nn

from vizlib import plots
from vizlib.explore._explorer import STATIC, Explorer, script
from vizlib.explore._recordings import (
    Recordings,
    as_inputs,
    as_labels,
    as_maps,
    check_model,
    describe,
    probabilities,
)
from vizlib.explore._sliders import Slider, read

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

    `state` opens the view at a place, such as "layer=conv2 channel=5"; `.state` of a view is the
    place where it is. `.figure()` draws that place for print.

    Raises TypeError or ValueError where model, images, labels or state are none of these.

    >>> import torch
    >>> from vizlib import models
    >>> view = layers(models.build("mlp", seed=0), torch.zeros(28, 28), state="layer=relu1")
    >>> view.state
    'image=0 layer=relu1 channel=0 scale=layer'
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
        sliders = _opened(state, recordings)
        place = {slider.name: slider.index for slider in sliders}
        canvas = _Canvas(
            stages=[describe(stage) for stage in recordings[0].values()],
            labels=labels,
            images=len(recordings),
            palette=plots.colours(np.linspace(-1, 1, 255), 1).tobytes(),
            packets=list(recordings.opening(place["image"], place["layer"])),
            **place,
        )
        canvas.on_msg(self._answer)
        super().__init__(sliders, canvas)

    def _answer(self, _canvas: object, content: dict[str, Any], _buffers: object) -> None:
        """Send the maps that the browser asks for."""
        try:
            packet = self._recordings.packet(content["image"], content["layers"])
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
            self._canvas.send({"error": f"{type(error).__name__}: {error}"})
            return
        self._canvas.send(packet, packet.pop("buffers"))

    def replace(self, image: int, pixels: Any) -> None:
        """Show another image, (H, W) or (1, C, H, W), in the place of one."""
        self._recordings.replace(image, *as_inputs(pixels))
        self._canvas.packets = [self._recordings.packet(image, range(len(self._names)))]

    @property
    def state(self) -> str:
        """The place where the view is, as text that `layers(…, state=…)` opens again."""
        canvas = self._canvas
        layer, scale = self._names[canvas.layer], list(SCALES)[canvas.scale]
        return f"image={canvas.image} layer={layer} channel={canvas.channel} scale={scale}"

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print: input, maps, probabilities."""
        canvas, recording = self._canvas, self._recordings[self._canvas.image]
        stage, scale = recording[self._names[canvas.layer]], list(SCALES)[canvas.scale]
        maps = as_maps(stage.output)
        mosaic = plots.feature_maps(
            maps[:, 0, 0] if maps[0].numel() == 1 else maps,
            scale=plots.largest(recording.values()) if scale == "network" else scale,
            title=stage.name,
            highlight=canvas.channel,
        )
        picture = self._recordings.pictures[canvas.image].transpose(2, 0, 1)[None]
        image = plots.images(picture, titles=[f"image {canvas.image}"])
        return plots.together([image, mosaic], self._bars())

    def _bars(self) -> list[plots.Figure]:
        image, labels = self._canvas.image, self._labels
        chances = probabilities(self._recordings[image])
        label = labels[image] if labels else None
        return [] if chances is None else [plots.probabilities(chances, label=label)]

    def __repr__(self) -> str:
        """Return what is shown: network, images, layers."""
        images = _counted(len(self._recordings), "image")
        return f"layers({self._recordings.name}, {images}, {_counted(len(self._names), 'layer')})"


class _Canvas(anywidget.AnyWidget):
    """What Python and the browser tell each other; what it looks like is in static/canvas.js."""

    _esm = script("numbers.js", "store.js", "painting.js", "words.js", "canvas.js")
    _css = STATIC / "canvas.css"
    stages = traitlets.List().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    palette = traitlets.Bytes().tag(sync=True)
    packets = traitlets.List().tag(sync=True)
    images = traitlets.Int().tag(sync=True)
    image = traitlets.Int().tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    channel = traitlets.Int().tag(sync=True)
    scale = traitlets.Int().tag(sync=True)
    last_channel = traitlets.Int().tag(sync=True)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _opened(state: str | None, recordings: Recordings) -> list[Slider]:
    """Read "image=0 layer=conv2 channel=5 scale=map", any part of it."""
    stages = recordings[0]
    names = ("image", "layer", "channel", "scale")
    given = {"image": "0", "channel": "0", "scale": "layer", **read(state, names)}
    layer = Slider("layer", list(stages)).at(given.get("layer", next(iter(stages))))
    channels = len(as_maps(stages[layer.word].output))
    return [
        Slider("image", len(recordings)).at(given["image"]),
        layer,
        Slider("channel", channels).at(given["channel"]),
        Slider(
            "scale", list(SCALES.values()), Slider("scale", list(SCALES)).at(given["scale"]).index
        ),
    ]
