"""Run a model: watched, or as a chain of layers that is called one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib.capture import _kinds
from vizlib.capture._flow import INPUT, Step, Value, mapped
from vizlib.capture._stages import Call, Recording
from vizlib.capture._watch import Watch
from vizlib.models import undisturbed


def run(watch: Watch, x: Any, kwargs: dict[str, Any]) -> Any:
    """Run a watched model once on an input, or a tuple of several, and return its answer."""
    _refuse_lazy(watch.layers)
    args, kwargs = moved((x if isinstance(x, tuple) else (x,), kwargs), watch.model)
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


# --- A chain of torch's own layers ---------------------------------------------------------
#
# No function can be called between such layers, so that neither hooks nor a mode are needed; for
# LeNet these would cost as much as its forward pass. Everything works without this part.

# An instance that holds one of these does not run its class's own code.
_FOREIGN = {"forward", "_compiled_call_impl"}
# These may give several tensors, write on their weights, or draw random numbers.
_OTHERS = ("rnn", "lstm", "gru", "multihead", "embedding", "fractional")


def layers_of_chain(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a model that calls layers of torch's own, each once, and no more.

    Such a chain is an `nn.Sequential` in evaluation mode, or of a class derived from it that says
    so with `is_chain = True`: it may check its input in a method `check`, and does nothing else of
    its own. Of any other model nothing is returned, and of one with hooks.
    """
    everybodys = vars(nn.modules.module)
    is_watched = any(everybodys[f"_global_forward_{name}"] for name in ("hooks", "pre_hooks"))
    is_derived = isinstance(model, nn.Sequential) and vars(type(model)).get("is_chain", False)
    if is_watched or not (is_derived or type(model) is nn.Sequential):
        return {}
    parts = dict(_parts(model))
    layers = {path: part for path, part in parts.items() if type(part) is not nn.Sequential}
    is_plain = all(map(_is_plain, layers.values())) and len({*layers.values()}) == len(layers)
    return layers if is_plain and all(map(_is_as_built, (model, *parts.values()))) else {}


def _parts(chain: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, part in vars(chain)["_modules"].items():
        yield f"{path}{name}", part
        if type(part) is nn.Sequential:
            yield from _parts(part, f"{path}{name}.")


def _is_plain(layer: nn.Module) -> bool:
    word = _kinds.torchs(type(layer))
    return word is not None and not word.startswith(_OTHERS)


def _is_as_built(module: nn.Module) -> bool:
    own = vars(module)
    is_hooked = own["_forward_hooks"] or own["_forward_pre_hooks"]
    is_other = is_hooked or own["training"] or own.get("return_indices")
    return not is_other and _FOREIGN.isdisjoint(own)


def run_chain(
    model: nn.Module, layers: dict[str, nn.Module], x: Tensor, recording: Recording
) -> None:
    """Call the layers of a chain one by one, and record each."""
    if check := getattr(model, "check", None):
        check(x)
    read = INPUT
    for name, layer in layers.items():
        given, x = x, layer(x)
        word = _kinds.torchs(type(layer)) or ""
        step = Step(name, word, (Value(read),), {}, x.shape)
        recording.add(Call(name, _kinds.KINDS[word], x, given, layer), step)
        read = name
