"""The names of stages: how calls are counted, and which ones are asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from vizlib.capture._kinds import HIDDEN, Layer, function


class Names:
    """Counts the calls of each path, and knows which stages are asked for.

    `wanted` holds names, patterns and kinds; all stages are asked for where it is None.
    """

    def __init__(self, layers: Iterable[Layer], wanted: str | Sequence[str] | None) -> None:
        self._layers = list(layers)
        self.wanted = [wanted] if isinstance(wanted, str) else wanted
        # The stages so far, asked for or not, with their kinds.
        self.seen: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Count calls from one again."""
        self._first = {layer.path for layer in self._layers if layer.kind is not None}
        self._calls = dict.fromkeys(self._first, 1)

    def of(self, path: str, module: nn.Module | None = None) -> str:
        """Return the name of a call: `relu`, `relu:2`; a module's first call has its path."""
        if module is not None and path in self._first:
            self._first.discard(path)
            return path
        count = self._calls[path] = self._calls.get(path, 0) + 1
        return numbered(path, count)

    def wants(self, name: str, kind: str) -> bool:
        """Say whether a stage is asked for."""
        return self.wanted is None or any(_matches(entry, name, kind) for entry in self.wanted)

    def refuse_unmatched(self) -> None:
        """Raise where an entry matched no stage at all."""
        for entry in self.wanted or []:
            if not any(_matches(entry, name, kind) for name, kind in self.seen.items()):
                self._refuse(entry)

    def refuse_unknown(self) -> None:
        """Raise where an entry can only be a module and there is none of that name."""
        modules = self.modules()
        for entry in self.wanted or []:
            base = entry.partition(":")[0]
            is_function = function(base.rpartition(".")[2])[2] is not None
            if base not in modules and not is_function:
                raise UnknownStageError(no_such(entry, modules))

    def modules(self) -> list[str]:
        """Return the names of the stages that the modules can be."""
        names: list[str] = []
        for path, _, kind in self._layers:
            is_inside = names and path.startswith(f"{names[-1]}.")
            if kind not in {None, HIDDEN} and not is_inside:
                names.append(path)
        return names

    def _refuse(self, entry: str) -> None:
        modules = self.modules()
        names = list(dict.fromkeys([*modules, *self.seen]))
        if entry.partition(":")[0] in names:
            called = ", ".join(self.seen)
            raise UnknownStageError(f"this forward pass did not call {entry!r}, only {called}")
        is_all = self.seen.keys() >= set(modules)
        raise UnknownStageError(no_such(entry, self.seen if is_all else names))


def numbered(path: str, count: int) -> str:
    """Return the name of a layer's first, second … call: `relu`, `relu:2`."""
    return path if count == 1 else f"{path}:{count}"


def _matches(entry: str, name: str, kind: str) -> bool:
    return kind == entry or fnmatchcase(name, entry)


class UnknownStageError(KeyError):
    """No stage has that name; the message lists those that there are."""

    def __str__(self) -> str:
        """Return the sentence itself, where KeyError would show it in quotes."""
        return self.args[0]


def no_such(name: str, names: Iterable[str]) -> str:
    """Return the sentence that says so, with the closest names and the list."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"no stage is called {name!r}; {hint}this model has {', '.join(names) or 'none'}"
