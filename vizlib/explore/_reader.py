"""Handwriting goes in at the left, its steps are shown, and the layers of what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from torch import nn
from torch.nn import functional as F

from vizlib import handwriting, plots
from vizlib.explore._explorer import Canvas, Pictured, script
from vizlib.explore._images import class_name
from vizlib.explore._layers import layers
from vizlib.explore._recordings import probabilities
from vizlib.words import share

BLANK = np.zeros((handwriting.SIDE, handwriting.SIDE), np.uint8)
_LONGEST = 140  # pixels: twice as many as a step is wide on the page


class Front(Canvas):
    """Where handwriting comes in; the pictures are painted by static/steps.js."""

    _css = script("reader.css")
    steps = traitlets.List(traitlets.Dict()).tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)


def front_script(name: str) -> str:
    """Return the source of a front end with what all of them need."""
    return script("writing.js", "steps.js", name)


class Reader(Pictured):
    """A front end that takes in handwriting, beside the layers of the network that reads it.

    `prepared` is what became of the handwriting, a `handwriting.Prepared`, or None before there is
    any. In a narrow window the layers move below.
    """

    def __init__(
        self,
        model: nn.Module,
        front: Front,
        classes: Sequence[str] | None,
        state: str | None,
    ) -> None:
        """Begin with the layers of an empty image, to which there is no answer."""
        self._front = front
        self._layers = layers(model, BLANK, classes=classes, state=state)
        self._layers.replace(0, BLANK, silent=True)
        self.prepared: handwriting.Prepared | None = None
        self._layers.layout.flex, self._layers.layout.min_width = "1 1 600px", "0"
        front.layout.flex, front.layout.width = "0 0 auto", "224px"
        front.layout.margin = "0 12px 0 0"
        name = type(self).__name__.lower()
        super().__init__(name, [front, self._layers], layout={"flex_flow": "row wrap"})

    def _show(self, prepared: handwriting.Prepared) -> None:
        """Show the steps and the layers of what was prepared, in one frame of the page."""
        # What is sent together is painted together: a frame takes longer than a message.
        with self._front.hold_sync(), self._layers._canvas.hold_sync():  # noqa: SLF001
            self._layers.replace(0, prepared.image, silent=not prepared.image.any())
            self.prepared = prepared
            self._front.steps = [_step(name, picture) for name, picture in self._pictures().items()]
            self._front.answer = self._read() if prepared.image.any() else ""

    def _pictures(self) -> Mapping[str, np.ndarray]:
        """Return what is shown beside the layers, by name."""
        return {} if self.prepared is None else self.prepared.steps

    @property
    def probabilities(self) -> torch.Tensor | None:
        """The probability of each class (K,), if the network ends in one score a class."""
        return probabilities(self._layers._recordings[0])  # noqa: SLF001 - of this package

    def _read(self) -> str:
        chances = self.probabilities
        if chances is None:
            return "No answer: the network does not end in one score for each class"
        answer, classes = int(chances.argmax()), self._layers._recordings.classes  # noqa: SLF001
        name, likely = class_name(classes, answer), share(float(chances.max()))
        how_likely = f"> {likely[1:]}" if likely.startswith(">") else f"= {likely}"
        return f"Read as {name}, {name if classes else f'P{name}'} {how_likely}"

    @property
    def state(self) -> str:
        """The place where the layers are, which the explorer takes as `state=…`."""
        return self._layers.state

    def figure(self) -> plots.Figure:
        """Return the steps, and below them the layers as they are, as a figure for print."""
        pictures = self._pictures()
        above = [plots.steps(pictures)] if pictures else []
        return plots.together(above, [self._layers.figure()])

    def to_html(self, path: str | Path, *, recorded: bool = False) -> Path:
        """Write a page that opens with the handwriting, and answers what is drawn in it.

        It needs no kernel and no connection. A network that a page cannot compute is recorded: then
        the page slides through its layers, and cannot read other handwriting.
        """
        return self._layers.to_html(path, recorded=recorded)

    def __repr__(self) -> str:
        """Return what it is, the network, and what it was read as."""
        answer = self._front.answer.replace("R", "r", 1) or "nothing to read yet"
        return f"{self._name}({self._layers._recordings.name}, {answer})"  # noqa: SLF001


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread within the `with` block.

    On one small image, threads gain nothing and wait for each other: a hundred times as long
    where the browser, painting on the same machine, takes the processor from one of them.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _step(name: str, picture: np.ndarray) -> dict[str, Any]:
    height, width = picture.shape
    small = _shrunk(picture)
    return {
        "name": name,
        "size": [height, width],
        "shape": small.shape,
        "pixels": small.tobytes(),
        # The middle, where the centre of mass comes to lie.
        "cross": name == handwriting.STEPS[-1],
    }


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W) whose pixels are means, no side longer than `_LONGEST`."""
    factor = _LONGEST / max(picture.shape)
    if factor >= 1:
        return picture
    height, width = (max(1, round(side * factor)) for side in picture.shape)
    values = torch.from_numpy(picture).float()[None, None]
    return F.adaptive_avg_pool2d(values, (height, width))[0, 0].round().to(torch.uint8).numpy()
