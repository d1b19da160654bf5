"""See what every layer of any PyTorch model did to its input.

>>> import torch
>>> from vizlib import models
>>> recording = record(models.build("lenet", seed=0), torch.zeros(1, 1, 28, 28))
>>> list(recording)[:4]
['conv1', 'relu1', 'pool1', 'conv2']
>>> recording["conv1"].output.shape
torch.Size([1, 6, 24, 24])

A *stage* is one call of one layer. Plain forward hooks mislead in three ways, and this module is
built around them:

**In-place layers.** `nn.ReLU(inplace=True)` overwrites the output of the layer before it, so a
kept reference shows a convolution without a single negative value. Stages are copies, made at the
time of the call.

>>> from torch import nn
>>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
>>> bool((record(model, torch.randn(1, 1, 8, 8))["0"].output < 0).any())
True

**Functions.** `F.relu(x)` and `torch.flatten(x)` are no modules, and no hook sees them. Here they
are stages, named by the operation under the module that called them.

**Reuse.** One `nn.ReLU` that is called twice is two stages, the second called `relu:2`.

>>> class Net(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.fc, self.relu = nn.Linear(4, 4), nn.ReLU()
...     def forward(self, x):
...         return torch.softmax(self.relu(self.fc(self.relu(x))), dim=1)
>>> list(record(Net(), torch.ones(1, 4)))
['relu', 'fc', 'relu:2', 'softmax']
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What a layer is, by its class. A module found here is one stage, whatever it calls inside.
_MODULES: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("conv", (nn.modules.conv._ConvNd,)),
    ("relu", (nn.ReLU,)),
    (
        "activation",
        tuple(
            layer
            for layer in vars(nn.modules.activation).values()
            if isinstance(layer, type)
            and issubclass(layer, nn.Module)
            and layer not in {nn.Module, nn.MultiheadAttention}
            and "oftmax" not in layer.__name__
        ),
    ),
    (
        "pool",
        (
            nn.modules.pooling._MaxPoolNd,
            nn.modules.pooling._AvgPoolNd,
            nn.modules.pooling._AdaptiveMaxPoolNd,
            nn.modules.pooling._AdaptiveAvgPoolNd,
            nn.modules.pooling._LPPoolNd,
        ),
    ),
    ("linear", (nn.Linear, nn.Bilinear)),
    ("norm", (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)),
    ("dropout", (nn.modules.dropout._DropoutNd,)),
    ("softmax", (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Softmin)),
    ("flatten", (nn.Flatten, nn.Unflatten)),
    ("attention", (nn.MultiheadAttention,)),
    ("recurrent", (nn.RNNBase, nn.RNNCellBase)),
    ("embedding", (nn.Embedding, nn.EmbeddingBag)),
)

# The functions that are stages of their own, by their names without a final underscore.
_FUNCTIONS: dict[str, str] = {
    name: kind
    for kind, names in {
        "conv": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
        "relu": "relu",
        "activation": "relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish sigmoid tanh "
        "softplus softsign hardtanh hardswish hardsigmoid logsigmoid glu",
        "pool": "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool2d "
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_avg_pool1d adaptive_avg_pool2d mean",
        "linear": "linear bilinear matmul bmm",
        "norm": "batch_norm layer_norm group_norm instance_norm local_response_norm normalize",
        "dropout": "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout",
        "softmax": "softmax log_softmax",
        "flatten": "flatten view reshape unflatten",
        "attention": "scaled_dot_product_attention",
        "add": "add",
        "multiply": "mul",
        "cat": "cat concat stack",
        "resize": "interpolate pad",
    }.items()
    for name in names.split()
}
_OPERATORS = {"__add__": "add", "__radd__": "add", "__iadd__": "add", "__mul__": "mul",
              "__rmul__": "mul", "__imul__": "mul", "__matmul__": "matmul"}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """What one call of one layer did.

    `name` is the layer's path in the model, with `:2`, `:3` … for further calls; `kind` is
    "conv", "relu", "activation", "pool", "linear", "norm", "dropout", "softmax", "flatten", …;
    `output` is a copy on the CPU, (N, C, H, W) after a convolution and (N, F) after a linear
    layer; `input_shape` is the shape of its first input; `module` is None for a function.
    """

    name: str
    kind: str
    output: Tensor
    input_shape: tuple[int, ...]
    module: nn.Module | None

    def __repr__(self) -> str:
        """Return one line: name, kind, and the shapes in and out."""
        return f"{self.name} ({self.kind}): {self.input_shape} → {tuple(self.output.shape)}"


class Recording(Mapping[str, Stage]):
    """The stages of one forward pass, by name, in the order in which they were called."""

    def __init__(self) -> None:
        """Start empty; `record` and `listen` fill it."""
        self._stages: dict[str, Stage] = {}

    def __getitem__(self, name: str) -> Stage:
        """Return the stage called `name`; raise KeyError with the names that there are."""
        if name not in self._stages:
            raise UnknownStageError(_no_such(name, list(self._stages)))
        return self._stages[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._stages)

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self._stages)

    def __repr__(self) -> str:
        """Return one line a stage."""
        return "\n".join(map(repr, self.values())) or "an empty recording"

    def kind(self, kind: str) -> list[Stage]:
        """Return the stages of one kind, such as "conv", in the order of their calls."""
        return [stage for stage in self.values() if stage.kind == kind]


class UnknownStageError(KeyError):
    """No stage has that name; the message lists those that there are."""

    def __str__(self) -> str:
        """Return the sentence itself, where KeyError would show it in quotes."""
        return self.args[0]


def record(
    model: nn.Module,
    x: Any,
    *,
    layers: str | Sequence[str] | None = None,
    samples: int | Sequence[int] | None = None,
) -> Recording:
    """Run `model` on `x` once and return what every layer did.

    `x` is a batch, such as images (N, C, H, W), or a tuple of several inputs; it is moved to the
    model's device. `layers` keeps stages by name, pattern (`features.*`) or kind, and `samples`
    keeps images of the batch by number. The model runs in the mode it is in, without gradients,
    and comes back as it was: hooks, training flags, buffers, gradients and random numbers, also
    where the forward pass raises.

    Raises UnknownStageError (a KeyError) where an entry of `layers` matches nothing.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> record(model, torch.ones(2, 4), layers="relu", samples=0)
    1 (relu): (2, 3) → (1, 3)
    """
    model = _unwrapped(model)
    inputs = x if isinstance(x, tuple) else (x,)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    inputs = tuple(_as_tensor(value, device) for value in inputs)
    with torch.no_grad(), _unchanged(model, device):
        with listen(model, layers=layers, samples=samples) as recording:
            model(*inputs)
    return recording


@contextmanager
def listen(
    model: nn.Module,
    *,
    layers: str | Sequence[str] | None = None,
    samples: int | Sequence[int] | None = None,
) -> Iterator[Recording]:
    """Record the forward passes that you run yourself inside the `with` block.

    Nothing is held back: gradients flow, BatchNorm learns. `layers` and `samples` are as in
    `record`. Calls of the model in other threads are not recorded.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> with listen(model) as recording:
    ...     model(torch.ones(2, 4)).sum().backward()
    >>> list(recording), model[0].weight.grad is not None
    (['0', '1'], True)
    """
    recorder = _Recorder(_unwrapped(model), layers, samples)
    with recorder.attached(), torch.compiler.set_stance("force_eager"):
        try:
            with recorder:
                yield recorder.recording
        except Exception as error:
            last = recorder.last or "none"
            error.add_note(f"The last layer that finished was: {last}.")
            raise
    recorder.refuse_unmatched()


class _Recorder(TorchFunctionMode):
    """Notes the calls of modules through hooks, and those of functions through torch itself."""

    def __init__(
        self,
        model: nn.Module,
        layers: str | Sequence[str] | None,
        samples: int | Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.wanted = [layers] if isinstance(layers, str) else layers
        self.samples = [samples] if isinstance(samples, int) else samples
        self.recording = Recording()
        self.calls: dict[str, int] = {}
        self.seen: dict[str, str] = {}
        self.last = ""
        # The modules that are running now, outermost first: their paths and what they are.
        self.running: list[tuple[str, str | None]] = []
        self.thread = threading.get_ident()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hang a pair of hooks on every module, and take them off again."""
        with ExitStack() as handles:
            for path, module in self.model.named_modules():
                path = path.replace("_orig_mod.", "").removesuffix("._orig_mod")
                kind = _kind(module, is_root=module is self.model)
                for register, hook in (
                    (module.register_forward_pre_hook, self._entering(path, kind)),
                    (module.register_forward_hook, self._leaving(path, kind)),
                ):
                    options = {"with_kwargs": True}
                    if register == module.register_forward_hook:
                        options["always_call"] = True
                    handles.callback(register(hook, **options).remove)
            yield

    def _entering(self, path: str, kind: str | None) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, _kwargs: Any) -> None:
            if threading.get_ident() == self.thread:
                self.running.append((path, kind))

        return hook

    def _leaving(self, path: str, kind: str | None) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if threading.get_ident() != self.thread:
                return
            self.running.pop()
            inside_a_layer = any(outer for _, outer in self.running)
            if kind is not None and not inside_a_layer:
                name = path or type(module).__name__.lower()
                self._keep(name, kind, output, (args, kwargs), module)

        return hook

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Let torch compute `func`, and note it if a module that is no layer called it."""
        kwargs = kwargs or {}
        if not self.running or self.running[-1][1] is not None:
            return func(*args, **kwargs)
        operation = getattr(func, "__name__", "")
        operation = _OPERATORS.get(operation, operation.removesuffix("_"))
        kind = _FUNCTIONS.get(operation)
        # Noted first: an operation in place may change the shape of what it was given.
        shape = _shape((args, kwargs)) if kind else ()
        output = func(*args, **kwargs)
        if kind and not any(outer for _, outer in self.running):
            path = self.running[-1][0]
            self._note(f"{path}.{operation}" if path else operation, kind, output, shape, None)
        return output

    def _keep(
        self, name: str, kind: str, output: Any, inputs: Any, module: nn.Module | None
    ) -> None:
        self._note(name, kind, output, _shape(inputs), module)

    def _note(
        self, name: str, kind: str, output: Any, shape: tuple[int, ...], module: nn.Module | None
    ) -> None:
        tensor = _first_tensor(output)
        if tensor is None:
            return
        count = self.calls[name] = self.calls.get(name, 0) + 1
        name = name if count == 1 else f"{name}:{count}"
        self.last = name
        self.seen[name] = kind
        if self._is_wanted(name, kind):
            copy = self._copy(tensor)
            self.recording._stages[name] = Stage(name, kind, copy, shape, module)

    def _is_wanted(self, name: str, kind: str) -> bool:
        if self.wanted is None:
            return True
        return any(kind == entry or fnmatchcase(name, entry) for entry in self.wanted)

    def _copy(self, tensor: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            if self.samples is not None and tensor.dim():
                return tensor.detach()[self.samples].cpu()
            copy = tensor.detach().cpu()
            return copy.clone() if copy.data_ptr() == tensor.data_ptr() else copy

    def refuse_unmatched(self) -> None:
        """Raise where an entry of `layers` matched no stage at all."""
        for entry in self.wanted or []:
            if not any(k == entry or fnmatchcase(n, entry) for n, k in self.seen.items()):
                raise UnknownStageError(_no_such(entry, list(self.seen)))


def _kind(module: nn.Module, *, is_root: bool) -> str | None:
    """Return what layer a module is; None for one that only passes on to others."""
    for kind, classes in _MODULES:
        if isinstance(module, classes):
            return kind
    if is_root or next(module.children(), None) is not None:
        return None
    return type(module).__name__.lower()


def _unwrapped(model: nn.Module) -> nn.Module:
    """Look through what `torch.compile` and data parallelism wrap around a model."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put back buffers and random numbers: a layer in training mode changes both."""
    training = any(module.training for module in model.modules())
    buffers = [(b, b.clone()) for b in model.buffers()] if training else []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


def _as_tensor(value: Any, device: torch.device) -> Any:
    if not torch.is_tensor(value) and hasattr(value, "__array__"):
        value = torch.as_tensor(value)
    return value.to(device) if torch.is_tensor(value) else value


def _first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer took or gave: a tensor, tuple, dict, dataclass."""
    if torch.is_tensor(value):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    elif hasattr(value, "__dataclass_fields__"):
        value = list(vars(value).values())
    if isinstance(value, list | tuple):
        found = (_first_tensor(part) for part in value)
        return next((tensor for tensor in found if tensor is not None), None)
    return None


def _shape(inputs: Any) -> tuple[int, ...]:
    tensor = _first_tensor(inputs)
    return () if tensor is None else tuple(tensor.shape)


def _no_such(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no stage is called {name!r}; {hint}this model has {', '.join(names) or 'none'}"
