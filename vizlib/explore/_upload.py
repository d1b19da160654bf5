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

from vizlib import data, handwriting
from vizlib.explore._lifetime import weakly
from vizlib.explore._reader import Front, Reader, front_script

_CLASSES = 10


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
    says which. The rest is `layers`: white is zero, blue positive and orange negative, and the blue
    bar is the answer.

    Of several digits, the one that most looks like a digit is shown, and all are read, each with
    its box in pixels of the picture. A picture that cannot be read is answered by a sentence, and
    the last good one stays. `.prepared` is what became of it. `classes` are as in `layers`. `state`
    opens the layers at a place, such as "layer=conv2".

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


class Upload(Reader):
    """The place for photographs of `upload`, and the layers beside it."""

    def __init__(self, model: nn.Module, classes: Sequence[str] | None, state: str | None) -> None:
        """Begin without a photograph."""
        super().__init__(model, _Drop(), classes, state)
        self._model, self._ticket = model, None
        self._parts: list[bytes] = []
        self._front.on_msg(weakly(self._receive))

    def read(self, picture: Any) -> None:
        """Prepare and read a picture; raise what `handwriting.prepare` raises."""
        prepared = handwriting.prepare(picture)
        with self._front.hold_sync():
            self._show(prepared)
            chances = self.probabilities
            if chances is not None and len(chances) == _CLASSES:
                self._front.answer += self._warnings(picture, prepared)
            self._front.error = ""

    def _warnings(self, picture: Any, prepared: handwriting.Prepared) -> str:
        """Return what is to be said where there is more than one digit, or none."""
        if prepared.others:
            readings = handwriting.read_all(self._model, picture)
            places = (f"{each.digit} at {each.box}" for each in readings)
            return f". All digits (top, left, bottom, right): {', '.join(places)}"
        (reading,) = handwriting.answers(self._model, [prepared])
        return f", but {handwriting.NONE}" if reading.doubted else ""

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
        except ValueError as error:
            self._front.error = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
            self._front.error = f"{type(error).__name__}: {error}"
        finally:
            self._front.answered += 1

    def _pictures(self) -> Mapping[str, np.ndarray]:
        steps, chances = super()._pictures(), self.probabilities
        if not steps or chances is None or len(chances) != _CLASSES:
            return steps
        source, means = mean_digits()
        digit = int(chances.argmax())
        return {**steps, f"mean {digit} of {source}": means[digit]}


class _Drop(Front):
    _esm = front_script("drop.js")
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
