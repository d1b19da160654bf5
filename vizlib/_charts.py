"""Numbers as bars, lines and tables: probabilities, training curves, comparisons, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vizlib import _style
from vizlib._style import BLUE, GREY, LIGHT, ORANGE, WIDTH, Figure, styled
from vizlib.history import History

_BARS = 20
_PERCENT = PercentFormatter(1, symbol=" %")


@styled
def probabilities(
    p: Any,
    *,
    label: int | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the probability of each class as a bar, with its value above it.

    `p` is (K,) or (1, K), each in 0…1 and together 1, as softmax returns them. `label` is the true
    class, if it is known, and `names` are written instead of P0, P1, … Of more than 20 classes
    only the ten likeliest are drawn, the likeliest first.

    The winner is the dark bar with "answer" above it. The true class has "label" under its name.
    The title says in words whether they agree.

    Raises ValueError for another shape, and for scores that did not go through softmax.

    >>> probabilities([0.1, 0.7, 0.2], label=1)
    <Figure size 840x336 with 1 Axes>
    """
    values = _as_probabilities(p)
    winner = int(values.argmax())
    names = names or [f"P{k}" for k in range(len(values))]
    drawn = np.arange(len(values)) if len(values) <= _BARS else (-values).argsort()[:10]
    figure, axes = _style.sheet(WIDTH, 2.4)
    colours = [BLUE if k == winner else LIGHT for k in drawn]
    axes.bar(range(len(drawn)), values[drawn], color=colours, edgecolor=GREY, width=0.8)
    for x, k in enumerate(drawn):
        text = f"{values[k]:.3f}" if k != winner else f"answer\n{values[k]:.3f}"
        weight = "bold" if k == winner else "normal"
        axes.text(x, values[k] + 0.02, text, ha="center", fontsize=9, weight=weight)
    marked = [f"{names[k]}\nlabel" if k == label else names[k] for k in drawn]
    axes.set_xticks(range(len(drawn)), marked)
    axes.set(ylim=(0, 1.25), yticks=[0, 0.5, 1], ylabel="probability")
    axes.grid(visible=False, axis="x")
    axes.set_title(_verdict(names, winner, label) if title is None else title)
    return figure


def _as_probabilities(p: Any) -> np.ndarray:
    values = _style.array(p).astype(np.float64)
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"probabilities have the shape (K,), one for each class, but had {values.shape}; "
            "choose one image with p[0]"
        )
    _style.finite(values, "the probabilities")
    if values.min() < 0 or abs(values.sum() - 1) > 0.01:
        raise ValueError(
            f"probabilities lie in 0…1 and add up to 1, but these lie in {values.min():.3g}…"
            f"{values.max():.3g} and add up to {values.sum():.3g}; "
            "if they are scores, use torch.softmax(scores, dim=-1)"
        )
    return values


def _verdict(names: Sequence[str], winner: int, label: int | None) -> str:
    if label is None:
        return f"answer {names[winner]}"
    right = "right" if winner == label else "wrong"
    return f"answer {names[winner]}, label {names[label]}: {right}"


@styled
def curves(
    histories: History | Sequence[History] | Mapping[str, History], *, title: str | None = None
) -> Figure:
    """Draw how one training went, or the validation accuracies of several in one picture.

    One History gives two axes over epochs: accuracy at the left, loss at the right, each with the
    training curve dashed in orange and the validation curve solid in blue. Several, in a list or
    under names of your own, give one axes with one line each, apart by colour, dash and marker,
    and named at its end. The large white-centred star is the best epoch, the one whose weights
    were kept; its number and accuracy stand beside it.

    Accuracies are shares drawn in percent, losses are mean cross-entropies in nats. Raises
    ValueError where there is nothing to draw.

    >>> one = History(network="lenet", train_accuracy=[0.9, 0.98], val_accuracy=[0.97, 0.98],
    ...               train_loss=[0.3, 0.1], val_loss=[0.1, 0.08])
    >>> curves(one), curves({"LeNet": one, "again": one})
    (<Figure size 840x420 with 2 Axes>, <Figure size 840x476 with 1 Axes>)
    """
    named = _by_name(histories)
    if len(named) > 1:
        return _several(named, title)
    (name, history), *_ = named.items()
    figure, (left, right) = _style.sheet(WIDTH, 3.0, columns=2)
    _train_and_validation(left, history.train_accuracy, history.val_accuracy)
    _train_and_validation(right, history.train_loss, history.val_loss)
    best = history.best_epoch
    _star(left, history, BLUE)
    left.yaxis.set_major_formatter(_PERCENT)
    left.set_title("accuracy")
    right.set(title="loss", ylim=(0, None))
    left.legend(loc="lower right")
    figure.suptitle(f"{title or name}: best epoch {best}, {history.val_accuracy[best - 1]:.2%}")
    return figure


def _by_name(histories: Any) -> dict[str, History]:
    if isinstance(histories, History):
        histories = [histories]
    if not isinstance(histories, Mapping):
        histories = {each.network or f"network {n}": each for n, each in enumerate(histories, 1)}
    empty = [name for name, history in histories.items() if not history.epochs]
    if empty or not histories:
        raise ValueError(
            f"there is no complete epoch to draw{' of ' * bool(empty)}{', '.join(empty)}"
        )
    return dict(histories)


def _train_and_validation(axes: Axes, train: Sequence[float], val: Sequence[float]) -> None:
    axes.plot(_epochs(train), train, "--", color=ORANGE, label="training")
    axes.plot(_epochs(val), val, "-", color=BLUE, label="validation")
    _count_epochs(axes)


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _count_epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch")


def _star(axes: Axes, history: History, colour: str) -> None:
    best = history.best_epoch
    star = {"marker": "*", "markersize": 15, "markerfacecolor": "white", "zorder": 5}
    axes.plot([best], [history.val_accuracy[best - 1]], color=colour, label="best", **star)


def _several(named: Mapping[str, History], title: str | None) -> Figure:
    figure, axes = _style.sheet(WIDTH, 3.4)
    for number, (name, history) in enumerate(named.items()):
        look = _style.line(number)
        axes.plot(_epochs(history.val_accuracy), history.val_accuracy, label=name, **look)
        _star(axes, history, look["color"])
    axes.yaxis.set_major_formatter(_PERCENT)
    _count_epochs(axes)
    _name_ends(axes, named)
    axes.set_title(title or "accuracy on the validation split")
    return figure


def _name_ends(axes: Axes, named: Mapping[str, History]) -> None:
    """Write each network's name and best accuracy at the right, as near its line's end as fits."""
    low, high = axes.get_ylim()
    ends = [history.val_accuracy[-1] for history in named.values()]
    places = _apart(ends, (high - low) / 12)
    for number, (name, history) in enumerate(named.items()):
        best = history.best_epoch
        text = f"{name}: {history.val_accuracy[best - 1]:.2%} in epoch {best}"
        at = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
        axes.annotate(text, (1.02, places[number]), color=_style.line(number)["color"], **at)


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Return places in the same order as the values, near them, and at least `gap` apart."""
    order = np.argsort(values, kind="stable")
    # Moved so far down that a mere non-decreasing fit is left: pool those that collide.
    groups: list[list[float]] = []
    for shift, index in enumerate(order):
        groups.append([values[index] - shift * gap])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [float(np.mean(group)) for group in groups for _ in group]
    places = [0.0] * len(level)
    for shift, index in enumerate(order):
        places[index] = level[shift] + shift * gap
    return places


@styled
def compare(accuracies: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """Draw the test accuracies of several networks as dots, the best at the top.

    `accuracies` maps a name to a share in 0…1 or to what `train.evaluate` returned. The value
    stands beside each dot. The axis does not start at zero, so look at places, not at lengths.

    Raises ValueError where there is nothing to draw or a share lies outside 0…1.

    >>> compare({"mlp": 0.982, "lenet": 0.992})
    <Figure size 840x210 with 1 Axes>
    """
    shares = {name: float(getattr(value, "accuracy", value)) for name, value in accuracies.items()}
    if not shares or not all(0 <= share <= 1 for share in shares.values()):
        raise ValueError(f"accuracies are shares in 0…1, one for each network, but were {shares}")
    names = sorted(shares, key=shares.__getitem__)
    figure, axes = _style.sheet(WIDTH, 0.8 + 0.35 * len(names))
    values = [shares[name] for name in names]
    axes.plot(values, range(len(names)), "o", color=BLUE, markersize=9)
    for row, value in enumerate(values):
        axes.annotate(
            f"{value:.2%}", (value, row), xytext=(9, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(names)), names)
    axes.margins(x=0.15, y=0.3)
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.set_title(title or "accuracy on the test split")
    return figure


@styled
def confusion(
    matrix: Any, *, names: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Draw how often each class (row) was read as each class (column), with the counts printed.

    `matrix` is int (K, K), counts by [true class, answer], or what `train.evaluate` returned. The
    diagonal, which is right, is grey, so that the mistakes show: the darker orange, the more often.
    An empty cell is a zero.

    Raises ValueError for another shape.

    >>> confusion(np.eye(3, dtype=int), names=["cat", "dog", "hen"])
    <Figure size 644x644 with 1 Axes>
    """
    counts = _style.array(getattr(matrix, "confusion", matrix))
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"a confusion matrix has the shape (K, K), but this had {counts.shape}")
    names = names or [str(k) for k in range(len(counts))]
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    figure, axes = _style.sheet(4.6, 4.6)
    axes.imshow(wrong, cmap=_style.COUNTS, vmin=0, vmax=wrong.max() or 1)
    _style.bare(axes)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="label")
    texts = [f"{count:,}" if count else "" for count in counts.flat]
    _style.print_cells(axes, counts.shape, texts, wrong.flat > wrong.max() / 2)
    for k in range(len(names)):
        axes.add_patch(Rectangle((k - 0.5, k - 0.5), 1, 1, facecolor=_style.GAP))
    axes.set_title(title or f"{wrong.sum():,} of {counts.sum():,} wrong")
    return figure
