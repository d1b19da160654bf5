"""The way from one value of a network back to the digit, map by map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np

from vizlib import arithmetic
from vizlib.plots._board import MARGIN, Board, Corner, Places, Thumb, end_of, grid
from vizlib.plots._figure import WIDTH, Figure, styled
from vizlib.plots._style import GREY, array, of_kind
from vizlib.words import short

_IMAGE = "input"
# Pictures side by side, with as much room for the words of the last column as for the others.
_COLUMNS = 5
_PITCH = (WIDTH - 2 * MARGIN) / _COLUMNS
# Inches of a map, of the lines above it and of those below it.
_MAP = 0.95
_ABOVE = 0.38
_BELOW = 0.5
_ROW = _ABOVE + _MAP + _BELOW
_ARROW = (_PITCH - _MAP) / 2 + 0.06  # left of the map that it points away from
_CAPTION = (
    "Each picture is made from the next one. White is zero, blue positive, orange negative, each "
    "map on its own scale; hatched: padding. Small frame: the value that is followed; large frame: "
    "all that was read around it; on the image: the receptive field."
)


@styled
def trace(steps: arithmetic.Trace, *, output: Any = None, title: str | None = None) -> Figure:
    """Draw the chain from one value back to the digit: every map on the way, and what was read.

    - `steps`: what `arithmetic.trace` returned.
    - `output`: all that the layer of the first value makes, (C, H, W), (1, C, H, W) or a
      `capture.Stage`. The first picture then shows its channel, otherwise the value alone.

    The pictures are read like lines of text, and each is made from the next one. Above each stand
    the layer, [channel, row, column] and how many pixels of the image the value can see; below it
    the value and what it was made of. What the marks mean:

    - white is zero, blue positive, orange negative, each map on its own scale;
    - a vector is folded into a square, row by row;
    - the small frame is the value that is followed, the large frame all that was read around it;
    - hatched cells are padding.

    The last picture is the image, from black, its smallest value, to white, its largest. There the
    large frame is the receptive field of the first value, and the small one the pixel at which the
    way ends. A way that ends in padding has no image.

    Raises TypeError where `steps` is no trace, ValueError for an empty one or an output of another
    shape.

    >>> from vizlib import models
    >>> image = np.eye(5, dtype=np.float32)[None, None]
    >>> trace(arithmetic.trace(models.build("arithmetic"), image, "pool", 0, 1, 1))
    <Figure size 840x398 with 1 Axes>
    """
    of_kind(steps, arithmetic.Trace, "steps", "arithmetic.trace")
    if not steps:
        raise ValueError("steps were empty: a trace has at least the value that it begins at")
    first = steps[0]
    board = Board()
    top = board.heading(title or f"{first.stage}[{_place(first)}] = {short(first.value, 4)}")
    panels = [_first(first, output), *(_behind(*pair, first.field) for pair in pairwise(steps))]
    if steps[-1].kind != _IMAGE:
        panels.append(_padding(steps[-1]))
    for number, panel in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        corner = MARGIN + column * _PITCH, top + row * _ROW
        panel.draw(board, corner)
        if column:
            board.write("←", (corner[0] - _ARROW, corner[1] + _ABOVE + _MAP / 2 - 0.08), 11)
    return board.finish(board.caption(_CAPTION, top + _ROW * ceil(len(panels) / _COLUMNS)))


@dataclass(frozen=True)
class _Panel:
    """A map (H, W) with its words, the cell that is followed, and what was read around it."""

    lines: Sequence[str]
    values: np.ndarray
    cell: Sequence[int] = ()
    window: Places = ((), ())
    is_image: bool = False

    def draw(self, board: Board, corner: Corner) -> None:
        """Draw it with two lines above and two below."""
        (left, top), (name, where, value, made) = corner, self.lines
        below = top + _ABOVE + _MAP
        board.write(name, corner, _fitted(name, 8.5, 14), bold=True)
        board.write(where, (left, top + 0.18), _fitted(where, 7, 21))
        board.write(value, (left, below + 0.05), 9.5, bold=True)
        board.write(made, (left, below + 0.24), 7.5, color=GREY)
        self._paint(board, (left, top + _ABOVE))

    def _paint(self, board: Board, corner: Corner) -> None:
        thumb = Thumb(self.values, self.window, _MAP)
        # First, so that of a window of four the large frame stays whole.
        if self.cell:
            row, column = self.cell
            board.frame([thumb.box([row], [column])], corner, thumb.side, line=1)
        if self.is_image:
            board.picture(self.values, corner, thumb.side)
            board.frame(thumb.window, corner, thumb.side)
        else:
            thumb.draw(board, corner, end_of(self.values))


def _fitted(text: str, size: float, letters: int) -> float:
    """Return the size in points at which a text fits a column of `letters` letters."""
    return size * min(1, letters / max(len(text), 1))


def _first(one: arithmetic.Traced, output: Any) -> _Panel:
    """Return the map that the first value stands in, or the value alone."""
    if output is None:
        return _Panel(_lines(one), np.array([[one.value]]))
    values = array(output)
    values = values[0] if values.ndim > len(one.place) and len(values) == 1 else values
    if values.ndim != len(one.place) or np.greater_equal(one.place, values.shape).any():
        raise ValueError(
            f"output must be all that {one.stage} makes, with a value at [{_place(one)}], "
            f"but had the shape {values.shape}"
        )
    return _Panel(_lines(one), *_map(values, one.place))


def _behind(reader: arithmetic.Traced, one: arithmetic.Traced, field: arithmetic.Box) -> _Panel:
    """Return the map that `reader` reads, in which `one` stands."""
    before = array(reader.before)
    whole, cell = _map(before, reader.source or ())
    if one.kind != _IMAGE or before.ndim == 1:
        return _Panel(_lines(one), whole, cell, _window(reader))
    brightness = before.mean(0).reshape(whole.shape)
    window = (range(field.top, field.bottom), range(field.left, field.right))
    return _Panel(_lines(one), brightness, cell, window, is_image=True)


def _padding(last: arithmetic.Traced) -> _Panel:
    """Return the map beside which a way ends."""
    channel = getattr(last.step, "channels", [last.place[0]])[0]
    whole, _ = _map(last.before, (channel, *last.place[1:]))
    return _Panel(("padding", "", "= 0", "the way ends here"), whole, window=_window(last))


def _window(reader: arithmetic.Traced) -> Places:
    """Return the rows and columns that a layer read, if it has a window."""
    return getattr(reader.step, "places", ((), ()))


def _map(values: Any, place: Sequence[int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the channel of `place` as (H, W), a vector folded, and the row and column there."""
    values = np.asarray(values, dtype=float)
    if values.ndim > 1:
        row, column = (0, *place[1:])[-2:]
        return grid(values[place[0]])[0], (row, column)
    width = ceil(len(values) ** 0.5)
    whole = np.full((ceil(len(values) / width), width), np.nan)
    whole.flat[: len(values)] = values
    row, column = divmod(place[0], width)
    return whole, (row, column)


def _lines(one: arithmetic.Traced) -> Sequence[str]:
    """Return name, place, value, and in a few words how it came about."""
    is_image, where = one.kind == _IMAGE, f"[{_place(one)}]"
    made = one.step.made_of() if one.step else "a pixel" if is_image else "the same value"
    sees = "" if is_image else f" sees {one.field.height}×{one.field.width}"
    return one.stage, where + sees, f"= {short(one.value, 4)}", made


def _place(one: arithmetic.Traced) -> str:
    return ", ".join(map(str, one.place))
