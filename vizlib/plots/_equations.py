"""The arithmetic behind one value, drawn with every number: convolution, pooling and neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vizlib import arithmetic
from vizlib.plots._board import COLOURS, GAP, HEAD, MARGIN, THUMB, Board, Box, Thumb, end_of, grid
from vizlib.plots._figure import WIDTH, Figure, styled
from vizlib.plots._style import GREY, array, of_kind
from vizlib.words import short

_COLUMNS = ("patch", "kernel", "products")
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
_SIGNS = {"kernel": "× ", "weights": "× ", "products": "= "}


@styled
def convolution(
    step: arithmetic.ConvStep | arithmetic.Traced | arithmetic.Trace,
    *,
    image: Any = None,
    output: Any = None,
    expected: float | None = None,
    after: Sequence[arithmetic.Traced] = (),
    title: str | None = None,
) -> Figure:
    """Draw the whole sum behind one value of a convolution, and what becomes of it.

    Each row is an input channel: patch × kernel = products, and their sum. Where there is no room
    for all, those with the largest sums of either sign are drawn, the largest first.

    - `step`: what `arithmetic.conv2d_step` returned, or a trace. Of a trace the first convolution
      is drawn, and all the rest is known.
    - `image`: what the layer reads, (C, H, W) or (H, W).
    - `output`: the map that the layer makes, (H, W).
    - `expected`: the value that PyTorch has there. The difference from it is printed.
    - `after`: what the layers that follow make of the value, in their order: a part of a trace.

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
    <Figure size 840x420 with 1 Axes>
    """
    own, name, before, value, later = _known(step, arithmetic.ConvStep, "conv2d_step")
    maps, board = _maps(before if image is None else image, own), Board()
    top = board.heading(title or f"{name or 'convolution'}: {_where(own)}")
    top, count = _rows(board, own, maps, top)
    expected = value if expected is None else expected
    lines = [own.in_words(count), *_torch_line(own, expected), *_follower_lines(after or later)]
    bottom = top if output is None else _result(board, output, own, top)
    top = board.lines(lines, top, WIDTH - (0 if output is None else THUMB + GAP))
    ends = ", ".join(f"{name} ±{short(end_of(getattr(own, name)))}" for name in _COLUMNS)
    caption = f"{COLOURS}; darkest: {ends}{_hatching(own)}."
    return board.finish(board.caption(caption, max(top, bottom)))


def _rows(
    board: Board, step: arithmetic.ConvStep, maps: np.ndarray | None, top: float
) -> tuple[float, int]:
    """Draw a row for each input channel; return where they end, and how many there are."""
    columns = {name: grid(getattr(step, name).numpy()) for name in _COLUMNS}
    rows, wide = columns["patch"].shape[1:]
    thumb = None if maps is None else Thumb(maps[0], step.places)
    first = MARGIN + (THUMB + GAP if thumb else 0)
    side = min(_CELL, (WIDTH - MARGIN - 2 * GAP - first) / 3 / wide)
    height = HEAD + max(rows * side, len(thumb.values) * thumb.side if thumb else 0) + 0.04
    pitch = max(wide * side, _COLUMN) + GAP
    lefts = {name: first + number * pitch for number, name in enumerate(columns)}
    for name, left in {**({"input": MARGIN} if thumb else {}), **lefts}.items():
        board.write(_SIGNS.get(name, "") + name, (left, top), color=GREY)
    top += 0.2
    shown = _largest(step.channel_sums, max(1, int(_ROWS / height)))
    for number in shown:
        channel, total = step.channels[number], step.channel_sums[number].item()
        text = f"channel {channel}: products sum to {short(total, 4)}"
        board.write(text, (MARGIN, top + 0.02), bold=True)
        for name, values in columns.items():
            hatched = grid(step.is_padding.numpy())[0] if name == "patch" else None
            corner, end = (lefts[name], top + HEAD), end_of(values)
            board.cells(values[number], corner, side, end, hatched=hatched, most=end)
        if maps is not None:
            whole = Thumb(maps[channel if len(maps) > 1 else 0], step.places)
            whole.draw(board, (MARGIN, top + HEAD), end_of(maps))
        top += height
    return top + 0.04, len(shown)


def _largest(sums: Tensor, most: int) -> list[int]:
    """Return the channels with the largest sums; all of them in their own order, if they fit."""
    if len(sums) <= most:
        return list(range(len(sums)))
    return sums.abs().argsort(descending=True, stable=True)[:most].tolist()


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
    own, name, before, value, _ = _known(step, arithmetic.PoolStep, "pool_step")
    maps, board = _maps(before if image is None else image, own), Board()
    expected = value if expected is None else expected
    top = board.heading(title or f"{name or f'{own.kind} pooling'}: {_where(own)}")
    bottom = _window(board, own, maps, output, top)
    lines = [own.in_words(), *_winner_line(own), *_torch_line(own, expected)]
    top = board.lines(lines, bottom)
    return board.finish(board.caption(f"{COLOURS}{_hatching(own)}.", top))


def _known(
    step: Any, kind: type, maker: str
) -> tuple[Any, str, Any, float | None, Sequence[arithmetic.Traced]]:
    """Return the first step of that kind and what a trace knows of it.

    That is its stage's name, what it reads, its value, and what follows it.
    """
    if isinstance(step, kind):
        return step, "", None, None, ()
    trace = [step] if isinstance(step, arithmetic.Traced) else step
    of_kind(trace, list | tuple, "step", f"arithmetic.{maker} or arithmetic.trace")
    for number, traced in enumerate(trace):
        if isinstance(traced.step, kind):
            return traced.step, traced.stage, traced.before, traced.value, trace[:number][::-1]
    stages = ", ".join(traced.stage for traced in trace)
    raise ValueError(f"no {kind.__name__} is in this trace: its stages are {stages}")


def _maps(image: Any, step: Any) -> np.ndarray | None:
    """Return what the layer reads as (C, H, W), if it is known."""
    if image is None:
        return None
    maps = array(image).astype(float)
    if len(step.places) == 1:
        maps = maps[..., None, :]
    maps = maps[None] if maps.ndim == len("HW") else maps
    least = step.channels.stop if isinstance(step, arithmetic.ConvStep) else step.channel + 1
    if maps.ndim != len("CHW") or 1 < len(maps) < least:
        raise ValueError(
            f"image must be what the layer reads, (C, H, W) with at least {least} channels, "
            f"but had the shape {maps.shape}"
        )
    return maps


def _where(step: Any) -> str:
    names = ("position",) if len(step.place) == 1 else ("row", "column")
    places = ", ".join(f"{name} {at}" for name, at in zip(names, step.place, strict=True))
    return f"channel {step.channel}, {places}"


def _torch_line(step: Any, expected: float | None) -> list[str]:
    """Return the result beside PyTorch's own, if that is known."""
    if expected is None:
        return []
    values = f"PyTorch: {short(expected, 8)}, here: {short(step.total, 8)}"
    return [f"{values}, difference {short(step.total - expected, 2)}"]


def _follower_lines(after: Sequence[arithmetic.Traced]) -> list[str]:
    """Return what the layers that follow make of the value, up to the next that mixes many."""
    lines: list[str] = []
    for one in after:
        if one.step is not None and one.step.mixes:
            return [*lines, f"then {one.stage} reads it, with much else"]
        if one.step is not None:
            lines.append(f"then {one.stage}: {one.step.in_words()}")
    return lines


def _winner_line(step: arithmetic.PoolStep) -> list[str]:
    """Return where the winner of max pooling stands."""
    if step.source is None:
        return []
    row, column = (0, *step.source)[-2:]
    return [f"it stands in row {row}, column {column} of the input"]


def _hatching(step: Any) -> str:
    return "; hatched:\u00a0padding" if step.is_padding.any() else ""


def _window(
    board: Board, step: arithmetic.PoolStep, maps: np.ndarray | None, output: Any, top: float
) -> float:
    """Draw the map, the window with its winner, and the output, and return where they end."""
    left, bottom = MARGIN, top
    patch, hatched = grid(step.patch.numpy())[0], grid(step.is_padding.numpy())[0]
    end = end_of(patch)
    if maps is not None:
        values = maps[step.channel if len(maps) > 1 else 0]
        end = end_of(values)
        board.write("input", (left, top + 0.04), 9, color=GREY)
        bottom = Thumb(values, step.places).draw(board, (left, top + HEAD), end)
        left += THUMB + GAP
    side = min(_POOL_CELL, _WINDOW / max(patch.shape))
    board.write("window", (left, top + 0.04), 9, color=GREY)
    winner = [_cell(step.winner)] if step.winner else []
    low = board.cells(patch, (left, top + HEAD), side, end, hatched=hatched, frames=winner)
    left, middle = left + patch.shape[1] * side + GAP, (top + HEAD + low) / 2
    board.write(f"→ {short(step.total, 4)}", (left, middle - 0.11), 16, bold=True)
    if output is not None:
        bottom = max(bottom, _result(board, output, step, top))
    return max(bottom, low) + 0.1


def _cell(place: Sequence[int]) -> Box:
    """Return the box of one cell; a signal is one row."""
    return (*(0, *place)[-2:], 1, 1)


def _result(board: Board, output: Any, step: Any, top: float) -> float:
    """Draw the map that the layer makes at the right, with a frame around this value."""
    values = grid(np.asarray(output, dtype=float))[0]
    side, corner = THUMB / max(values.shape), (WIDTH - MARGIN - THUMB, top + HEAD)
    board.write("output", (corner[0], top + 0.04), 9, color=GREY)
    return board.cells(values, corner, side, end_of(values), frames=[_cell(step.place)]) + 0.1


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
    of_kind(step, arithmetic.Backpropagation, "step", "arithmetic.backpropagation")
    board = Board()
    top = board.heading(title or "back-propagation")
    *sums, loss = step.forwards()
    for number, (neuron, text) in enumerate(zip(step.neurons, sums, strict=True), start=1):
        board.write(text, (MARGIN, top + 0.03), bold=True)
        top = _neuron(board, neuron, number, top + HEAD)
    top = board.lines([loss, *step.backwards()], top)
    return board.finish(board.caption(f"{COLOURS}.", top))


def _neuron(board: Board, neuron: arithmetic.NeuronStep, number: int, top: float) -> float:
    """Draw one neuron's numbers, and return where they end."""
    columns = {
        "inputs": neuron.inputs,
        "weights": neuron.weights,
        "products": neuron.products,
        f"∂loss/∂w{number}": neuron.weight_gradient,
    }
    count = len(neuron.inputs)
    side = min(_NEURON_CELL, ((WIDTH - 2 * MARGIN) / len(columns) - GAP) / count)
    for place, (name, values) in enumerate(columns.items()):
        left = MARGIN + place * (max(_NEURON_COLUMN, side * count) + GAP)
        board.write(_SIGNS.get(name, "") + name, (left, top + 0.02), 9, color=GREY)
        board.cells(values.numpy()[None], (left, top + HEAD), side, end_of(values))
    return top + HEAD + side + 0.12
