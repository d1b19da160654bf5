"""Run a model and leave it as it was: what a forward pass may change, put back."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib.capture import _kinds
from vizlib.capture._flow import mapped
from vizlib.capture._watch import Watch

# Two threads that set the same buffers aside would each put the other's copies back.
_one_at_a_time = RLock()


def run(watch: Watch, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Run a watched model once without a trace, and return its answer."""
    _refuse_lazy(watch.layers)
    args, kwargs = moved((args, kwargs), watch.model)
    with undisturbed(watch.model), watch:
        return watch.model(*args, **kwargs)


def _refuse_lazy(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            raise ValueError(
                f"{type(module).__name__} takes its shape from its first input, and would not be "
                "the same afterwards: call the model once yourself, then record it"
            )


def moved(value: Any, model: nn.Module) -> Any:
    """Return inputs on the device of a model's first parameter; arrays become tensors."""
    parameter = next(model.parameters(), None)

    def move(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            part = torch.as_tensor(np.require(part, requirements="W"))
        is_elsewhere = isinstance(part, Tensor) and parameter is not None
        return part.to(parameter.device) if is_elsewhere else part

    return mapped(move, value)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Compute no gradients, and put back what a forward pass may change, however the block ends.

    That is training flags, buffers and random numbers.

    Of the parameters, only the weights of embeddings with a `max_norm` are put back: of torch's
    layers, no other writes on its parameters.
    """
    # A frozen script has no such flag.
    modules = [module for module in model.modules() if hasattr(module, "training")]
    flags = [module.training for module in modules]
    with torch.no_grad(), _one_at_a_time, ExitStack() as undo:
        undo.callback(_set_flags, modules, flags)
        undo.callback(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_initialized():
            undo.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if any(flags):
            # Layers that leave out others at random while they train draw here; it takes 80 µs.
            undo.callback(random.setstate, random.getstate())
            undo.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - theirs
        _set_tensors_aside(modules, undo)
        yield


def _set_flags(modules: list[nn.Module], flags: list[bool]) -> None:
    for module, training in zip(modules, flags, strict=True):
        if module.training != training:
            module.training = training


def _set_tensors_aside(modules: list[nn.Module], undo: ExitStack) -> None:
    """Let the forward pass write into copies.

    The tensors themselves are never written to: autograd may have noted one for a backward pass
    that is still to come. Modules that share one go on sharing its copy.
    """
    copies: dict[int, Tensor] = {}
    shrunk = {id(m.weight) for m in modules if vars(m).get("max_norm") is not None}
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule):
            for buffer in module.buffers(recurse=False):
                undo.callback(_write_back, buffer, buffer.clone())
            continue
        own = vars(module)
        if own["_buffers"] and (module.training or not _kinds.is_torchs(type(module))):
            _set_aside(own["_buffers"], set(own["_buffers"]), copies, undo)
        if shrunk:
            names = {n for n, weight in own["_parameters"].items() if id(weight) in shrunk}
            _set_aside(own["_parameters"], names, copies, undo)


def _set_aside(
    held: dict[str, Tensor | None], names: set[str], copies: dict[int, Tensor], undo: ExitStack
) -> None:
    undo.callback(partial(_put_back, held, dict(held)))
    for name in names:
        tensor = held[name]
        if tensor is not None:
            if id(tensor) not in copies:
                copies[id(tensor)] = _copy(tensor)
            held[name] = copies[id(tensor)]


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(copy, tensor.requires_grad) if is_parameter else copy


def _put_back(held: dict[str, Tensor | None], before: dict[str, Tensor | None]) -> None:
    held.clear()
    held.update(before)


def _write_back(buffer: Tensor, before: Tensor) -> None:
    with torch.no_grad():
        buffer.copy_(before)
