"""Keep what layers give without copying it, for as long as nothing writes on it.

A copy of every output costs a forward pass more memory than arithmetic. So an output is *lent* to
the recording, and copied when something is about to write on it or to pass it on. That is nearly
always seen: torch's own layers say what they do to their input, whatever other code calls is a
function and passes the watch, and before a layer that is somebody else's own every loan ends. What
no watch sees, such as another thread that writes, torch counts in the version of the tensor. What
somebody still holds after the forward pass is copied then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vizlib.capture._effects import OVERWRITES, PASSES_ON, READS
from vizlib.capture._stages import Row
from vizlib.capture._tensors import tensors


class _Loan(NamedTuple):
    """A tensor, the row that it is lent to or None, and how often it had been written on then."""

    tensor: Tensor
    row: int | None
    version: int


class Loans:
    """The rows of a recording that hold tensors which the running network still works with."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._loans: dict[int, _Loan] = {}  # by the tensor's id
        self._gives_new = False
        self._is_broken = False

    def before(self, effect: str | None, given: Sequence[Any]) -> None:
        """End the loans that the next call may break: all of them where nothing is known of it."""
        self._gives_new = effect == READS
        if self._gives_new:
            return
        met = [id(tensor) for tensor in tensors(given)]
        if effect == OVERWRITES and met:
            self._copy(met[0])
        else:
            self._end(met if effect == PASSES_ON and met else list(self._loans))

    def lend(self, tensor: Tensor) -> bool:
        """Lend what the call has given to the next row, unless others may have it too."""
        if type(tensor) is not Tensor or not tensor.is_cpu or tensor.requires_grad:
            return False
        loan = self._loans.get(id(tensor))
        if not self._gives_new and loan is None:
            return False
        # What a row holds is not new: somebody changed a layer while the network ran.
        self._is_broken |= loan is not None and loan.row is not None
        version = _version(tensor)
        if version is None:
            return False
        self._loans[id(tensor)] = _Loan(tensor, len(self._rows), version)
        return True

    def settle(self) -> bool:
        """Copy what somebody still holds, and say whether every row is as it was noted."""
        while self._loans:
            _, (tensor, row, version) = self._loans.popitem()
            if row is None:
                continue
            self._is_broken |= _version(tensor) != version
            if sys.getrefcount(tensor) > _OURS:
                self._rows[row] = _copied(self._rows[row])
        return not self._is_broken

    def _copy(self, key: int) -> None:
        """Give a row a copy of its own; its tensor may be lent again."""
        loan = self._loans.get(key)
        if loan is not None and loan.row is not None:
            self._is_broken |= _version(loan.tensor) != loan.version
            self._rows[loan.row] = _copied(self._rows[loan.row])
            self._loans[key] = loan._replace(row=None)

    def _end(self, keys: Iterable[int]) -> None:
        for key in keys:
            self._copy(key)
            self._loans.pop(key, None)


# The references to a tensor that nobody else holds: a row's, a variable's, a parameter's.
_OURS = 3


def _copied(row: Row) -> Row:
    layer, values, *rest = row
    return (layer, values.clone(), *rest)


def _version(tensor: Tensor) -> int | None:
    """Return how often a tensor was written on; None in inference mode, where nobody counts."""
    try:
        return tensor._version  # noqa: SLF001 - torch's only name for it
    except RuntimeError:
        return None
