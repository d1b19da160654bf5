"""Which stages are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from vizlib.capture._kinds import KINDS, OPERATIONS, Layer


class Wanted:
    """Which stages are asked for: by name, pattern or kind; all of them where nothing is said."""

    def __init__(self, entries: str | Sequence[str] | None) -> None:
        self.entries = [entries] if isinstance(entries, str) else entries

    def __call__(self, name: str, kind: str) -> bool:
        """Say whether a stage is asked for."""
        return self.entries is None or any(self._matches(e, name, kind) for e in self.entries)

    def may_become(self, layer: Layer) -> bool:
        """Say whether a call of this module, be it the first or the tenth, is asked for."""
        entries = self.entries or []
        return any(self._matches(e.partition(":")[0], layer.path, layer.kind) for e in entries)

    def unmatched(self, names: Mapping[str, Any]) -> Iterator[str]:
        """Yield the entries that no stage answered to."""
        for entry in self.entries or []:
            if not any(self._matches(entry, name, names[name]) for name in names):
                yield entry

    def names_functions(self, layers: Sequence[Layer]) -> bool:
        """Say whether an entry may mean a function, or a name that there is not at all."""
        return self.entries is None or any(_open(e, layers) for e in self.entries)

    @staticmethod
    def _matches(entry: str, name: str, kind: str | None) -> bool:
        return kind is not None and (kind == entry or fnmatchcase(name, entry))


def _open(entry: str, layers: Sequence[Layer]) -> bool:
    base = entry.partition(":")[0]
    is_path = any(layer.path == base and layer.kind for layer in layers)
    operation = base.rpartition(".")[2]
    return not is_path or entry in KINDS or operation in OPERATIONS
