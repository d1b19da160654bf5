"""The view of a network, which `layers`, `draw`, `switch_off`, `pixel` and `upload` open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import traitlets
from torch import Tensor

from vizlib import capture, data, handwriting, plots
from vizlib.explore._contents import contents, made
from vizlib.explore._explorer import Canvas, Explorer, script, sliding
from vizlib.explore._images import class_name
from vizlib.explore._lifetime import weakly
from vizlib.explore._place import NONE, SCALES, WORDS, Place
from vizlib.explore._recordings import LARGEST, Recordings, probabilities
from vizlib.explore._sliders import Slider
from vizlib.explore._view import closed
from vizlib.words import share

PAD = 280  # pixels of the pad: ten times as fine as what the network sees
_LARGE = 4 << 20  # bytes of weights
MODULES = [  # each after those that it imports
    *("numbers", "kernel", "elements", "engine", "gradient", "graph", "fold", "ink", "contents"),
    *("tiles", "arrangement", "picture", "equation", "lens", "equation_view", "scores", "needs"),
    *("sketch", "slider", "sliders", "jobs", "thread", "fed", "state", "answers", "actions"),
    *("address", "linked", "controls", "intake", "strongest", "headings", "band", "closeup"),
    *("colours", "reply", "keyboard", "check", "frame", "learning", "weight", "learn", "live"),
]


class Front(Canvas):
    """What the view and its front end, static/live.js, tell each other.

    - `held`: what does not change
    - `pixel`: the place in the map; where the sliders stand has traits of their names
    - `changes`: what channels are multiplied by; `drawn`: whether the image is the drawing
    - `ink`: the drawing; `given`: an image, uint8, that the kernel gives in its place
    - `made`: for a network that a page cannot compute, what its layers made, `asked` for that often
    """

    _esm = script(*(f"{name}.js" for name in (*MODULES, "network")))
    _css = script("colours.css", "pad.css", "live.css", "learn.css", "sliders.css")
    held = traitlets.Dict().tag(sync=True)
    made = traitlets.Dict().tag(sync=True)
    recorded = traitlets.List(traitlets.Dict()).tag(sync=True)
    asked = traitlets.Int().tag(sync=True)
    pixel = traitlets.List(traitlets.Int()).tag(sync=True)
    changes = traitlets.Dict().tag(sync=True)
    drawn = traitlets.Bool().tag(sync=True)
    # Bytes from the browser come as a memoryview, which only a casting trait takes.
    given = traitlets.CBytes().tag(sync=True, echo_update=False)
    ink = traitlets.CBytes().tag(sync=True, echo_update=False)


class Network(Explorer):
    """The sliders, and below them the network with its images, its scores and one place closely.

    - `name`: what the view says of itself; that of a pad says what is read there
    - `place`: the sliders and the pixel where it opens, as `opened` returns them
    - `draw`: takes the view and returns its figure for print
    - `changes`: what channels are multiplied by from the start, by layer
    - `ink`: what lies on the pad at first, of a view that is a pad
    - `first`: the sliders before those of the place
    """

    _front = Front

    def __init__(
        self,
        recordings: Recordings,
        name: str,
        place: tuple[list[Slider], tuple[int, ...]],
        draw: Callable[[Network], plots.Figure],
        *,
        labels: Sequence[int] = (),
        changes: dict[str, dict[str, float]] | None = None,
        ink: bytes | None = None,
        first: Sequence[Slider] = (),
    ) -> None:
        """Open at a place, with some channels weaker than they are."""
        self._recordings, self.labels = recordings, list(labels)
        self._draw, self._is_pad = draw, ink is not None
        sliders, pixel = [*first, *place[0]], list(place[1])
        start, changes = {slider.name: slider.index for slider in sliders}, changes or {}
        if (strength := start["strength"] / 10) < 1:
            layer, channel = recordings.names[start["layer"]], str(start["channel"])
            changes.setdefault(layer, {})[channel] = strength
        held = self._held()
        # A notebook that is saved with its views should not hold a large network.
        self._weights = held["weights"]
        if len(self._weights) > _LARGE:
            held["weights"] = b""
        drawn = {"ink": ink or b"", "drawn": self._is_pad}
        canvas = sliding(self._front, sliders, held=held, changes=changes, pixel=pixel, **drawn)
        if len(recordings) == 1:  # there is nothing to choose
            canvas.within = ("image", "beside")
        super().__init__(name, sliders, canvas)
        self._page_sliders = []  # in a page the view has its own
        if not held["isComputed"]:
            self._feed()
            canvas.observe(weakly(self._feed), "asked")

    def _held(self, *, recorded: bool = False) -> dict[str, Any]:
        """Return what does not change."""
        return contents(self._recordings, self.labels, is_pad=self._is_pad, recorded=recorded)

    @property
    def recordings(self) -> Recordings:
        """What the layers made of the images."""
        return self._recordings

    @property
    def where(self) -> Place:
        """Where the view stands."""
        at = self._canvas
        return Place(
            image=at.image,
            layer=self._recordings.names[at.layer],
            channel=at.channel,
            pixel=tuple(at.pixel),
            scale=SCALES[at.scale],
            beside=at.beside - 1 if at.beside else None,
        )

    def words(self) -> dict[str, str]:
        """Return each part of the place, as `state` says it."""
        pixel = ",".join(map(str, self._canvas.pixel)) or NONE
        words = super().words() | {"model": self._recordings.name, "pixel": pixel}
        return {name: words[name] for name in WORDS}

    @property
    def drawing(self) -> np.ndarray:
        """What is on the pad: uint8 (280, 280), white on black."""
        ink = self._canvas.ink or bytes(PAD * PAD)
        return np.frombuffer(ink, np.uint8).reshape(PAD, PAD)

    @property
    def prepared(self) -> handwriting.Prepared:
        """What became of the drawing, as the network reads it."""
        return prepared(self.drawing)

    @property
    def is_drawn(self) -> bool:
        """Whether the network looks at a drawing, and not at one of the images."""
        return self._canvas.drawn

    @property
    def is_given(self) -> bool:
        """Whether the network looks at an image in the place of a drawing."""
        return self.is_drawn and bool(self._canvas.given)

    @property
    def input(self) -> Tensor:
        """What the network looks at, (1, C, H, W)."""
        if self.is_drawn:
            return data.normalize(self.prepared.image[None])
        return self.recordings.inputs[self._canvas.image : self._canvas.image + 1]

    @property
    def changes(self) -> dict[str, dict[int, float]]:
        """What channels are multiplied by, for each layer with a change."""
        return {
            layer: {int(channel): float(factor) for channel, factor in own.items()}
            for layer, own in self._canvas.changes.items()
        }

    def recording(self, *, whole: bool = False) -> capture.Recording:
        """Return what all layers make of the image, with the changes, or as it was trained."""
        if not whole and self.changes:
            return self._changed(self.input)
        found, image = self.recordings, self._canvas.image
        return found.record(self.input) if self.is_drawn else found[image]

    def _changed(self, x: Tensor) -> capture.Recording:
        with capture.edit(self.recordings.model, self.changes):
            return self.recordings.record(x)

    @property
    def probabilities(self) -> Tensor | None:
        """The probability of each class (K,), if the network ends in one score a class."""
        return probabilities(self.recording())

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print."""
        return self._draw(self)

    def _feed(self, *_change: object) -> None:
        """Give the front end what it cannot compute."""
        canvas = self._canvas
        try:
            found = self._made()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
            found = {"image": canvas.image, "error": f"{type(error).__name__}: {error}"}
        # With its number, the same answer is news to the browser, which waits for it.
        canvas.made = {**found, "asked": canvas.asked}

    def _made(self) -> dict[str, Any]:
        """Return what the layers make of the image, and of the one beside it."""
        place = self.where
        found = made(self.input, self.recording(), place.layer)
        if place.beside is not None:
            other = self.recordings.inputs[place.beside : place.beside + 1]
            beside = made(other, self._changed(other), place.layer)
            found["beside"] = beside["stages"]
        return {**found, "image": place.image, "error": ""}

    def _reply(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the weights of a large network, where the view asks for them as it opens."""
        return {}, [self._weights] if "weights" in asked else []

    def _everything(self, *, recorded: bool) -> dict[str, Any]:
        """Return what a page holds besides: without a program, what was recorded."""
        held = self._canvas.held | {"weights": self._weights}
        if not len(self._recordings):
            closed()
        if held["isComputed"] and not recorded:
            return {"held": held}
        held = self._held(recorded=True) if recorded else held
        return {"held": held, "recorded": self._fitting(self._frames()), "made": self._made()}

    def _frames(self) -> Iterator[dict[str, Any]]:
        """Yield what the layers made of each image, with each set of weights."""
        images = self._recordings
        for image in (i for _ in images.each() for i in range(len(images))):
            x = images.inputs[image : image + 1]
            found = made(x, images[image], self.where.layer, most=LARGEST)
            yield {**found, "image": image, "error": ""}

    def __repr__(self) -> str:
        """Return what it is; of a pad also what is read there."""
        return (
            f"{self._name}({self.recordings.name}, {self.answer})" if self._is_pad else self._name
        )

    @property
    def answer(self) -> str:
        """What is read, in words."""
        if self.is_drawn and not self.prepared.image.any():
            return "nothing to read yet"
        chances, classes = self.probabilities, self.recordings.classes
        if chances is None:
            return "no answer: the network does not end in one score for each class"
        winner = int(chances.argmax())
        name, likely = class_name(classes, winner), share(float(chances.max()))
        how_likely = f"> {likely[1:]}" if likely.startswith(">") else f"= {likely}"
        return f"read as {name}, {name if classes else f'P{name}'} {how_likely}"

    def _release(self) -> None:
        self._name, self._is_pad = repr(self), False
        super()._release()
        self._draw = closed
        self._recordings.close()
        self._canvas.held = self._canvas.made = {}
        self._weights = b""


def prepared(drawing: np.ndarray) -> handwriting.Prepared:
    """Return a drawing as the network reads it; an empty one is an empty image."""
    try:
        return handwriting.from_ink(drawing)
    except ValueError:
        blank = np.zeros((handwriting.SIDE, handwriting.SIDE), np.uint8)
        return handwriting.Prepared(blank, {handwriting.STEPS[-1]: blank})
