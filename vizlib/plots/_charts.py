"""Numbers as bars, dots and tables: probabilities, answers, comparisons, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from vizlib.plots._board import print_cells
from vizlib.plots._figure import WIDTH, Figure, bare, sheet, styled
from vizlib.plots._lines import in_percent, name_at_the_right
from vizlib.plots._style import BLUE, COUNTS, GREY, LIGHT, array, line, shaped
from vizlib.words import percent, share, short

# Of more classes than the first number, as many as the second are drawn.
_BARS = 20
_LIKELIEST = 10
_MARK = 0.03  # half a mark, as a share of the axis: so much room is at its ends


@styled
def probabilities(
    p: Any,
    *,
    scores: Any = None,
    label: int | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the probability of each class as a bar, with its value above it.

    - `p`: (K,) or (1, K), each in 0…1 and together 1, as softmax returns them. Of more than 20
      classes only the ten likeliest are drawn, the likeliest first.
    - `scores`: (K,) or (1, K), what softmax read; they stand below the names.
    - `label`: the true class, if it is known.
    - `classes`: written instead of P0, P1, …
    - `title`: without one, the title says whether answer and label agree.

    The winner is the dark bar with "answer" above it; the true class has "label" below its name.

    Raises ValueError for another shape, for scores that did not go through softmax, and for a
    label or classes that do not fit.

    >>> probabilities([0.1, 0.7, 0.2], label=1)
    <Figure size 840x385 with 1 Axes>
    """
    values = _as_probabilities(p)
    verdict = _verdict(_as_names(classes, "", len(values)), int(values.argmax()), label)
    names = _as_names(classes, "P", len(values))
    drawn = _drawn(values)
    if scores is not None:
        given = np.ravel(array(scores))
        names = [f"{name}\n{short(score)}" for name, score in zip(names, given, strict=True)]
    height = 2.4 if scores is None else 2.6
    figure, axes = sheet(WIDTH - 0.1, height, title=verdict if title is None else title)
    _bars(axes, values, drawn)
    marked = [f"{names[k]}\nlabel" if k == label else names[k] for k in drawn]
    axes.set_xticks(range(len(drawn)), marked)
    axes.set(ylim=(0, 1.3), yticks=[0, 0.5, 1], ylabel="probability")
    which = f"the {_LIKELIEST} likeliest of {len(values):,}" if len(drawn) < len(values) else ""
    axes.set_xlabel(", ".join(filter(None, [which, "" if scores is None else "with its score"])))
    axes.grid(visible=False, axis="x")
    return figure


def _drawn(values: np.ndarray) -> np.ndarray:
    """Return the classes that are drawn: all, or of many the likeliest."""
    if len(values) <= _BARS:
        return np.arange(len(values))
    return (-values).argsort(kind="stable")[:_LIKELIEST]


def _bars(axes: Axes, values: np.ndarray, drawn: np.ndarray) -> None:
    winner = values.argmax()
    colours = [BLUE if k == winner else LIGHT for k in drawn]
    axes.bar(range(len(drawn)), values[drawn], color=colours, edgecolor=GREY, width=0.8)
    for x, k in enumerate(drawn):
        text, weight = share(values[k]), "normal"
        if k == winner:
            text, weight = f"answer\n{text}", "bold"
        axes.text(x, values[k] + 0.02, text, ha="center", fontsize=9, weight=weight)


def _as_probabilities(p: Any) -> np.ndarray:
    hint = "; choose one image with p[0]"
    values = shaped(p, "the probabilities", "(K,) or (1, K)", hint).ravel().astype(float)
    if values.min() < 0 or abs(values.sum() - 1) > 0.01:  # noqa: PLR2004 - room for 16-bit floats
        raise ValueError(
            f"probabilities lie in 0…1 and add up to 1, but these lie in {values.min():.3g}…"
            f"{values.max():.3g} and add up to {values.sum():.3g}; "
            "if they are scores, use torch.softmax(scores, dim=-1)"
        )
    return values


def _as_names(names: Sequence[str] | None, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}{k}" for k in range(count)] if names is None else list(map(str, names))
    if len(names) != count:
        raise ValueError(f"there are {count} classes, but {len(names)} names; give one for each")
    return names


def _verdict(names: Sequence[str], winner: int, label: int | None) -> str:
    if label is None:
        return f"answer: {names[winner]}"
    if not 0 <= label < len(names):
        raise ValueError(f"label must be a class from 0 to {len(names) - 1}, but was {label}")
    right = "right" if winner == label else "wrong"
    return f"{right}: the answer is {names[winner]}, the label {names[label]}"


@styled
def answers(
    probabilities: Mapping[str, Any],
    *,
    label: int | None = None,
    classes: Sequence[str] = (),
    headings: Sequence[str] = (),
) -> Figure:
    """Draw what several networks answer to the same image: one column of bars for each.

    - `probabilities`: for each name (K,), each in 0…1, the same classes from every network. Of more
      than 20 classes the ten likeliest of the first network are drawn.
    - `label`: the true class, which is in bold with an arrow.
    - `classes`: written in place of P0, P1, …
    - `headings`: written above the columns in place of names and answers.

    Above a column stands the name with its answer, and beside each bar its probability. The winner
    is the dark bar.

    Raises ValueError where there is nothing to draw, or the columns have different classes.

    >>> answers({"LeNet": [0.1, 0.7, 0.2], "MLP": [0.5, 0.4, 0.1]}, label=1)
    <Figure size 742x192 with 2 Axes>
    """
    columns = {name: np.asarray(array(p), float).ravel() for name, p in probabilities.items()}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "answers need one probability for each of the same classes from every network, but "
            f"had {', '.join(f'{len(v)} from {n}' for n, v in columns.items()) or 'no network'}"
        )
    first = next(iter(columns.values()))
    shown, names = _drawn(first), classes or range(len(first))
    rows = [("→ " if k == label else "") + (classes[k] if classes else f"P{k}") for k in shown]
    width = min(WIDTH - 0.1, 2.6 * len(columns))
    figure, axes = sheet(width, 0.7 + 0.19 * len(shown), columns=len(columns))
    headings = headings or [f"{name}: {names[int(p.argmax())]}" for name, p in columns.items()]
    for own, heading, values in zip(np.atleast_1d(axes), headings, columns.values(), strict=True):
        _column(own, heading, values, shown)
        own.set_yticks(range(len(rows)), rows, size=9)
        for row in np.flatnonzero(shown == label):
            own.get_yticklabels()[row].set_weight("bold")
    return figure


def _column(axes: Axes, heading: str, values: np.ndarray, shown: np.ndarray) -> None:
    winner = int(values.argmax())
    colours = [BLUE if k == winner else LIGHT for k in shown]
    axes.barh(range(len(shown)), values[shown], color=colours, edgecolor=GREY, height=0.75)
    for row, k in enumerate(shown):
        weight = "bold" if k == winner else "normal"
        axes.text(values[k] + 0.03, row, share(values[k]), va="center", size=8, weight=weight)
    axes.set(xlim=(0, 1.35), ylim=(len(shown) - 0.5, -0.5), xticks=[0, 1])
    axes.set_title(heading, size=10)
    axes.grid(visible=False)


@styled
def compare(
    accuracies: Mapping[str, Any],
    *,
    costs: Mapping[str, float] | None = None,
    cost: str = "parameters",
    title: str | None = None,
) -> Figure:
    """Draw the test accuracies of several networks as dots, the best at the top.

    - `accuracies`: for each name a share in 0…1, or what `train.evaluate` returned.
    - `costs`: for each name what the network costs, a number above zero. The marks then stand over
      an axis of the costs, on which each line is ten times the one before; further up is better,
      further left is cheaper. At the right stands each mark with its name and accuracy, the best
      first.
    - `cost`: what the costs are.

    The axis of the accuracies does not begin at zero: compare places, not lengths.

    Raises ValueError where there is nothing to draw, a share lies outside 0…1, or the costs are
    not one number above zero for each name.

    >>> compare({"mlp": 0.982, "lenet": 0.992})
    <Figure size 840x217 with 1 Axes>
    >>> compare({"mlp": 0.982, "lenet": 0.992}, costs={"mlp": 218_058, "lenet": 44_426})
    <Figure size 840x511 with 1 Axes>
    """
    shares = {name: float(getattr(value, "accuracy", value)) for name, value in accuracies.items()}
    if not shares or not all(0 <= share <= 1 for share in shares.values()):
        raise ValueError(f"accuracies are shares in 0…1, one for each network, but were {shares}")
    if costs is not None:
        return _accuracy_over_cost(shares, costs, cost, title)
    names = sorted(shares, key=shares.__getitem__)
    title = title or "accuracy on the test split"
    figure, axes = sheet(WIDTH - 0.1, 0.5 + 0.35 * len(names), title=title)
    axes.plot([shares[name] for name in names], range(len(names)), "o", color=BLUE, markersize=9)
    axes.set_yticks(range(len(names)), [f"{name} {percent(shares[name])}" for name in names])
    axes.set_ylim(-0.5, len(names) - 0.5)
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    in_percent(axes.xaxis)
    return figure


def _accuracy_over_cost(
    shares: Mapping[str, float], costs: Mapping[str, float], cost: str, title: str | None
) -> Figure:
    if costs.keys() != shares.keys() or not all(value > 0 for value in costs.values()):
        raise ValueError(
            f"costs must be a number above zero for each of {', '.join(shares)}, but were {costs}"
        )
    title = title or f"accuracy on the test split against {cost}"
    figure, axes = sheet(WIDTH - 0.1, 3.3, title=title)
    axes.set_xscale("log")
    for number, (name, accuracy) in enumerate(shares.items()):
        look, called = line(number), f"{name} {percent(accuracy)}"
        axes.plot([costs[name]], [accuracy], label=called, **{**look, "markersize": 9})
    name_at_the_right(axes)
    # Whole powers of ten at both ends, so that there are always two to read the axis by.
    ends = floor(log10(min(costs.values())) - 0.01), ceil(log10(max(costs.values())) + 0.01)
    room = _MARK * (ends[1] - ends[0])
    axes.set_xlim(10.0 ** (ends[0] - room), 10.0 ** (ends[1] + room))
    axes.margins(y=0.12)
    axes.set(xlabel=cost, ylabel="accuracy")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    in_percent(axes.yaxis)
    return figure


@styled
def confusion(
    matrix: Any, *, names: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Draw how often each class (row) was read as each class (column), with the counts printed.

    - `matrix`: int (K, K), counts by [true class, answer], or what `train.evaluate` returned.
    - `names`: written instead of 0, 1, …

    The diagonal, which is right, is grey, so that the mistakes show: the darker orange, the more
    often. An empty cell is a zero.

    Raises ValueError for another shape, negative counts, or names that do not fit.

    >>> confusion(np.eye(3, dtype=int), names=["cat", "dog", "hen"])
    <Figure size 588x511 with 1 Axes>
    """
    counts = _as_counts(matrix)
    names = _as_names(names, "", len(counts))
    is_right = np.eye(len(counts), dtype=bool)
    wrong = np.where(is_right, 0, counts)
    title = title or f"{wrong.sum():,} of {counts.sum():,} are wrong"
    figure, axes = sheet(4.1, 3.3, title=title)
    bare(axes)
    edges = np.arange(len(counts) + 1) - 0.5
    shown = np.ma.MaskedArray(wrong, mask=is_right)
    image = axes.pcolormesh(edges, edges, shown, cmap=COUNTS, vmin=0, vmax=wrong.max() or 1)
    image.set(edgecolor=LIGHT, linewidth=0.6)
    axes.invert_yaxis()
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="label")
    texts = [f"{count:,}" if count else "" for count in counts.flat]
    print_cells(axes, texts, image.to_rgba(shown, bytes=True))
    return figure


def _as_counts(matrix: Any) -> np.ndarray:
    counts = shaped(getattr(matrix, "confusion", matrix), "a confusion matrix", "(K, K)")
    if counts.min() < 0:
        raise ValueError(f"a confusion matrix holds counts, but this one holds {counts.min()}")
    return counts
