"""What kind of layer a module or a function is, and whether its code is torch's own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from vizlib import models

# What is inside a layer is that layer's own business.
HIDDEN = "hidden"

# torch's own layers. An exact instance of one calls no other module.
_LAYERS: dict[type[nn.Module], str] = {
    getattr(nn, name): kind
    for kind, names in {
        "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
        "relu": "ReLU",
        "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU "
        "LogSigmoid Mish PReLU RReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh "
        "Tanhshrink Threshold",
        "pool": "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d "
        "LPPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d AdaptiveAvgPool1d "
        "AdaptiveAvgPool2d AdaptiveAvgPool3d FractionalMaxPool2d FractionalMaxPool3d MaxUnpool1d "
        "MaxUnpool2d MaxUnpool3d",
        "linear": "Linear Bilinear",
        "norm": "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm InstanceNorm1d InstanceNorm2d "
        "InstanceNorm3d LayerNorm GroupNorm RMSNorm LocalResponseNorm CrossMapLRN2d",
        "dropout": "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
        "softmax": "Softmax LogSoftmax Softmax2d Softmin",
        "flatten": "Flatten Unflatten",
        "attention": "MultiheadAttention",
        "recurrent": "RNN LSTM GRU RNNBase RNNCell LSTMCell GRUCell RNNCellBase",
        "embedding": "Embedding EmbeddingBag",
        "resize": "Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle PixelUnshuffle",
        "pad": "ZeroPad1d ZeroPad2d ZeroPad3d ConstantPad1d ConstantPad2d ConstantPad3d "
        "ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d "
        "ReplicationPad3d CircularPad1d CircularPad2d CircularPad3d",
        "identity": "Identity",
    }.items()
    for name in names.split()
}

# The functions that are stages of their own, by their names without a final underscore.
_FUNCTIONS: dict[str, str] = {
    name: kind
    for kind, names in {
        "conv": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
        "relu": "relu",
        "activation": "celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu "
        "log_sigmoid mish prelu rrelu relu6 selu silu sigmoid softplus softshrink softsign tanh "
        "tanhshrink threshold",
        "pool": "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d "
        "lp_pool2d lp_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d fractional_max_pool2d "
        "fractional_max_pool3d max_unpool1d max_unpool2d max_unpool3d",
        "linear": "linear bilinear matmul mm bmm einsum addmm baddbmm",
        "norm": "batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm "
        "normalize",
        "dropout": "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout "
        "feature_alpha_dropout",
        "softmax": "softmax log_softmax softmin gumbel_softmax",
        "flatten": "flatten view reshape unflatten",
        "attention": "scaled_dot_product_attention multi_head_attention_forward",
        "embedding": "embedding embedding_bag",
        "add": "add",
        "multiply": "mul",
        "mean": "mean",
        "cat": "cat concat concatenate stack hstack vstack",
        "resize": "interpolate upsample pixel_shuffle pixel_unshuffle",
        "pad": "pad",
    }.items()
    for name in names.split()
}
KINDS = {*_LAYERS.values(), *_FUNCTIONS.values()}

# Every name under which torch calls such a function → the stage's name and kind.
OPERATIONS: dict[str, tuple[str, str]] = {
    spelling.format(name): (name, kind)
    for name, kind in _FUNCTIONS.items()
    for spelling in ("{}", "{}_", "_{}", "special_{}", "{}_with_indices", "__{}__", "__i{}__")
}

# These draw random numbers even where nothing trains.
_RESTLESS = {nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d}
# Of torch's layers, those that change their buffers or draw random numbers while they train.
CHANGING = {"norm", "dropout", "recurrent", "attention"}
# Exact instances of these call the modules in them one after the other, and do nothing else.
CHAINS = (nn.Sequential, models.Network)
# Exact instances of these run nobody's code but torch's own and that of the modules in them.
_PLAIN: dict[type[nn.Module], str | None] = {
    **{layer: kind for layer, kind in _LAYERS.items() if layer not in _RESTLESS},
    **dict.fromkeys((*CHAINS, nn.ModuleList, nn.ModuleDict)),
}
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_BY_NAME = {name.replace("_", ""): kind for name, kind in _FUNCTIONS.items()}
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Layer(NamedTuple):
    """A module's path in the model, and what it is: None for one that only passes on to others."""

    path: str
    kind: str | None


def layer(path: str, module: nn.Module) -> Layer:
    """Return what a module is, by its path in the model: '' for the model itself."""
    kind = _PLAIN[type(module)] if is_trusted(module) else _judge(module, is_root=not path)
    return Layer(path or (type(module).__name__.lower() if kind else ""), kind)


def is_trusted(module: nn.Module) -> bool:
    """Say whether a module is a layer of torch's own that nobody has changed."""
    return type(module) in _PLAIN and _is_as_built(vars(module))


def shrinks_its_weight(module: nn.Module) -> bool:
    """Say whether a module writes on its own parameter in a forward pass, as embeddings may."""
    return vars(module).get("max_norm") is not None


def unwrapped(model: nn.Module) -> nn.Module:
    """Look through what `torch.compile` and data parallelism wrap around a model."""
    while is_wrapper(model):
        model = next(model.children())
    return model


def _is_as_built(own: dict) -> bool:
    changed = any(own[name] for name in HOOKS) or "forward" in own or "_compiled_call_impl" in own
    return not changed


def _judge(module: nn.Module, *, is_root: bool) -> str | None:
    """Return the kind of a module that may run anybody's code."""
    if isinstance(module, ParametrizationList):
        return HIDDEN
    if isinstance(module, torch.jit.ScriptModule):
        return "scripted"  # it runs beyond the reach of hooks, whatever it has inside
    known = next((_LAYERS[base] for base in type(module).__mro__ if base in _LAYERS), None)
    if known or type(module) in _PLAIN:
        return known
    name = type(module).__name__.lower()
    has_parts = is_root or next(module.children(), None) is not None
    is_observer = type(module).__module__.startswith("torch.ao.quantization")
    return None if has_parts and not is_observer else _BY_NAME.get(name, name)


def is_compiled(module: nn.Module) -> bool:
    """Say whether a module is what `torch.compile` wraps around another one."""
    return "_orig_mod" in vars(module)["_modules"]


def is_wrapper(module: nn.Module) -> bool:
    """Say whether a module only wraps another one."""
    return isinstance(module, _PARALLEL) or is_compiled(module)


def shown(path: str, model: nn.Module) -> str:
    """Leave out of a path the steps that lead only through a wrapper."""
    steps, module = [], model
    for step in filter(None, path.split(".")):
        steps += [] if is_wrapper(module) else [step]
        module = module.get_submodule(step)
    return ".".join(steps)
