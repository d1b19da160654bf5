"""A network as a program that a page can compute: its steps as JSON, its weights as bytes.

What each step is and what it reads is told by `capture.program`; here the arguments get the names
that `static/engine.js` knows them by, which are PyTorch's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import capture
from vizlib.explore._attention import ATTENTION, attention, refused
from vizlib.explore._moves import moves, only_moves

_BINARY = "input other alpha"
_CONV = "input weight bias stride padding dilation groups"
_TRANSPOSED = "input weight bias stride padding output_padding groups dilation"
_MAX_POOL = "input kernel_size stride padding dilation ceil_mode"
_AVG_POOL = "input kernel_size stride padding ceil_mode count_include_pad divisor_override"
_REDUCTION = "input dim keepdim"
# What the engine can compute, and the names of the arguments in torch's order.
_PARAMETERS = {
    **dict.fromkeys(("conv1d", "conv2d"), _CONV),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _TRANSPOSED),
    **dict.fromkeys(("max_pool1d", "max_pool2d"), _MAX_POOL),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _AVG_POOL),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), "input output_size"),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), "input output_size"),
    **dict.fromkeys(("add", "sub", "mul", "div", "rsub", "rdiv", "pow", "matmul"), _BINARY),
    **dict.fromkeys(("maximum", "minimum"), _BINARY),
    **dict.fromkeys(("mean", "sum", "amax"), _REDUCTION),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), "input dim"),
    **dict.fromkeys(("relu", "relu6", "sigmoid", "tanh", "silu", "mish", "softsign"), "input"),
    **dict.fromkeys(("hardsigmoid", "hardswish", "selu", "logsigmoid", "abs", "neg"), "input"),
    **dict.fromkeys(("exp", "log", "sin", "cos", "sqrt", "rsqrt", "square"), "input"),
    **dict.fromkeys(("reciprocal", "dropout", "identity"), "input"),
    **dict.fromkeys(("elu", "celu"), "input alpha"),
    "batch_norm": "input running_mean running_var weight bias training momentum eps",
    "instance_norm": "input running_mean running_var weight bias use_input_stats momentum eps",
    "layer_norm": "input normalized_shape weight bias eps",
    "group_norm": "input num_groups weight bias eps",
    "linear": "input weight bias",
    "prelu": "input weight",
    "leaky_relu": "input negative_slope",
    "hardtanh": "input min_val max_val",
    "clamp": "input min max",
    "gelu": "input approximate",
    "softplus": "input beta threshold",
    "cat": "tensors dim",
    "flatten": "input start_dim end_dim",
    "transpose": "input dim0 dim1",
    "pad": "input pad mode value",
    "interpolate": "input size scale_factor mode align_corners",
}
_RESIZES = {"nearest", "nearest-exact", "linear", "bilinear"}
_SAME = {
    **dict.fromkeys(
        ("feature_dropout", "dropout1d", "dropout2d", "contiguous", "clone"), "dropout"
    ),
    **dict.fromkeys(("swapaxes", "swapdims"), "transpose"),
    "upsample": "interpolate",
    "clip": "clamp",
    **dict.fromkeys(("mm", "bmm"), "matmul"),
}
# These make the same tensor for every image.
_CONSTANTS = {"zeros", "ones", "full", "eye", "arange", "linspace"}
# These give the same values in another shape, which the pass has told.
_RESHAPES = {"view", "reshape", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"}


class NotComputableError(ValueError):
    """A page cannot compute this network; the message says which layer, and why."""


class Program:
    """A network's steps, each a dict for JSON, and the values of its tensors, in one row.

    A layer that changes nothing becomes a step as well.
    """

    def __init__(self, found: capture.Program, shape: Sequence[int]) -> None:
        """Go through the steps in order; raise NotComputableError where a page knows one not.

        `shape` is that of the image.
        """
        self.steps: list[dict[str, Any]] = []
        self.tensors: list[dict[str, Any]] = []
        self.values: list[np.ndarray] = []
        self._found, self._tensors = found, dict(found.tensors)
        self._waiting = list(found.stages.items())
        self._named: dict[str, str] = {"input": "input"}  # a step → the last stage that gave it
        self._numbers: dict[str, int] = {}
        self._shapes = {"input": tuple(shape)} | {n: t.shape for n, t in found.tensors.items()}
        self._pass_on()
        for step in found.steps.values():
            self._add(step)
        self.output = self._named[found.outputs[0]] if found.outputs else ""

    def graph(self) -> dict[str, Any]:
        """Return all but the values."""
        steps = {"input": "input", "steps": self.steps, "output": self.output}
        return {**steps, "tensors": self.tensors}

    def packed(self, dtype: type[np.floating]) -> bytes:
        """Return all weights, one after the other."""
        return b"".join(each.astype(dtype).tobytes() for each in self.values)

    def _add(self, step: capture.Step) -> None:
        name = next((stage for stage, own in self._waiting if own == step.name), step.name)
        self._waiting = [(stage, own) for stage, own in self._waiting if stage != name]
        self._shapes[step.name] = step.shape
        if step.operation in _CONSTANTS and step.function:
            self._tensors[step.name] = step.function(*step.arguments, **step.options)
        elif step.operation in ATTENTION:
            self._attend(step, name)
        elif only_moves(step):
            self._move(step, name)
        else:
            self._write(name, *self._told(step))
            self._named[step.name] = name
        self._pass_on()

    def _attend(self, step: capture.Step, name: str) -> None:
        """Write the steps that attention is made of."""
        if word := refused(step):
            raise NotComputableError(f"a page cannot compute attention with {word} ({step.name})")

        def write(word: str, operation: str, **options: Any) -> dict[str, str]:
            own = f"{step.name}.{word}" if word else name
            given = {key: value for key, value in options.items() if value is not None}
            self._write(own, operation, given)
            return {"stage": own}

        attention(step, self._shapes, lambda v: v if v is None else self._value(v), write)
        self._named[step.name] = name

    def _move(self, step: capture.Step, name: str) -> None:
        """Write where the values of each output come from."""
        read, outputs = moves(step, self._shapes, self._tensors)
        tensors = [self._value(value) for value in read]
        for count, output in enumerate(outputs):
            own = f"{step.name}[{count}]" if count else step.name
            self._shapes[own], self._named[own] = output["shape"], own if count else name
            self._write(self._named[own], "move", {"tensors": tensors, **output})

    def _pass_on(self) -> None:
        """Write the layers that come next and give what was there already."""
        while self._waiting and self._waiting[0][1] in self._named:
            stage, own = self._waiting.pop(0)
            self._write(stage, "identity", {"input": {"stage": self._named[own]}})
            self._named[own] = stage

    def _write(self, name: str, operation: str, options: dict[str, Any]) -> None:
        if name == "input":
            raise NotComputableError("a page calls its image 'input', and so is a layer called")
        step = {"name": name, "operation": operation, "options": options}
        # What lies between the layers is computed, and not shown.
        hidden = {} if name in self._found.stages else {"hidden": True}
        self.steps.append(step | hidden)

    # --- Arguments -------------------------------------------------------------------------

    def _told(self, step: capture.Step) -> tuple[str, dict[str, Any]]:
        operation = _SAME.get(step.operation, step.operation)
        first = step.arguments[0] if step.arguments else None
        if operation in _RESHAPES:
            return "reshape", {"input": self._value(first), "shape": list(step.shape)}
        if operation == "permute":
            dims = np.ravel([*step.arguments[1:], *step.options.values()]).tolist()
            return "permute", {"input": self._value(first), "dims": dims}
        if operation in {"T", "t", "mT"}:
            return "transpose", {"input": self._value(first), "dim0": -2, "dim1": -1}
        if operation not in _PARAMETERS:
            raise NotComputableError(f"a page cannot compute {step.name}")
        return operation, self._options(step, _PARAMETERS[operation].split())

    def _options(self, step: capture.Step, names: Sequence[str]) -> dict[str, Any]:
        given = dict(zip(names, step.arguments, strict=False)) | step.options
        _refuse_chance(step, given)
        _refuse_cubic(step, given)
        return {
            name: self._value(value)
            for name, value in given.items()
            if name in names and value is not None
        }

    def _value(self, value: Any) -> Any:
        match value:
            case capture.Value():
                return self._reference(value)
            case float() if not math.isfinite(value):
                raise NotComputableError(f"a page cannot be told the number {value}")
            case str() | bool() | int() | float():
                return value
            case list() | tuple():
                return [self._value(each) for each in value]
        raise NotComputableError(f"a page cannot compute with a {type(value).__name__}")

    def _reference(self, value: capture.Value) -> dict[str, Any]:
        if value in self._tensors:
            return {"tensor": self._number(value)}
        if value not in self._named:
            raise NotComputableError(f"a page cannot compute {value}, one of several results")
        return {"stage": self._named[value]}

    def _number(self, name: str) -> int:
        """Return the number of a tensor of the network's own, which the page then holds."""
        if name not in self._numbers:
            tensor = self._tensors[name]
            values = tensor.detach().cpu()
            if values.is_complex() or values.is_quantized:
                raise NotComputableError(f"a page cannot compute with {values.dtype}, as {name} is")
            at = sum(each.size for each in self.values)
            # Only what learns has a name there.
            learns = {"parameter": str(name)} if tensor.requires_grad else {}
            self.tensors.append({"shape": list(values.shape), "at": at, **learns})
            self.values.append(values.float().numpy().ravel())
            self._numbers[name] = len(self._numbers)
        return self._numbers[name]


def program(model: nn.Module, x: Tensor) -> Program:
    """Return what `model`, in its present mode, computes of an image x (1, C, H, W).

    Raises NotComputableError, in one sentence, where a page could not compute it.
    """
    found = capture.program(model, x)
    _refuse_changing_constants(found, capture.program(model, torch.zeros_like(x)))
    return Program(found, x.shape)


def _refuse_changing_constants(one: capture.Program, other: capture.Program) -> None:
    """Raise where a tensor that is no parameter depends on the image, by ways nobody sees."""
    for name, values in one.tensors.items():
        twin = other.tensors.get(name)
        if twin is None or twin.shape != values.shape or not torch.equal(twin, values):
            raise NotComputableError(
                f"the network reads {name} as if it were a constant, but it is another one for "
                "another image, and a page cannot see how it is made"
            )


def _refuse_chance(step: capture.Step, given: dict[str, Any]) -> None:
    """Raise where a step throws dice or learns, which an answer of a page may not."""
    if given.get("training") or (step.operation == "instance_norm" and given.get("running_mean")):
        raise NotComputableError(
            f"{step.name} ({step.operation}) is in training mode, where the same image gives "
            "another answer each time"
        )


def _refuse_cubic(step: capture.Step, given: dict[str, Any]) -> None:
    """Raise where a picture is resized in another way than from its nearest neighbours."""
    if _SAME.get(step.operation, step.operation) == "interpolate":
        mode = "antialiased" if given.get("antialias") else given.get("mode", "nearest")
        if mode not in _RESIZES:
            raise NotComputableError(
                f"a page cannot compute {mode} resizing (the layer {step.name})"
            )
