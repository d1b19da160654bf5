"""How trainings went: accuracies and losses over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vizlib.history import History
from vizlib.plots import _style
from vizlib.plots._style import BLUE, ORANGE, WIDTH, Figure, styled

PERCENT = PercentFormatter(1, symbol=" %")
_NAME = {"va": "center", "fontsize": 9}
_STAR = {"marker": "*", "markersize": 15, "markerfacecolor": "white", "zorder": 5, "ls": "none"}


@styled
def curves(
    histories: History | Sequence[History] | Mapping[str, History],
    *,
    title: str | None = None,
    lowest: float | None = None,
) -> Figure:
    """Draw how one training went, or the validation accuracies of several in one picture.

    One History gives two axes over epochs, accuracy and loss, each with the training curve dashed
    in orange and the validation curve solid in blue. Several, in a list or under names of your
    own, give one axes with one line each, apart by colour, dash and marker; at the right stands a
    piece of each line with its name and its best accuracy. A star is the best epoch, the one
    whose weights were kept.

    Accuracies are shares in 0…1 drawn in percent, losses mean cross-entropies in nats. `lowest` is
    the share where the axis of accuracies begins, to look closely at the last epochs.

    Raises ValueError where there is no complete epoch to draw.

    >>> one = History(network="lenet", train_accuracy=[0.9, 0.98], val_accuracy=[0.97, 0.98],
    ...               train_loss=[0.3, 0.1], val_loss=[0.1, 0.08])
    >>> curves(one), curves({"LeNet": one, "again": one})
    (<Figure size 840x455 with 2 Axes>, <Figure size 840x511 with 1 Axes>)
    """
    named = _by_name(histories)
    draw = _one if len(named) == 1 else _several
    figure = draw(named, title, lowest)
    figure.axes[0].yaxis.set_major_formatter(PERCENT)
    for each in figure.axes:
        each.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        each.set_xlabel("epoch")
    return figure


def _by_name(histories: Any) -> dict[str, History]:
    if isinstance(histories, History):
        histories = [histories]
    if not isinstance(histories, Mapping):
        histories = _numbered(list(histories))
    empty = [name for name, history in histories.items() if not history.epochs]
    if empty or not histories:
        raise ValueError(
            f"there is no complete epoch to draw of {', '.join(empty) or 'no history at all'}; "
            "a History has one after train.fit(…, epochs=1)"
        )
    return dict(histories)


def _numbered(histories: list[History]) -> dict[str, History]:
    """Name each after its network; a name that comes again gets a number."""
    named: dict[str, History] = {}
    for history in histories:
        name = history.network or "network"
        again = sum(other.network == history.network for other in named.values())
        named[f"{name} ({again + 1})" if again else name] = history
    return named


def _one(named: Mapping[str, History], title: str | None, lowest: float | None) -> Figure:
    (name, history), *_ = named.items()
    heading = f"{title or name or 'training'}: best is epoch {history.best_epoch}, {_best(history)}"
    figure, (left, right) = _style.sheet(WIDTH - 0.1, 2.9, title=heading, columns=2)
    _train_and_validation(left, history.train_accuracy, history.val_accuracy)
    _train_and_validation(right, history.train_loss, history.val_loss)
    _star(left, history, BLUE)
    _begin_at(left, lowest, [*history.train_accuracy, *history.val_accuracy])
    left.set_title("accuracy", weight="normal")
    left.legend(loc="lower right", fontsize=9)
    right.set_title("loss", weight="normal")
    right.set_ylim(bottom=0)
    return figure


def _train_and_validation(axes: Axes, train: Sequence[float], val: Sequence[float]) -> None:
    axes.plot(_epochs(train), train, "--", marker=".", color=ORANGE, label="training")
    axes.plot(_epochs(val), val, "-", marker=".", color=BLUE, label="validation")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _star(axes: Axes, history: History, colour: str) -> None:
    best = history.best_epoch
    axes.plot([best], [history.val_accuracy[best - 1]], color=colour, label="best epoch", **_STAR)


def _best(history: History) -> str:
    return percent(history.val_accuracy[history.best_epoch - 1])


def percent(share: float) -> str:
    """Return a share in percent, with two decimals and a space as in all our figures."""
    return f"{share:.2%}".replace("%", " %")


def _several(named: Mapping[str, History], title: str | None, lowest: float | None) -> Figure:
    title = title or "validation accuracy, with a star at the best epoch"
    figure, axes = _style.sheet(WIDTH - 0.1, 3.3, title=title)
    for number, (name, history) in enumerate(named.items()):
        look = _style.line(number)
        axes.plot(_epochs(history.val_accuracy), history.val_accuracy, label=name, **look)
        _star(axes, history, look["color"])
    _begin_at(axes, lowest, [each for own in named.values() for each in own.val_accuracy])
    ends = [history.val_accuracy[-1] for history in named.values()]
    names = [f"{name} {_best(own)}" for name, own in named.items()]
    name_at_the_right(axes, ends, names, marks=(1.02, 1.06, 1.1))
    return figure


def _begin_at(axes: Axes, lowest: float | None, shares: Sequence[float]) -> None:
    """Begin the axis at `lowest`, and end it a little above the best share."""
    if lowest is not None:
        # Left to itself, its end would lie as far above as the worst share lies below.
        axes.set_ylim(lowest, max(shares) + 0.06 * abs(max(shares) - lowest) + 1e-4)


def name_at_the_right(
    axes: Axes, ends: Sequence[float], names: Sequence[str], marks: Sequence[float]
) -> None:
    """Put each line's marks and name at the right, as near to the value it ends at as fits."""
    low, high = axes.get_ylim()
    places = _apart([(max(low, end) - low) / (high - low) for end in ends], 1 / 14)
    at = {"transform": axes.transAxes, "clip_on": False}
    for number, (y, name) in enumerate(zip(places, names, strict=True)):
        axes.plot(marks, [y] * len(marks), **_style.line(number), **at)
        beside = {"xytext": (8, 0), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(name, (max(marks), y), xycoords="axes fraction", **beside, **_NAME)


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Return places in the order of the values, near them, and at least `gap` apart.

    >>> _apart([0.5, 0.5, 2.0], gap=0.25)
    [0.375, 0.625, 2.0]
    """
    order = np.argsort(values, kind="stable")
    # Less their share of gaps, places only have to rise: those that do not are put at their mean.
    groups: list[list[float]] = []
    for place, index in enumerate(order):
        groups.append([float(values[index]) - place * gap])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [float(np.mean(group)) for group in groups for _ in group]
    ranks = np.argsort(order, kind="stable").tolist()
    return [level[rank] + rank * gap for rank in ranks]
