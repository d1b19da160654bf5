"""Pictures of any size, one after the other: what becomes of a photograph, step by step."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from vizlib.plots._board import GAP, MARGIN, Board
from vizlib.plots._style import GREY, LIGHT, WIDTH, Figure, array, styled

_COLUMNS, _LETTERS, _LINE = 4, 16, 0.17
_BYTES = 255


@styled
def steps(pictures: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """Draw pictures of any size in rows of four, each below its name and its size.

    `pictures` has uint8 (H, W) by name, as `handwriting.prepare(…).steps` has them: 0 is black and
    255 white, in every picture. Each is drawn as large as its place allows, small ones with their
    pixels to be seen, in a thin grey frame; what is written is the true height × width.

    Raises ValueError where there is no picture, or one that is not uint8 (H, W).

    >>> steps({"drawn": np.zeros((280, 280), np.uint8), "centred": np.zeros((28, 28), np.uint8)})
    <Figure size 840x258 with 1 Axes>
    """
    values = {name: _as_picture(name, picture) for name, picture in pictures.items()}
    if not values:
        raise ValueError("steps needs at least one picture, as in steps({'drawn': image})")
    board = Board(WIDTH)
    top = board.heading(title) if title else MARGIN
    side = (WIDTH - 2 * MARGIN - (_COLUMNS - 1) * GAP) / _COLUMNS
    for row in range(ceil(len(values) / _COLUMNS)):
        some = dict(list(values.items())[row * _COLUMNS : (row + 1) * _COLUMNS])
        top = _row(board, some, top, side)
    return board.finish(top)


def _as_picture(name: str, picture: Any) -> np.ndarray:
    values = array(picture)
    if values.dtype != np.uint8 or len(values.shape) != len("HW") or not values.size:
        raise ValueError(
            f"each picture must be uint8 (H, W), but {name!r} is {values.dtype} {values.shape}"
        )
    return values


def _row(board: Board, pictures: Mapping[str, np.ndarray], top: float, side: float) -> float:
    """Draw a row of pictures in squares of that side, and return where it ends."""
    names = [textwrap.wrap(name, _LETTERS) for name in pictures]
    below = top + _LINE * (max(map(len, names)) + 1) + 0.03
    tallest = 0.0
    for place, (name, values) in enumerate(zip(names, pictures.values(), strict=True)):
        left = MARGIN + place * (side + GAP)
        _names(board, name, values.shape, left, below)
        tallest = max(tallest, _picture(board, values, left, below, side))
    return below + tallest + MARGIN


def _names(
    board: Board, lines: list[str], shape: tuple[int, ...], left: float, below: float
) -> None:
    start = below - _LINE * (len(lines) + 1) - 0.03
    for number, line in enumerate(lines):
        board.write(line, left, start + number * _LINE, 9, weight="bold")
    board.write(f"{shape[0]} × {shape[1]}", left, below - _LINE - 0.03, 8, color=GREY)


def _picture(board: Board, values: np.ndarray, left: float, top: float, side: float) -> float:
    """Draw one picture, and return its height in inches."""
    height, width = (length * side / max(values.shape) for length in values.shape)
    box = (left, left + width, top + height, top)
    look = {"cmap": "gray", "vmin": 0, "vmax": _BYTES, "aspect": "auto", "zorder": 1}
    board.axes.imshow(values, extent=box, interpolation="auto", **look)
    xs, ys = [left, left + width], [top, top + height]
    board.axes.hlines(ys, *xs, color=LIGHT, linewidth=0.7, zorder=2)
    board.axes.vlines(xs, *ys, color=LIGHT, linewidth=0.7, zorder=2)
    return height
