"""From a value at any depth of a network back to the image: its receptive field and its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import capture, data
from vizlib.arithmetic._activations import Activation
from vizlib.arithmetic._convolution import Convolution
from vizlib.arithmetic._linear import Linear
from vizlib.arithmetic._moves import Mean, Moves, Sum, only_moves
from vizlib.arithmetic._norms import Norm
from vizlib.arithmetic._pooling import Pooling
from vizlib.arithmetic._readers import IMAGE, Node, NoReaderError, Reader, Seen
from vizlib.arithmetic._softmax import Softmax
from vizlib.arithmetic._steps import Box, Place, Trace, Traced
from vizlib.arithmetic._windows import refuse_outside
from vizlib.models import as_input, eval_mode
from vizlib.words import times

# How far a value may be from the network's own, as a share of the layer's largest.
_NEAR = 1e-3

# How each kind of layer is taken apart; `Moves` is for those that only move values.
READERS: dict[str, type[Reader]] = {
    "conv": Convolution,
    "pool": Pooling,
    "mean": Mean,
    "linear": Linear,
    "softmax": Softmax,
    "relu": Activation,
    "activation": Activation,
    "norm": Norm,
    "add": Sum,
}


class Chain:
    """The layers of a model, and what each of them read when it saw one image.

    Make one and ask it often: the model runs only once, in eval mode, and comes back as it was.
    When it has learnt something since, make another.
    """

    def __init__(self, model: nn.Module, x: Any) -> None:
        """Run the model on the first image of x (N, C, H, W)."""
        with eval_mode(model):
            x = _first_image(model, x)
            self.recording = capture.record(model, x)
        self.image = x[0].detach().cpu().double()
        self._constants = dict([*model.named_parameters(), *model.named_buffers()])
        self._values = {IMAGE: self.image[None]}
        self._readers: dict[str, Reader] = {}

    def receptive_field(self, stage: str, row: int = 0, col: int = 0) -> Box:
        """Return what `receptive_field` does, without running the model again."""
        sizes = self._sizes(stage)
        seen = [{position} for position in self._start(stage, 0, row, col)]
        seen[-len(sizes)] = set(range(sizes[0]))
        return self._field(stage, seen)

    def trace(
        self, stage: str, channel: int, row: int = 0, col: int = 0, *, until: str | None = None
    ) -> Trace:
        """Return what `trace` does, without running the model again.

        With `until` the way ends with that stage; the stages before it are not looked at.
        """
        found = []
        name = stage
        at: Place | None = self._start(stage, channel, row, col)
        while at is not None and name != IMAGE:
            traced, name, at = self._back(name, at)
            found += [] if traced is None else [traced]
            if traced and traced.stage == until:
                return Trace(found)
        if at is not None:
            value, box = self.image[at[1:]].item(), self._box([{position} for position in at])
            found.append(Traced("input", "input", at[1:], value, value, None, box, None))
        return Trace(found)

    def _start(self, stage: str, channel: int, row: int, col: int) -> Place:
        """Return a place in all that a stage gave; the batch's axis is first, if there is one."""
        place = _place(stage, self._sizes(stage), channel, row, col)
        return (0,) * (self.recording[stage].output.dim() - len(place)) + place

    def _sizes(self, stage: str) -> tuple[int, ...]:
        """Return the sizes of a stage's axes, without the batch's; refuse what is no map."""
        output = self.recording[stage].output
        shape, sizes = tuple(output.shape), tuple(_without_batch(output).shape)
        if not 1 <= len(sizes) <= len("CHW") or 0 in shape:
            what = f"has the shape {shape}" if shape else "is a single number"
            raise NoReaderError(
                f"{stage} {what}; only the values of maps (N, C, H, W), signals (N, C, L) and "
                "vectors (N, F) are followed back: choose another stage"
            )
        return sizes

    def _back(self, name: str, at: Place) -> tuple[Traced | None, str, Place | None]:
        """Return one value of a step, and where the way goes on: None in padding."""
        reader = self._reader(name)
        step = reader.step(at)
        which, source = reader.source(at, step) or (0, None)
        before, traced = reader.node.befores[which], None
        moved = before[source].item() if source else 0.0
        total = step.total if step else moved
        if name in self.recording:
            traced = Traced(
                stage=name,
                kind=self.recording[name].kind,
                place=_in_maps(at, self._value(name)),
                value=self._checked(name, at, total),
                total=total,
                step=step,
                field=self._field(name, [{position} for position in at]),
                before=_without_batch(before),
                source=source and _in_maps(source, before),
            )
        return traced, reader.node.names[which], source

    def _checked(self, name: str, at: Place, total: float) -> float:
        """Return the network's own value; raise NoReaderError where it is not what was computed."""
        value, largest = self._value(name)[at].item(), self._value(name).abs().max().item()
        if abs(total - value) > _NEAR * max(1.0, largest):
            raise NoReaderError(
                f"{name} gave {value:.6g}, but its weights and its input make {total:.6g}: "
                "it does more than its class says, or has learnt something since"
            )
        return value

    def _reader(self, name: str) -> Reader:
        """Return what reads for a step; raise NoReaderError where there is no such thing."""
        if name not in self._readers:
            self._readers[name] = self._taken_apart(self._node(name))
        return self._readers[name]

    def _taken_apart(self, node: Node) -> Reader:
        if only_moves(node):
            return Moves(node)
        if node.kind in READERS:
            return READERS[node.kind](node)
        # Such as a layer that skips blocks at random while it learns, and rests otherwise.
        is_one = node.name in self.recording and len(node.befores) == len(node.names) == 1
        if is_one and torch.equal(self._value(node.name), node.befores[0]):
            return Moves(replace(node, kind="identity"))
        raise node.refusal(f"is of the kind {node.kind!r}")

    def _node(self, name: str) -> Node:
        steps, stage = self.recording.steps, self.recording.get(name)
        step = steps[_base(name)]
        kind = step.operation if stage is None else stage.kind
        # Of a function that multiplies by weights, the rest are those.
        given = step.values[:1] if kind in {"conv", "linear"} else step.values
        names = tuple(IMAGE if isinstance(read, capture.Input) else str(read) for read in given)
        return Node(
            name=name,
            kind=kind,
            module=None if stage is None else stage.module,
            step=step,
            names=names,
            befores=tuple(self._value(n) for n in names if n == IMAGE or _base(n) in steps),
            constants=self._constants,
        )

    def _value(self, name: str) -> Tensor:
        """Return all that a step gave, in float64, with the batch's axis."""
        if name not in self._values:
            # What lies between two stages is not kept, but made again of what it moves.
            moved = None if name in self.recording else self._reader(name)
            values = moved.values if isinstance(moved, Moves) else _float64(self.recording[name])
            self._values[name] = values
        return self._values[name]

    def _field(self, stage: str, seen: Seen) -> Box:
        # Where ways part and meet again, a step is asked once for all that was seen of it.
        asked = {stage: seen}
        for base in reversed(list(self.recording.steps)):
            for name in [name for name in asked if name != IMAGE and _base(name) == base]:
                reader = self._reader(name)
                befores = reader.seen(asked.pop(name))
                for source, before in zip(reader.node.names, befores, strict=True):
                    known = asked.get(source, before)
                    if all(before):
                        asked[source] = [a | b for a, b in zip(known, before, strict=True)]
        return self._box(asked.get(IMAGE, [set()]))

    def _box(self, seen: Seen) -> Box:
        if not all(seen):
            return Box(0, 0, 0, 0)
        if len(seen) <= len("NF"):  # an image that came as a vector is one row
            return Box(0, 0, 1, len(self.image))
        rows, columns = ({0}, *seen[2:])[-2:]
        return Box(min(rows), min(columns), max(rows) + 1, max(columns) + 1)


def receptive_field(model: nn.Module, x: Any, stage: str, row: int = 0, col: int = 0) -> Box:
    """Return the box of input pixels that the values at `row`, `col` of a stage can depend on.

    - `x`: a batch (N, C, H, W), of which the first image is taken.
    - `stage`: a name that `capture.record` has.
    - `row`, `col`: the place in its maps; of a signal (C, L) the position is either of them.

    The box is (top, left, bottom, right) with bottom and right excluded, as in a slice:
    `x[..., top:bottom, left:right]`. It is found by arithmetic over the layers that ran, window by
    window back to the image, and cut off at the image's edges. It is the same for all channels;
    behind a flatten or a linear layer, where there are no rows, it is all that the maps before saw.
    A value that saw nothing but padding has the empty box (0, 0, 0, 0).

    Raises KeyError for an unknown stage, IndexError for a place that it has not, and NoReaderError,
    a ValueError, where a layer on the way is not taken apart: the sentence says which one and why.

    >>> from vizlib import models
    >>> lenet = models.build("lenet", seed=0)
    >>> receptive_field(lenet, torch.zeros(1, 1, 28, 28), "pool2", 0, 0)
    Box(top=0, left=0, bottom=16, right=16)
    """
    return Chain(model, x).receptive_field(stage, row, col)


def trace(model: nn.Module, x: Any, stage: str, channel: int, row: int = 0, col: int = 0) -> Trace:
    """Return the steps that lead from the image to one value, beginning with that value.

    - `x`: a batch (N, C, H, W), of which the first image is taken.
    - `stage`: a name that `capture.record` has.
    - `channel`: the channel, or of a vector the index.
    - `row`, `col`: the place in the map; of a signal (C, L) the position is either of them.

    Each `Traced` has the layer's step (its patch and products, its winner …), its value as the
    network computed it and as the step does, and the box of the image that it can depend on. Where
    a layer reads many values, the way back goes through the one that matters most:

    - the winner of max pooling;
    - otherwise the largest contribution of either sign, the first of equals;
    - of two outputs that are added, as around a residual block, the larger one.

    What only moves values (flatten, permute, slices, concatenation) is followed to where the value
    stood before. The last entry is a pixel of the image, unless the way ended in padding.

    Raises as `receptive_field` does.

    >>> from vizlib import models
    >>> image = torch.tensor([[3.0, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0],
    ...                       [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]])
    >>> trace(models.build("arithmetic"), image[None, None], "pool", channel=0, row=1, col=0)
    pool[0, 1, 0] = 28  sees rows 1–4, columns 0–2
    relu[0, 2, 0] = 28  sees rows 2–4, columns 0–2
    conv[0, 2, 0] = 28  sees rows 2–4, columns 0–2
    input[0, 3, 0] = 4  sees rows 3–3, columns 0–0
    """
    return Chain(model, x).trace(stage, channel, row, col)


def _base(name: str) -> str:
    """Return the step that a name stands for: `chunk` for `chunk[1]`, its second output."""
    return name.partition("[")[0]


def _float64(stage: capture.Stage) -> Tensor:
    output = stage.output.dequantize() if stage.output.is_quantized else stage.output
    if output.is_complex():
        raise NoReaderError(f"{stage.name} gave complex numbers, which are not followed back")
    return output.double()


def _without_batch(values: Tensor) -> Tensor:
    """Return the one image of a batch; where there are more or there is no batch, all of it."""
    return values[0] if values.dim() > 1 and len(values) == 1 else values


def _in_maps(at: Place, values: Tensor) -> Place:
    return at[values.dim() - _without_batch(values).dim() :]


def _first_image(model: nn.Module, x: Any) -> Tensor:
    if isinstance(x, tuple):
        raise TypeError(
            f"x must be one batch (N, C, H, W), but was {len(x)} of them: a network with several "
            "inputs is no chain"
        )
    x = data.as_tensor(x)
    if x.dim() < 2 or not x.numel():  # noqa: PLR2004 - the batch axis and one more
        raise ValueError(f"x must be a batch (N, C, H, W), but had the shape {tuple(x.shape)}")
    return as_input(model, x[:1] if x.is_floating_point() else x[:1].float())


def _place(
    stage: str, sizes: tuple[int, ...], channel: int, row: int = 0, col: int = 0
) -> tuple[int, ...]:
    """Return a place in maps of those sizes; of a signal the position is `row` or `col`."""
    refuse_outside("channel", channel, sizes[0], f"{stage} is {times(sizes)}")
    names = {1: (), 2: ("col" if col else "row",), 3: ("row", "col")}[len(sizes)]
    given = {"row": row, "col": col}
    for name, size in zip(names, sizes[1:], strict=True):
        refuse_outside(name, given[name], size, f"a map of {stage!r} is {times(sizes[1:])}")
    for name in given.keys() - set(names):
        refuse_outside(name, given[name], 1, f"{stage} is {times(sizes)} and has no such axis")
    return (channel, *(given[name] for name in names))
