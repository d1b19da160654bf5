"""Slide a function of your own: what it makes of its arguments is what is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from vizlib import plots
from vizlib.explore._panels import Frame, Panel, Picture, Words
from vizlib.explore._sliders import Slider
from vizlib.explore._view import View, taken
from vizlib.words import counted

_PAGE = 16 << 20  # bytes of pictures that a page may hold


def slide(
    function: Callable[..., Any], /, *, state: str | None = None, **sliders: Iterable[Any]
) -> View:
    """Return a slider for each argument of a function, over what the function returns.

    Call the function once by hand, then slide it: `slide(look, image=range(20), rate=[0.1, 1])`.
    Each slider goes through the values that are given under its name. A figure is shown as a
    picture. Anything else is written as text, with what the function prints or raises.

    A page that `.to_html` writes holds each picture, so there may be about twenty.

    `state` is the place to open at, such as "image=3 rate=1"; without it each slider stands at
    its first value.

    Raises TypeError for what is no function and for sliders without their values, and ValueError
    where there is no slider, or none of that name can be made. Where the function raises at the
    place to open at, that error comes through.

    >>> view = slide(lambda width, kernel: width - kernel + 1, width=[28, 32], kernel=[3, 5])
    >>> view, view.state
    (slide(2 sliders), 'width=28 kernel=3')
    >>> view.frame(kernel=1).panels[0].lines
    ['24']
    """
    if not callable(function):
        raise TypeError(
            f"slide needs a function, but got a {type(function).__name__}: give its name, without "
            "brackets"
        )
    values = {name: _values(name, given) for name, given in sliders.items()}
    if not values:
        raise ValueError("there is nothing to slide: give values, such as image=range(10)")

    def made(**at: int) -> plots.Figure | str:
        with redirect_stdout(StringIO()) as printed:
            result = function(**{name: values[name][index] for name, index in at.items()})
        if isinstance(result, plots.Figure):
            return result
        return printed.getvalue() + ("" if result is None else str(result))

    def show(**at: int) -> Frame:
        says = ", ".join(f"{name} {_word(values[name][index])}" for name, index in at.items())
        try:
            return Frame([_panel(made(**at))], says)
        except Exception as error:  # whatever a student's function may raise
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def draw(**at: int) -> plots.Figure:
        drawn = made(**at)
        return plots.words(drawn.splitlines()) if isinstance(drawn, str) else drawn

    ranges = [Slider(name, [_word(value) for value in each]) for name, each in values.items()]
    view = _Slide(f"slide({counted(len(ranges), 'slider')})", ranges, show, draw, state=state)
    made(**view.place)
    return view


class _Slide(View):
    """A view in which each place may be another picture, of up to a megabyte."""

    def _everything(self, *, recorded: bool) -> dict[str, Any]:
        size = sum(len(panel.get("data", b"")) for panel in self._packed(self.place)["panels"])
        count = sum(1 for _ in self._places())
        if size * count > _PAGE:
            raise ValueError(
                f"a page of {self!r} would hold {counted(count, 'picture')}, in all "
                f"{size * count >> 20} MB, and {_PAGE >> 20} MB at most: slide fewer values"
            )
        return super()._everything(recorded=recorded)


def _values(name: str, given: Any) -> list[Any]:
    """Return what a slider goes through; numbers of arrays and tensors as Python's own."""
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise TypeError(
            f"the slider {name} needs several values, such as range(10), but got {given!r}"
        )
    if taken(name):
        raise ValueError(f"no slider can be called {name}: choose another word")
    found = given.tolist() if hasattr(given, "tolist") else list(given)
    if not found:
        raise ValueError(f"the slider {name} has no values: give one at least")
    return found


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _panel(made: plots.Figure | str) -> Panel:
    if isinstance(made, str):
        return Words(made.splitlines())
    pixels = made.pixels()[..., :3]
    return Picture(pixels, width=max(pixels.shape) + 2)  # and its frame
