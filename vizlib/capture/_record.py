"""Run a model, or let it run, and keep what every layer did."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib import models
from vizlib.capture._kinds import CHAINS, Layer, is_trusted, unwrapped
from vizlib.capture._restore import restored
from vizlib.capture._stages import Recording
from vizlib.capture._watch import Watch, first_tensor

# Layers of torch's own that put their output where nothing else is. The others may pass on what
# they were given, as a view or as it is.
_FRESH = {"conv", "relu", "activation", "pool", "linear", "norm", "softmax"}


def record(
    model: nn.Module,
    x: Any,
    *,
    layers: str | Sequence[str] | None = None,
    samples: int | Sequence[int] | None = None,
) -> Recording:
    """Run `model` on `x` once and return what every layer did.

    `x` is a batch, such as images (N, C, H, W), or a tuple of several inputs; it is moved to the
    model's device. `layers` keeps stages by name, pattern (`features.*`) or kind, and costs
    nothing for the others; `samples` keeps images of the batch by number. The model runs in the
    mode it is in, without gradients, and comes back as it was: hooks, training flags, buffers,
    gradients and random numbers, also where the forward pass raises.

    Raises UnknownStageError (a KeyError) where an entry of `layers` matches nothing, IndexError
    where the batch has no such sample, ValueError for a lazy layer that was never called. What
    the forward pass raises comes through, with a note saying how far it got.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> record(model, torch.ones(2, 4), layers="relu", samples=0)
    1 (relu): (2, 3) → (1, 3)
    """
    model = unwrapped(model)
    recorder = Recorder(samples)
    watch = Watch(model, recorder.keep, layers)
    if watch.survey.pure and samples is None:
        recorder.owned = _FRESH
    try:
        with recorder.following(model):
            run(watch, model, x)
    except Exception as error:
        recorder.tell(error)
        raise
    watch.refuse_unmatched()
    return recorder.recording


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
    model = unwrapped(model)
    recorder = Recorder(samples)
    watch = Watch(model, recorder.keep, layers)
    try:
        with recorder.following(model), watch:
            yield recorder.recording
    except Exception as error:
        recorder.tell(error)
        raise
    if watch.seen:
        watch.refuse_unmatched()


class Recorder:
    """Keeps what a watch meets: copies, but for what is known to be nobody else's."""

    def __init__(self, samples: int | Sequence[int] | None) -> None:
        self.recording = Recording()
        self.samples = [samples] if isinstance(samples, int) else samples
        self.owned: Container[str] = ()
        self._batch = 0
        self._thread = get_ident()

    def keep(self, layer: Layer, output: Any, inputs: Any, module: nn.Module | None) -> None:
        """Keep one call."""
        tensor = output if type(output) is Tensor else first_tensor(output)
        if tensor is None:
            return
        kept = tensor if layer.kind in self.owned and tensor.is_cpu else self._copy(tensor)
        self.recording.rows.append((layer, kept, _shape(inputs), module))

    def _copy(self, tensor: Tensor) -> Tensor:
        values = tensor.detach()
        if self.samples is not None and values.dim() and values.shape[0] == self._batch:
            chosen = torch.tensor(self.samples, device=values.device) % self._batch
            return values.index_select(0, chosen).cpu()
        return values.clone() if values.is_cpu or values.is_meta else values.cpu()

    def following(self, model: nn.Module) -> AbstractContextManager:
        """Learn how large each batch is, where samples of it are asked for."""
        if self.samples is None:
            return nullcontext()
        return model.register_forward_pre_hook(self._start, with_kwargs=True, prepend=True)

    def tell(self, error: Exception) -> None:
        """Note on an error how far the forward pass got."""
        last = next(reversed(list(self.recording)), None)
        error.add_note(f"The last layer recorded is {last!r}." if last else "No layer is recorded.")

    def _start(self, _model: nn.Module, *args_and_kwargs: Any) -> None:
        given = first_tensor(args_and_kwargs)
        if given is None or get_ident() != self._thread:
            return
        self._batch = len(given)
        for sample in self.samples:
            if not -self._batch <= sample < self._batch:
                raise IndexError(
                    f"sample {sample} was asked for, but the batch has {self._batch}, "
                    f"numbered from 0 to {self._batch - 1}"
                )


def run(watch: Watch, model: nn.Module, x: Any) -> None:
    """Run a model once under a watch, without a trace."""
    ground = watch.survey.ground
    _refuse_lazy(ground.lazy)
    inputs = _moved(x if isinstance(x, tuple) else (x,), ground.parameter())
    as_it_was = nullcontext() if watch.survey.still else restored(model)
    with torch.no_grad(), as_it_was:
        if len(inputs) == 1 and _can_walk(watch, model):
            _walk(watch, model, *inputs)
        else:
            with watch:
                model(*inputs)


def _can_walk(watch: Watch, model: nn.Module) -> bool:
    """Say whether a model is a chain of torch's own layers, and nobody but us watches them."""
    is_chain = watch.survey.plain and type(model) in CHAINS and is_trusted(model)
    everybodys = vars(nn.modules.module)
    hooks = (everybodys[f"_global_forward_{name}"] for name in ("hooks", "pre_hooks"))
    return is_chain and watch.wanted.entries is None and not any(hooks)


def _walk(watch: Watch, chain: nn.Sequential, x: Any) -> Any:
    """Call the layers of a chain one by one: hooks would cost as much as a small layer."""
    if isinstance(chain, models.Network):
        chain.check(x)
    for module in chain:
        if type(module) in CHAINS:
            x = _walk(watch, module, x)
        else:
            given, x = x, module(x)
            watch.note(watch.layers[module], x, (given,), module)
    return x


def _shape(inputs: Any) -> Sequence[int]:
    given = first_tensor(inputs)
    try:
        return () if given is None else given.shape
    except RuntimeError:  # a nested tensor has none
        return ()


def _refuse_lazy(modules: Iterable[LazyModuleMixin]) -> None:
    for module in modules:
        if module.has_uninitialized_params():
            raise ValueError(
                f"{type(module).__name__} takes its shape from its first input, and would not be "
                "the same afterwards: call the model once yourself, then record it"
            )


def _moved(value: Any, parameter: Tensor | None) -> Any:
    """Return inputs on the device of a model's parameter; arrays become tensors."""
    if type(value) in {tuple, list}:
        return type(value)([_moved(part, parameter) for part in value])
    if type(value) is dict:
        return {name: _moved(part, parameter) for name, part in value.items()}
    if not isinstance(value, Tensor) and hasattr(value, "__array__"):
        value = torch.as_tensor(value)
    is_tensor = isinstance(value, Tensor) and parameter is not None
    is_elsewhere = is_tensor and value.device != parameter.device
    return value.to(parameter.device) if is_elsewhere else value
