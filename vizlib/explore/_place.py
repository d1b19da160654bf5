"""Where the view of a network stands, and how that is written: layer=conv2 channel=5 pixel=3,4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vizlib.explore._recordings import Recordings
from vizlib.explore._sliders import Slider, encodable, read, written

_NONE = "none"
_TENTHS = ["0", *(f"0.{tenth}" for tenth in range(1, 10)), "1"]
SCALES = ["map", "layer", "network"]
WORDS = (
    *("model", "image", "layer", "channel", "pixel", "strength", "scale", "beside"),
    *("row", "col", "keep"),  # which are read, and not written
)


@dataclass(frozen=True)
class Place:
    """An image, a layer, a channel of it, perhaps a pixel, and how all that is looked at.

    - `strength`: what the channel is multiplied by, 0…1
    - `scale`: whose greatest value has the darkest colour: the map's, the layer's, the network's
    - `beside`: a second image, if there is one
    """

    recordings: Recordings
    layer: str
    image: int = 0
    channel: int = 0
    pixel: tuple[int, ...] = ()
    strength: float = 1.0
    scale: str = "layer"
    beside: int | None = None

    def sliders(self) -> list[Slider]:
        """Return the sliders where they stand; of a single image there is nothing to choose."""
        count = len(self.recordings)
        image = Slider("image", count, self.image)
        beside = Slider("beside", [_NONE, *map(str, range(count))], self._beside)
        sliders = [
            Slider("layer", self.recordings.names, self._layer),
            Slider("channel", self.channels, self.channel),
            Slider("strength", _TENTHS, round(10 * self.strength)),
            Slider("scale", SCALES, SCALES.index(self.scale)),
        ]
        return [image, *sliders, beside] if count > 1 else sliders

    def traits(self) -> dict[str, Any]:
        """Return the place as numbers, for the front end."""
        numbers = {slider.name: slider.index for slider in self.sliders()}
        # From the beginning: linked to a range of nothing, the slider would forget its place.
        return {**numbers, "pixel": list(self.pixel), "last_channel": self.channels - 1}

    def moved(self, traits: Any) -> Place:
        """Return the place of which these are the numbers."""
        return replace(
            self,
            layer=self.recordings.names[traits.layer],
            image=traits.image,
            channel=traits.channel,
            pixel=tuple(traits.pixel),
            strength=traits.strength / 10,
            scale=SCALES[traits.scale],
            beside=traits.beside - 1 if traits.beside else None,
        )

    def written(self) -> str:
        """Return the place as text, which `opened` reads."""
        return written(self.words())

    def words(self) -> dict[str, str]:
        """Return the same as words by their names."""
        return {
            "model": self.recordings.name,
            "image": str(self.image),
            "layer": encodable(self.layer),
            "channel": str(self.channel),
            "pixel": ",".join(map(str, self.pixel)) or _NONE,
            "strength": _TENTHS[round(10 * self.strength)],
            "scale": self.scale,
            "beside": _NONE if self.beside is None else str(self.beside),
        }

    @property
    def channels(self) -> int:
        """How many channels the layer has."""
        return self.recordings.shape(self._layer)[0]

    @property
    def _layer(self) -> int:
        return self.recordings.names.index(self.layer)

    @property
    def _beside(self) -> int:
        return 0 if self.beside is None else self.beside + 1


def opened(recordings: Recordings, state: str | None) -> Place:
    """Read any part of "image=0 layer=conv2 channel=5 pixel=3,4 …".

    Raises ValueError, in one sentence, for what is no place in this network.
    """
    given = {"model": recordings.name} | read(state, WORDS)
    if given["model"] != recordings.name:
        raise ValueError(
            f"state is a place in {given['model']}, but the model is {recordings.name}"
        )
    layer = Slider("layer", recordings.names)
    layer = layer.at(given.get("layer", layer.word))
    place = Place(recordings, recordings.names[layer.index])
    count = len(recordings)
    image = Slider("image", count).at(given.get("image", "0")).index
    beside = Slider("beside", [_NONE, *map(str, range(count))]).at(given.get("beside", _NONE))
    return replace(
        place,
        image=image,
        channel=Slider("channel", place.channels).at(given.get("channel", "0")).index,
        pixel=_pixel(given, recordings.shape(layer.index)[1:]),
        strength=Slider("strength", _TENTHS).at(_strength(given)).index / 10,
        scale=Slider("scale", SCALES).at(given.get("scale", "layer")).word,
        beside=beside.index - 1 if beside.index else None,
    )


def _strength(given: dict[str, str]) -> str:
    return given.get("strength", given.get("keep", "1"))


def _pixel(given: dict[str, str], shape: Sequence[int]) -> tuple[int, ...]:
    """Read "3,4", or row=3 col=4: a row and a column of a map of that shape."""
    text = given.get("pixel", _NONE)
    if {"row", "col"} & given.keys():
        text = f"{given.get('row', 0)},{given.get('col', 0)}"
    if text == _NONE or not shape:  # a vector has units alone
        return ()
    found = tuple(int(part) for part in text.split(",") if part.isdecimal())
    if len(found) != len(shape) or any(at >= end for at, end in zip(found, shape, strict=True)):
        raise ValueError(
            f"pixel must be a row and a column of a map of {shape[0]}×{shape[1]}, such as 0,0, "
            f"but was {text}"
        )
    return found
