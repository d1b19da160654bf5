"""Where the view of a network stands, and how that is written: layer=conv2 channel=5 pixel=3,4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vizlib.explore._recordings import Recordings
from vizlib.explore._sliders import Slider, read

NONE = "none"
TENTHS = ["0", *(f"0.{tenth}" for tenth in range(1, 10)), "1"]
SCALES = ["map", "layer", "network"]
WORDS = ("model", "image", "layer", "channel", "pixel", "strength", "scale", "beside")
# As it was written before.
OLD = ("row", "col", "keep")


class Place(NamedTuple):
    """An image, a layer, a channel of it, perhaps a pixel, and how all that is looked at.

    - `scale`: whose greatest value has the darkest colour: the map's, the layer's, the network's
    - `beside`: a second image, if there is one
    """

    image: int
    layer: str
    channel: int
    pixel: tuple[int, ...]
    scale: str
    beside: int | None


def opened(recordings: Recordings, state: str | None) -> tuple[list[Slider], tuple[int, ...]]:
    """Return sliders and pixel at any part of "image=0 layer=conv2 channel=5 pixel=3,4 …".

    Raises ValueError, in one sentence, for what is no place in this network.
    """
    given = {"model": recordings.name} | read(state, [*WORDS, *OLD])
    if given["model"] != recordings.name:
        raise ValueError(
            f"state is a place in {given['model']}, but the model is {recordings.name}"
        )
    if "keep" in given:
        given.setdefault("strength", given["keep"])
    if {"row", "col"} & given.keys():
        given["pixel"] = f"{given.get('row', 0)},{given.get('col', 0)}"
    layer = Slider("layer", recordings.names)
    layer = layer.at(given.get("layer", layer.word))
    shape, count = recordings.shapes[layer.index], len(recordings)
    sliders = [
        Slider("image", count),
        layer,
        Slider("channel", shape[0]),
        Slider("strength", TENTHS, TENTHS.index("1")),
        Slider("scale", SCALES, SCALES.index("layer")),
        Slider("beside", [NONE, *map(str, range(count))]),
    ]
    sliders = [slider.at(given.get(slider.name, slider.word)) for slider in sliders]
    return sliders, _pixel(given.get("pixel", NONE), shape[1:])


def _pixel(text: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Read "3,4": a row and a column of a map of that shape."""
    if text == NONE or not shape:  # a vector has units alone
        return ()
    found = tuple(int(part) for part in text.split(",") if part.isdecimal())
    if len(found) != len(shape) or any(at >= end for at, end in zip(found, shape, strict=True)):
        raise ValueError(
            f"pixel must be a row and a column of a map of {shape[0]}×{shape[1]}, such as 0,0, "
            f"but was {text}"
        )
    return found
