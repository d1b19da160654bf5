"""Run a model and leave it as it was: what a forward pass may change, put back."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib.capture import _kinds
from vizlib.capture._flow import INPUT, Step, Value, mapped, numbered
from vizlib.capture._stages import Recording
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
        if parameter is None or not isinstance(part, Tensor):
            return part
        return part.to(parameter.device)

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
    changing = [m for m in modules if m.training or not _kinds.is_torchs(type(m))]
    aside = [buffer for module in changing for buffer in module.buffers(recurse=False)]
    limited = [module for module in modules if vars(module).get("max_norm") is not None]
    aside += [weight for module in limited for weight in module.parameters(recurse=False)]
    copies = {id(tensor): _copy(tensor) for tensor in aside}
    for module in modules if copies else changing:
        if isinstance(module, torch.jit.ScriptModule):
            for buffer in module.buffers(recurse=False):
                undo.callback(buffer.copy_, copies[id(buffer)])
        else:
            _put_in_place(copies, vars(module)["_buffers"], undo)
            _put_in_place(copies, vars(module)["_parameters"], undo)


def _put_in_place(copies: dict[int, Tensor], held: dict[str, Tensor], undo: ExitStack) -> None:
    undo.callback(held.update, dict(held))
    undo.callback(held.clear)
    held.update({name: copies[id(t)] for name, t in held.items() if id(t) in copies})


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(copy, tensor.requires_grad) if is_parameter else copy


# --- A chain of torch's own layers ---------------------------------------------------------
#
# No function can be called between such layers, so that neither hooks nor a mode are needed; for
# LeNet these would cost as much as its forward pass. Everything works without this part.

# An instance that holds one of these does not run its class's own code.
_FOREIGN = {"forward", "_compiled_call_impl"}
# These may give several tensors, write on their weights, or draw random numbers.
_OTHERS = ("rnn", "lstm", "gru", "multihead", "embedding", "fractional")


def is_chain(model: nn.Module) -> bool:
    """Say whether a model only calls layers of torch's own, in evaluation mode, and nobody watches.

    A chain is an `nn.Sequential`, or of a class derived from it that says so with `is_chain =
    True`: it may check its input in a method `check`, and does nothing else of its own.
    """
    everybodys = vars(nn.modules.module)
    is_watched = any(everybodys[f"_global_forward_{name}"] for name in ("hooks", "pre_hooks"))
    return isinstance(model, nn.Module) and not is_watched and _calls_layers(model)


def _calls_layers(module: nn.Module) -> bool:
    if not (_is_container(module) and _is_as_built(module)):
        return False
    parts = vars(module)["_modules"].values()
    return all((_is_plain(part) and _is_as_built(part)) or _calls_layers(part) for part in parts)


def _is_container(module: nn.Module) -> bool:
    cls = type(module)
    is_derived = isinstance(module, nn.Sequential) and vars(cls).get("is_chain", False)
    return cls is nn.Sequential or is_derived


def _is_plain(module: nn.Module) -> bool:
    """Say whether this is a layer of torch's that turns one tensor into another, and no more."""
    word = _kinds.word_of_class(type(module).__name__)
    return _kinds.is_torchs(type(module)) and word is not None and not word.startswith(_OTHERS)


def _is_as_built(module: nn.Module) -> bool:
    own = vars(module)
    is_hooked = own["_forward_hooks"] or own["_forward_pre_hooks"]
    is_other = is_hooked or own["training"] or own.get("return_indices")
    return not is_other and _FOREIGN.isdisjoint(own)


def run_chain(chain: nn.Module, x: Tensor, steps: dict[str, Step], recording: Recording) -> None:
    """Run a chain, and note and record every layer."""
    paths: dict[nn.Module, str] = {}
    calls: dict[str, int] = {}
    read = Value(INPUT)
    for path, module, given, output in _called(chain, x):
        first_path = paths.setdefault(module, path)
        count = calls[first_path] = calls.get(first_path, 0) + 1
        name = numbered(first_path, count)
        operation, _ = _kinds.describe(module, is_root=False)
        steps[name] = Step(name, operation, (read,), {}, output.shape)
        recording.add(name, _kinds.KINDS[operation], output, given, module)
        read = Value(name)


def _called(
    chain: nn.Module, x: Any, path: str = ""
) -> Generator[tuple[str, nn.Module, Any, Any], None, Any]:
    """Call the layers one by one and yield each with its path, what it was given and gave."""
    getattr(chain, "check", _accept)(x)
    for name, part in vars(chain)["_modules"].items():
        if _is_container(part):
            x = yield from _called(part, x, f"{path}{name}.")
        else:
            given, x = x, part(x)
            yield f"{path}{name}", part, given, x
    return x


def _accept(_x: Any) -> None:
    """Take any input."""
