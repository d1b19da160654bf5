"""A network as a table: what comes out of each layer, and what that costs."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import words
from vizlib.models._asking import as_input, eval_mode, undisturbed


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
        return words.table([head, *map(_cells, self.layers), total], texts=3)


def _cells(layer: Layer) -> tuple[str, ...]:
    costs = (layer.parameters, layer.multiply_adds)
    shape = words.times(layer.output_shape[1:])
    return (layer.name, layer.kind, shape, *(f"{cost:,}" if cost else "–" for cost in costs))


def summary(model: nn.Module, input_shape: tuple[int, ...] | None = None) -> Summary:
    """Run the model once on zeros and return its layers as a table.

    - `input_shape`: that of one input without the batch axis, (C, H, W); the networks of `models`
      know their own. A model with several inputs gets it for each of them.
    - multiply-adds are those of convolutions and linear layers: one for every weight at every
      position, biases not counted
    - parameters are counted once, in the layer that holds them. Where that layer never ran, or is
      a script, they stand with the module around it, so that the rows add up to the total.

    The model comes back as it was, and so do the random numbers. Raises ValueError where the
    shape is not known, or the model cannot take one batch of such numbers for each input.

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
        raise ValueError(f"{name} does not say what it expects: give input_shape, as (1, 28, 28)")
    zeros = as_input(model, torch.zeros(1, *shape))
    try:
        with eval_mode(model), undisturbed(model):
            layers = _layers(model, name, zeros)
    except Exception as error:  # noqa: BLE001 - whatever anybody's model may raise
        raise ValueError(
            f"{name} cannot take an input {tuple(shape)}: {error.__cause__ or error}; a table "
            f"needs a model that takes {zeros.dtype} tensors and returns tensors"
        ) from None
    total = sum(parameter.numel() for parameter in model.parameters())
    return Summary(name, tuple(shape), tuple(layers), total)


def _layers(model: nn.Module, name: str, zeros: Tensor) -> list[Layer]:
    import torchinfo

    if isinstance(model, torch.jit.ScriptModule):  # nobody sees into it
        count = sum(parameter.numel() for parameter in model.parameters())
        return [Layer(name, "script", tuple(model(zeros).shape), count, None)]
    inputs = [zeros] * _inputs(model)
    table = torchinfo.summary(model, input_data=inputs, device=zeros.device, verbose=0)
    infos = [info for info in table.summary_list if info.executed]
    paths = {id(module): path for path, module in model.named_modules()}
    counts = _parameters(model, {paths[info.layer_id] for info in infos})
    calls: Counter[str] = Counter()
    layers = []
    for info in infos:
        path = paths[info.layer_id]
        parameters = counts.pop(path, 0)
        if info.is_leaf_layer or parameters:
            calls[path] += 1
            layers.append(_layer(info, path or name, calls[path], parameters))
    return layers


def _parameters(model: nn.Module, paths: set[str]) -> Counter[str]:
    """Return how many parameters each of these modules answers for, by path."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        path = name.rpartition(".")[0]
        while path and path not in paths:
            path = path.rpartition(".")[0]
        counts[path] += parameter.numel()
    return counts


def _inputs(model: nn.Module) -> int:
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return max(1, len(needed))


def _layer(info: Any, name: str, call: int, parameters: int) -> Layer:
    name = name if call == 1 else f"{name}:{call}"
    return Layer(name, info.class_name, tuple(info.output_size), parameters, _products(info))


def _products(info: Any) -> int | None:
    """Every weight is used once at every position: of the output, or of a transposed input."""
    module = info.module
    if not isinstance(module, nn.modules.conv._ConvNd | nn.Linear):  # noqa: SLF001
        return None
    size = info.input_size if getattr(module, "transposed", False) else info.output_size
    channels = module.weight.shape[0]
    return module.weight.numel() * prod(size) // channels
