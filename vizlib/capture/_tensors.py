"""Find the tensors in what a layer took or gave, whatever they are wrapped in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer took or gave: a tensor, tuple, dict, dataclass."""
    first = value
    while type(first) is tuple and first:
        first = first[0]
    # Nearly always this is it; the search is several times as slow.
    return first if isinstance(first, Tensor) else next(tensors(value), None)


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield every tensor in what a layer took or gave."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        value = list(value.values())
    elif is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)
