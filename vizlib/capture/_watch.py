"""Meet every call of a layer while a model runs: the only hooks of the house.

Modules are met through hooks, functions through torch itself, which asks a `TorchFunctionMode`
before it computes anything. One mode serves all watches of a thread; those that edit come first,
so that the others hear what they changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock, get_ident, local
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from vizlib.capture import _kinds
from vizlib.capture._flow import INPUT, Constant, Flow, Input, first_tensor, mapped
from vizlib.capture._kinds import HIDDEN, Layer
from vizlib.capture._stages import Call, Names

# Takes a call of a layer; a tensor that it returns goes on in place of the layer's first output.
Meet = Callable[[Call], Tensor | None]

# These read values out of tensors: what code does with them is beyond any watch.
_READING = {"item", "tolist", "numpy", "array"}
# The kind of a module that runs inside of a layer.
_INSIDE = "inside"
_NO_STAGE = {None, HIDDEN, _INSIDE}


class Watch:
    """Calls `meet` after every wanted call of a layer of `model`, in the thread that made it.

    - `wanted`: names, patterns and kinds of stages; all of them by default
    - `edits`: names alone are wanted, and the other watches of this thread hear what `meet` changes
    - `inside`: the steps inside of layers are noted too
    """

    def __init__(
        self,
        model: nn.Module,
        meet: Meet,
        wanted: list[str] | None = None,
        *,
        edits: bool = False,
        inside: bool = False,
    ) -> None:
        _refuse_others(model)
        self.model = _kinds.unwrapped(model)
        self.layers = _kinds.layers(self.model)
        self.names = Names(self.layers.values(), wanted, exact=edits)
        self.flow = Flow()
        self.edits, self.inside = edits, inside
        # The step that gave each stage's output: its own, or one inside of the layer.
        self.origins: dict[str, str] = {}
        self._meet = meet
        self._batch = 0
        # The modules that are running now, and what each was given, as it is and by name.
        self._running: list[Layer] = []
        self._given: list[tuple[Any, Any]] = []
        self._thread = get_ident()
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        self._mode = vars(_here).setdefault("mode", _Functions())
        self._mode.watches.append(self)
        self._mode.watches.sort(key=lambda watch: not watch.edits)
        for name, tensor in [*self.model.named_parameters(), *self.model.named_buffers()]:
            self.flow.gave(name, tensor, Constant)
        self._hang()
        return self

    def __exit__(self, *_error: object) -> None:
        self._hooks.close()
        self._mode.watches.remove(self)

    def _hang(self) -> None:
        """Hang a hook before and behind every module; one that edits is the first behind it."""
        before, behind = nn.Module.register_forward_pre_hook, nn.Module.register_forward_hook
        how: dict[str, Any] = {"with_kwargs": True, "always_call": True, "prepend": self.edits}
        for module in self.layers:
            # Scripted modules refuse hooks by methods of their own, and call them all the same.
            enter = before(module, self._enter, prepend=True, with_kwargs=True)
            self._hooks.enter_context(enter)
            self._hooks.enter_context(behind(module, self._leave, **how))
        for module in self.model.modules():
            if isinstance(module, nn.DataParallel):
                # Copies on other devices run in other threads, where nobody would see them.
                self._hooks.callback(setattr, module, "device_ids", module.device_ids)
                module.device_ids = []
        if "torch._dynamo" in sys.modules:
            self._hooks.enter_context(_uncompiled)

    # --- Modules ---------------------------------------------------------------------------

    def _start(self, args: Any, kwargs: Any) -> None:
        """Begin a forward pass."""
        first = first_tensor((args, kwargs))
        self._batch = len(first) if first is not None and first.dim() else 0
        self.flow.gave(INPUT, (args, kwargs), Input)
        if self.edits:
            self.names.restart()  # each forward pass has a first call of its own

    def _enter(self, module: nn.Module, args: Any, kwargs: Any = None) -> None:
        if get_ident() != self._thread:
            return
        if module is self.model and not self._running:
            self._start(args, kwargs)
        layer = self.layers[module]
        around = self._running[-1].kind if self._running else None
        if around is not None:
            kind = HIDDEN if HIDDEN in {layer.kind, around} else _INSIDE
            layer = layer._replace(kind=kind)
        self._running.append(layer)
        self._mode.switch()
        # Read now: the layer may write on it.
        given = None if layer.kind in _NO_STAGE else self.flow.read((args, kwargs))
        self._given.append((args, given))

    def _leave(self, module: nn.Module, args: Any, *kwargs_and_output: Any) -> Any:
        if get_ident() != self._thread or not self._running:
            return None
        layer, (entered, given) = self._running.pop(), self._given.pop()
        # Where the layer raised, there is no output, and torch leaves out the keywords.
        *rest, output = kwargs_and_output
        kwargs = rest[0] if rest else {}
        try:
            if layer.kind is HIDDEN:
                self.flow.gave(layer.path, output, Constant)
            if layer.kind in _NO_STAGE:
                return None
            if args is not entered:  # a hook of somebody's changed them
                given = self.flow.read((args, kwargs))
            return self._note(layer, module, first_tensor((args, kwargs)), given, output)
        finally:
            self._mode.switch()

    # --- Functions -------------------------------------------------------------------------

    def hears(self) -> bool:
        """Say whether a function that is called now is this watch's business."""
        kind = self._running[-1].kind if self._running else HIDDEN
        return kind is None or (self.inside and kind is not HIDDEN)

    def function(self, func: Callable, args: Any, kwargs: Any, given: Any, output: Any) -> Any:
        """Note a function that a module called, and return what goes on in place of its output."""
        around = self._running[-1]
        word, kind = _kinds.function(_spelling(func))
        path = f"{around.path}.{word}" if around.path else word
        if kind and around.kind is None and around.operation == word:
            path = around.path or word  # a layer with layers of its own does what its class says
        layer = Layer(path, word, kind)
        if kind is None or around.kind is not None:
            self._note_step(layer, func, args, given, output)
            return output
        changed = self._note(layer, func, first_tensor((args, kwargs)), given, output)
        if changed is None:
            return output
        # Whoever calls `x.relu_()` looks at `x` afterwards, not at what the call gave back.
        return output.copy_(changed) if args and output is args[0] else changed

    def _note_step(self, layer: Layer, func: Callable, args: Any, given: Any, output: Any) -> None:
        """Note what lies between stages."""
        if output is None and args and isinstance(args[0], Tensor):
            output = args[0]  # x[0] = 1 gives nothing back
        tensor = first_tensor(output)
        # x.contiguous() may give back x, and x.data = y is no write that torch counts.
        if tensor is None:
            is_step = layer.operation in _READING
        else:
            is_same = args and tensor is args[0] and self.flow.find(tensor)
            is_step = not is_same or tensor.is_inference() or layer.operation == "setdata"
        if is_step:
            self.flow.step(self.names.of(layer.path), layer.operation, func, given, output)

    # --- Stages ----------------------------------------------------------------------------

    def _note(
        self, layer: Layer, called: Callable, first: Tensor | None, given: Any, output: Any
    ) -> Any:
        """Note a call of a layer; return what goes on in place of its output, None for itself."""
        tensor = first_tensor(output)
        if tensor is None or layer.kind is None:
            return None
        module = called if isinstance(called, nn.Module) else None
        name = self.names.of(layer.path, module)
        self.names.seen[name] = layer.kind
        is_opened = self.inside and module and self.flow.find(tensor)
        if not is_opened:
            self.flow.step(name, layer.operation, None if module else called, given, output)
        self.origins[name] = self.flow.origin(tensor)
        if not self.names.wants(name, layer.kind):
            return None
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - torch's documented name for it
            changed = self._meet(Call(name, layer.kind, tensor, first, module, self._batch))
        if changed is None:
            return None
        return mapped(lambda leaf: changed if leaf is tensor else leaf, output)


def _refuse_others(model: Any) -> None:
    if not isinstance(model, nn.Module):
        name = getattr(model, "__name__", type(model).__name__)
        hint = "try its .module()" if hasattr(model, "module") else "put it into an nn.Module"
        if isinstance(model, type):
            hint = f"make one, {name}()"
        raise TypeError(f"only an nn.Module can be watched, and {name} is none: {hint}")


class _Functions(TorchFunctionMode):
    """Shows the watches of one thread every function that torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[Watch] = []
        self._is_on = False

    def switch(self) -> None:
        """Be asked where a function may be a stage, and stay out of the way inside of layers.

        Where another mode, such as a `torch.device`, was entered since, nothing changes.
        """
        wanted = True in map(Watch.hears, self.watches)
        if wanted and not self._is_on:
            self.__enter__()
            self._is_on = True
        elif self._is_on and not wanted and _get_current_function_mode() is self:
            self.__exit__(None, None, None)
            self._is_on = False

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Let torch compute `func`, and show what it was given and gave."""
        kwargs = kwargs or {}
        watches = [watch for watch in self.watches if watch.hears()]
        given = [watch.flow.read((args, kwargs)) for watch in watches]
        output = func(*args, **kwargs)
        for watch, names in zip(watches, given, strict=True):
            output = watch.function(func, args, kwargs, names, output)
        return output


_here = local()


def _spelling(func: Any) -> str:
    name = getattr(func, "__name__", "")
    if name in {"__get__", "__set__"}:  # x.T, x.data = y
        return name.strip("_").replace("get", "") + func.__self__.__name__
    return name


class _Uncompiled:
    """Lets compiled code run as it was written while there is a watch, in whatever thread."""

    def __init__(self) -> None:
        self.lock, self.watches, self.stance = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            self.watches += 1
            if self.watches == 1:
                self.stance.enter_context(torch.compiler.set_stance("force_eager"))

    def __exit__(self, *_error: object) -> None:
        with self.lock:
            self.watches -= 1
            if self.watches == 0:
                self.stance.close()


_uncompiled = _Uncompiled()
