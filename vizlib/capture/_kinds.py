"""What kind of layer a module or a function is, and how much of a model is torch's own code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
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
_CHANGING = {"norm", "dropout", "recurrent", "attention"}
# Exact instances of these call the modules in them one after the other, and do nothing else.
CHAINS = (nn.Sequential, models.Network)
# Exact instances of these run nobody's code but torch's own and that of the modules in them.
_PLAIN: dict[type[nn.Module], str | None] = {
    **{layer: kind for layer, kind in _LAYERS.items() if layer not in _RESTLESS},
    **dict.fromkeys((*CHAINS, nn.ModuleList, nn.ModuleDict)),
}
# What a layer does to tensors that are not its own.
_ACTING = ("inplace", "max_norm")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_BY_NAME = {name.replace("_", ""): kind for name, kind in _FUNCTIONS.items()}
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Layer(NamedTuple):
    """A module's path in the model, and what it is: None for one that only passes on to others."""

    path: str
    kind: str | None


class Survey(NamedTuple):
    """Every module of a model but itself, and what is known of the code that they run.

    `plain` says that all code is torch's own, so that no function can be called outside of a
    layer; `still`, that a forward pass draws no random number and changes no buffer and no
    parameter; `pure`, that no layer writes on what it is given.
    """

    root: Layer
    parts: dict[nn.Module, Layer]
    plain: bool
    still: bool
    pure: bool
    ground: Ground

    def layers(self, model: nn.Module) -> dict[nn.Module, Layer]:
        """Return every module, or the layers alone where nothing else can matter."""
        if not self.plain:
            return {model: self.root, **self.parts}
        return self.parts if self.root.kind is None else {model: self.root}

    def names(self) -> Iterator[str]:
        """Yield the names of the stages that the modules can be."""
        inside = "\n"
        for path, kind in [self.root, *self.parts.values()]:
            if kind not in {None, HIDDEN} and not path.startswith(inside):
                inside = f"{path}."
                yield path


class Ground:
    """What a survey rests on; a walk through LeNet takes a tenth of its forward pass.

    A look into a module's own dictionary takes a twentieth of the time of asking the module. No
    reference to the model itself is held, so that the model can go.
    """

    def __init__(self, model: nn.Module) -> None:
        _, *self.parts = model.modules()
        self.insides = [vars(model), *map(vars, self.parts)]
        self.children = [own["_modules"] for own in self.insides]
        self.families = [children for children in self.children if children]
        self.hooks = [own[name] for own in self.insides for name in _HOOKS]
        self.acting = [(own, name) for own in self.insides for name in _ACTING if name in own]
        self.lazy = [module for module in self.parts if isinstance(module, LazyModuleMixin)]
        self.state = self.look(model)

    def look(self, model: nn.Module) -> tuple[list, ...]:
        """Return what can change from one call to the next."""
        return (
            [type(model), *map(type, self.parts)],
            [*map(len, self.children)],
            [list(children.items()) for children in self.families],
            self.training(),
            [own[name] for own, name in self.acting],
            [own for own in self.insides if "forward" in own or "_compiled_call_impl" in own],
            [*map(bool, self.hooks)],
        )

    def training(self) -> list[bool]:
        """Return which modules are in training mode."""
        return [own.get("training", False) for own in self.insides]

    def parameter(self) -> Tensor | None:
        """Return the first parameter."""
        parameters = (p for own in self.insides for p in own["_parameters"].values())
        return next((p for p in parameters if p is not None), None)


# The survey of the last model.
_latest: WeakKeyDictionary[nn.Module, Survey] = WeakKeyDictionary()


def survey(model: nn.Module) -> Survey:
    """Return all that is known of a model before its forward pass."""
    latest = _latest.get(model)
    if latest is None or latest.ground.look(model) != latest.ground.state:
        latest = _survey(model)
        _latest.clear()
        _latest[model] = latest
    return latest


def _survey(model: nn.Module) -> Survey:
    layers = {module: _layer(path, module) for path, module in model.named_modules()}
    plain = all(map(is_trusted, layers))
    if not plain and any(map(_is_wrapper, layers)):
        layers = {m: Layer(_shown(layer.path, model), layer.kind) for m, layer in layers.items()}
    still = plain and not any(map(shrinks_its_weight, layers))
    still &= not any(m.training and at.kind in _CHANGING for m, at in layers.items())
    pure = plain and not any(getattr(module, "inplace", False) for module in layers)
    root = layers.pop(model)
    if plain:
        layers = {module: layer for module, layer in layers.items() if layer.kind is not None}
    return Survey(root, layers, plain, still, pure, Ground(model))


def _layer(path: str, module: nn.Module) -> Layer:
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
    while _is_wrapper(model):
        model = next(model.children())
    return model


def _is_as_built(own: dict) -> bool:
    changed = any(own[name] for name in _HOOKS) or "forward" in own or "_compiled_call_impl" in own
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


def _is_wrapper(module: nn.Module) -> bool:
    return isinstance(module, _PARALLEL) or is_compiled(module)


def _shown(path: str, model: nn.Module) -> str:
    """Leave out of a path the steps that lead only through a wrapper."""
    steps, module = [], model
    for step in filter(None, path.split(".")):
        steps += [] if _is_wrapper(module) else [step]
        module = module.get_submodule(step)
    return ".".join(steps)
