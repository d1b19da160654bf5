"""Functions as pictures: activation curves, decision regions, and the loss as a landscape."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.ticker import MaxNLocator

from vizlib import arithmetic
from vizlib.plots._figure import WIDTH, Figure, sheet, styled
from vizlib.plots._style import BLUE, GREY, INK, ORANGE, PALETTE, array, line, shaped
from vizlib.words import counted, short

_ABREAST = 3  # activations side by side, at most
_LEVELS = 14  # lines of one height
_LINES = "#949494"  # their colour
_TINT = 0.3  # how much of its colour a region keeps
_JUMP = 0.3  # a part of the range that no slope rises by from one x to the next
# Inches of a letter, and of a bold one.
_LETTER = 0.085
_HEADING = 0.1
_HALF = 0.5
_ROUNDS = 3


@styled
def activation(
    steps: arithmetic.ActivationStep | Sequence[arithmetic.ActivationStep],
    *,
    at: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw activations and their derivatives over x, side by side.

    - `steps`: what `arithmetic.activation` makes of a range of x, or a list of up to three.
    - `at`: marks the x nearest to it, with both values.

    The blue line is the function and the dashed orange line its derivative: the factor by which
    back-propagation multiplies. Curves of one function, with other parameters, share their scale.

    Raises ValueError where there is no curve to draw.

    >>> activation(arithmetic.activation("relu", np.linspace(-3, 3, 61)), at=1.5)
    <Figure size 574x448 with 1 Axes>
    """
    steps = [steps] if isinstance(steps, arithmetic.ActivationStep) else list(steps)
    if not 1 <= len(steps) <= _ABREAST or any(step.x.numel() <= 1 for step in steps):
        raise ValueError(
            f"activation draws one to {_ABREAST} curves, each over several x, such as "
            f'arithmetic.activation("relu", np.linspace(-3, 3, 61)), but got {steps!r}'
        )
    width = 4.0 if len(steps) == 1 else WIDTH
    figure, axes = sheet(width, 3.1, title=title, columns=len(steps))
    first, *others = np.atleast_1d(axes)
    if len({step.name for step in steps}) == 1:
        for own in others:
            own.sharey(first)  # so that slopes can be compared by eye
    for own, step in zip([first, *others], steps, strict=True):
        _curve(own, step, letters=int(width / len(steps) / _LETTER), at=at)
    first.legend(loc="upper left", fontsize=9, framealpha=0.9)
    return figure


def _curve(axes: Axes, step: arithmetic.ActivationStep, *, letters: int, at: float | None) -> None:
    order = step.x.ravel().argsort()
    x, y, slope = (values.ravel()[order].numpy() for values in (step.x, step.y, step.slope))
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.plot(x, y, color=BLUE, label="function", linewidth=2.5)
    axes.plot(*_cut_at_jumps(x, slope), "--", color=ORANGE, label="derivative")
    notes = [f"{step.name}(x) =", *textwrap.wrap(step.formula, letters)]
    if at is not None:
        nearest = np.abs(x - at).argmin()
        axes.plot(x[nearest], y[nearest], "o", color=BLUE, markersize=9)
        axes.plot(x[nearest], slope[nearest], "s", color=ORANGE, markersize=8)
        notes += [f"at x = {short(x[nearest])}: {short(y[nearest])}"]
        notes += [f"derivative there: {short(slope[nearest])}"]
    axes.set_title(step.name, size=11)
    axes.set_xlabel("\n".join(["x", *notes]), size=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _cut_at_jumps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a curve where it jumps: a slanting line would show a slope that is not there."""
    jumps = np.flatnonzero(np.abs(np.diff(y)) > _JUMP * (np.ptp(y) or 1.0)) + 1
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)


@styled
def regions(
    predictions: Any,
    *,
    extent: Sequence[float],
    points: Any = None,
    labels: Any = None,
    lines: Any = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw which class a network answers at each point of the plane.

    - `predictions`: (H, W) classes 0, 1, …, the first row at the bottom, as `np.meshgrid` orders
      them. Probabilities between 0 and 1 count as class 1 from a half on.
    - `extent`: (left, right, bottom, top) of the plane.
    - `points`, `labels`: samples (N, 2) and their classes (N,).
    - `lines`: neurons (K, 3), each w1·x + w2·y + b = 0, drawn dashed: the straight lines that the
      regions are cut out with.
    - `names`: of the classes.

    Each class has a pale colour for its region, and the same colour and a shape of its own for
    its points. A point in a wrong region has a black ring. A black line parts the regions.

    Raises ValueError for another shape.

    >>> x, y = np.meshgrid(np.linspace(-1, 1, 50), np.linspace(-1, 1, 50))
    >>> regions(x + y > 0, extent=(-1, 1, -1, 1), points=[[0.5, 0.5], [-0.5, 0]], labels=[1, 0])
    <Figure size 700x490 with 1 Axes>
    """
    hint = "; give classes, such as scores.argmax(1).reshape(H, W)"
    values = _grid(predictions, "the predictions", hint)
    classes = np.asarray(values if (values == values.round()).all() else values >= _HALF, int)
    left, right, bottom, top = _as_extent(extent)
    figure, axes = sheet(4.9 if points is not None else 3.7, 3.4, title=title)
    count = int(max(classes.max(), 1, *np.ravel([] if labels is None else labels))) + 1
    full = np.array([to_rgb(PALETTE[k % len(PALETTE)]) for k in range(count)])
    tints = ListedColormap(1 - _TINT * (1 - full))
    box = {"extent": (left, right, bottom, top), "origin": "lower"}
    axes.imshow(classes, cmap=tints, vmin=-0.5, vmax=count - 0.5, aspect="auto", **box)
    levels = np.arange(classes.min(), classes.max()) + _HALF
    if levels.size:  # of two classes the line between their probabilities is a smooth one
        field = values if classes.max() == 1 else classes
        axes.contour(field, levels, colors=[INK], linewidths=1.2, **box)
    for w1, w2, b in np.reshape([] if lines is None else lines, (-1, 3)):
        if foot := w1**2 + w2**2:
            x, y = -b * w1 / foot, -b * w2 / foot
            axes.axline((x, y), (x - w2, y + w1), linestyle="--", color=GREY, linewidth=1.3)
    if points is not None and len(points):
        samples = shaped(points, "points", "(N, 2)")
        _scatter(axes, samples, labels, _classes_at(samples, classes, extent), names)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")
    axes.grid(visible=False)
    axes.set_box_aspect((top - bottom) / (right - left))
    return _laid_out(figure)


def _laid_out(figure: Figure) -> Figure:
    """Lay the figure out until nothing is cut off: axes of a fixed shape need some rounds."""
    for _ in range(_ROUNDS):
        figure.draw_without_rendering()
    return figure


def _as_extent(extent: Sequence[float]) -> tuple[float, ...]:
    if len(extent) != 4 or extent[0] >= extent[1] or extent[2] >= extent[3]:  # noqa: PLR2004
        raise ValueError(f"extent must be (left, right, bottom, top), but was {tuple(extent)}")
    return tuple(extent)


def _grid(values: Any, what: str, hint: str = "") -> np.ndarray:
    """Return values of the plane as (H, W); raise ValueError where no line can be drawn in them."""
    found = shaped(values, what, "(H, W)", hint).astype(float)
    if min(found.shape) == 1:
        raise ValueError(
            f"{what} must have two rows and two columns at least, but had the shape {found.shape}"
        )
    return found


def _scatter(
    axes: Axes, points: np.ndarray, labels: Any, found: np.ndarray, names: Sequence[str] | None
) -> None:
    """Draw samples whose points lie in the regions of the classes `found`."""
    given = found if labels is None else array(labels).astype(int)
    if len(given) != len(points):
        raise ValueError(f"there are {len(points)} points, but {len(given)} labels")
    for k in np.unique(given):
        look, called = line(k), names[k] if names else f"class {k}"
        look |= {"linestyle": "", "markersize": 7, "markeredgecolor": "white"}
        axes.plot(*points[given == k].T, label=called, **look)
    wrong = found != given
    axes.plot(*points[wrong].T, "o", markersize=9, color="none", markeredgecolor=INK)
    title = None if labels is None else f"{wrong.sum()} of {len(given)} wrong"
    axes.figure.legend(loc="outside right upper", fontsize=9, title=title)


def _classes_at(points: np.ndarray, classes: np.ndarray, extent: Sequence[float]) -> np.ndarray:
    """Return for each point the class of the cell that it lies in; −1 outside."""
    left, right, bottom, top = extent
    share = (points - [left, bottom]) / [right - left, top - bottom]
    columns, rows = np.floor(share * classes.shape[::-1]).astype(int).T
    # Around the cells lies one more, which is no class.
    rows, columns = rows.clip(-1, len(classes)), columns.clip(-1, classes.shape[1])
    return np.pad(classes, 1, constant_values=-1)[rows + 1, columns + 1]


@styled
def contours(
    losses: Any,
    *,
    extent: Sequence[float],
    paths: Any = None,
    names: tuple[str, str] = ("w1", "w2"),
    title: str | None = None,
) -> Figure:
    """Draw the loss over two weights as a map with contour lines, and the way down.

    - `losses`: (H, W), the first row at the bottom; or a mapping from headings to several of them,
      drawn side by side, as before and after normalization.
    - `extent`: (left, right, bottom, top) of the two weights.
    - `paths`: (T, 2), the two weights after each step; a mapping where there are several `losses`.
    - `names`: of the two weights.

    The lighter, the lower the loss; from line to line it grows faster and faster. The circle is
    the start, each dot a step, the star the last, and the heading says how many there were.

    Raises ValueError for another shape and for a loss that is nan or infinite.

    >>> x, y = np.meshgrid(np.linspace(-3, 3, 40), np.linspace(-3, 3, 40))
    >>> contours(x**2 + 9 * y**2, extent=(-3, 3, -3, 3), paths=[[2, 2], [1, -1], [0.5, 0.2]])
    <Figure size 504x490 with 1 Axes>
    """
    losses = losses if isinstance(losses, Mapping) else {"": losses}
    paths = paths if isinstance(paths, Mapping) else dict.fromkeys(losses, paths)
    extent = _as_extent(extent)
    width = 3.5 if len(losses) == 1 else WIDTH
    share = width / max(len(losses), 1)
    height = 3.4 if len(losses) == 1 else min(3.1, share + 0.7)
    figure, axes = sheet(width, height, title=title, columns=len(losses))
    for own, (heading, loss) in zip(np.atleast_1d(axes), losses.items(), strict=True):
        _landscape(own, _grid(loss, "the losses"), extent)
        steps = _descent(own, paths.get(heading), extent)
        words = ": ".join(filter(None, [heading, steps]))
        own.set_title(textwrap.fill(words, int(share / _HEADING)), size=10)
        own.set(xlabel=names[0], xlim=extent[:2], ylim=extent[2:])
        own.set_box_aspect(1)
        own.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    np.atleast_1d(axes)[0].set_ylabel(names[1])
    return _laid_out(figure)


def _landscape(axes: Axes, loss: np.ndarray, extent: Sequence[float]) -> None:
    low, high = loss.min(), loss.max()
    # Squared, so that the lines stay apart around the bottom of a bowl.
    levels = low + (high - low or 1.0) * np.linspace(0, 1, _LEVELS) ** 2
    # Smooth edges have hundreds of greys, which would double the size of a saved lesson.
    box: dict[str, Any] = {"extent": extent, "origin": "lower", "antialiased": False}
    axes.contourf(loss, levels, cmap="Greys", alpha=0.45, **box)
    axes.contour(loss, levels[1:], colors=[_LINES], linewidths=0.6, **box)
    axes.grid(visible=False)


def _descent(axes: Axes, path: Any, extent: Sequence[float]) -> str:
    """Draw the way down and return how many steps it had."""
    if path is None:
        return ""
    path = array(path).astype(float)  # one that diverged is drawn as far as it is known
    if path.shape[1:] != (2,) or not len(path):
        raise ValueError(f"a path must be (T, 2), two weights a step, but had {path.shape}")
    left, right, bottom, top = extent
    axes.plot(*path.T, "-", color=BLUE, linewidth=1.5)
    axes.plot(*path.T, ".", color=BLUE, markersize=6)
    axes.plot(*path[0], "o", color="white", markeredgecolor=BLUE, markersize=9, markeredgewidth=2)
    axes.plot(*path[-1], "*", color=ORANGE, markeredgecolor=INK, markersize=15, zorder=5)
    x, y = path[-1]
    lost = "" if left <= x <= right and bottom <= y <= top else ", off the map"
    return f"{counted(len(path) - 1, 'step')}{lost}"
