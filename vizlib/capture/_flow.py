"""Follow tensors through a forward pass: which step gave what the next one reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor, nn


class Value(str):
    """The name of a tensor in the arguments of a step, where a plain `str` is a word.

    It is one of these:

    - a step's name, `conv1`: the first tensor that the step gave; `chunk[1]` is its second one
    - `input`, and `input[1]` for a second input
    - `unknown`, `unknown:2`, …: nobody saw where it comes from (a script, another thread, a
      constant of the model's that is no parameter), or something wrote on it through a view

    A tensor goes by the last step that gave it or wrote on it. Writes that torch does not count,
    such as those through numpy or `.data`, stay unseen.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name in angle brackets, which words do not have."""
        return f"<{self}>"


class Constant(Value):
    """The name of a parameter or buffer, such as `conv1.weight`."""

    __slots__ = ()


INPUT = "input"
UNKNOWN = "unknown"


class Step(NamedTuple):
    """One operation of a forward pass, and what it was given.

    - `name`: as a stage's; every stage is a step, and what lies between stages is one too:
      slices (`getitem`), `permute`, `sub`, `chunk`, …
    - `operation`: "conv2d", "relu", "add", "cat", "flatten", …: one word, however it was called
    - `arguments` and `options`: what the call was given, by position and by keyword. A tensor is
      the `Value` that says where it comes from, and numbers that the code read from a shape are
      those of this pass. A module's are those of its `forward`.
    - `shape`: of the first tensor that it gave; () as well for a number read from a tensor
      (`item`, `tolist`, …): where such a step is, the code may decide by the values
    - `function`: what was called, to call it again: `torch.relu`, `torch.Tensor.permute`, …;
      None for a module
    """

    name: str
    operation: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]
    function: Callable | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that it read, in order: all but parameters and buffers."""
        read = _leaves((self.arguments, self.options))
        return tuple(
            str(leaf) for leaf in read if isinstance(leaf, Value) and not isinstance(leaf, Constant)
        )


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

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._known: dict[int, tuple[ref[Tensor], int, Value]] = {}
        self._constants: dict[int, Constant] | None = None
        self.steps: dict[str, Step] = {}
        # The tensors that were read and that no step gave.
        self.tensors: dict[str, Tensor] = {}

    def step(self, name: str, operation: str, function: Any, given: Any, output: Any) -> None:
        """Note a step, and that it gave these tensors."""
        first = first_tensor(output)
        shape = () if first is None else first.shape
        arguments, options = given
        self.steps[name] = Step(name, operation, arguments, options, shape, function)
        self.gave(name, output)

    def gave(self, name: str, output: Any, kind: type[Value] = Value) -> None:
        """Note that a step gave these tensors."""
        if type(output) is Tensor and kind is Value:  # nearly always, and quicker
            self._known[id(output)] = ref(output), _writes(output), Value(name)
            return
        # Of a tensor that stands there twice, the first place counts.
        for count, tensor in reversed([*enumerate(tensors(output))]):
            value = kind(f"{name}[{count}]" if count else name)
            self._known[id(tensor)] = ref(tensor), _writes(tensor), value
            if kind is Constant:
                self._keep(value, tensor)

    def read_call(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments of a call with the names of tensors in their places."""
        if len(args) == 1 and type(args[0]) is Tensor and not kwargs:  # nearly always, and quicker
            return (self.origin(args[0]),), {}
        return self.read(args), self.read(kwargs)

    def read(self, given: Any) -> Any:
        """Return arguments with the names of tensors in their places."""
        return mapped(self._read, given, plain=True)

    def _read(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return self.origin(leaf)
        return leaf if isinstance(leaf, _PLAIN) else f"<{type(leaf).__name__}>"

    def find(self, tensor: Tensor) -> Value | None:
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
        count = 1 + sum(name.startswith(UNKNOWN) for name in self.tensors)
        name = numbered(UNKNOWN, count)
        self.gave(name, tensor)
        return self._keep(Value(name), tensor)

    def _keep(self, name: Value, tensor: Tensor) -> Value:
        self.tensors[str(name)] = tensor
        return name


def _writes(tensor: Tensor) -> int:
    """Return how often a tensor was written on; in inference mode nobody counts."""
    try:
        return tensor._version  # noqa: SLF001 - torch's only name for it
    except RuntimeError:
        return _UNCOUNTED


def numbered(name: str, count: int) -> str:
    """Return the name of the first, second … of a name: `relu`, `relu:2`."""
    return name if count == 1 else f"{name}:{count}"


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer took or gave: a tensor, tuple, dict, dataclass."""
    first = value
    while type(first) is tuple and first:
        first = first[0]
    # Nearly always this is it; the search is several times as slow.
    return first if isinstance(first, Tensor) else next(iter(tensors(value)), None)


def tensors(value: Any) -> list[Tensor]:
    """Return every tensor in what a layer took or gave."""
    return [leaf for leaf in _leaves(value) if isinstance(leaf, Tensor)]


def replaced(value: Any, old: Tensor, new: Tensor) -> Any:
    """Return what a layer gave with another tensor in the place of one."""
    return mapped(lambda leaf: new if leaf is old else leaf, value)


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, value, plain=True)
    return found


def mapped(change: Callable[[Any], Any], value: Any, *, plain: bool = False) -> Any:
    """Return a value with every leaf changed: of tuples, lists, dictionaries and dataclasses.

    These stay of their own classes, or become `tuple`, `list` and `dict` with `plain`.
    """
    if isinstance(value, tuple | list):
        parts = [mapped(change, part, plain=plain) for part in value]
        if plain:
            return tuple(parts) if isinstance(value, tuple) else parts
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    is_record = is_dataclass(value) and not isinstance(value, type)
    if not is_record and not isinstance(value, Mapping):
        return change(value)
    held = (
        {field.name: getattr(value, field.name) for field in fields(value)} if is_record else value
    )
    held = {name: mapped(change, part, plain=plain) for name, part in held.items()}
    if plain or type(value) is dict:
        return held
    ours = copy(value)
    vars(ours).update(held) if is_record else ours.update(held)
    return ours
