"""What all explorers have in common: a figure for print, a picture, a page of their own."""

from __future__ import annotations

import base64
import functools
import html
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import anywidget
import ipywidgets
import traitlets

from vizlib import files, plots
from vizlib.explore._lifetime import hold_weakly, parts, show, weakly
from vizlib.explore._recordings import LARGEST
from vizlib.explore._sliders import Slider, encodable, grid, links, written

STATIC = Path(__file__).parent / "static"
# What a reader of a saved lesson is told, above the picture of a view.
RUN_ME = "Only a picture: run this cell in JupyterLab (Shift + Enter) to use the view."
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)


def script(*names: str) -> str:
    """Return modules of `static` as one, each after those that it imports.

    Neither a widget nor a page from the disk may import another file.
    """
    return "\n".join(_IMPORT.sub("", (STATIC / name).read_text("utf-8")) for name in names)


class Canvas(anywidget.AnyWidget):
    """What Python and the browser tell each other; the files in `static` paint it."""

    # The sliders that are not shown here, such as those that the front end has itself.
    within: tuple[str, ...] = ()

    def get_state(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Return the traits for the browser, in text that can be sent."""
        return encodable(super().get_state(*arguments, **more))

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the browser, in text that can be sent."""
        super().send(encodable(content), buffers)


def sliding(front: Any, sliders: Sequence[Slider], **traits: Any) -> Canvas:
    """Return a front end with traits for where each slider stands, and for how far it goes."""
    place = {slider.name: slider.index for slider in sliders}
    ends = {f"last_{slider.name}": slider.count - 1 for slider in sliders}
    return _with(front, *place, *ends)(**place, **ends, **traits)


@functools.cache
def _with(front: Any, *names: str) -> type[Canvas]:
    # Under the front end's own name: a notebook keeps one style for each name.
    places = {name: traitlets.Int().tag(sync=True) for name in names}
    return type(front.__name__, (front,), {"__module__": front.__module__, **places})


class Explorer(ipywidgets.VBox):
    """Sliders over a canvas, and a figure for readers without a kernel.

    It is freed when nobody holds it any more, and `close()` frees at once all that it is made of.
    """

    def __init__(self, name: str, sliders: Sequence[Slider], canvas: Canvas) -> None:
        """Link the sliders to the canvas in the browser; `name` is what the view says of itself."""
        self._canvas, self._sliders, self._name = canvas, list(sliders), encodable(name)
        linked = [slider for slider in sliders if slider.name not in canvas.within]
        self._page_sliders = linked  # those that a page puts above the canvas
        above = [grid(linked)] if linked else []
        super().__init__([*above, canvas])
        hold_weakly(self)
        self._links = links(linked, [each for box in above for each in box.children], canvas)
        self.add_class("vizlib")
        canvas.on_msg(weakly(self._answer))

    def figure(self) -> plots.Figure:
        """Return the view as it is now as a figure for print."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the view with all that it holds, and take it off the page."""
        if self.comm is None or sys.is_finalizing():
            return
        for part in list(parts(self)):
            part.close()
        self._release()
        super().close()

    def _release(self) -> None:
        """Let go of what is large."""
        for link in self._links:
            link.close()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs)
        show(self)
        try:
            picture = plots.together([plots.words([RUN_ME])], [self.figure()]).to_png()
        except ValueError:  # a network that diverged has values without a colour
            return bundle
        return {**bundle, "image/png": base64.b64encode(picture).decode("ascii")}

    def __repr__(self) -> str:
        """Return what is shown."""
        return self._name

    @property
    def place(self) -> dict[str, int]:
        """Where each slider stands."""
        return {slider.name: getattr(self._canvas, slider.name) for slider in self._sliders}

    @property
    def state(self) -> str:
        """The place as text, which the explorer takes as `state=…`."""
        return written(self.words())

    def words(self) -> dict[str, str]:
        """Return what each slider stands at, by its name."""
        return {s.name: s.word_of(self.place[s.name]) for s in self._sliders}

    def _answer(self, _canvas: object, asked: dict[str, Any], _buffers: object) -> None:
        """Send what the browser asks for."""
        try:
            content, buffers = self._reply(asked)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told where it is seen
            content, buffers = {"error": f"{type(error).__name__}: {error}"}, None
        self._canvas.send(content, buffers)

    def _reply(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to a question of the browser, its bytes apart."""
        raise NotImplementedError

    def to_html(self, path: str | Path, *, recorded: bool = False) -> Path:
        """Write a page that slides without kernel or network, and return its path.

        The page is one file that holds all it needs; the file appears whole or not at all. A
        network computes there, where the page knows all of its operations; else what was recorded
        is shown, and a sentence says why. With `recorded`, that is shown in any case: such a page
        has no weights in it.
        """
        path = Path(path)
        files.replace_whole(path, self._page(self._everything(recorded=recorded)))
        return path

    def _everything(self, *, recorded: bool) -> dict[str, Any]:
        """Return the traits that hold more in a page than here, where a kernel can be asked.

        With `recorded`, nothing is to be computed in the page.
        """
        raise NotImplementedError

    def _fitting(self, parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what a page is to hold besides; raise ValueError where that is too much."""
        found: list[dict[str, Any]] = []
        buffers: dict[bytes, int] = {}
        for part in parts:
            found.append(part)
            apart(part, buffers)
            if sum(map(len, buffers)) > LARGEST:
                raise ValueError(
                    f"a page of {self!r} would be larger than {LARGEST >> 20} MB; give the view "
                    "fewer images"
                )
        return found

    def _page(self, more: dict[str, Any]) -> str:
        canvas = self._canvas
        names = set(canvas.traits(sync=True)) - set(anywidget.AnyWidget.class_traits(sync=True))
        traits = {name: getattr(canvas, name) for name in names if name[0] != "_"} | more
        buffers: dict[bytes, int] = {}
        sliders = [
            {
                "name": slider.name,
                "words": None if isinstance(slider.options, int) else list(slider.options),
                "last": slider.count - 1,
            }
            for slider in self._page_sliders
        ]
        return Template((STATIC / "page.html").read_text("utf-8")).substitute(
            title=html.escape(self._name),
            style=canvas._css,  # noqa: SLF001 - our own widget
            script=canvas._esm + script("page.js"),  # noqa: SLF001
            state=in_script(apart(traits, buffers)),
            sliders=in_script(sliders),
            buffers=in_script([base64.b64encode(each).decode("ascii") for each in buffers]),
        )


def in_script(value: Any) -> str:
    """Return `value` as JavaScript in ASCII, in which no name can end or open a tag."""
    return json.dumps(value).replace("<", "\\u003c")


def apart(value: Any, buffers: dict[bytes, int]) -> Any:
    """Return `value` for JSON: bytes go to `buffers`, equal ones once, and their number stays."""
    match value:
        case bytes() | memoryview():
            return {"buffer": buffers.setdefault(bytes(value), len(buffers))}
        case dict():
            return {key: apart(each, buffers) for key, each in value.items()}
        case list() | tuple():
            return [apart(each, buffers) for each in value]
        case _:
            return value
