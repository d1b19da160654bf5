"""A view is a plain function from where its sliders stand to what is seen.

Call the function once by hand, then slide it: the browser asks for the frames that it has not
seen, keeps them, and fetches those next to them ahead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import traitlets

from vizlib import plots
from vizlib.explore._explorer import Canvas, Explorer, apart, script, sliding
from vizlib.explore._panels import Frame, Words, palette
from vizlib.explore._recordings import CLOSED
from vizlib.explore._sliders import Slider, read

Place = dict[str, int]
# So many frames at most in a page of its own; else each slider moves alone from where it stands.
_ALL = 600
# The modules of every view that slides.
SLIDING = (
    *("elements.js", "numbers.js", "kernel.js", "tiles.js", "maps.js", "charts.js"),
    *("look.js", "panels.js", "sliders.js", "frames.js", "colours.js", "viewing.js"),
)


class View(Explorer):
    """Sliders over the frames that `show` returns.

    - `name`: what the view says of itself
    - `show`: takes where each slider stands, by name, as a number from 0, and returns the frame
      there; a ValueError that it raises is shown as a sentence
    - `draw`: takes the same and returns the figure for print, where that is not the frame itself
    - `state`: the place to open at
    - `canvas`, `held`: a canvas that makes the frames itself, and what it makes them of
    """

    def __init__(
        self,
        name: str,
        sliders: Sequence[Slider],
        show: Callable[..., Frame],
        draw: Callable[..., plots.Figure] | None = None,
        *,
        state: str | None = None,
        canvas: Any = None,
        held: dict[str, Any] | None = None,
    ) -> None:
        """Open at `state`; raise ValueError where it does not fit the sliders."""
        given = read(state, [slider.name for slider in sliders])
        sliders = [s.at(given[s.name]) if s.name in given else s for s in sliders]
        self._show, self._draw, self._held = show, draw, held or {}
        made = sliding(
            canvas or Panels,
            sliders,
            names=[slider.name for slider in sliders],
            held=self._held,
            stepped=[slider.name for slider in sliders if slider.stepped],
            palette=palette(),
        )
        super().__init__(name, sliders, made)
        self.refresh()

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print."""
        return self._draw(**self.place) if self._draw else self._show(**self.place).figure()

    def refresh(self) -> None:
        """Forget all frames and show the one of this place anew."""
        self._canvas.frames = [] if self._held else [self._packed(self.place)]

    def frame(self, **place: int) -> Frame:
        """Return what is seen here, or with some sliders elsewhere."""
        try:
            return self._show(**{**self.place, **place})
        except ValueError as error:
            return Frame([Words([str(error)])], str(error))

    def _packed(self, place: Place) -> dict[str, Any]:
        return {"place": list(place.values()), **self.frame(**place).packed()}

    def _reply(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the frames of some places."""
        names = [slider.name for slider in self._sliders]
        places = [dict(zip(names, place, strict=True)) for place in asked["places"]]
        buffers: dict[bytes, int] = {}
        frames = apart([self._packed(place) for place in places], buffers)
        return {"frames": frames}, list(buffers)

    def _everything(self, *, recorded: bool) -> dict[str, Any]:
        if self._held and not recorded:
            return {}  # the canvas makes its frames itself
        frames = self._fitting(map(self._packed, self._places()))
        return {"frames": frames, "held": {}, "alone": True}

    def _places(self) -> Iterator[Place]:
        here = self.place
        sliders = [replace(s, index=here[s.name]) for s in self._sliders]
        if prod(slider.count for slider in sliders) <= _ALL:
            for each in itertools.product(*(range(slider.count) for slider in sliders)):
                yield dict(zip(here, each, strict=True))
            return
        yield here
        for slider in sliders:
            last = getattr(self._canvas, f"last_{slider.name}", slider.count - 1)
            for index in range(last + 1):
                if index != slider.index:
                    yield {**here, slider.name: index}

    def _release(self) -> None:
        super()._release()
        self._show = self._draw = closed
        self._canvas.frames, self._canvas.held = [], {}


def closed(*_given: object, **_place: object) -> Any:
    """Raise: what is asked of a closed view has gone."""
    raise ValueError(CLOSED)


class Panels(Canvas):
    """The canvas of frames; what it looks like is in static/panels.js."""

    _esm = script(*SLIDING, "slides.js")
    _css = script("colours.css", "pad.css", "panels.css", "sliders.css")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    stepped = traitlets.List(traitlets.Unicode()).tag(sync=True)
    palette = traitlets.Bytes().tag(sync=True)
    frames = traitlets.List(traitlets.Dict()).tag(sync=True)
    held = traitlets.Dict().tag(sync=True)
    alone = traitlets.Bool(default_value=False).tag(sync=True)


def taken(name: str) -> bool:
    """Return whether a canvas has something else of this name, so that no slider can have it."""
    return hasattr(Panels, name)
