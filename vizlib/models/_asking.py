"""How a network is asked: in eval mode, without a trace, and what its scores say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

import numpy as np
import torch
from torch import nn

# Two threads that set the same buffers aside would each put the other's copies back.
_one_at_a_time = RLock()
_ROUNDING = 1e-3  # a sum of probabilities in half precision is this close to 1


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode within the `with` block, and give each module its mode back.

    A frozen script has no mode, and stays as it is.

    >>> model = nn.Dropout().train()
    >>> with eval_mode(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    # Module by module: one flag for the whole model would wake a frozen BatchNorm, and what
    # torch.export makes raises in eval().
    modes = {module: module.training for module in model.modules() if hasattr(module, "training")}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Compute no gradients, and put back what a forward pass may change, however the block ends.

    That is training flags, buffers and random numbers.

    Of the parameters, only the weights of embeddings with a `max_norm` are put back: of torch's
    layers, no other writes on its parameters.
    """
    # A frozen script has no such flag.
    modules = [module for module in model.modules() if hasattr(module, "training")]
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.no_grad(), _one_at_a_time, torch.random.fork_rng(cuda), ExitStack() as undo:
        for module in modules:
            undo.callback(setattr, module, "training", module.training)
        if any(module.training for module in modules):
            # Layers that leave out others at random while they train draw here; it takes 80 µs.
            undo.callback(random.setstate, random.getstate())
            undo.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - theirs
        _set_tensors_aside(modules, undo)
        yield


def _set_tensors_aside(modules: list[nn.Module], undo: ExitStack) -> None:
    """Let the forward pass write into copies.

    The tensors themselves are never written to: autograd may have noted one for a backward pass
    that is still to come. Modules that share one go on sharing its copy.
    """
    changing = [
        m for m in modules if m.training or not type(m).__module__.startswith("torch.nn.modules")
    ]
    aside = [buffer for module in changing for buffer in module.buffers(recurse=False)]
    limited = [module for module in modules if vars(module).get("max_norm") is not None]
    aside += [weight for module in limited for weight in module.parameters(recurse=False)]
    copies = {id(tensor): tensor.detach().clone() for tensor in aside}
    for module in modules if copies else changing:
        if isinstance(module, torch.jit.ScriptModule):
            for buffer in module.buffers(recurse=False):
                undo.callback(buffer.copy_, copies[id(buffer)])
            continue
        for held in (vars(module)["_buffers"], vars(module)["_parameters"]):
            undo.callback(held.update, dict(held))
            undo.callback(held.clear)
            held.update({name: copies.get(id(tensor), tensor) for name, tensor in held.items()})


def as_input(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return `x` on the device and in the precision of the model's first real parameter.

    Integers and complex numbers among the parameters say nothing about the images; of a network
    without any other `x` stays as it is.

    >>> as_input(nn.Linear(1, 1).double(), torch.zeros(1, 1)).dtype
    torch.float64
    """
    real = (p for p in model.parameters() if p.is_floating_point())
    first = next(real, x)
    return x.to(first.device, first.dtype)


def probabilities(scores: torch.Tensor) -> torch.Tensor:
    """Return the probability of each class, float32 in 0…1, from what a network ends in.

    `scores` is (K,) or (N, K), one score for each class: logits, log-probabilities (of
    log-softmax) or probabilities (of softmax). Those that are probabilities already stay as they
    are, since the softmax of a softmax is almost flat.

    >>> logits = torch.tensor([2.0, 0.0, -1.0])
    >>> once = probabilities(logits)
    >>> torch.equal(probabilities(once), once)
    True
    >>> torch.allclose(probabilities(logits.log_softmax(0)), once)
    True
    """
    scores = scores.detach().float()
    for form in (scores, scores.exp()):
        if (form >= 0).all() and ((form.sum(-1) - 1).abs() < _ROUNDING).all():
            return form
    return scores.softmax(-1)
