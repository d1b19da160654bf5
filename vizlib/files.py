"""Files: written whole or not at all, looked at before they are read, downloaded in time.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "page.html"
...     replace_whole(path, "<p>done</p>")
...     check_readable(path, most_bytes=1_000).read_text()
'<p>done</p>'
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

# By the letter that `ls -l` begins with.
_KINDS = {"p": "a pipe", "c": "a device", "b": "a device", "s": "a socket"}
_LONG = 3600  # seconds: nobody takes so long to write a file

T = TypeVar("T")


def check_readable(path: str | Path, most_bytes: float = float("inf")) -> Path:
    """Return `path` if it is an ordinary file that may be read, of at most so many bytes.

    Nothing of it is read, so that nothing waits: a pipe would wait for ever. Raises
    FileNotFoundError, IsADirectoryError or PermissionError, and ValueError for a pipe, a device
    or a file that is too large. Each says so in one sentence that names the file.

    >>> check_readable("/nowhere.png")
    Traceback (most recent call last):
    FileNotFoundError: there is no file /nowhere.png
    """
    path = Path(path)
    try:
        status = path.stat()
    except (OSError, ValueError):  # also a name that is too long, and one with a zero byte
        raise FileNotFoundError(f"there is no file {path}") from None
    _refuse_special(path, status)
    if status.st_size > most_bytes:
        size, most = (f"{number / 1e6:,.0f} MB" for number in (status.st_size, most_bytes))
        raise ValueError(f"{path} has {size}, and at most {most} are read: is it the right file?")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read: ask its owner, or copy it first")
    return path


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.filemode(status.st_mode)[0], "no file")
        raise ValueError(f"{path} is {kind}: name an ordinary file")


def replace_whole(path: str | Path, content: bytes | memoryview | str) -> None:
    """Write a file: who looks at `path` sees what was there before, or all of `content`.

    Folders that are not there are made; a link is followed. The file keeps its mode, and a new
    one gets the mode that the umask leaves. What a killed
    process left half written is removed an hour later.
    Raises OSError, with a sentence that names the file, where it cannot be written, and
    ValueError where `path` is a pipe or a device. What was there before is then unchanged.
    """
    target = Path(os.path.realpath(path))
    if isinstance(content, str):
        content = content.encode(errors="replace")  # a file's name may be no text
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        _replace(target, content)
    except OSError as error:
        if error.strerror is None:
            raise  # a sentence of ours
        raise type(error)(f"{path} could not be written: {error.strerror}") from None


def _replace(path: Path, content: bytes | memoryview) -> None:
    if path.exists():
        _refuse_special(path, path.stat())
    part = path.with_name(f"{path.name}{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            # After a power cut there must not be an empty file under the new name.
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the parts of `path` that processes left behind which were killed."""
    for part in path.parent.glob(f"{glob.escape(path.name)}????????.part"):
        with contextlib.suppress(OSError):
            if part.stat().st_mtime < time.time() - _LONG:
                part.unlink()


def in_time(work: Callable[[], T], seconds: float) -> T:
    """Return `work()`, such as a download, within so many seconds.

    Raises TimeoutError where it takes longer, and OSError where it fails.
    """
    # Neither a name's look-up nor a proxy's silence can be ended, so that nobody waits for them.
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001 - servers and proxies say the strangest things
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(max(0, seconds))
    except Exception as error:
        if not answer.done():
            raise TimeoutError(f"it took longer than {seconds:.0f} s") from None
        raise OSError(str(getattr(error, "reason", error))) from error
