"""A photograph of a digit, prepared before the reader's eyes, and read."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import nn
from torch.nn import functional as F

from vizlib import data, handwriting, plots
from vizlib.explore._doors import overview
from vizlib.explore._explorer import Canvas, script
from vizlib.explore._images import as_classes
from vizlib.explore._lifetime import weakly
from vizlib.explore._network import Network
from vizlib.explore._place import opened
from vizlib.explore._recordings import Recordings

_CLASSES = 10
_LONGEST = 140  # pixels: twice as many as a step is wide on a small page


def upload(
    model: nn.Module,
    path: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Upload:
    """Return a place for photographs of a digit, and what the network reads in them.

    Choose a file, drop one there, or give its `path`, or anything else that
    `handwriting.prepare` takes. The small pictures show its steps, each as 0 black … 255 white
    with its true size: *grey*, *uneven light removed*, *white on black*, *cropped*, *specks
    dropped*, *scaled to 20*, *centred by mass* in 28×28, whose middle the orange marks at the
    border show. The last one, for comparing, is the mean of all training digits of the class that
    the network read, from MNIST where it is on disk, else from scikit-learn's digits; its name
    says which. The rest is the view of `layers`.

    Of several digits, the one that most looks like a digit is shown, and all are read, each with
    its box in pixels of the picture. A picture that cannot be read is answered by a sentence, and
    the last good one stays. `.prepared` is what became of it, a `handwriting.Prepared`. A page that
    `.to_html` writes opens with the digit; it has the pad, but cannot read photographs. `classes`
    are as in `layers`. `state` opens the layers at a place, such as "layer=conv2".

    Raises what `handwriting.prepare` raises for `path`, and TypeError or ValueError where the
    model is no network, or none for images of 28×28, or `state` is no place in it.

    >>> from vizlib import weights
    >>> paper = np.full((90, 60), 230, np.uint8)
    >>> paper[15:75, 26:34] = 40
    >>> upload(weights.load("lenet"), paper)
    upload(lenet, read as 1, P1 > 0.999)
    """
    view = Upload(model, classes, state)
    if path is not None:
        view.read(path)
    return view


class Upload(Network):
    """The place for photographs of `upload`, and below it the view of the network."""

    def __init__(self, model: nn.Module, classes: Sequence[str] | None, state: str | None) -> None:
        """Begin without a photograph."""
        blank = np.zeros((handwriting.SIDE, handwriting.SIDE), np.uint8)
        recordings = Recordings(model, blank, as_classes(classes, model))
        super().__init__(recordings, "upload", opened(recordings, state), overview, ink=b"")
        self._drop = _Drop()
        self.set_trait("children", (self._drop, *self.children))
        self._drop.on_msg(weakly(self._receive))
        self._ticket, self._parts = None, list[bytes]()

    @property
    def prepared(self) -> handwriting.Prepared:
        """What became of the photograph, or of what was drawn since."""
        return self._photograph if self.is_given else super().prepared

    @property
    def answer(self) -> str:
        """What is read, in words, and a warning where that may mislead."""
        return super().answer + (self._warning if self.is_given else "")

    def read(self, picture: Any) -> None:
        """Prepare and read a picture; raise what `handwriting.prepare` raises."""
        self._photograph = handwriting.prepare(picture)
        self._canvas.given, self._canvas.drawn = self._photograph.image.tobytes(), True
        self._warning = self._warned(picture)
        # What is sent together is painted together.
        with self._drop.hold_sync():
            self._drop.steps = [_step(name, each) for name, each in self._pictures().items()]
            self._drop.answer = self.answer[0].upper() + self.answer[1:]
            self._drop.error = ""

    def _warned(self, picture: Any) -> str:
        """Return what is to be said where there is more than one digit, or none."""
        if self._digit is None:
            return ""
        model = self.recordings.model
        if self._photograph.others:
            readings = handwriting.read_all(model, picture)
            places = (f"{each.digit} at {each.box}" for each in readings)
            return f". All digits (top, left, bottom, right): {', '.join(places)}"
        (reading,) = handwriting.answers(model, [self._photograph])
        return f", but {handwriting.NONE}" if reading.doubted else ""

    @property
    def _digit(self) -> int | None:
        """The digit that is read, None where the network has other classes."""
        chances = self.probabilities
        return int(chances.argmax()) if chances is not None and len(chances) == _CLASSES else None

    def _receive(self, _front: object, content: dict[str, Any], buffers: list[Any]) -> None:
        """Put together the parts of a file, as one message may not be as large as a photograph."""
        if content["ticket"] != self._ticket:
            self._ticket, self._parts = content["ticket"], []
        self._parts += map(bytes, buffers)
        if len(self._parts) < content["parts"]:
            return
        file = io.BytesIO(b"".join(self._parts))
        file.name, self._parts = content["name"], []
        self._try(file)

    def _try(self, file: io.BytesIO) -> None:
        try:
            self.read(file)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self._drop.error = f"{kind}{error}"
        finally:
            self._drop.answered += 1

    def _pictures(self) -> Mapping[str, np.ndarray]:
        """Return what is shown beside the network, by name."""
        steps = self.prepared.steps if self.is_given else {}
        if not steps or (digit := self._digit) is None:
            return steps
        source, means = mean_digits()
        return {**steps, f"mean {digit} of {source}": means[digit]}

    def figure(self) -> plots.Figure:
        """Return the steps, and below them the network as it is, as a figure for print."""
        pictures = self._pictures()
        above = [plots.steps(pictures)] if pictures else []
        return plots.together(above, [super().figure()])


class _Drop(Canvas):
    """Where photographs come in; the pictures are painted by static/steps.js."""

    _esm = script(
        *("elements.js", "kernel.js", "numbers.js", "tiles.js", "colours.js", "steps.js", "drop.js")
    )
    _css = script("colours.css", "reader.css")
    steps = traitlets.List(traitlets.Dict()).tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    answered = traitlets.Int().tag(sync=True)


@functools.cache
def mean_digits() -> tuple[str, np.ndarray]:
    """Return where from, and the mean of each class's training images, uint8 (10, 28, 28)."""
    try:
        digits = data.load("mnist", download=False)
    except (FileNotFoundError, ValueError):
        digits = data.load("digits")
    images, labels = digits.train.images, digits.train.labels
    means = torch.stack([images[labels == k].float().mean(0) for k in range(_CLASSES)])
    source = {"mnist": "MNIST", "digits": "scikit-learn's digits"}[digits.name]
    return source, means.round().to(torch.uint8).numpy()


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
