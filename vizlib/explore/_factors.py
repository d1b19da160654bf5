"""What one value is made of, as panels: patch × kernel = products, or the window of a pooling."""

from __future__ import annotations

from math import ceil
from typing import Any

import torch
from torch import Tensor

from vizlib import arithmetic
from vizlib.explore._panels import Maps, Panel


def factors(
    step: arithmetic.ConvStep,
    number: int,
    *,
    width: int,
    limit: float | None = None,
    title: str = "patch",
) -> list[Panel]:
    """Return the patch of input channel `number` of those that are read, times its kernel.

    `limit` is the number with the darkest colours of the patch.
    """
    patch, kernel, products = (
        two(part[number]) for part in (step.patch, step.kernel, step.products)
    )
    hatched = edges(two(step.is_padding))
    return [
        Maps(patch, title=title, limit=limit, padding=hatched, width=width),
        Maps(kernel, title="kernel", before="×", width=width),
        Maps(products, title="products", before="=", width=width),
    ]


def window(step: arithmetic.PoolStep, *, width: int, title: str = "window") -> list[Panel]:
    """Return the values under the window of a pooling, the winner in a frame."""
    patch = two(step.patch).masked_fill(two(step.is_padding), torch.nan)
    row, column = (0, *(step.winner or ()))[-2:]
    boxes = [(row, column, 1, 1)] if step.winner else []
    hatched = edges(two(step.is_padding))
    return [Maps(patch, title=title, boxes=boxes, padding=hatched, width=width)]


def inputs(step: arithmetic.LinearStep, *, width: int, title: str = "inputs") -> list[Panel]:
    """Return all inputs of a neuron times their weights, the largest product in a frame."""
    parts = {title: step.inputs, "weights": step.weights, "products": step.products}
    signs = {"weights": "×", "products": "="}
    best = int(step.products.abs().argmax())
    return [
        folded(part, best, title=name, before=signs.get(name, ""), width=width)
        for name, part in parts.items()
    ]


def folded(values: Tensor, framed: int, **look: Any) -> Maps:
    """Return a vector (F,) as rows of a square, one value in a frame."""
    width = ceil(len(values) ** 0.5)
    whole = torch.zeros(ceil(len(values) / width) * width, dtype=values.dtype)
    whole[: len(values)] = values
    boxes = [(*divmod(framed, width), 1, 1)]
    return Maps(whole.reshape(-1, width), boxes=boxes, known=len(values), **look)


def two(values: Tensor) -> Tensor:
    """Return a patch of one dimension as one row."""
    return values if values.dim() > 1 else values[None]


def edges(is_padding: Tensor) -> list[int]:
    """Return how many of the outermost rows and columns of a patch (kh, kw) are padding."""
    rows, columns = is_padding.all(1).int(), is_padding.all(0).int()
    ends = (rows, columns, rows.flip(0), columns.flip(0))
    return [int(end.cumprod(0).sum()) for end in ends]
