"""Leave a model as it was: what a forward pass may change, put back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import RLock

import numpy as np
import torch
from torch import Tensor, nn

from vizlib.capture._kinds import shrinks_its_weight
from vizlib.capture._survey import survey

# Two threads that set the same buffers aside would each put the other's copies back.
_one_at_a_time = RLock()


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Put back training flags, buffers and random numbers when the block ends, however it does.

    Of the parameters, only the weights of embeddings with a `max_norm` are put back: of torch's
    layers, no other writes on its parameters.
    """
    ground = survey(model).ground
    modules = [model, *ground.parts]
    with _one_at_a_time:
        training = ground.training()
        undo = [*_random_states(), *_set_buffers_aside(modules), *_set_weights_aside(modules)]
        # Layers that leave out others at random while they train draw here; asking takes 80 µs.
        undo += _other_random_states() if any(training) else []
        try:
            yield
        finally:
            if ground.training() != training:
                undo += [
                    partial(setattr, m, "training", was)
                    for m, was in zip(modules, training, strict=True)
                ]
            for put_back in undo:
                put_back()


def _random_states() -> Iterator[Callable[[], None]]:
    yield partial(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_initialized():
        yield partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())


def _other_random_states() -> Iterator[Callable[[], None]]:
    yield partial(random.setstate, random.getstate())
    yield partial(np.random.set_state, np.random.get_state())  # noqa: NPY002 - what they use


def _set_buffers_aside(modules: Iterable[nn.Module]) -> Iterator[Callable[[], None]]:
    """Let the forward pass write into copies.

    The buffers themselves are never written to: autograd may have noted one for a backward pass
    that is still to come.
    """
    copies: dict[int, Tensor] = {}
    for module in modules:
        buffers = vars(module)["_buffers"]
        if isinstance(module, torch.jit.ScriptModule):
            yield from (partial(_write_back, b, b.clone()) for b in module.buffers(recurse=False))
        elif buffers is not None:
            yield partial(_replace, buffers, dict(buffers))
            buffers.update({name: _copy(value, copies) for name, value in buffers.items()})


def _set_weights_aside(modules: Iterable[nn.Module]) -> Iterator[Callable[[], None]]:
    """Let embeddings shrink copies of their weights, also where others share them."""
    shrunk = [vars(m)["_parameters"].get("weight") for m in modules if shrinks_its_weight(m)]
    copies = {
        id(w): nn.Parameter(w.detach().clone(), w.requires_grad) for w in shrunk if w is not None
    }
    for module in modules if copies else ():
        parameters = vars(module)["_parameters"]
        changed = {name: copies[id(p)] for name, p in parameters.items() if id(p) in copies}
        if changed:
            yield partial(_replace, parameters, dict(parameters))
            parameters.update(changed)


def _copy(buffer: Tensor | None, copies: dict[int, Tensor]) -> Tensor | None:
    """Copy each buffer once, so that modules which share one go on sharing it."""
    if buffer is not None and id(buffer) not in copies:
        copies[id(buffer)] = buffer.clone()
    return copies.get(id(buffer))


def _replace(buffers: dict[str, Tensor | None], before: dict[str, Tensor | None]) -> None:
    buffers.clear()
    buffers.update(before)


def _write_back(buffer: Tensor, before: Tensor) -> None:
    with torch.no_grad():
        buffer.copy_(before)
