"""Record a chain of torch's own layers without hooks, one by one.

No function can be called between such layers, and hooks would cost as much as a small layer does.
Everything works without this file, at twice the price for LeNet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from torch import Tensor, nn

from vizlib.capture import _kinds
from vizlib.capture._flow import Step, Value
from vizlib.capture._names import numbered
from vizlib.capture._stages import Recording

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
    if not (_is_container(type(module)) and _is_as_built(module)):
        return False
    parts = vars(module)["_modules"].values()
    return all(
        (_is_plain(type(part)) and _is_as_built(part)) or _calls_layers(part) for part in parts
    )


@cache
def _is_container(cls: type[nn.Module]) -> bool:
    return cls is nn.Sequential or vars(cls).get("is_chain", False)


@cache
def _is_plain(cls: type[nn.Module]) -> bool:
    """Say whether a class is a layer of torch's that turns one tensor into another, and no more."""
    word = _kinds.word_of_class(cls.__name__)
    return _kinds.is_torchs(cls) and word is not None and not word.startswith(_OTHERS)


def _is_as_built(module: nn.Module) -> bool:
    own = vars(module)
    is_hooked = own["_forward_hooks"] or own["_forward_pre_hooks"]
    is_other = is_hooked or own["training"] or own.get("return_indices")
    return not is_other and _FOREIGN.isdisjoint(own)


def run_chain(chain: nn.Module, x: Tensor, steps: dict[str, Step], recording: Recording) -> None:
    """Run a chain, and note and record every layer."""
    paths: dict[nn.Module, str] = {}
    calls: Counter[str] = Counter()
    read = Value("input")
    for path, module, given, output in _called(chain, x):
        first_path = paths.setdefault(module, path)
        calls[first_path] += 1
        name = numbered(first_path, calls[first_path])
        operation, kind = _kinds.describe(module, is_root=False)
        steps[name] = Step(name, operation, (read,), {}, output.shape)
        recording.add(name, kind, output, given.shape, module)
        read = Value(name)


def _called(chain: nn.Module, x: Any, path: str = "") -> Iterator[tuple[str, nn.Module, Any, Any]]:
    """Call the layers one by one and yield each with its path, what it was given and gave."""
    getattr(chain, "check", _accept)(x)
    for name, part in vars(chain)["_modules"].items():
        if _is_container(type(part)):
            x = yield from _called(part, x, f"{path}{name}.")
        else:
            given, x = x, part(x)
            yield f"{path}{name}", part, given, x
    return x


def _accept(_x: Any) -> None:
    """Take any input."""
