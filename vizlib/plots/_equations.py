"""The arithmetic behind one value, drawn with every number: convolution, pooling and neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vizlib import arithmetic
from vizlib.plots._board import (
    COLOURS,
    GAP,
    HEAD,
    MARGIN,
    THUMB,
    Board,
    Thumb,
    end_of,
    grid,
    rounded,
)
from vizlib.plots._figure import WIDTH, Figure, styled
from vizlib.plots._style import GREY
from vizlib.words import short

# Inches: the rows of a convolution together, a cell of them, and a column with its name.
_ROWS = 3.7
_CELL = 0.44
_COLUMN = 0.75
# Inches: a cell of a pooling, and its window.
_POOL_CELL = 0.55
_WINDOW = 1.5
# Inches: a cell of a neuron, and a column with its name.
_NEURON_CELL = 0.5
_NEURON_COLUMN = 0.95
_NEURON_COLUMNS = {"inputs": "", "weights": "× ", "products": "= ", "weight_gradient": ""}


@styled
def convolution(
    step: arithmetic.ConvStep | arithmetic.Traced | arithmetic.Trace,
    *,
    image: Any = None,
    output: Any = None,
    expected: float | None = None,
    after: Sequence[Any] = (),
    limit: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the whole sum behind one value of a convolution, and what becomes of it.

    Each row is an input channel: patch × kernel = products, and their sum.

    - `step`: what `arithmetic.conv2d_step` returned, or a trace. Of a trace the first convolution
      is drawn, and all the rest is known.
    - `image`: what the layer reads, (C, H, W) or (H, W).
    - `output`: the map that the layer makes, (H, W).
    - `expected`: the value that PyTorch has there. The difference from it is printed.
    - `after`: the steps of the layers that follow, in their order.
    - `limit`: at most so many channels are drawn, those with the largest sums of either sign, the
      largest first. The rest is one term that counts in full.

    What the marks mean:

    - white is zero, blue positive, orange negative; each column has one scale for all rows;
    - the black frame is where the kernel lies;
    - hatched cells are padding.

    Numbers are rounded to be read, but summed as they are.

    Raises TypeError where `step` is no such step, ValueError for a trace without a convolution or
    an image of another shape.

    >>> image = np.arange(25.0).reshape(5, 5)
    >>> step = arithmetic.conv2d_step(image, [[0, 1, 2], [2, 2, 0], [0, 1, 2]], row=0, col=1)
    >>> convolution(step, image=image, expected=68.0)
    <Figure size 840x448 with 1 Axes>
    """
    own, name, image, expected, after = _known(
        step, arithmetic.ConvStep, "conv2d_step", image, expected, after
    )
    rows = _Rows(own, _maps(image, own), limit)
    board = Board()
    top = board.heading(title or f"{name or 'convolution'}: {_where(own)}")
    top = rows.draw(board, top)
    lines = [own.sum_of_channels(rows.shown), *_torch_line(own.total, expected)]
    lines += _follower_lines(after)
    bottom = top if output is None else _result(board, output, own, top)
    top = board.lines(lines, top, WIDTH - (0 if output is None else THUMB + GAP))
    return board.finish(board.caption(rows.caption(), max(top, bottom)))


@styled
def pooling(
    step: arithmetic.PoolStep | arithmetic.Traced | arithmetic.Trace,
    *,
    image: Any = None,
    output: Any = None,
    expected: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw which values a pooled value is made of, and which of them won.

    - `step`: what `arithmetic.pool_step` returned, or a trace, of which the first pooling is drawn.
    - `image`: what the layer reads, (C, H, W) or (H, W).
    - `output`: the map that the layer makes, (H, W).
    - `expected`: the value that PyTorch has there.

    What the marks mean:

    - white is zero, blue positive, orange negative, on one scale;
    - the frame in the map is where the window lies;
    - the frame in the window is the winner of max pooling;
    - hatched cells are padding, which never wins.

    Raises TypeError or ValueError as `convolution` does.

    >>> pooling(arithmetic.pool_step([[1, 5, 0, 2], [3, 4, 9, 1]], row=0, col=1))
    <Figure size 840x367 with 1 Axes>
    """
    own, name, image, expected, _ = _known(step, arithmetic.PoolStep, "pool_step", image, expected)
    board = Board()
    top = board.heading(title or f"{name or f'{own.kind} pooling'}: {_where(own)}")
    bottom = _window(board, own, _maps(image, own), output, top)
    lines = [own.in_words(), *_winner_line(own), *_torch_line(own.total, expected)]
    top = board.lines(lines, bottom)
    return board.finish(board.caption(f"{COLOURS}{_hatching(own)}.", top))


class _Rows:
    """The rows of patch × kernel = products, one for each input channel that is drawn."""

    def __init__(
        self, step: arithmetic.ConvStep, maps: np.ndarray | None, limit: int | None
    ) -> None:
        self.step, self.maps = step, maps
        parts = {"patch": step.patch, "kernel": step.kernel, "products": step.products}
        self.columns = {name: grid(part.numpy()) for name, part in parts.items()}
        self.ends = {name: end_of(part) for name, part in self.columns.items()}
        self.rows, self.wide = self.columns["patch"].shape[1:]
        room = WIDTH - 2 * MARGIN - 2 * GAP - (0 if maps is None else THUMB + GAP)
        self.side = min(_CELL, room / 3 / self.wide)
        fit = int(_ROWS / self.height)
        largest = step.channel_sums.abs().argsort(descending=True, stable=True).tolist()
        self.shown = largest[: max(1, fit if limit is None else limit)]
        if len(self.shown) == len(largest):
            self.shown.sort()
        # Rounded together, or one row would show more decimals than the next.
        self.texts = {
            name: rounded(part[self.shown].ravel()) for name, part in self.columns.items()
        }

    @property
    def height(self) -> float:
        """The inches of a row."""
        thumb = 0 if self.maps is None else Thumb(self.maps.shape[1:], self.step.places).height
        return HEAD + max(self.rows * self.side, thumb) + 0.06

    @property
    def lefts(self) -> dict[str, float]:
        """Where each column begins."""
        first = MARGIN + (0 if self.maps is None else THUMB + GAP)
        step = max(self.wide * self.side, _COLUMN) + GAP
        columns = {name: first + number * step for number, name in enumerate(self.columns)}
        return columns if self.maps is None else {"input": MARGIN, **columns}

    def draw(self, board: Board, top: float) -> float:
        """Draw the columns' names and every row, and return where they end."""
        signs = {"kernel": "× ", "products": "= "}
        for name, left in self.lefts.items():
            board.write(signs.get(name, "") + name, left, top, 10, color=GREY)
        top += 0.2
        for index in range(len(self.shown)):
            self._draw(board, index, top)
            top += self.height
        return top + 0.06

    def _draw(self, board: Board, index: int, top: float) -> None:
        number = self.shown[index]
        channel, total = self.step.channels[number], self.step.channel_sums[number].item()
        text = f"channel {channel}: products sum to {short(total, 4)}"
        board.write(text, MARGIN, top + 0.03, bold=True)
        size = self.rows * self.wide
        for name, values in self.columns.items():
            corner, end = (self.lefts[name], top + HEAD), self.ends[name]
            hatched = grid(self.step.is_padding.numpy())[0] if name == "patch" else None
            texts = self.texts[name][index * size : (index + 1) * size]
            board.cells(
                values[number],
                corner,
                self.side,
                end,
                hatched=hatched,
                texts=texts,
                letters=max(map(len, self.texts[name])),
            )
        if self.maps is not None:
            whole = self.maps[channel if len(self.maps) > 1 else 0]
            thumb = Thumb(whole.shape, self.step.places)
            thumb.draw(board, whole, (MARGIN, top + HEAD), end_of(self.maps))

    def caption(self) -> str:
        """Return what the darkest colours stand for."""
        ends = ", ".join(f"{name} ±{short(end)}" for name, end in self.ends.items())
        return f"{COLOURS}; darkest: {ends}{_hatching(self.step)}."


def _known(
    step: Any, kind: type, maker: str, image: Any, expected: float | None, after: Sequence[Any] = ()
) -> tuple[Any, str, Any, float | None, Sequence[Any]]:
    """Return the first step of that kind, its stage's name, and what a trace knows of the rest."""
    if isinstance(step, kind):
        return step, "", image, expected, after
    trace = [step] if isinstance(step, arithmetic.Traced) else step
    if not isinstance(trace, list | tuple):
        raise TypeError(
            f"step must be what arithmetic.{maker} or arithmetic.trace returned, "
            f"but was a {type(step).__name__}"
        )
    places = [number for number, traced in enumerate(trace) if isinstance(traced.step, kind)]
    if not places:
        stages = ", ".join(traced.stage for traced in trace)
        raise ValueError(f"no {kind.__name__} is in this trace: its stages are {stages}")
    traced = trace[places[0]]
    image = traced.before if image is None else image
    expected = traced.value if expected is None else expected
    return traced.step, traced.stage, image, expected, after or trace[: places[0]][::-1]


def _maps(image: Any, step: Any) -> np.ndarray | None:
    """Return what the layer reads as (C, H, W), if it is known."""
    if image is None:
        return None
    maps = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image, dtype=float)
    if len(step.places) == 1:
        maps = maps[..., None, :]
    maps = maps[None] if maps.ndim == len("HW") else maps
    least = step.channels.stop if isinstance(step, arithmetic.ConvStep) else step.channel + 1
    if maps.ndim != len("CHW") or (len(maps) < least and len(maps) > 1):
        raise ValueError(
            f"image must be what the layer reads, (C, H, W) with at least {least} channels, "
            f"but had the shape {maps.shape}"
        )
    return maps


def _where(step: Any) -> str:
    names = ("position",) if len(step.place) == 1 else ("row", "column")
    places = ", ".join(f"{name} {at}" for name, at in zip(names, step.place, strict=True))
    return f"channel {step.channel}, {places}"


def _torch_line(total: float, expected: float | None) -> list[str]:
    """Return the result beside PyTorch's own, if that is known."""
    if expected is None:
        return []
    values = f"PyTorch: {short(expected, 8)}, here: {short(total, 8)}"
    return [f"{values}, difference {short(total - expected, 2)}"]


def _follower_lines(after: Sequence[Any]) -> list[str]:
    """Return what the layers that follow make of the value, up to the next that mixes many."""
    lines: list[str] = []
    for entry in after:
        step, name = getattr(entry, "step", entry), getattr(entry, "stage", "")
        if step is not None and step.mixes:
            return [*lines, f"then {name or 'the next layer'} reads it, with much else"]
        if step is not None:
            lines.append(f"then {name}: {step.in_words()}".replace("then :", "then"))
    return lines


def _winner_line(step: arithmetic.PoolStep) -> list[str]:
    """Return where the winner of max pooling stands."""
    if step.source is None:
        return []
    row, column = (0, *step.source)[-2:]
    return [f"it stands in row {row}, column {column} of the input"]


def _hatching(step: Any) -> str:
    return "; hatched: padding" if step.is_padding.any() else ""


def _window(
    board: Board, step: arithmetic.PoolStep, maps: np.ndarray | None, output: Any, top: float
) -> float:
    """Draw the map, the window with its winner, and the output, and return where they end."""
    left, bottom = MARGIN, top
    patch, hatched = grid(step.patch.numpy())[0], grid(step.is_padding.numpy())[0]
    end = end_of(patch)
    if maps is not None:
        board.write("input", left, top + 0.04, 9, color=GREY)
        values = maps[step.channel if len(maps) > 1 else 0]
        end = end_of(values)
        thumb = Thumb(values.shape, step.places)
        thumb.draw(board, values, (left, top + HEAD), end)
        left, bottom = left + THUMB + GAP, top + HEAD + thumb.height
    side = min(_POOL_CELL, _WINDOW / max(patch.shape))
    board.write("window", left, top + 0.04, 9, color=GREY)
    board.cells(patch, (left, top + HEAD), side, end, hatched=hatched)
    if step.winner is not None:
        row, column = (0, *step.winner)[-2:]
        board.frame((left + column * side, top + HEAD + row * side), side, side, line=3)
    bottom = max(bottom, top + HEAD + len(patch) * side)
    middle = top + HEAD + len(patch) * side / 2
    left += patch.shape[1] * side + GAP
    board.write(f"→ {short(step.total, 4)}", left, middle, 16, bold=True, from_top=False)
    if output is not None:
        bottom = max(bottom, _result(board, output, step, top))
    return bottom + 0.1


def _result(board: Board, output: Any, step: Any, top: float) -> float:
    """Draw the map that the layer makes at the right, with a frame around this value."""
    values = grid(np.asarray(output, dtype=float))[0]
    side = THUMB / max(values.shape)
    left = WIDTH - MARGIN - THUMB
    board.write("output", left, top + 0.04, 9, color=GREY)
    board.cells(values, (left, top + HEAD), side, end_of(values))
    row, column = (0, *step.place)[-2:]
    board.frame((left + column * side, top + HEAD + row * side), side, side)
    return top + HEAD + values.shape[0] * side + 0.1


@styled
def backpropagation(step: arithmetic.Backpropagation, *, title: str | None = None) -> Figure:
    """Draw one step of learning: each neuron's sum, the loss, and every gradient as a product.

    `step` is what `arithmetic.backpropagation` returned. From the top:

    - each row is a neuron: inputs × weights = products, and ∂loss/∂w, the gradient of the loss with
      respect to each weight; above it stand its sum z and its output y;
    - then the loss;
    - then each gradient, the product of the factors of the chain rule from the loss backwards, as
      `Backpropagation.factors` names them.

    White is zero, blue positive, orange negative, each column of a row on its own scale.

    Raises TypeError where `step` is something else.

    >>> step = arithmetic.backpropagation([1.0, 2.0], [([0.5, 0.25], 1.0)], target=5.0)
    >>> backpropagation(step)
    <Figure size 840x354 with 1 Axes>
    """
    if not isinstance(step, arithmetic.Backpropagation):
        raise TypeError(
            "step must be what arithmetic.backpropagation returned, "
            f"but was a {type(step).__name__}"
        )
    board = Board()
    top = board.heading(title or "back-propagation")
    *sums, loss = step.forwards()
    for number, (neuron, text) in enumerate(zip(step.neurons, sums, strict=True), start=1):
        board.write(text, MARGIN, top + 0.03, bold=True)
        top = _neuron(board, neuron, number, top + HEAD)
    top = board.lines([loss, *step.backwards()], top)
    return board.finish(board.caption(f"{COLOURS}.", top))


def _neuron(board: Board, neuron: arithmetic.NeuronStep, number: int, top: float) -> float:
    """Draw one neuron's numbers, and return where they end."""
    room = (WIDTH - 2 * MARGIN) / len(_NEURON_COLUMNS) - GAP
    side = min(_NEURON_CELL, room / len(neuron.inputs))
    width = max(_NEURON_COLUMN, side * len(neuron.inputs)) + GAP
    for place, (name, sign) in enumerate(_NEURON_COLUMNS.items()):
        left, values = MARGIN + place * width, getattr(neuron, name).numpy()
        called = f"∂loss/∂w{number}" if name == "weight_gradient" else name
        board.write(sign + called, left, top + 0.02, 9, color=GREY)
        board.cells(values[None], (left, top + HEAD), side, end_of(values))
    return top + HEAD + side + 0.12
