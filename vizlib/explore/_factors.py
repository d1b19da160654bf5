"""What one value is made of, as panels: patch × kernel = products, or the window of a pooling."""

from __future__ import annotations

from math import ceil
from typing import Any

import torch
from torch import Tensor

from vizlib import arithmetic
from vizlib.explore._panels import Maps, Panel


def factors(
    parts: arithmetic.Parts, *, width: int, title: str, limit: float | None = None
) -> list[Panel]:
    """Return values × weights = products, or the values alone; the chosen one in a frame.

    `title` is written above the values, and `limit` is the number with their darkest colours.
    """
    first, *others = parts.numbers
    signs = dict(zip(others, ("×", "="), strict=False))
    return [
        _part(
            parts,
            values,
            is_first=name == first,
            title=title if name == first else name,
            before=signs.get(name, ""),
            limit=limit if name == first else None,
            width=width,
        )
        for name, values in parts.numbers.items()
    ]


def _part(parts: arithmetic.Parts, values: Tensor, *, is_first: bool, **look: Any) -> Panel:
    """Return one part: a vector folded, a window with its padding hatched."""
    if values.dim() == 1:
        return folded(values, parts.chosen[0], **look)
    boxes = [(*parts.chosen, 1, 1)] if parts.chosen else []
    hatched = edges(parts.is_padding) if is_first else ()
    return Maps(values, boxes=boxes, padding=hatched, **look)


def folded(values: Tensor, framed: int, **look: Any) -> Maps:
    """Return a vector (F,) as rows of a square, one value in a frame."""
    width = ceil(len(values) ** 0.5)
    whole = torch.zeros(ceil(len(values) / width) * width, dtype=values.dtype)
    whole[: len(values)] = values
    boxes = [(*divmod(framed, width), 1, 1)]
    return Maps(whole.reshape(-1, width), boxes=boxes, known=len(values), **look)


def edges(is_padding: Tensor) -> list[int]:
    """Return how many of the outermost rows and columns of a patch (kh, kw) are padding."""
    rows, columns = is_padding.all(1).int(), is_padding.all(0).int()
    ends = (rows, columns, rows.flip(0), columns.flip(0))
    return [int(end.cumprod(0).sum()) for end in ends]
