"""What a call does to the tensors that it is given: the code that is known, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib.capture._kinds import OPERATIONS, is_trusted

# It only reads them, and what it gives is new; it writes on the first one and gives that back; or
# it may pass on any of them, as a view or as they are. Of code that is not torch's, none is said.
READS, OVERWRITES, PASSES_ON = "reads", "overwrites", "passes on"

# Layers of torch's own that put their output where nothing else is. The others may pass on what
# they were given, as a view or as it is.
FRESH = {"conv", "relu", "activation", "pool", "linear", "norm", "softmax"}

_OVERWRITING = {"relu", "activation", "add", "multiply"}
_READING = FRESH | {"add", "multiply", "mean", "cat"}
_SPELLED_AS_READING = ("{}", "__{}__", "__r{}__")
# Without a change to make, these two give back what they were given.
_NOT_READING = {"einsum", "normalize"}


def _functions(kinds: Iterable[str], spellings: Iterable[str]) -> set[Callable]:
    names = {name for name, kind in OPERATIONS.values() if kind in kinds} - _NOT_READING
    spelled = [spelling.format(name) for name in names for spelling in spellings]
    found = (getattr(home, name, None) for home in (torch, Tensor, F) for name in spelled)
    return {function for function in found if callable(function)}


_EFFECTS: dict[Callable, str] = {
    **dict.fromkeys(_functions(_READING, _SPELLED_AS_READING), READS),
    **dict.fromkeys((Tensor.size, Tensor.dim, Tensor.shape.__get__), READS),
    **dict.fromkeys(_functions(_OVERWRITING, ("{}_", "__i{}__")), OVERWRITES),
}


def effect_of_module(module: nn.Module, kind: str | None) -> str | None:
    """Return what a layer does to the tensors that it is given."""
    if not is_trusted(module):
        return None
    if vars(module).get("inplace"):
        return OVERWRITES if kind in _OVERWRITING else PASSES_ON
    return READS if kind in FRESH else PASSES_ON


def effect_of_function(function: Callable, args: tuple, kwargs: dict | None) -> str:
    """Return what a function of torch's does to the tensors that it is given."""
    effect = _EFFECTS.get(function, PASSES_ON)
    # `F.relu(x, True)` writes on x, and so do `inplace=True` and `out=x`.
    says_more = any(value is True for value in args) or kwargs
    return PASSES_ON if says_more else effect
