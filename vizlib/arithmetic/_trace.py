"""What is known of each value on the way from a layer back to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from vizlib.arithmetic._steps import Place, Step


class Box(NamedTuple):
    """Rows top…bottom − 1 and columns left…right − 1 of an image: `x[..., top:bottom, left:right]`.

    >>> Box(2, 0, 7, 5).height
    5
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left


@dataclass(frozen=True, eq=False)
class Traced:
    """One value on the way back to the image.

    - `stage`: the stage's name, "input" for the image itself
    - `place`: (channel, row, column), (channel, position), or (index,) of a vector. Where the
      layer gave more than one image for one, the image's number stands before them
    - `value`: what the network computed
    - `total`: what the step here computed in float64 from the values before the layer
    - `step`: how the value comes about; None where it only moves
    - `field`: the input pixels that this value can depend on
    - `before`: what the layer read, (C, H, W) or (F,) float64; of several outputs the one that
      the way goes on to. None for the image itself
    - `source`: the place in `before` that the way goes on to; None where that is padding
    """

    stage: str
    kind: str
    place: Place
    value: float
    total: float
    step: Step | None
    field: Box
    before: Tensor | None
    source: Place | None = None

    @property
    def difference(self) -> float:
        """The step's result minus the network's own: what float32 rounds away."""
        return self.total - self.value

    def __repr__(self) -> str:
        """Return name, place, value and field in one line."""
        where = ", ".join(map(str, self.place))
        top, left, bottom, right = self.field
        sees = f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"
        return f"{self.stage}[{where}] = {self.value:.6g}  sees {sees if self.field.width else '–'}"


class Trace(tuple[Traced, ...]):
    """The values from the one asked for to a pixel of the image, in this order."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a line for each value."""
        return "\n".join(map(repr, self))
