"""All that is known of a model before its forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib.capture._effects import effect_of_module
from vizlib.capture._kinds import (
    CHANGING,
    HIDDEN,
    HOOKS,
    Layer,
    is_trusted,
    is_wrapper,
    layer,
    shown,
    shrinks_its_weight,
)

# What a layer does to tensors that are not its own.
_ACTING = ("inplace", "max_norm")


class Survey(NamedTuple):
    """Every module of a model but itself, and what is known of the code that they run.

    `plain` says that all code is torch's own, so that no function can be called outside of a
    layer; `still`, that a forward pass draws no random number and changes no buffer and no
    parameter; `pure`, that no layer writes on what it is given. `effects` is what each part does
    to what it is given.
    """

    root: Layer
    parts: dict[nn.Module, Layer]
    effects: dict[nn.Module, str | None]
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
        self.hooks = [own[name] for own in self.insides for name in HOOKS]
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
    layers = {module: layer(path, module) for path, module in model.named_modules()}
    plain = all(map(is_trusted, layers))
    if not plain and any(map(is_wrapper, layers)):
        layers = {m: Layer(shown(layer.path, model), layer.kind) for m, layer in layers.items()}
    still = plain and not any(map(shrinks_its_weight, layers))
    still &= not any(m.training and at.kind in CHANGING for m, at in layers.items())
    pure = plain and not any(getattr(module, "inplace", False) for module in layers)
    root = layers.pop(model)
    if plain:
        layers = {module: layer for module, layer in layers.items() if layer.kind is not None}
    effects = {module: effect_of_module(module, at.kind) for module, at in layers.items()}
    return Survey(root, layers, effects, plain, still, pure, Ground(model))
