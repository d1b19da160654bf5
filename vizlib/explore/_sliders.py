"""What can be slid, where it stands, and the words that say so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import ipywidgets

_FEW = 4


@dataclass(frozen=True)
class Slider:
    """One slider: its name, what it goes through, and where among that it stands.

    `options` are words, or how many numbers 0, 1, … there are; such a range may change while the
    view is open. A slider that is `stepped` has buttons as well: Back, Next and Play.
    """

    name: str
    options: Sequence[str] | int
    index: int = 0
    stepped: bool = False

    @property
    def count(self) -> int:
        """How many places it has."""
        return self.options if isinstance(self.options, int) else len(self.options)

    @property
    def word(self) -> str:
        """The place where it stands, as `state` says it."""
        return self.word_of(self.index)

    def word_of(self, index: int) -> str:
        """Return what stands at a place."""
        return str(index) if isinstance(self.options, int) else self.options[index]

    def at(self, word: str) -> Slider:
        """Return the slider moved to where `word` stands; raise ValueError if that is nowhere."""
        if isinstance(self.options, int):
            return replace(self, index=_number(self.name, word, self.count))
        return replace(self, index=_index(self.name, word, self.options))

    def widget(self, width: str) -> ipywidgets.Widget:
        """Return the slider itself."""
        look = {"description": self.name, "layout": {"width": width}}
        if isinstance(self.options, int):
            return ipywidgets.IntSlider(self.index, 0, self.count - 1, **look)
        return ipywidgets.SelectionSlider(
            options=self.options, value=self.options[self.index], **look
        )

    @property
    def trait(self) -> str:
        """The trait of the widget that says where it stands, as a number."""
        return "value" if isinstance(self.options, int) else "index"


def read(state: str | None, names: Iterable[str]) -> dict[str, str]:
    """Read "layer=conv2 channel=5", any part of a place, into words by name.

    Raises ValueError for what is not among `names`.
    """
    given = dict(pair.partition("=")[::2] for pair in (state or "").split())
    names = list(names)
    for key in given.keys() - set(names):
        raise ValueError(f"state has no {key!r}; it is made of {', '.join(names)}, such as layer=…")
    return given


def written(place: dict[str, str]) -> str:
    """Return the place as text, which `read` reads again."""
    return " ".join(f"{name}={word}" for name, word in place.items())


def rows(sliders: Sequence[Slider]) -> tuple[list[ipywidgets.Widget], list[ipywidgets.Widget]]:
    """Return the sliders themselves, and the same in rows of two, or of three if they are many."""
    each = 1 if len(sliders) == 1 else 2 if len(sliders) <= _FEW else 3
    widgets = [slider.widget(f"{100 // each}%") for slider in sliders]
    return widgets, [ipywidgets.HBox(widgets[i : i + each]) for i in range(0, len(widgets), each)]


def links(
    sliders: Sequence[Slider], widgets: Sequence[ipywidgets.Widget], canvas: ipywidgets.Widget
) -> list[ipywidgets.Widget]:
    """Link each slider in the browser to the trait of `canvas` of its name.

    The range of a slider over numbers follows the trait `last_…`, where there is one.
    """
    pairs = list(zip(sliders, widgets, strict=True))
    made = [ipywidgets.jslink((w, s.trait), (canvas, s.name)) for s, w in pairs]
    numbered = [(s, w) for s, w in pairs if isinstance(s.options, int)]
    ends = [(s, w) for s, w in numbered if canvas.has_trait(f"last_{s.name}")]
    return made + [ipywidgets.jslink((canvas, f"last_{s.name}"), (w, "max")) for s, w in ends]


def _index(what: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no {what} is called {name!r}; {hint}choose from {', '.join(names)}")
    return list(names).index(name)


def _number(what: str, text: str, count: int) -> int:
    if not text.isdecimal() or int(text) >= count:
        raise ValueError(f"{what} must be a number from 0 to {count - 1}, but was {text}")
    return int(text)
