"""A network as a table: what comes out of each layer, and what that costs."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Layer:
    """One call of one layer, for a batch of one.

    `name` is its path in the model, with `:2`, `:3` … for further calls; `kind` its class;
    `output_shape` what comes out, (1, C, H, W) or (1, F); `parameters` the learnt numbers, counted
    at the first call; `multiply_adds` how often a weight is multiplied and added, None for a
    layer without products of inputs and weights.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Summary:
    """The layers of a network in the order of their calls; `str()` of it is a table."""

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int

    @property
    def multiply_adds(self) -> int:
        """Of all layers together, for one image."""
        return sum(layer.multiply_adds or 0 for layer in self.layers)

    def __repr__(self) -> str:
        """Return the table as text, its columns aligned."""
        head = ("layer", "kind", "output", "parameters", "multiply-adds")
        total = ("total", self.name, "", f"{self.parameters:,}", f"{self.multiply_adds:,}")
        rows = [head, *map(_cells, self.layers), total]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)


def _cells(layer: Layer) -> tuple[str, ...]:
    costs = (layer.parameters, layer.multiply_adds)
    shape = "×".join(map(str, layer.output_shape[1:]))
    return (layer.name, layer.kind, shape, *(f"{cost:,}" if cost else "–" for cost in costs))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    texts = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
    return "  ".join(texts + numbers).rstrip()


def summary(model: nn.Module, input_shape: tuple[int, ...] | None = None) -> Summary:
    """Run the model once on zeros and return its layers as a table.

    `input_shape` is that of one input without the batch axis, (C, H, W); the networks of
    `models` know their own. A model with several inputs gets it for each of them. Multiply-adds
    are those of convolutions and linear layers: one for every weight at every position, biases
    not counted. A module that holds parameters which no listed layer has stands in the table too,
    the model itself among them. The model comes back as it was.

    Raises ValueError where the shape is not known, or the model cannot take it.

    >>> from vizlib import models
    >>> table = models.summary(models.build("lenet"))
    >>> table.layers[0].output_shape, table.layers[0].multiply_adds
    ((1, 6, 24, 24), 86400)
    >>> table.parameters, table.multiply_adds
    (44426, 281640)
    """
    name = getattr(model, "name", type(model).__name__)
    shape = input_shape or getattr(model, "input_shape", None)
    if shape is None:
        raise ValueError(
            f"{name} does not say what it expects: give input_shape, such as (1, 28, 28)"
        )
    paths = {id(module): path for path, module in model.named_modules()}
    calls: Counter[str] = Counter()
    layers = [
        _layer(info, paths[info.layer_id] or name, calls)
        for info in _calls(model, name, tuple(shape))
        if info.executed and (info.is_leaf_layer or info.leftover_params() > 0)
    ]
    total = sum(parameter.numel() for parameter in model.parameters())
    return Summary(name, tuple(shape), tuple(layers), total)


def _calls(model: nn.Module, name: str, shape: tuple[int, ...]) -> list[Any]:
    import torchinfo

    first = next(model.parameters(), torch.zeros(0))
    zeros = torch.zeros(1, *shape, device=first.device, dtype=first.dtype)
    # torchinfo sets one mode for the whole model afterwards; some layers may have had another.
    modes = [(module, module.training) for module in model.modules()]
    try:
        return torchinfo.summary(
            model, input_data=[zeros] * _inputs(model), device=first.device, verbose=0
        ).summary_list
    except RuntimeError as error:
        raise ValueError(f"{name} cannot take an input {shape}: {error.__cause__}") from None
    finally:
        for module, mode in modes:
            module.training = mode


def _inputs(model: nn.Module) -> int:
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return max(1, len(needed))


def _layer(info: Any, path: str, calls: Counter[str]) -> Layer:
    calls[path] += 1
    again = calls[path] > 1
    parameters = info.num_params if info.is_leaf_layer else info.leftover_params()
    return Layer(
        f"{path}:{calls[path]}" if again else path,
        info.class_name,
        tuple(info.output_size),
        0 if again else parameters,
        _products(info),
    )


def _products(info: Any) -> int | None:
    """Every weight is used once at every position: of the output, or of a transposed input."""
    module = info.module
    if not isinstance(module, nn.modules.conv._ConvNd | nn.Linear):  # noqa: SLF001
        return None
    size = info.input_size if getattr(module, "transposed", False) else info.output_size
    channels = module.weight.shape[0]
    return module.weight.numel() * prod(size) // channels
