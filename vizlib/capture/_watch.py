"""Meet every call of a layer while a model runs: the only hooks of the house.

Modules are met through hooks, functions through torch itself, which asks a `TorchFunctionMode`
before it computes anything. A model whose code is all torch's own needs one hook and no mode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock, get_ident
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from vizlib.capture._effects import effect_of_function
from vizlib.capture._kinds import HIDDEN, OPERATIONS, Layer, is_compiled, is_trusted
from vizlib.capture._stages import UnknownStageError, no_such, numbered
from vizlib.capture._survey import survey
from vizlib.capture._tensors import first_tensor
from vizlib.capture._wanted import Wanted

_INSIDE = Layer("", HIDDEN)
_GLOBAL_WITH_KWARGS = vars(nn.modules.module)["_global_forward_hooks_with_kwargs"]
# These two take a shortcut past their own layers, unless somebody watches torch's functions.
_SHORTCUTS = (nn.TransformerEncoder, nn.TransformerEncoderLayer)


# What takes a call: the layer, under the name of the stage, what it gave, what it was given, and
# its module. A tensor that it gives back goes on in place of the layer's first output.
Meet = Callable[[Layer, Any, Any, nn.Module | None], Tensor | None]


class Watch(TorchFunctionMode):
    """Calls `meet` after every call of a wanted layer, in the thread that made the watch.

    Where entries say what is wanted, a layer's further calls are named `relu:2`, `relu:3` …;
    whoever takes them all can count for itself.
    """

    def __init__(
        self, model: nn.Module, meet: Meet, entries: str | Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self._model = model
        self._survey()
        self.wanted = Wanted(entries)
        # The stages so far, wanted or not, and how often each path was called.
        self.seen: dict[str, str] = {}
        self._calls: dict[str, int] = {}
        # The modules that are running now, outermost first.
        self._running: list[Layer] = []
        self._meet = meet
        self.note = meet if entries is None else self._meet_if_wanted
        # Takes what a call is about to do to the tensors that it is given, where all are met.
        self.before: Callable[[str | None, Sequence[Any]], None] | None = None
        self.thread = get_ident()
        self._asked = self._asking = False
        self._late: set[nn.Module] = set()
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        try:
            self._attach()
        except BaseException:
            self._detach()
            raise
        _watching.append(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _watching.remove(self)
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

    @contextmanager
    def before_others(self) -> Iterator[None]:
        """Meet each call before this thread's other watches, which see what becomes of it here."""
        others = [watch for watch in _watching if watch.thread == self.thread]
        with _paused(others):
            self.__enter__()
        try:
            yield
        finally:
            with _paused([watch for watch in others if watch in _watching]):
                self.__exit__()

    # --- Hooks on and off ------------------------------------------------------------------

    def _survey(self) -> None:
        self.survey = survey(self._model)
        self.layers = self.survey.layers(self._model)

    def pause(self) -> None:
        """Take all hooks off."""
        if self._asking and _get_current_function_mode() is not self:
            raise RuntimeError(
                "an edit changes what those who listen already hear, but another torch mode, such "
                "as a `torch.device`, was entered since: enter the edit first"
            )
        self._detach()

    def go_on(self) -> None:
        """Hang them up again, behind those that others hung up meanwhile."""
        self._survey()
        self._attach()

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

    def sees_every_call(self) -> bool:
        """Say whether every module and every function that other code calls is met."""
        return not self.survey.plain and self.wanted.entries is None

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
        self._late.clear()
        while self._undo:
            self._undo.pop()()

    def restart(self, *_call: object) -> None:
        """Count calls from one again."""
        if get_ident() == self.thread:
            self._calls.clear()

    # --- Modules ---------------------------------------------------------------------------

    def _finished(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        """Note a layer of torch's own, inside of which nothing else is called."""
        layer = self.layers.get(module)
        if layer is None or self._running or get_ident() != self.thread:
            return None
        # A thread that was about to call this hook still does when it was taken off meanwhile,
        # and leaves out the keywords: torch forgets that the hook asked for them.
        *kwargs, output = kwargs_and_output
        return self.note(layer, output, args or kwargs, module) if kwargs else None

    def _entering(self, module: nn.Module, args: Any) -> None:
        layer = self.layers.get(module)
        if layer is None or get_ident() != self.thread:
            return
        if self._running and self._running[-1].kind is not None:
            layer = _INSIDE
        elif layer.kind is not None:
            self._rest()
            if self.before:
                self.before(self.survey.effects.get(module), args)
        self._running.append(layer)

    def _leaving(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        return None if module in self._late else self._left(module, args, *kwargs_and_output)

    def _left(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        if module not in self.layers or get_ident() != self.thread:
            return None
        layer = self._running.pop()
        if layer.kind is None or layer is _INSIDE:
            return None
        replaced = None
        if layer.kind is not HIDDEN:
            # Where the layer raised, there is no output, and torch leaves out the keywords.
            *kwargs, output = kwargs_and_output
            replaced = self.note(layer, output, args or kwargs, module)
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
        if self.before:
            given = (*args, *(kwargs or {}).values())
            self.before(effect_of_function(func, args, kwargs), given)
        output = func(*args, **kwargs) if kwargs else func(*args)
        operation = OPERATIONS.get(getattr(func, "__name__", ""))
        if operation is None or not self._running or self._running[-1].kind is not None:
            return output
        path, (name, kind) = self._running[-1].path, operation
        layer = Layer(f"{path}.{name}" if path else name, kind)
        replaced = self.note(layer, output, args or kwargs, None)
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


# The watches of all threads, in the order in which they came.
_watching: list[Watch] = []


@contextmanager
def _paused(watches: Iterable[Watch]) -> Iterator[None]:
    paused: list[Watch] = []
    try:
        for watch in reversed(list(watches)):
            watch.pause()
            paused.append(watch)
        yield
    finally:
        for watch in reversed(paused):
            watch.go_on()


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
