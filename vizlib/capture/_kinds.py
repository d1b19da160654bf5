"""What kind of layer a module or a function is: one table of words for both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

# What computes a weight is no stage, and neither is what it calls.
HIDDEN = "hidden"

# The kinds, and the operations of each: # stands for 1d, 2d and 3d.
_TABLE = {
    "conv": "conv# conv_transpose#",
    "relu": "relu",
    "activation": "celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu "
    "log_sigmoid mish prelu rrelu relu6 selu silu sigmoid softplus softshrink softsign tanh "
    "tanhshrink threshold",
    "pool": "max_pool# avg_pool# lp_pool# adaptive_max_pool# adaptive_avg_pool# "
    "fractional_max_pool# max_unpool#",
    "linear": "linear bilinear matmul mm bmm einsum addmm baddbmm",
    "norm": "batch_norm sync_batch_norm layer_norm group_norm instance_norm rms_norm "
    "local_response_norm cross_map_lrn normalize",
    "dropout": "dropout dropout# alpha_dropout feature_dropout feature_alpha_dropout",
    "softmax": "softmax log_softmax softmin gumbel_softmax",
    "flatten": "flatten view reshape unflatten",
    "attention": "multihead_attention multi_head_attention_forward scaled_dot_product_attention",
    "recurrent": "rnn lstm gru rnn_base rnn_cell lstm_cell gru_cell rnn_cell_base",
    "embedding": "embedding embedding_bag",
    "add": "add",
    "multiply": "mul",
    "mean": "mean",
    "cat": "cat stack hstack vstack",
    "resize": "interpolate upsample upsampling_nearest upsampling_bilinear pixel_shuffle "
    "pixel_unshuffle",
    "pad": "pad zero_pad constant_pad reflection_pad replication_pad circular_pad",
    "identity": "identity",
}
_SIZES = ("1d", "2d", "3d")
KINDS = {
    word.replace("#", size): kind
    for kind, words in _TABLE.items()
    for word in words.split()
    for size in (_SIZES if "#" in word else ("",))
}
# A class is found by its name in small letters: MaxPool2d is max_pool2d.
_OPERATIONS = {word.replace("_", ""): word for word in KINDS}

# Functions that torch and Python spell in several ways.
_SAME = {
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    **dict.fromkeys(("add", "radd", "iadd"), "add"),
    **dict.fromkeys(("mul", "rmul", "imul", "multiply"), "mul"),
    **dict.fromkeys(("sub", "isub", "subtract"), "sub"),
    **dict.fromkeys(("div", "truediv", "itruediv", "true_divide", "divide"), "div"),
    **dict.fromkeys(("__bool__", "__float__", "__int__", "__index__", "__complex__"), "item"),
    "rtruediv": "rdiv",
}
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@cache
def function(name: str) -> tuple[str, str | None]:
    """Return the operation that a function is, and its kind if it is a stage.

    >>> function("__iadd__"), function("max_pool2d_with_indices"), function("__getitem__")
    (('add', 'add'), ('max_pool2d', 'pool'), ('getitem', None))
    """
    word = _SAME.get(name) or name.partition(".")[0].strip("_").removeprefix("special_")
    word = word.removesuffix("_with_indices")
    word = _SAME.get(word, word)
    return word, KINDS.get(word)


@cache
def _word_of(name: str) -> str | None:
    """Return the operation that a class is named after: "BatchNorm2d" after "batch_norm"."""
    name = name.lower()
    return _OPERATIONS.get(name) or _OPERATIONS.get(re.sub("[123]d$", "", name))


def _torchs(cls: type) -> str | None:
    """Return the operation of a layer of torch's own, rather than of one derived from these."""
    return _word_of(cls.__name__) if cls.__module__.startswith("torch.nn.modules") else None


def _describe(module: nn.Module, *, is_root: bool) -> tuple[str, str | None]:
    """Return a module's operation and kind; the kind is None where it only calls others."""
    if isinstance(module, ParametrizationList):
        return HIDDEN, HIDDEN
    if isinstance(module, torch.jit.ScriptModule):
        return "scripted", "scripted"  # beyond the reach of hooks, whatever it has inside
    own, *bases = map(_torchs, type(module).__mro__)
    if word := own or next(filter(None, bases), None):
        calls_others = not own and any(map(_is_part, module.children()))
        return word, None if calls_others else KINDS[word]
    name = type(module).__name__.lower()
    has_parts = is_root or any(True for _ in module.children())
    if isinstance(module, _CONTAINERS) or (has_parts and not _is_quantized(module)):
        return name, None
    word = _word_of(name) or name
    return word, KINDS.get(word, word)


def _is_part(child: nn.Module) -> bool:
    """Say whether a child of a layer is a layer, rather than what computes or measures a weight."""
    if isinstance(child, nn.ModuleDict):
        return any(map(_is_part, child.values()))
    is_torchs_part = isinstance(child, nn.modules.linear.NonDynamicallyQuantizableLinear)
    return not (isinstance(child, ParametrizationList) or is_torchs_part or _is_quantized(child))


def _is_quantized(module: nn.Module) -> bool:
    """Say whether a module observes for quantization or runs what torch's functions do not see."""
    home = type(module).__module__
    return home.startswith(("torch.ao.quantization", "torch.ao.nn.quantized"))


class Layer(NamedTuple):
    """A module's path in the model and what it is; `kind` is None where it only calls others."""

    path: str
    operation: str
    kind: str | None


def layers(model: nn.Module) -> dict[nn.Module, Layer]:
    """Return what every module of a model is; a shared one goes by its first path."""
    found: dict[nn.Module, Layer] = {}
    for path, module in _named(model):
        if module not in found:
            operation, kind = _describe(module, is_root=not path)
            found[module] = Layer(path or (operation if kind else ""), operation, kind)
    return found


def _named(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with its path, which leaves out what only wraps others."""
    module = unwrapped(module)
    yield path, module
    for name, child in module.named_children():
        yield from _named(child, f"{path}.{name}" if path else name)


def unwrapped(module: nn.Module) -> nn.Module:
    """Look through what `torch.compile` and data parallelism wrap around a model."""
    while isinstance(module, _WRAPPERS) or "_orig_mod" in vars(module).get("_modules", ()):
        module = next(module.children())
    return module


# --- A chain of torch's own layers ---------------------------------------------------------
#
# No function can be called between such layers, so that neither hooks nor a mode are needed; for
# LeNet these would cost as much as its forward pass. Everything works without this part.

# An instance that holds one of these does not run its class's own code.
_FOREIGN = {"forward", "_compiled_call_impl"}
# These may give several tensors, write on their weights, or draw random numbers.
_OTHERS = ("rnn", "lstm", "gru", "multihead", "embedding", "fractional")
# All others of torch's layers, and their operations.
PLAIN = {
    cls: word
    for cls in vars(nn).values()
    if isinstance(cls, type) and (word := _torchs(cls)) and not word.startswith(_OTHERS)
}


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
    parts = dict(model.named_modules(remove_duplicate=False))
    found = {path: part for path, part in parts.items() if path and type(part) is not nn.Sequential}
    is_single = len({*found.values()}) == len(found)
    is_plain = PLAIN.keys() >= {*map(type, found.values())}
    return found if is_single and is_plain and all(map(_is_as_built, parts.values())) else {}


def _is_as_built(module: nn.Module) -> bool:
    own = vars(module)
    is_hooked = own["_forward_hooks"] or own["_forward_pre_hooks"]
    is_other = is_hooked or own["training"] or own.get("return_indices")
    return not is_other and _FOREIGN.isdisjoint(own)
