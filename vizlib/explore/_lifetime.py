"""A view lives as long as somebody holds it or a cell shows it; then all of it is freed.

ipywidgets holds each widget until it is closed, and IPython each value that ended a cell. A view
holds a network and what its layers made, often a hundred megabytes, so both are told to let go.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
from IPython import get_ipython
from ipywidgets.widgets.widget import _instances

# The views that the running cell has shown, and those that each cell showed when it last ran.
_new: list[ipywidgets.Widget] = []
_shown: dict[str, list[ipywidgets.Widget]] = {}


def weakly(method: Callable[..., object]) -> Callable[..., None]:
    """Return a function that calls the method of an object without holding the object."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        if (living := reference()) is not None:
            living(*arguments)

    return call


def hold_weakly(widget: ipywidgets.Widget) -> None:
    """Let ipywidgets find the widget, but hold it no longer than others do."""
    _instances[widget.model_id] = weakref.proxy(widget)
    widget.comm.on_msg(weakly(widget._handle_msg))  # noqa: SLF001 - ipywidgets offers no other way


def parts(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """Yield the widgets that this one is made of: children, layouts and styles."""
    for name in widget.keys:
        value = getattr(widget, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, ipywidgets.Widget):
                yield from parts(each)
                yield each


def show(view: ipywidgets.Widget) -> None:
    """Hold a view until the cell that shows it runs again."""
    shell = get_ipython()
    if shell is None:
        return
    _new.append(view)
    if _cell_has_run not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _cell_has_run)


def is_shown(view: ipywidgets.Widget) -> bool:
    """Return whether the running cell, or another one, shows the view."""
    return any(view is each for views in (_new, *_shown.values()) for each in views)


def _cell_has_run(result: Any) -> None:
    """Let go of the views that this cell showed before: their pictures are gone."""
    cell = result.info.cell_id or result.info.raw_cell
    former = _shown.pop(cell, [])
    if open_ := [view for view in _new if view.comm is not None]:
        _shown[cell] = open_
    _new.clear()
    seen = {id(view) for views in _shown.values() for view in views}
    for view in former:
        if id(view) not in seen:
            _forget(view)


def _forget(view: ipywidgets.Widget) -> None:
    """Take a view out of IPython's `Out` and `_`."""
    shell = get_ipython()
    out = shell.user_ns["_oh"]
    numbers = [number for number, value in out.items() if value is view]
    shell.drop_by_id(dict.fromkeys(["_", "__", "___", *(f"_{number}" for number in numbers)], view))
    for number in numbers:
        del out[number]
    for name in ("_", "__", "___"):
        if getattr(shell.displayhook, name) is view:
            setattr(shell.displayhook, name, "")
