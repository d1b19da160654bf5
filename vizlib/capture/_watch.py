"""Meet every call of a layer while a model runs: the only hooks of the house.

Modules are met through hooks, functions through torch itself, which asks a `TorchFunctionMode`
before it computes anything. A model whose code is all torch's own needs one hook and no mode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from functools import partial
from threading import Lock, get_ident
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from vizlib.capture._kinds import HIDDEN, KINDS, OPERATIONS, Layer, is_compiled, is_trusted, survey
from vizlib.capture._stages import UnknownStageError, no_such, numbered

_INSIDE = Layer("", HIDDEN)
_GLOBAL_WITH_KWARGS = vars(nn.modules.module)["_global_forward_hooks_with_kwargs"]
# These two take a shortcut past their own layers, unless somebody watches torch's functions.
_SHORTCUTS = (nn.TransformerEncoder, nn.TransformerEncoderLayer)


# What takes a call: the layer, under the name of the stage, what it gave, what it was given, and
# its module. A tensor that it gives back goes on in place of the layer's first output.
Meet = Callable[[Layer, Any, Any, nn.Module | None], Tensor | None]


class Wanted:
    """Which stages are asked for: by name, pattern or kind; all of them where nothing is said."""

    def __init__(self, entries: str | Sequence[str] | None) -> None:
        self.entries = [entries] if isinstance(entries, str) else entries

    def __call__(self, name: str, kind: str) -> bool:
        """Say whether a stage is asked for."""
        return self.entries is None or any(self._matches(e, name, kind) for e in self.entries)

    def may_become(self, layer: Layer) -> bool:
        """Say whether a call of this module, be it the first or the tenth, is asked for."""
        entries = self.entries or []
        return any(self._matches(e.partition(":")[0], layer.path, layer.kind) for e in entries)

    def unmatched(self, names: Mapping[str, Any]) -> Iterator[str]:
        """Yield the entries that no stage answered to."""
        for entry in self.entries or []:
            if not any(self._matches(entry, name, names[name]) for name in names):
                yield entry

    def names_functions(self, layers: Sequence[Layer]) -> bool:
        """Say whether an entry may mean a function, or a name that there is not at all."""
        return self.entries is None or any(_open(e, layers) for e in self.entries)

    @staticmethod
    def _matches(entry: str, name: str, kind: str | None) -> bool:
        return kind is not None and (kind == entry or fnmatchcase(name, entry))


def _open(entry: str, layers: Sequence[Layer]) -> bool:
    base = entry.partition(":")[0]
    is_path = any(layer.path == base and layer.kind for layer in layers)
    operation = base.rpartition(".")[2]
    return not is_path or entry in KINDS or operation in OPERATIONS


class Watch(TorchFunctionMode):
    """Calls `meet` after every call of a wanted layer, in the thread that made the watch.

    Where entries say what is wanted, a layer's further calls are named `relu:2`, `relu:3` …;
    whoever takes them all can count for itself.
    """

    def __init__(
        self, model: nn.Module, meet: Meet, entries: str | Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.survey = survey(model)
        self.layers = self.survey.layers(model)
        self.wanted = Wanted(entries)
        # The stages so far, wanted or not, and how often each path was called.
        self.seen: dict[str, str] = {}
        self._calls: dict[str, int] = {}
        # The modules that are running now, outermost first.
        self._running: list[Layer] = []
        self._meet = meet
        self._note = meet if entries is None else self._meet_if_wanted
        self._thread = get_ident()
        self._asked = self._asking = False
        self._late: set[nn.Module] = set()
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        try:
            self._attach()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._detach()

    def refuse_unmatched(self) -> None:
        """Raise where an entry matched no stage at all."""
        for entry in self.wanted.unmatched(self.seen):
            everything = self.seen.keys() >= set(self.survey.names())
            names = list(
                self.seen if everything else dict.fromkeys([*self.survey.names(), *self.seen])
            )
            message = no_such(entry, names)
            if entry.partition(":")[0] in names:
                message = f"this forward pass did not call {entry!r}, only {', '.join(self.seen)}"
            raise UnknownStageError(message)

    def refuse_unknown(self) -> None:
        """Raise where an entry can only be a module and there is none of that name."""
        names = list(self.survey.names())
        for entry in self.wanted.entries or []:
            base = entry.partition(":")[0]
            if base not in names and base.rpartition(".")[2] not in OPERATIONS:
                raise UnknownStageError(no_such(entry, names))

    # --- Hooks on and off ------------------------------------------------------------------

    def _attach(self) -> None:
        plain = self.survey.plain
        if plain and self.wanted.entries is None:
            self._hang_everywhere(self._finished)
        elif plain or self._modules_suffice():
            self._attach_to_layers()
        else:
            self._attach_to_all()
        if not plain and "torch._dynamo" in sys.modules:
            _uncompiled.begin()
            self._undo.append(_uncompiled.end)

    def _modules_suffice(self) -> bool:
        shortcuts = any(isinstance(module, _SHORTCUTS) for module in self.layers)
        return not shortcuts and not self.wanted.names_functions(list(self.layers.values()))

    def _attach_to_layers(self) -> None:
        """Hang hooks on the wanted layers alone; the rest of the model pays nothing."""
        for module, layer in self.layers.items():
            if layer.kind is not None and not is_trusted(module):
                self._hang_around(module)
            elif self.wanted.may_become(layer):
                self._hang(module.register_forward_hook, self._finished, with_kwargs=True)

    def _attach_to_all(self) -> None:
        """Watch every module and every function."""
        if any(map(is_compiled, self.layers)):
            # torch warns of hooks that are everybody's when compiled modules meet them.
            for module in self.layers:
                self._hang_around(module)
        else:
            self._hang(register_module_forward_pre_hook, self._entering)
            self._hang_everywhere(self._leaving, always_call=True)
        for module in self.layers:
            if vars(module)["_forward_hooks"] and module not in self._late:
                self._hang_behind(module)
            if isinstance(module, nn.DataParallel):
                # Copies on other devices run in other threads, where nobody would see them.
                self._undo.append(partial(setattr, module, "device_ids", module.device_ids))
                module.device_ids = []
        self._asked = True
        self._resume()

    def _hang_everywhere(self, hook: Callable, **options: bool) -> None:
        handle = register_module_forward_hook(hook, with_kwargs=True, **options)
        # torch takes the hook away with the handle, and forgets this entry of it.
        self._undo.append(partial(_GLOBAL_WITH_KWARGS.pop, handle.id, None))
        self._undo.append(handle.remove)

    def _hang_around(self, module: nn.Module) -> None:
        self._hang(partial(module.register_forward_pre_hook, prepend=True), self._entering)
        self._hang_behind(module)

    def _hang_behind(self, module: nn.Module) -> None:
        """Hang a hook behind the module's own ones, which may change what it gives."""
        self._late.add(module)
        self._hang(module.register_forward_hook, self._left, with_kwargs=True, always_call=True)

    def _hang(self, register: Callable[..., Any], hook: Callable, **options: bool) -> None:
        self._undo.append(register(hook, **options).remove)

    def _detach(self) -> None:
        if self._asking:
            super().__exit__(None, None, None)
        self._asked = self._asking = False
        while self._undo:
            self._undo.pop()()

    def restart(self, *_call: object) -> None:
        """Count calls from one again."""
        if get_ident() == self._thread:
            self._calls.clear()

    # --- Modules ---------------------------------------------------------------------------

    def _finished(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """Note a layer of torch's own, inside of which nothing else is called."""
        layer = self.layers.get(module)
        if layer is None or self._running or get_ident() != self._thread:
            return None
        return self._note(layer, output, args or kwargs, module)

    def _entering(self, module: nn.Module, _args: Any) -> None:
        layer = self.layers.get(module)
        if layer is None or get_ident() != self._thread:
            return
        if self._running and self._running[-1].kind is not None:
            layer = _INSIDE
        elif layer.kind is not None:
            self._rest()
        self._running.append(layer)

    def _leaving(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        return None if module in self._late else self._left(module, args, *kwargs_and_output)

    def _left(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        if module not in self.layers or get_ident() != self._thread:
            return None
        layer = self._running.pop()
        if layer.kind is None or layer is _INSIDE:
            return None
        replaced = None
        if layer.kind is not HIDDEN:
            # Where the layer raised, there is no output, and torch leaves out the keywords.
            *kwargs, output = kwargs_and_output
            replaced = self._note(layer, output, args or kwargs, module)
        self._resume()
        return replaced

    # --- Functions -------------------------------------------------------------------------

    def _resume(self) -> None:
        """Ask torch to be asked before every function, from here on."""
        if self._asked and not self._asking:
            super().__enter__()
            self._asking = True

    def _rest(self) -> None:
        """Stay out of a layer's way, unless another mode, such as a `torch.device`, came since."""
        if self._asking and _get_current_function_mode() is self:
            super().__exit__(None, None, None)
            self._asking = False

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Let torch compute `func`, and note it if a module that is no layer called it."""
        output = func(*args, **kwargs) if kwargs else func(*args)
        operation = OPERATIONS.get(getattr(func, "__name__", ""))
        if operation is None or not self._running or self._running[-1].kind is not None:
            return output
        path, (name, kind) = self._running[-1].path, operation
        layer = Layer(f"{path}.{name}" if path else name, kind)
        replaced = self._note(layer, output, args or kwargs, None)
        if replaced is None:
            return output
        # Whoever calls `x.relu_()` looks at `x` afterwards, not at what the call gave back.
        return output.copy_(replaced) if args and output is args[0] else replaced

    # --- Stages ----------------------------------------------------------------------------

    def _meet_if_wanted(
        self, layer: Layer, output: Any, inputs: Any, module: nn.Module | None
    ) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return None
        count = self._calls[layer.path] = self._calls.get(layer.path, 0) + 1
        layer = Layer(numbered(layer.path, count), layer.kind)
        self.seen[layer.path] = layer.kind
        replaced = self._meet(layer, tensor, inputs, module) if self.wanted(*layer) else None
        return replaced if replaced is None or tensor is output else (replaced, *output[1:])


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer took or gave: a tensor, tuple, dict, dataclass."""
    first = value
    while type(first) is tuple and first:
        first = first[0]
    # Nearly always this is it; the search is several times as slow.
    return first if isinstance(first, Tensor) else next(_tensors(value), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        value = list(value.values())
    elif is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


class _Uncompiled:
    """Lets compiled code run as it was written while there is a watch, in whatever thread."""

    def __init__(self) -> None:
        self.lock, self.watches, self.stance = Lock(), 0, None

    def begin(self) -> None:
        with self.lock:
            self.watches += 1
            if self.watches == 1:
                self.stance = torch.compiler.set_stance("force_eager")

    def end(self) -> None:
        with self.lock:
            self.watches -= 1
            if self.watches == 0:
                self.stance.__exit__(None, None, None)


_uncompiled = _Uncompiled()
