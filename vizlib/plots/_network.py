"""What is connected with what: a network as a row of blocks, and three ways to connect layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log, log2
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vizlib import models
from vizlib.plots._figure import WIDTH, Figure, bare, sheet, styled
from vizlib.plots._style import BLUE, GREY, INK, LIGHT, ORANGE, line, of_kind
from vizlib.words import counted, times

# Kinds of layers that begin a block; the others stand below theirs.
_COLOURS = {"Conv": BLUE, "Linear": ORANGE, "Pool": GREY}
_ABREAST = 9  # blocks in a row
_CELL = WIDTH / _ABREAST  # inches
# Inches of a block, between two cards, and of a line of text below; and cards at most.
_TALL = 0.95
_CARD = 0.022
_TEXT = 0.15
_MOST = 8
_LETTERS = 11  # of a line below a block

Block = tuple[tuple[int, ...], list[str]]


@styled
def network(table: models.Summary, *, title: str | None = None) -> Figure:
    """Draw a network as a row of blocks, in the order in which they work, the image first.

    `table` is what `models.summary` returned. A convolution, a linear layer or a pooling begins a
    block, and the layers behind it, such as ReLU, are named below it. The cards of a block are
    maps: the higher, the more pixels; the more cards, the more channels (a card more is twice as
    many). A row of numbers is a thin bar. Below is the shape, C×H×W or F. Blue blocks are
    convolutions, orange ones linear layers, grey ones poolings. Branches stand one after the other.

    Raises TypeError for anything else.

    >>> network(models.summary(models.build("lenet")))
    <Figure size 854x244 with 1 Axes>
    """
    of_kind(table, models.Summary, "table", "models.summary")
    blocks = list(_blocks(table))
    rows = [blocks[at : at + _ABREAST] for at in range(0, len(blocks), _ABREAST)]
    heights = [_height(row) for row in rows]
    figure, axes = sheet(WIDTH, sum(heights), title=title)
    bare(axes)
    axes.set(xlim=(0, WIDTH), ylim=(-sum(heights), 0), aspect="equal")
    tallest = max(_side(shape) for shape, _ in blocks)
    for number, row in enumerate(rows):
        for column, block in enumerate(row):
            _draw(axes, block, column * _CELL, -sum(heights[:number]) - _TALL, tallest)
    return figure


def _height(row: Sequence[Block]) -> float:
    return _TALL + _TEXT * (1.6 + max(len(_lines(kinds)) for _, kinds in row))


def _lines(kinds: Sequence[str]) -> list[str]:
    return [line for kind in kinds for line in wrap(kind, _LETTERS)]


def _blocks(table: models.Summary) -> Iterator[Block]:
    """Yield the shape of each block, and its kinds of layers; one that reshapes says to what."""
    shape, kinds = table.input_shape, ["input"]
    for layer in table.layers:
        made, kind = layer.output_shape[1:], layer.kind.removesuffix("2d")
        if any(word in kind for word in _COLOURS):
            yield shape, kinds
            shape, kinds = made, [kind]
        else:
            kinds.append(kind if made == shape else f"{kind}: {times(made)}")
    yield shape, kinds


def _side(shape: Sequence[int]) -> float:
    """Return how high a block is, before all are made to fit: a row of numbers is wound up."""
    return log(1 + (shape[-1] if len(shape) > 1 else shape[0] ** 0.5))


def _draw(axes: Axes, block: Block, left: float, bottom: float, tallest: float) -> None:
    shape, kinds = block
    high = 0.78 * _TALL * _side(shape) / tallest
    is_row = len(shape) == 1
    colour = next((_COLOURS[word] for word in _COLOURS if word in kinds[0]), LIGHT)
    cards = 1 if is_row else min(_MOST, 1 + round(log2(shape[0])))
    wide = 0.1 if is_row else 0.62 * high
    for card in reversed(range(cards)):
        corner = (left + 0.04 + card * _CARD, bottom + card * _CARD)
        axes.add_patch(Rectangle(corner, wide, high, fc=colour, ec="white", lw=0.7))
    name, words = times(shape), "\n".join(_lines(kinds))
    size = min(7, 56 / len(name))
    axes.text(left + 0.04, bottom - 0.06, name, va="top", size=size, weight="bold")
    axes.text(left + 0.04, bottom - 0.06 - _TEXT, words, va="top", size=6.5, color=INK)


@styled
def connections(inputs: int = 8, patch: int = 3) -> Figure:
    """Draw three ways to connect a layer of neurons with its inputs, and count their weights.

    *Full*: each neuron reads everything. *Local*: each reads a patch of `patch` inputs, with
    weights of its own. *Shared*: all use the same weights, which is a convolution; lines of the
    same colour and dash are the same weight. There are as many neurons as patches.

    Raises ValueError where the patch does not fit.

    >>> connections()
    <Figure size 854x364 with 3 Axes>
    """
    if not 1 <= patch <= inputs:
        raise ValueError(f"a patch of {patch} does not fit {inputs} inputs: take 1 to {inputs}")
    middles = np.arange(inputs - patch + 1) + (patch - 1) / 2
    neurons = len(middles)
    ways = {"full": inputs * neurons, "local": patch * neurons, "shared": patch}
    figure, axes = sheet(WIDTH, 2.5, columns=len(ways))
    for own, (name, weights) in zip(axes, ways.items(), strict=True):
        bare(own)
        own.set_title(f"{name}:\n{counted(weights, 'weight')}", size=11)
        for neuron, middle in enumerate(middles):
            for place in range(inputs) if name == "full" else range(neuron, neuron + patch):
                look = line(place - neuron) if name == "shared" else {"color": GREY}
                own.plot([place, middle], [0, 1], **look | {"marker": "", "linewidth": 1.2})
        own.plot(range(inputs), [0] * inputs, "s", color=INK)
        own.plot(middles, [1] * neurons, "o", color=ORANGE)
        own.text((inputs - 1) / 2, -0.22, "inputs", ha="center", size=9)
        own.text((inputs - 1) / 2, 1.12, "neurons", ha="center", size=9)
        own.set_ylim(-0.3, 1.3)
    return figure
