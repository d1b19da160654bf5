"""A checkpoint: all that a training needs to go on, in a file that tells when it is damaged."""

from __future__ import annotations

import pickle
import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from vizlib import files

_SUM = sha256().digest_size
_MOST_BYTES = 8_000_000_000  # the largest checkpoint that is read
_PARTS = {"history", "model", "mean", "best", "snapshots"}
_PARTS |= {"optimizer", "schedule", "order", "random", "steps"}
# What torch raises for a file that holds something else than tensors, numbers and texts.
_FOREIGN = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError)


def write(path: Path, state: dict[str, Any]) -> None:
    """Write the state as torch does, and its checksum behind it; OSError where there is no room."""
    memory = BytesIO()
    torch.save(state, memory)
    content = memory.getvalue()
    files.replace_whole(path, content + sha256(content).digest())


def read(path: Path) -> dict[str, Any]:
    """Return the state that `write` wrote; ValueError for any other content, to the last bit."""
    content = files.check_readable(path, _MOST_BYTES).read_bytes()
    content, checksum = content[:-_SUM], content[-_SUM:]
    try:
        if sha256(content).digest() != checksum:
            raise ValueError("its checksum is wrong")
        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        if missing := _PARTS - set(state):
            raise ValueError(f"it lacks {missing}")
    except _FOREIGN:
        raise ValueError(
            f"{path} is damaged or was written by another program, and cannot be resumed from: "
            "delete it and start anew, or take a copy of it"
        ) from None
    return state


def refuse_unwritable(path: Path) -> None:
    """Say before hours of training where no checkpoint can be written: OSError or ValueError."""
    if path.exists():
        files.check_readable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise type(error)(
            f"{path} could not be written: {error.strerror}; choose another place"
        ) from None
