"""Follow tensors through a forward pass: which step gave what the next one reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple
from weakref import ref

from torch import Tensor


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


class Input(Value):
    """The name of a tensor that the model was given: `input`, `input[1]`."""

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
    def values(self) -> tuple[Value, ...]:
        """The tensors that it read, in order: all but parameters and buffers."""
        read = _leaves((self.arguments, self.options))
        return tuple(leaf for leaf in read if type(leaf) in {Value, Input})

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of these."""
        return tuple(map(str, self.values))

    def filled(self, find: Callable[[Value], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments and options with what `find` returns in the places of the names."""
        given = (self.arguments, self.options)
        return mapped(lambda a: find(a) if isinstance(a, Value) else a, given, plain=True)


class Flow:
    """Knows tensors by identity, for as long as they live and nobody writes on them unseen.

    No tensor is held: a weak reference says whether an id still means the same one, and torch's
    own count of writes whether it still holds what the step gave.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[Tensor], int | None, Value]] = {}
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
        """Note where these tensors come from; a constant keeps its name whoever writes on it."""
        # Of a tensor that stands there twice, the first place counts.
        for count, tensor in reversed([*enumerate(tensors(output))]):
            writes = None if kind is Constant else _writes(tensor)
            value = kind(f"{name}[{count}]" if count else name)
            self._known[id(tensor)] = ref(tensor), writes, value

    def read(self, given: Any) -> Any:
        """Return the arguments of a call with the names of tensors in their places."""
        return mapped(lambda a: self.origin(a) if isinstance(a, Tensor) else a, given, plain=True)

    def find(self, tensor: Tensor) -> Value | None:
        """Return the name of a tensor that a step gave, or the model was given."""
        name = self._name(tensor)
        return None if isinstance(name, Constant) else name

    def _name(self, tensor: Tensor) -> Value | None:
        known = self._known.get(id(tensor))
        if known is None or known[0]() is not tensor or known[1] not in {None, _writes(tensor)}:
            return None
        return known[2]

    def origin(self, tensor: Tensor) -> Value:
        """Return the name of any tensor, and keep those that no step gave."""
        name = self._name(tensor)
        if name is None:
            count = 1 + sum(name.startswith(UNKNOWN) for name in self.tensors)
            name = Value(numbered(UNKNOWN, count))
            self.gave(name, tensor)
            self.tensors[name] = tensor
        elif isinstance(name, Constant):
            self.tensors[name] = tensor
        return name


def _writes(tensor: Tensor) -> int | None:
    """Return how often a tensor was written on; in inference mode nobody counts."""
    try:
        return tensor._version  # noqa: SLF001 - torch's only name for it
    except RuntimeError:
        return None


def numbered(name: str, count: int) -> str:
    """Return the name of the first, second … of a name: `relu`, `relu:2`."""
    return name if count == 1 else f"{name}:{count}"


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer took or gave: a tensor, tuple, dict, dataclass."""
    return next(iter(tensors(value)), None)


def tensors(value: Any) -> list[Tensor]:
    """Return every tensor in what a layer took or gave."""
    return [leaf for leaf in _leaves(value) if isinstance(leaf, Tensor)]


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, value, plain=True)
    return found


def mapped(change: Callable[[Any], Any], value: Any, *, plain: bool = False) -> Any:
    """Return a value with every leaf changed: of tuples, lists, dictionaries and dataclasses.

    These stay of their own classes, or become `tuple`, `list` and `dict` with `plain`.
    """
    if isinstance(value, Tensor):  # nearly always, and quicker
        return change(value)
    if isinstance(value, tuple | list):
        row = [mapped(change, part, plain=plain) for part in value]
        if plain:
            return tuple(row) if isinstance(value, tuple) else row
        return type(value)(*row) if hasattr(value, "_fields") else type(value)(row)
    is_record = is_dataclass(value) and not isinstance(value, type)
    if not is_record and not isinstance(value, Mapping):
        return change(value)
    parts = {f.name: getattr(value, f.name) for f in fields(value)} if is_record else value
    held = {name: mapped(change, part, plain=plain) for name, part in parts.items()}
    if plain or type(value) is dict:
        return held
    ours = copy(value)
    vars(ours).update(held) if is_record else ours.update(held)
    return ours
