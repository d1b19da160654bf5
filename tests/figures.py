"""What stands on a drawn board: its texts, its frames, its padding and its painted arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle in inches from the top left of the board."""

    left: float
    top: float
    width: float
    height: float


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def said(figure) -> str:
    """All texts as one, with plain spaces."""
    return " | ".join(texts(figure)).replace("\u00a0", " ")


def frames(figure) -> list[Box]:
    """The black frames, in the order in which they were drawn."""
    patches = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    black = [patch for patch in patches if patch.get_edgecolor()[0] < 0.5]
    return [Box(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in black]


def hatched(figure) -> list:
    return [patch for patch in figure.axes[0].patches if patch.get_hatch()]


def panels(figure) -> list[tuple[Box, np.ndarray]]:
    """Where each painted array stands, and its values."""
    found = []
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        found.append((Box(left, top, right - left, bottom - top), image.get_array()))
    return found


def framed(figure, number) -> list[tuple[float, ...]]:
    """The frames on the panel of that number, in rows and columns of its map: smallest first."""
    panel, values = panels(figure)[number]
    side, found = panel.width / values.shape[1], []
    for frame in frames(figure):
        below, right = frame.top - panel.top, frame.left - panel.left
        if -0.01 <= right < panel.width and -0.01 <= below < panel.height:
            edges = (below, right, below + frame.height, right + frame.width)
            found.append(tuple(round(edge / side, 3) for edge in edges))
    return sorted(found, key=lambda box: box[2] - box[0])


def holds(whole, part):
    """Whether one picture (H, W, 4) is somewhere in another."""
    row = max(range(len(part)), key=lambda at: part[at].std())
    wanted = part[row].tobytes()
    for y in range(row, len(whole) - len(part) + row + 1):
        left, rest = divmod(whole[y].tobytes().find(wanted), 4)
        found = whole[y - row : y - row + len(part), left : left + part.shape[1]]
        if left >= 0 and rest == 0 and np.array_equal(found, part):
            return True
    return False
