"""Neurons in a row, forwards and backwards, drawn with every number."""

from __future__ import annotations

from vizlib import arithmetic
from vizlib.plots._board import GAP, HEAD, MARGIN, Board
from vizlib.plots._style import GREY, WIDTH, Figure, styled

_LARGEST, _NARROWEST = 0.5, 0.95  # inches: a cell, and a column with its name
_COLUMNS = {"inputs": "", "weights": "× ", "products": "= ", "weight_gradient": ""}


@styled
def backpropagation(step: arithmetic.Backpropagation, *, title: str | None = None) -> Figure:
    """Draw one step of learning: each neuron's sum, the loss, and every gradient as a product.

    `step` is what `arithmetic.backpropagation` returned. Each row is a neuron: inputs × weights =
    products, and the gradient of the loss with respect to each weight; above it stand its sum z and
    its output y. White is zero, blue positive, orange negative, each column of a row on its own
    scale. Below are the loss and, line by line, the gradients: each is the product of the factors
    of the chain rule, from the loss backwards, which `Backpropagation.factors` names.

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
    board = Board(WIDTH)
    top = board.heading(title or "back-propagation")
    *sums, loss = step.forwards()
    for number, (neuron, text) in enumerate(zip(step.neurons, sums, strict=True), start=1):
        board.write(text, MARGIN, top + 0.03, 10, weight="bold")
        top = _row(board, neuron, number, top + HEAD)
    top = board.lines([loss, *step.backwards()], top)
    return board.finish(board.caption("White is zero, blue positive, orange negative.", top))


def _row(board: Board, neuron: arithmetic.NeuronStep, number: int, top: float) -> float:
    """Draw one neuron's numbers, and return where they end."""
    room = (WIDTH - 2 * MARGIN) / len(_COLUMNS) - GAP
    side = min(_LARGEST, room / len(neuron.inputs))
    width = max(_NARROWEST, side * len(neuron.inputs)) + GAP
    for place, (name, sign) in enumerate(_COLUMNS.items()):
        left, values = MARGIN + place * width, getattr(neuron, name).numpy()
        called = f"∂loss/∂w{number}" if name == "weight_gradient" else name
        board.write(sign + called, left, top + 0.02, 9, color=GREY)
        board.cells(values[None], (left, top + HEAD), side, abs(values).max() or 1.0)
    return top + HEAD + side + 0.12
