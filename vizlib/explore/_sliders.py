"""What can be slid, where it stands, and the words that say so."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets

from vizlib.words import unknown


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

    def __post_init__(self) -> None:
        """Take names from outside as text that can be sent and written."""
        if not isinstance(self.options, int):
            object.__setattr__(self, "options", encodable(self.options))

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
            if not word.isdecimal() or int(word) >= self.count:
                last = self.count - 1
                raise ValueError(f"{self.name} must be a number from 0 to {last}, but was {word}")
            return replace(self, index=int(word))
        if word not in self.options:
            raise ValueError(unknown(self.name, word, self.options))
        return replace(self, index=list(self.options).index(word))

    def widget(self) -> ipywidgets.Widget:
        """Return the slider itself."""
        if isinstance(self.options, int):
            return ipywidgets.IntSlider(self.index, 0, self.count - 1, description=self.name)
        names = list(self.options)
        is_clear = len({*names}) == len(names)  # else some names are written alike
        options = names if is_clear else [(name, at) for at, name in enumerate(names)]
        return ipywidgets.SelectionSlider(options=options, index=self.index, description=self.name)

    @property
    def trait(self) -> str:
        """The trait of the widget that says where it stands, as a number."""
        return "value" if isinstance(self.options, int) else "index"


def read(state: str | None, names: Iterable[str]) -> dict[str, str]:
    """Read "layer=conv2 channel=5", any part of a place, into words by name.

    Raises ValueError for what is not among `names`, and TypeError for what is no text.
    """
    if not isinstance(state, str | None):
        raise TypeError(f"state is text, such as 'layer=conv2', but was {type(state).__name__}")
    try:
        pairs = shlex.split(state or "")
    except ValueError as error:
        raise ValueError(f"state has a quotation mark without its partner: {state}") from error
    given = dict(pair.partition("=")[::2] for pair in pairs)
    names = list(names)
    for key in given.keys() - set(names):
        raise ValueError(f"state has no {key!r}; it is made of {', '.join(names)}, such as layer=…")
    return given


def written(place: dict[str, str]) -> str:
    """Return the place as text, which `read` reads again.

    >>> written({"layer": "my layer", "channel": "5"})
    "layer='my layer' channel=5"
    """
    return " ".join(f"{name}={shlex.quote(word)}" for name, word in place.items())


def grid(sliders: Sequence[Slider]) -> ipywidgets.Box:
    """Return the sliders in as many columns as fit (static/sliders.css says how)."""
    box = ipywidgets.Box([slider.widget() for slider in sliders])
    box.add_class("vizlib-sliders")
    return box


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


def encodable(value: Any) -> Any:
    """Return text, also in lists and dicts, with a ? for what cannot be sent or written.

    >>> encodable({"name": "conv" + chr(0xD800)})
    {'name': 'conv?'}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(each) for each in value]
    return value
