"""Neurons in a row, forwards and backwards, drawn with every number."""

from __future__ import annotations

from vizlib import arithmetic
from vizlib.plots._board import GAP, HEAD, MARGIN, Board, rounded
from vizlib.plots._style import GREY, WIDTH, Figure, short, styled
from vizlib.plots._words import in_words

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
    for number, neuron in enumerate(step.neurons, start=1):
        top = _neuron(board, neuron, number, top)
    error = f"({short(step.output, 4)} − {short(step.target, 4)})²".replace("− −", "+ ")
    top = board.lines([f"loss = {error} = {short(step.loss, 4)}", *in_words(step).split("\n")], top)
    return board.finish(board.caption("White is zero, blue positive, orange negative.", top))


def _neuron(board: Board, neuron: arithmetic.NeuronStep, number: int, top: float) -> float:
    """Draw one neuron's row, and return where it ends."""
    text = f"z{number} = {in_words(neuron)}, and y{number} = {short(neuron.output, 4)}"
    board.write(text, MARGIN, top + 0.03, 10, weight="bold")
    room = (WIDTH - 2 * MARGIN) / len(_COLUMNS) - GAP
    side = min(_LARGEST, room / len(neuron.inputs))
    width = max(_NARROWEST, side * len(neuron.inputs)) + GAP
    for place, (name, sign) in enumerate(_COLUMNS.items()):
        left, values = MARGIN + place * width, getattr(neuron, name).numpy()
        called = f"∂loss/∂w{number}" if name == "weight_gradient" else name
        board.write(sign + called, left, top + HEAD + 0.02, 9, color=GREY)
        end = abs(values).max() or 1.0
        corner = (left, top + 2 * HEAD)
        board.cells(values[None], corner, side, end, texts=rounded(values))
    return top + 2 * HEAD + side + 0.12
