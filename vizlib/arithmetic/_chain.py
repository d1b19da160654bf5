"""From a value at any depth of a network back to the image: its receptive field and its steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vizlib import capture, data
from vizlib.arithmetic._layers import equal, reader
from vizlib.arithmetic._readers import NoReaderError, Reader, Seen, Sum
from vizlib.arithmetic._steps import Place, Step
from vizlib.arithmetic._windows import refuse_outside
from vizlib.models import eval_mode

INPUT = "input"
_NEAR = 1e-3


class Box(NamedTuple):
    """Rows top…bottom − 1 and columns left…right − 1 of an image: `x[..., top:bottom, left:right]`.

    >>> Box(2, 0, 7, 5).height
    5
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left


@dataclass(frozen=True, eq=False)
class Traced:
    """One value on the way back to the image."""

    stage: str
    """The stage's name, "input" for the image itself."""
    kind: str
    place: Place
    """(channel, row, column), (channel, position), or (index,) of a vector."""
    value: float
    """What the network computed."""
    total: float
    """What the step here computed in float64 from the values before the layer."""
    step: Step | None
    """ConvStep, PoolStep, LinearStep, NormStep, ActivationStep or SumStep; None where a value only
    moves."""
    field: Box
    """The input pixels that this value can depend on."""
    before: Tensor | None
    """What the layer read, (C, H, W) or (F,) float64, of two outputs the one that the way goes on
    to; None for the image itself."""

    @property
    def difference(self) -> float:
        """The step's result minus the network's own: what float32 rounds away."""
        return self.total - self.value

    def __repr__(self) -> str:
        """Return name, place, value and field in one line."""
        where = ", ".join(map(str, self.place))
        top, left, bottom, right = self.field
        sees = f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"
        return f"{self.stage}[{where}] = {self.value:.6g}  sees {sees if self.field.width else '–'}"


class Trace(tuple[Traced, ...]):
    """The values from the one asked for to a pixel of the image, in this order."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a line for each value."""
        return "\n".join(map(repr, self))


class Chain:
    """The layers of a model, up to a stage: each reads an earlier one, or is the sum of two.

    Make one and ask it often: the model runs only once, in eval mode, and comes back as it was.
    When it has learnt something since, make another.
    """

    def __init__(self, model: nn.Module, x: Any, stage: str | None = None) -> None:
        """Run the model on the first image of x (N, C, H, W) and see that its layers are a chain.

        `stage` is the last layer that is needed, or None for all. Raises KeyError with the names
        that there are for another, and ValueError where a layer up to it does more than that, or is
        of a kind that is not taken apart.
        """
        with eval_mode(model):
            x = _first_image(model, x)
            recording = capture.record(model, x)
            last = recording[stage].name if stage is not None else list(recording)[-1]
            self.names = list(recording)[: list(recording).index(last) + 1]
            self.stages = [recording[name] for name in self.names]
            self.image = x[0].detach().cpu().double()
            # That of stage n is number n + 1: before them all comes the image, as number -1.
            self._outputs = [self.image, *(stage.output[0].double() for stage in self.stages)]
            self._readers: list[Reader] = []
            # Which stages each of them reads, by number.
            self._sources: list[tuple[int, ...]] = []
            for number in range(len(self.stages)):
                self._link(number)

    def _link(self, number: int) -> None:
        """Find what a layer reads: nearly always the output before it."""
        stage = self.stages[number]
        try:
            found = self._terms(number) if stage.kind == "add" else self._source(number)
        except NoReaderError as error:
            raise ValueError(self._broken(stage, str(error))) from None
        self._readers.append(found[0])
        self._sources.append(found[1])

    def _output(self, number: int) -> Tensor:
        return self._outputs[number + 1]

    def _source(self, number: int) -> tuple[Reader, tuple[int, ...]]:
        """Return the reader of the latest output that the layer makes its own of."""
        stage, refusal = self.stages[number], None
        for source in range(number - 1, -2, -1):
            before = self._output(source)
            if refusal and tuple(before.shape) != tuple(stage.input_shape[1:]):
                continue
            try:
                own = reader(stage, before)
                self._check(stage, own)
            except NoReaderError as error:
                refusal = refusal or error
                continue
            return own, (source,)
        raise refusal

    def _terms(self, number: int) -> tuple[Reader, tuple[int, ...]]:
        """Return the reader of the latest two outputs whose sum a stage is."""
        stage = self.stages[number]
        total = self._output(number)
        alike = [n for n in range(number - 1, -2, -1) if self._output(n).shape == total.shape]
        for pair in combinations_with_replacement(alike, 2):
            befores = [self._output(source) for source in pair]
            if equal(befores[0] + befores[1], total, stage.output.dtype):
                names = tuple(INPUT if n < 0 else self.names[n] for n in pair)
                return Sum(stage, befores, names), pair
        raise NoReaderError("is no sum of two earlier outputs")

    @staticmethod
    @torch.no_grad()
    def _check(stage: capture.Stage, own: Reader) -> None:
        """Run a layer once more on what the one before it gave: is that what it had read?"""
        parameter = next(stage.module.parameters(), None) if stage.module is not None else None
        x = own.before[None].clone()
        x = x.to(parameter) if parameter is not None else x.to(stage.output.dtype)
        if not equal(own.rerun(x).cpu().double(), stage.output.double(), stage.output.dtype):
            raise NoReaderError("makes something else of the layer before it than was recorded")

    def _broken(self, stage: capture.Stage, reason: str) -> str:
        index = self.names.index(stage.name)
        upto = f"choose a stage up to {self.names[index - 1]!r}" if index else "none can be traced"
        return (
            f"{stage.name} {reason}; only layers that read one earlier output, or add two, are "
            f"followed back: {upto}"
        )

    def receptive_field(self, stage: str, row: int = 0, col: int = 0) -> Box:
        """Return what `receptive_field` does, without running the model again."""
        index = self._index(stage)
        shape = tuple(self.stages[index].output.shape[2:])
        where = (row, col)[: len(shape)]
        _refuse_place(stage, where, shape)
        return self._field(index, [{position} for position in where])

    def trace(
        self, stage: str, channel: int, row: int = 0, col: int = 0, *, until: str | None = None
    ) -> Trace:
        """Return what `trace` does, without running the model again.

        With `until` it ends with that stage, and what is behind it costs nothing.
        """
        index, end = self._index(stage), -1 if until is None else self._index(until) - 1
        shape = tuple(self.stages[index].output.shape[1:])
        place: Place | None = (channel, row, col)[: len(shape)]
        refuse_outside("channel", channel, shape[0], f"{stage} is {_times(shape)}")
        _refuse_place(stage, place[1:], shape[1:])
        found = []
        while index > end and place is not None:
            total, step = self._step(index, place)
            source = self._sources[index][self._readers[index].turn(step)]
            found.append(self._traced(index, place, total, step, self._output(source)))
            place = self._readers[index].behind(place, step)
            index = source
        if place is not None and index < 0:
            value = self.image[place].item()
            seen = [{position} for position in place[1:]]
            found.append(Traced(INPUT, INPUT, place, value, value, None, self._box(seen), None))
        return Trace(found)

    def _index(self, stage: str) -> int:
        if stage not in self.names:
            raise capture.UnknownStageError(
                f"no stage is called {stage!r}; this chain has {', '.join(self.names)}"
            )
        return self.names.index(stage)

    def _step(self, index: int, place: Place) -> tuple[float, Step | None]:
        try:
            return self._readers[index].step(place)
        except NoReaderError as error:
            raise ValueError(self._broken(self.stages[index], str(error))) from None

    def _traced(
        self, index: int, place: Place, total: float, step: Step | None, before: Tensor
    ) -> Traced:
        stage = self.stages[index]
        value = stage.output[0][place].item()
        if abs(total - value) > _NEAR * stage.output.abs().max().clamp(min=1).item():
            raise ValueError(
                f"{stage.name} gave {value:.6g}, but its weights and its input make {total:.6g}: "
                "it does more than its class says, or has learnt something since"
            )
        field = self._seen_by(index, place)
        return Traced(stage.name, stage.kind, place, value, total, step, field, before)

    def _seen_by(self, index: int, place: Place) -> Box:
        """Return the field of one value, which is followed alone as long as it is only moved."""
        while index >= 0 and self._readers[index].passes_on:
            place = self._readers[index].behind(place, None)
            (index,) = self._sources[index]
        return self._field(index, [{position} for position in place[1:]])

    def _field(self, index: int, seen: Seen) -> Box:
        # Where ways part and meet again, a stage is asked once for all that was seen of it.
        asked = {index: seen}
        for number in range(index, -1, -1):
            if number in asked:
                seen = self._readers[number].seen(asked.pop(number))
                for source in self._sources[number]:
                    asked[source] = _united(asked.get(source), seen)
        return self._box(asked[-1])

    def _box(self, seen: Seen) -> Box:
        if not seen:  # an image that came as a vector is one row
            return Box(0, 0, 1, len(self.image))
        rows, columns = ({0}, *seen)[-2:]
        if not rows or not columns:
            return Box(0, 0, 0, 0)
        return Box(min(rows), min(columns), max(rows) + 1, max(columns) + 1)


def receptive_field(model: nn.Module, x: Any, stage: str, row: int = 0, col: int = 0) -> Box:
    """Return the box of input pixels that the values at `row`, `col` of a stage can depend on.

    By arithmetic over the layers that ran: window by window back to the image (N, C, H, W), which
    cuts the box off at its edges. The box is (top, left, bottom, right) with bottom and right
    excluded, as in a slice: `x[..., top:bottom, left:right]`. It is the same for all channels;
    behind a flatten or a linear layer, where there are no rows, it is all that the maps before saw.
    A value that saw nothing but padding has the empty box (0, 0, 0, 0).

    Raises KeyError for an unknown stage, IndexError for a place that it has not, and ValueError
    where a layer up to it is of no known kind, or does more than to read one output or to add two.

    >>> from vizlib import models
    >>> lenet = models.build("lenet", seed=0)
    >>> receptive_field(lenet, torch.zeros(1, 1, 28, 28), "pool2", 0, 0)
    Box(top=0, left=0, bottom=16, right=16)
    """
    return Chain(model, x, stage).receptive_field(stage, row, col)


def trace(model: nn.Module, x: Any, stage: str, channel: int, row: int = 0, col: int = 0) -> Trace:
    """Return the steps that lead from the image to one value, beginning with that value.

    `x` is a batch (N, C, H, W) of which the first image is taken; of a vector `channel` is the
    index. Each `Traced` has the layer's step (its patch and products, its winner …), its value as
    the network computed it and as the step does, and the box of the image that it can depend on.
    Where a layer reads many values, the way back goes through the one that matters most: the
    winner of max pooling, otherwise the largest contribution of either sign, the first of equals.
    Of two outputs that are added, as around a residual block, it goes on to the larger one.
    The last entry is a pixel of the image, unless the way ended in padding.

    Raises as `receptive_field` does, and ValueError for a layer that is not taken apart.

    >>> from vizlib import models
    >>> image = torch.tensor([[3.0, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0],
    ...                       [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]])
    >>> trace(models.build("arithmetic"), image[None, None], "pool", channel=0, row=1, col=0)
    pool[0, 1, 0] = 28  sees rows 1–4, columns 0–2
    relu[0, 2, 0] = 28  sees rows 2–4, columns 0–2
    conv[0, 2, 0] = 28  sees rows 2–4, columns 0–2
    input[0, 3, 0] = 4  sees rows 3–3, columns 0–0
    """
    return Chain(model, x, stage).trace(stage, channel, row, col)


def _united(one: Seen | None, other: Seen) -> Seen:
    return other if one is None else [a | b for a, b in zip(one, other, strict=True)]


def _first_image(model: nn.Module, x: Any) -> Tensor:
    if isinstance(x, tuple):
        raise TypeError(
            f"x must be one batch (N, C, H, W), but was {len(x)} of them: a network with several "
            "inputs is no chain"
        )
    x = data.as_tensor(x)
    if x.dim() < 2:  # noqa: PLR2004 - the batch axis and one more
        raise ValueError(f"x must be a batch (N, C, H, W), but had the shape {tuple(x.shape)}")
    dtype = next((p.dtype for p in model.parameters()), x.dtype)
    return x[:1].to(dtype if x.is_floating_point() else torch.float32)


def _refuse_place(stage: str, place: Place, shape: tuple[int, ...]) -> None:
    names = ("row", "col") if len(shape) > 1 else ("position",)
    for name, index, count in zip(names, place, shape, strict=False):
        refuse_outside(name, index, count, f"a map of {stage} is {_times(shape)}")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
