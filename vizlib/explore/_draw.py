"""A pad to draw a digit on, answered by the network while it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import nn
from torch.nn import functional as F

from vizlib import data, handwriting, plots
from vizlib.explore._lifetime import weakly
from vizlib.explore._reader import BLANK, Front, Reader, front_script, one_thread

SIDE = 280  # pixels of the pad: ten times as fine as what the network sees


def draw(
    model: nn.Module,
    drawing: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Draw:
    """Return a pad, and what the network makes of what is drawn on it.

    Draw one digit with the mouse, a finger or a pen: white ink on black, as MNIST's own digits
    are, so that no step has to turn it around. While you draw and after each stroke, the drawing
    goes to the network as `handwriting.from_ink` prepares it, normalized as MNIST is: a network
    that was trained on images in 0…1 needs a first layer that undoes it. The small pictures show:
    *cropped* to the ink, *scaled to 20* pixels, and *centred by mass* in 28×28, whose middle the
    orange marks at the border show. The rest is `layers`, live: there white is zero, blue
    positive and orange negative, and the blue bar is the answer. An empty pad is an empty image
    that is not answered. `classes` are as in `layers`.

    `drawing` is what lies on the pad at first: uint8 (H, W), white on black, of any square size,
    such as a digit of MNIST. `state` opens the layers at a place, such as "layer=conv2 channel=5".
    `classes` are as in `layers`.
    `.drawing` is what is on the pad now, `.prepared` what became of it.

    Raises TypeError or ValueError where model, drawing or state are none of these, and ValueError
    where the network takes no image of 28×28.

    >>> from vizlib import weights
    >>> seven = np.zeros((280, 280), np.uint8)
    >>> seven[40:60, 80:200] = 255
    >>> seven[40:240, 180:200] = 255
    >>> draw(weights.load("lenet"), seven)
    draw(lenet, read as 7, P7 > 0.999)
    """
    return Draw(model, _as_drawing(drawing), classes, state)


class Draw(Reader):
    """The pad of `draw`, and the layers beside it."""

    def __init__(
        self,
        model: nn.Module,
        drawing: np.ndarray,
        classes: Sequence[str] | None,
        state: str | None,
    ) -> None:
        """Put the drawing on the pad and read it."""
        super().__init__(model, _Pad(ink=drawing.tobytes()), classes, state)
        self._show_ink()
        self._front.observe(weakly(self._answer), "asked")

    @property
    def drawing(self) -> np.ndarray:
        """What is on the pad: uint8 (280, 280), white on black."""
        return np.frombuffer(self._front.ink, np.uint8).reshape(SIDE, SIDE)

    def _answer(self, change: dict[str, Any]) -> None:
        """Answer a question of the browser, which asks the next one only then."""
        with self._front.hold_sync():
            try:
                self._show_ink()
                self._front.error = ""
            except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
                self._front.error = f"{type(error).__name__}: {error}"
            self._front.answered = change["new"]

    def _show_ink(self) -> None:
        try:
            prepared = handwriting.from_ink(self.drawing)
        except ValueError:
            prepared = handwriting.Prepared(BLANK, {handwriting.STEPS[-1]: BLANK})
        with one_thread():
            self._show(prepared)

    def figure(self) -> plots.Figure:
        """Return the drawing, its steps, and the layers as they are, as a figure for print."""
        above = plots.steps({"drawn": self.drawing, **self._pictures()})
        return plots.together([above], [self._layers.figure()])


class _Pad(Front):
    _esm = front_script("pad.js")
    # Bytes from the browser come as a memoryview, which only a casting trait takes.
    ink = traitlets.CBytes().tag(sync=True, echo_update=False)
    asked = traitlets.Int().tag(sync=True, echo_update=False)
    answered = traitlets.Int().tag(sync=True)


def _as_drawing(drawing: Any) -> np.ndarray:
    """Return uint8 (280, 280); raise where it was neither none nor a square of bytes."""
    if drawing is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    if not isinstance(drawing, np.ndarray | torch.Tensor):
        raise TypeError(
            f"drawing must be an array or a tensor, but was a {type(drawing).__name__}; "
            "for a photograph there is explore.upload"
        )
    values = data.as_tensor(drawing).detach().cpu()
    match tuple(values.shape):
        case (height, width) if height == width > 0 and values.dtype == torch.uint8:
            return _enlarged(values)
    kind = str(values.dtype).removeprefix("torch.")
    raise ValueError(
        f"drawing must be uint8 (N, N), white on black, but was {kind} {tuple(values.shape)}; "
        "for a photograph there is explore.upload"
    )


def _enlarged(values: torch.Tensor) -> np.ndarray:
    if len(values) == SIDE:
        return values.numpy()
    large = F.interpolate(values[None, None].float(), (SIDE, SIDE), mode="bilinear")[0, 0]
    return large.round().to(torch.uint8).numpy()
