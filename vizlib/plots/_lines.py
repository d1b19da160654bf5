"""Lines over evenly spaced places, and the answers of several networks beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vizlib.plots import _style
from vizlib.plots._charts import share
from vizlib.plots._style import BLUE, GREY, INK, LIGHT, WIDTH, Figure, styled

_MOST, _LIKELIEST = 20, 10


@styled
def lines(
    series: Mapping[str, Sequence[float]],
    *,
    along: str = "epoch",
    start: float = 0,
    step: float = 1,
    at: int | None = None,
    percent: bool = False,
    ends: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw series of numbers as lines over `start`, `start + step`, …, called `along`.

    The lines differ by colour, dash and marker, and the legend at the right names them. A dotted
    black line stands at value number `at`. A value that is nan is not drawn. `percent` writes
    shares in 0…1 as percentages. `ends` are the least and the greatest value of the axis.

    Raises ValueError where there is no series, or no number in any of them.

    >>> lines({"LeNet": [0.9, 0.99], "MLP": [0.8, 0.97]}, percent=True, at=1)
    <Figure size 840x364 with 1 Axes>
    """
    values = {name: np.asarray(_style.array(each), float) for name, each in series.items()}
    if not any(np.isfinite(each).any() for each in values.values()):
        raise ValueError(f"there is no number to draw in {', '.join(values) or 'no series at all'}")
    figure, axes = _style.sheet(WIDTH - 0.1, 2.5, title=title)
    for number, (name, each) in enumerate(values.items()):
        axes.plot(start + step * np.arange(len(each)), each, label=name, **_style.line(number))
    if at is not None:
        axes.axvline(start + step * at, color=INK, linestyle=":", linewidth=1.5)
    # The whole range, also where there is nothing to draw at its ends.
    last = start + step * max(1, max(map(len, values.values())) - 1)
    axes.set_xlim(start - 0.02 * (last - start), last + 0.02 * (last - start))
    axes.set_xlabel(along)
    if ends is not None:
        axes.set_ylim(ends[0] - 0.03 * (ends[1] - ends[0]), ends[1] + 0.03 * (ends[1] - ends[0]))
    if step == int(step):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


@styled
def answers(
    probabilities: Mapping[str, Any], *, label: int | None = None, title: str | None = None
) -> Figure:
    """Draw what several networks answer to the same image: one column of bars for each.

    `probabilities` maps a name to (K,), each in 0…1; all have the same classes, from the top. Above
    a column stands the name with its answer, and beside each bar its probability. The winner is
    the dark bar. The class `label`, the true one, is in bold with an arrow. Of more than 20 classes
    the ten likeliest of the first column are drawn.

    Raises ValueError where there is nothing to draw, or the columns have different classes.

    >>> answers({"LeNet": [0.1, 0.7, 0.2], "MLP": [0.5, 0.4, 0.1]}, label=1)
    <Figure size 742x192 with 2 Axes>
    """
    columns = {
        name: np.asarray(_style.array(p), float).ravel() for name, p in probabilities.items()
    }
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "answers need one probability for each of the same classes from every network, but "
            f"had {', '.join(f'{len(v)} from {n}' for n, v in columns.items()) or 'no network'}"
        )
    first = next(iter(columns.values()))
    shown = np.arange(len(first))
    if len(first) > _MOST:
        shown = (-first).argsort(kind="stable")[:_LIKELIEST]
    figure, axes = _style.sheet(
        min(WIDTH - 0.1, 2.6 * len(columns)),
        0.7 + 0.19 * len(shown),
        title=title,
        columns=len(columns),
    )
    for each, (name, values) in zip(np.atleast_1d(axes), columns.items(), strict=True):
        _column(each, name, values, shown)
        _name_rows(each, shown, label)
    return figure


def _column(axes: Any, name: str, values: np.ndarray, shown: np.ndarray) -> None:
    winner = int(values.argmax())
    colours = [BLUE if k == winner else LIGHT for k in shown]
    axes.barh(range(len(shown)), values[shown], color=colours, edgecolor=GREY, height=0.75)
    for row, k in enumerate(shown):
        look = {"weight": "bold"} if k == winner else {}
        axes.text(values[k] + 0.03, row, share(values[k]), va="center", size=8, **look)
    axes.set(xlim=(0, 1.35), ylim=(len(shown) - 0.5, -0.5), xticks=[0, 1])
    axes.set_title(f"{name}: {winner}", size=10)
    axes.grid(visible=False)


def _name_rows(axes: Any, shown: np.ndarray, label: int | None) -> None:
    axes.set_yticks(range(len(shown)), [f"→ P{k}" if k == label else f"P{k}" for k in shown])
    for k, text in zip(shown, axes.get_yticklabels(), strict=True):
        text.set(size=9, **({"weight": "bold"} if k == label else {}))
