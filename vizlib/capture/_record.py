"""Run a model, or let it run, and keep what every layer did."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from vizlib import data, models
from vizlib.capture._effects import FRESH
from vizlib.capture._kinds import CHAINS, Layer, is_trusted, unwrapped
from vizlib.capture._loans import Loans
from vizlib.capture._restore import restored
from vizlib.capture._stages import Recording
from vizlib.capture._tensors import first_tensor
from vizlib.capture._watch import Watch

# The system takes free memory back and hands it out again page by page, which costs a recording as
# much as a forward pass of ResNet-18. Who frees a block of just under 32 MiB is left 64 MiB by
# glibc (mallopt(3), M_MMAP_THRESHOLD); elsewhere this does nothing.
torch.empty(2**25 - 2**16, dtype=torch.uint8)


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
    recording = _recorded(model, x, layers, samples, lend=True)
    return _recorded(model, x, layers, samples, lend=False) if recording is None else recording


def _recorded(
    model: nn.Module,
    x: Any,
    layers: str | Sequence[str] | None,
    samples: int | Sequence[int] | None,
    *,
    lend: bool,
) -> Recording | None:
    """Return a recording, or None where something wrote on what was lent to it."""
    model = unwrapped(model)
    recorder = Recorder(samples)
    watch = Watch(model, recorder.keep, layers)
    if lend and samples is None:
        recorder.copy_less(watch, model)
    try:
        with recorder.following(model):
            run(watch, model, x)
    except Exception as error:
        recorder.tell(error)
        raise
    watch.refuse_unmatched()
    return recorder.recording if recorder.is_true() else None


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
    """Keeps what a watch meets: as it is, where it stays as it is, and else a copy."""

    def __init__(self, samples: int | Sequence[int] | None) -> None:
        self.recording = Recording()
        self.samples = [samples] if isinstance(samples, int) else samples
        self._owned: Container[str] = ()
        self._loans: Loans | None = None
        self._batch = 0
        self._thread = get_ident()

    def keep(self, layer: Layer, output: Any, inputs: Any, module: nn.Module | None) -> None:
        """Keep one call."""
        tensor = output if type(output) is Tensor else first_tensor(output)
        if tensor is None:
            return
        is_lent = self._loans is not None and self._loans.lend(tensor)
        is_owned = layer.kind in self._owned and tensor.is_cpu
        kept = tensor if is_lent or is_owned else self._copy(tensor)
        self.recording.rows.append((layer, kept, _shape(inputs), module))

    def copy_less(self, watch: Watch, model: nn.Module) -> None:
        """Copy only what is not known to be nobody else's, or is written on later."""
        if watch.survey.pure:
            self._owned = FRESH
        elif _can_walk(watch, model) or (watch.sees_every_call() and not _are_watched()):
            self._loans = Loans(self.recording.rows)
            watch.before = self._loans.before

    def is_true(self) -> bool:
        """Say at the end whether all that was kept is as it was given."""
        return self._loans is None or self._loans.settle()

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
    return is_chain and watch.wanted.entries is None and not _are_watched()


def _are_watched() -> bool:
    """Say whether anybody watches all modules that there are."""
    everybodys = vars(nn.modules.module)
    return any(everybodys[f"_global_forward_{name}"] for name in ("hooks", "pre_hooks"))


def _walk(watch: Watch, chain: nn.Sequential, x: Any) -> Any:
    """Call the layers of a chain one by one: hooks would cost as much as a small layer."""
    if isinstance(chain, models.Network):
        chain.check(x)
    for module in chain:
        if type(module) in CHAINS:
            x = _walk(watch, module, x)
        else:
            if watch.before:
                watch.before(watch.survey.effects[module], (x,))
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
        value = data.as_tensor(value)
    is_tensor = isinstance(value, Tensor) and parameter is not None
    is_elsewhere = is_tensor and value.device != parameter.device
    return value.to(parameter.device) if is_elsewhere else value
