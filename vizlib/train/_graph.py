"""A whole step as one CUDA graph: launched at once, where Python would launch 200 small kernels."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from vizlib.train._step import Step

_ORDINARY = 2  # one that makes what the optimizer remembers, and one that is watched
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Cuda:
    """What a graph needs of CUDA."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on the stream that captures, so that what it sets up is there already."""
        outer = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outer)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            outer.wait_stream(self.stream)

    @contextmanager
    def unread(self) -> Iterator[None]:
        """Raise RuntimeError where Python reads a value, which no graph can hold."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(action="ignore"):  # it is a prototype, says torch
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what does all of `work` again at one launch; here it is recorded, not done."""
        graph, outer = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.stream.device)
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                work()
        finally:
            torch.cuda.set_stream(outer)  # torch forgets to where a capture fails
        return graph.replay


class GraphedStep:
    """A step as a graph, and the ordinary step wherever that would not be the same.

    The first two full batches go the ordinary way. `obstacle` is the reason why a graph is not
    used, if it is not. What changes from step to step lies in tensors that are filled before each
    launch: images, labels, learning rates, and the weight of the running mean.
    """

    def __init__(self, step: Step, cuda: Cuda, batch_size: int) -> None:
        self.step, self.cuda, self.batch_size = step, cuda, batch_size
        self.obstacle = _obstacle(step)
        self._seen = 0
        self._launch: Callable[[], None] | None = None

    @property
    def kind(self) -> str:
        """How most steps were made, in words."""
        if self._launch:
            return "graphed"
        return f"ordinary: {self.obstacle or 'there were too few full batches for a graph'}"

    def __call__(self, images: Tensor, labels: Tensor, scale: float) -> Tensor:
        """Learn from a batch, as `Step` does."""
        if self.obstacle or len(labels) != self.batch_size:
            return self.step(images, labels, scale)
        self._seen += 1
        if self._seen < _ORDINARY:
            with self.cuda.aside():
                return self.step(images, labels, scale)
        if self._seen == _ORDINARY:
            return self._watched(images, labels, scale)
        if self._launch is None:
            self._prepare(images, labels, scale)
        if self._launch and self._settings() != self._captured:
            self._give_up("more than the learning rate changes between steps")
        if self._launch is None:
            return self.step(images, labels, scale)
        self._fill(images, labels)
        self._launch()
        self.step.advance()
        return self._counts.clone()

    def _watched(self, images: Tensor, labels: Tensor, scale: float) -> Tensor:
        """Make an ordinary step, and see whether a graph could stand for it."""
        buffers = [(buffer, buffer.clone()) for buffer in self.step.model.buffers()]
        held, drawn = _held(self.step.model), _drawn()
        try:
            with self.cuda.aside(), self.cuda.unread():
                counts = self.step(images, labels, scale)
        except RuntimeError:
            self._give_up("the network reads values while it computes")
            for buffer, kept in buffers:
                buffer.copy_(kept)
            return self.step(images, labels, scale)
        if [*map(id, _held(self.step.model))] != [*map(id, held)] or _drawn() != drawn:
            self._give_up("the network changes by itself, or draws random numbers on the CPU")
        return counts

    def _prepare(self, images: Tensor, labels: Tensor, scale: float) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        self._rates = [images.new_zeros(()) for _ in self.step.optimizer.param_groups]
        self._weight, self._counts = images.new_zeros(()), images.new_zeros(2)
        self._captured = self._settings()
        try:
            self._launch = self.cuda.capture(lambda: self._work(scale))
        except RuntimeError as error:
            self._give_up(f"CUDA could not capture it ({str(error).splitlines()[0]})")

    def _work(self, scale: float) -> None:
        with self._filled_rates():
            self._counts.copy_(self.step.learn(self._images, self._labels, scale, self._weight))

    def _fill(self, images: Tensor, labels: Tensor) -> None:
        self._images.copy_(images)
        self._labels.copy_(labels)
        for rate, group in zip(self._rates, self.step.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        if self.step.mean:
            self._weight.fill_(self.step.mean.weight())

    @contextmanager
    def _filled_rates(self) -> Iterator[None]:
        """Let the optimizer read its learning rates from tensors, and the schedule from numbers."""
        groups = self.step.optimizer.param_groups
        numbers = [dict(group) for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = True
        try:
            yield
        finally:
            for group, before in zip(groups, numbers, strict=True):
                group.update(before)

    def _settings(self) -> list[Any]:
        """Return what a graph keeps as it was: whatever is a number, and what is frozen."""
        groups = self.step.optimizer.param_groups
        numbers = [
            {k: v for k, v in group.items() if k != "lr" and isinstance(v, int | float | tuple)}
            for group in groups
        ]
        return [*numbers, *(p.requires_grad for group in groups for p in group["params"])]

    def _give_up(self, reason: str) -> None:
        self.obstacle, self._launch = reason, None


def _obstacle(step: Step) -> str:
    """Return why the step cannot be a graph, as far as one can tell before the first batch."""
    optimizer = step.optimizer
    # Only those take a learning rate that lies on the GPU.
    if not (isinstance(optimizer, optim.SGD | optim.Adam) and optimizer.defaults["fused"]):
        return f"the optimizer {type(optimizer).__name__} keeps numbers on the CPU"
    modules = step.model.modules()
    if any(getattr(module, name) for module in modules for name in _HOOKS):
        return "the network has hooks, which a graph does not call"
    return ""


def _held(model: nn.Module) -> list[Any]:
    """Return all that the network's modules hold: other objects if it counts or remembers."""
    values = [value for module in model.modules() for value in vars(module).values()]
    lists = [value for value in values if isinstance(value, list)]
    dicts = [value.values() for value in values if isinstance(value, dict)]
    return [*values, *chain(*lists, *dicts)]


def _drawn() -> list[Any]:
    """Return where the random numbers on the CPU are, from wherever the network draws them."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    return [torch.get_rng_state().tolist(), random.getstate(), numpys[1].tolist(), numpys[2]]
