"""Lines: how trainings went, epoch by epoch, and other numbers over even steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from vizlib.history import History
from vizlib.plots._figure import WIDTH, Figure, sheet, styled
from vizlib.plots._style import BLUE, INK, ORANGE, array, line
from vizlib.words import numbered, percent

_BEYOND = 1.25  # how far an axis of factors goes beyond its values
_POWERS = 3  # of ten; over more of them an axis has no marks between them
_MARKS = 8  # over more powers not each has a mark, or the numbers would cover each other
_ABOVE = 0.06  # of an axis that begins at a given share, so much lies above the best share
_LEAST = 1e-4  # and a little more, or it would have no height where all shares are that
_ROOM = 0.02  # of an axis, at both its ends
_MARKED = 60  # of a line with more points they are not marked one by one


@styled
def curves(
    histories: History | Sequence[History] | Mapping[str, History],
    *,
    title: str | None = None,
    lowest: float | None = None,
    height: float | None = None,
) -> Figure:
    """Draw how one training went, or the validation accuracies of several in one picture.

    - `histories`: one History, or several in a list or under names of your own.
    - `lowest`: the share in 0…1 where the axis of accuracies begins, to look closely at the last
      epochs.
    - `height`: inches of the axes, for two figures that are to fit one screen.

    One History gives two axes over the epochs: accuracy in percent, and loss, the mean
    cross-entropy in nats. Each step upwards is a factor of the loss, or of what the accuracy lacks
    to 100 %, so that the last epochs can be told apart. The training curve is dashed in orange, the
    validation curve solid in blue. Several give one axes with one line for each, which differ by
    colour, dash and marker; at the right stand their names with the best accuracies, the line that
    ends highest first. A star is the best epoch, whose weights were kept.

    Raises ValueError where there is no complete epoch to draw.

    >>> one = History(network="lenet", train_accuracy=[0.9, 0.98], val_accuracy=[0.97, 0.98],
    ...               train_loss=[0.3, 0.1], val_loss=[0.1, 0.08])
    >>> curves(one), curves({"LeNet": one, "again": one})
    (<Figure size 840x455 with 2 Axes>, <Figure size 840x511 with 1 Axes>)
    >>> curves(one, height=1.75)
    <Figure size 840x294 with 2 Axes>
    """
    named = _by_name(histories)
    (name, first), *others = named.items()
    figure = _several(named, title, height) if others else _one(first, title or name, height)
    if lowest is not None:
        # Left to itself, its end would lie as far above as the worst share lies below.
        best = max(np.nanmax(each.get_ydata()) for each in figure.axes[0].lines)
        figure.axes[0].set_ylim(lowest, best + _ABOVE * abs(best - lowest) + _LEAST)
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
    return figure


def _by_name(histories: Any) -> dict[str, History]:
    if isinstance(histories, History):
        histories = [histories]
    if not isinstance(histories, Mapping):
        histories = list(histories)
        names = numbered(history.network or "network" for history in histories)
        histories = dict(zip(names, histories, strict=True))
    empty = [name for name, history in histories.items() if not history.epochs]
    if empty or not histories:
        raise ValueError(
            f"there is no complete epoch to draw of {', '.join(empty) or 'no history at all'}; "
            "a History has one after train.fit(…, epochs=1)"
        )
    return dict(histories)


def _one(history: History, title: str, height: float | None) -> Figure:
    heading = f"{title or 'training'}: best is epoch {history.best_epoch}, {_best(history)}"
    figure, (left, right) = sheet(WIDTH - 0.1, height or 2.9, title=heading, columns=2)
    _train_and_validation(left, "accuracy", history.train_accuracy, history.val_accuracy)
    _train_and_validation(right, "loss", history.train_loss, history.val_loss)
    _star(left, history, BLUE)
    left.legend(loc="lower right", fontsize=9)
    return figure


def _train_and_validation(
    axes: Axes, title: str, train: Sequence[float], val: Sequence[float]
) -> None:
    axes.set_title(title, weight="normal")
    _by_factors(axes, [*train, *val], errors=title == "accuracy")
    if train:  # or the legend would name a line that is not there
        axes.plot(_epochs(train), train, "--", marker=".", color=ORANGE, label="training")
    axes.plot(_epochs(val), val, marker=".", color=BLUE, label="validation")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _star(axes: Axes, history: History, colour: str) -> None:
    best = history.best_epoch
    share = history.val_accuracy[best - 1]
    axes.plot([best], [share], "*", color=colour, label="best epoch", ms=15, mfc="white", zorder=5)


def _best(history: History) -> str:
    return percent(history.val_accuracy[history.best_epoch - 1])


def _several(named: Mapping[str, History], title: str | None, height: float | None) -> Figure:
    title = title or "validation accuracy, with a star at the best epoch"
    figure, axes = sheet(WIDTH - 0.1, height or 3.3, title=title)
    for number, (name, history) in enumerate(named.items()):
        look, called = line(number), f"{name} {_best(history)}"
        axes.plot(_epochs(history.val_accuracy), history.val_accuracy, label=called, **look)
    name_at_the_right(axes)
    for number, history in enumerate(named.values()):
        _star(axes, history, line(number)["color"])
    in_percent(axes.yaxis)
    return figure


def in_percent(axis: Axis) -> None:
    """Write the numbers of an axis as percentages, with as many decimals as tell them apart."""
    axis.set_major_formatter(PercentFormatter(1, symbol=" %"))  # one for each axis: it asks its own


def name_at_the_right(axes: Axes) -> None:
    """Name the lines that there are at the right, the one that ends highest first."""
    by_end = sorted(axes.lines, key=_end, reverse=True)
    axes.legend(handles=by_end, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9)


def _end(line: Line2D) -> float:
    known = [value for value in np.asarray(line.get_ydata()).tolist() if np.isfinite(value)]
    return known[-1] if known else -np.inf


@styled
def lines(
    series: Mapping[str, Sequence[float]],
    *,
    along: str = "epoch",
    start: float = 0,
    step: float = 1,
    at: int | None = None,
    percent: bool = False,
    scale: Literal["linear", "log", "errors"] = "linear",
    ends: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw series of numbers as lines, one value beside the other.

    - `series`: for each name its values. A value that is nan is not drawn.
    - `along`: what the axis across counts, from `start` on in steps of `step`.
    - `at`: a dotted black line stands at value number `at`.
    - `percent`: whether the values are shares in 0…1, written as percentages.
    - `scale`: with "log" each step upwards is a factor, and 0 lies on the lower edge. With "errors"
      each step is a factor of what a share lacks to 1, so that 99 % is as far above 90 % as that is
      above 0 %; 1 lies on the upper edge.
    - `ends`: the least and the greatest value of the axis upwards.

    The lines differ by colour, dash and marker, and the legend at the right names them, the line
    that ends highest first.

    Raises ValueError where there is no series, or no number in any of them.

    >>> lines({"LeNet": [0.9, 0.99], "MLP": [0.8, 0.97]}, percent=True, at=1)
    <Figure size 840x364 with 1 Axes>
    """
    values = {name: np.asarray(array(one), float) for name, one in series.items()}
    if not any(np.isfinite(one).any() for one in values.values()):
        raise ValueError(f"there is no number to draw in {', '.join(values) or 'no series at all'}")
    figure, axes = sheet(WIDTH - 0.1, 2.5, title=title)
    for number, (name, one) in enumerate(values.items()):
        [known] = np.isfinite(one).nonzero()
        crowded = {"marker": ""} if len(known) > _MARKED else {}
        axes.plot(start + step * known, one[known], label=name, **line(number) | crowded)
    if scale != "linear":
        _by_factors(axes, np.concatenate([*values.values()]), errors=scale == "errors")
    name_at_the_right(axes)
    if at is not None:
        axes.axvline(start + step * at, color=INK, linestyle=":", linewidth=1.5)
    # The whole range, also where there is nothing to draw at its ends.
    last = start + step * max(1, max(map(len, values.values())) - 1)
    axes.set_xlim(_with_room(start, last))
    axes.set_xlabel(along)
    if ends is not None:
        axes.set_ylim(_with_room(*ends))
    if step == int(step):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if percent and scale == "linear":
        in_percent(axes.yaxis)
    return figure


def _with_room(low: float, high: float) -> tuple[float, float]:
    return low - _ROOM * (high - low), high + _ROOM * (high - low)


def _by_factors(axes: Axes, values: Any, *, errors: bool) -> None:
    """Make each step upwards a factor of the values, or of how much they lack to 1."""

    def part(value: Any) -> Any:
        return 1 - value if errors else value

    parts = part(np.asarray(values, float))
    parts = parts[parts > 0] if (parts > 0).any() else np.ones(1)
    low, high = parts.min() / _BEYOND, parts.max() * _BEYOND
    sign = -1 if errors else 1
    # What has no logarithm lies on the edge.
    upwards = lambda value: sign * np.log10(np.maximum(part(value), low))  # noqa: E731
    axes.set_yscale("function", functions=(upwards, lambda place: part(10.0 ** (sign * place))))
    axes.set_ylim(min(part(low), part(high)), max(part(low), part(high)))
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    powers = powers[:: -(-len(powers) // _MARKS)]
    marks = np.outer(powers, [1, 2, 5] if len(powers) <= _POWERS else [1]).ravel()
    marks = marks[(marks >= low) & (marks <= high)]
    if len(marks) <= 2:  # noqa: PLR2004 - on so short an axis even steps do
        marks = np.array(MaxNLocator(4).tick_values(low, high)[1:-1])
    axes.yaxis.set_major_locator(FixedLocator(part(marks)))
    told = "{:.4g} %" if errors else "{:.2g}"
    axes.yaxis.set_major_formatter(lambda mark, _: told.format(100 * mark if errors else mark))
