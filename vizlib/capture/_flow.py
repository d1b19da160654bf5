"""Follow tensors through a forward pass: which step gave what the next one reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn


class Value(str):
    """The name of a tensor in the arguments of a step, where a plain `str` is a word.

    It is one of these:

    - a step's name, `conv1`: the first tensor that the step gave, `chunk[1]` its second one;
    - `input`, and `input[1]` for a second input;
    - `unknown`: nobody saw where the tensor comes from (a script, another thread, a constant of
      the model's that is no parameter), or something wrote on it unseen.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name in angle brackets, which words do not have."""
        return f"<{self}>"


class Constant(Value):
    """The name of a parameter or buffer, such as `conv1.weight`."""

    __slots__ = ()


UNKNOWN = Value("unknown")


_PLAIN = (
    *(type(None), type(...), slice, str, bool, int, float, complex),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
_UNCOUNTED = -1


class Flow:
    """Knows tensors by identity, for as long as they live and nobody writes on them unseen.

    No tensor is held: a weak reference says whether an id still means the same one, and torch's
    own count of writes whether it still holds what the step gave.
    """

    def __init__(self, model: nn.Module, *, keeps: bool = False) -> None:
        self._model = model
        self._known: dict[int, tuple[ref[Tensor], int, Value]] = {}
        self._constants: dict[int, Constant] | None = None
        # The tensors that no step gave, by name, where they are kept.
        self.tensors: dict[str, Tensor] | None = {} if keeps else None

    def gave(self, name: str, output: Any, kind: type[Value] = Value) -> None:
        """Note that a step gave these tensors."""
        # Of a tensor that stands there twice, the first place counts.
        for count, tensor in reversed([*enumerate(tensors(output))]):
            value = kind(f"{name}[{count}]" if count else name)
            self._known[id(tensor)] = ref(tensor), _writes(tensor), value
            if kind is Constant:
                self._keep(value, tensor)

    def read(self, given: Any) -> Any:
        """Return arguments with the names of tensors in their places."""
        if isinstance(given, Tensor):
            return self.origin(given)
        if isinstance(given, tuple):
            return tuple([self.read(part) for part in given])
        if isinstance(given, list):
            return [self.read(part) for part in given]
        if isinstance(given, Mapping):
            return {name: self.read(part) for name, part in given.items()}
        if is_dataclass(given) and not isinstance(given, type):
            return {field.name: self.read(getattr(given, field.name)) for field in fields(given)}
        return given if isinstance(given, _PLAIN) else f"<{type(given).__name__}>"

    def find(self, tensor: Any) -> Value | None:
        """Return the name of a tensor that some step gave and nobody has written on."""
        known = self._known.get(id(tensor))
        if known is None or known[0]() is not tensor or known[1] != _writes(tensor):
            return None
        return known[2]

    def origin(self, tensor: Tensor) -> Value:
        """Return the name of any tensor."""
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[2] if known[1] == _writes(tensor) else self._unknown(tensor)
        return self._constant(tensor)

    def _constant(self, tensor: Tensor) -> Value:
        if self._constants is None:
            named = [*self._model.named_parameters(), *self._model.named_buffers()]
            self._constants = {id(tensor): Constant(name) for name, tensor in named}
        name = self._constants.get(id(tensor))
        return self._unknown(tensor) if name is None else self._keep(name, tensor)

    def _unknown(self, tensor: Tensor) -> Value:
        if self.tensors is None:
            return UNKNOWN
        count = 1 + sum(name.startswith(UNKNOWN) for name in self.tensors)
        name = UNKNOWN if count == 1 else Value(f"{UNKNOWN}:{count}")
        self.gave(name, tensor)
        return self._keep(name, tensor)

    def _keep(self, name: Value, tensor: Tensor) -> Value:
        if self.tensors is not None:
            self.tensors[str(name)] = tensor.detach()
        return name


def values(given: Any) -> Iterator[Value]:
    """Yield every tensor's name in arguments."""
    if isinstance(given, Value):
        yield given
    elif isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        for part in given:
            yield from values(part)


def _writes(tensor: Tensor) -> int:
    """Return how often a tensor was written on; in inference mode nobody counts."""
    try:
        return tensor._version  # noqa: SLF001 - torch's only name for it
    except RuntimeError:
        return _UNCOUNTED


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
    elif is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def replaced(value: Any, old: Tensor, new: Tensor) -> Any:
    """Return what a layer gave with another tensor in the place of one."""
    if value is old:
        return new
    if isinstance(value, tuple):
        parts = [replaced(part, old, new) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, list):
        return [replaced(part, old, new) for part in value]
    if isinstance(value, dict):
        return {name: replaced(part, old, new) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        held = {f.name: replaced(getattr(value, f.name), old, new) for f in fields(value)}
        return replace(value, **held)
    return value
