"""Files: written whole or not at all, and looked at before they are read.

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
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


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
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise ValueError(f"{path} is {kind}: name an ordinary file")


def replace_whole(path: str | Path, content: bytes | memoryview | str) -> None:
    """Write a file: who looks at `path` sees what was there before, or all of `content`.

    Folders that are not there are made; a link is followed. The file keeps its mode, and a new
    one gets the mode that the umask leaves. What a killed process left half written is removed.
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
        _sync_folder(target.parent)
    except OSError as error:
        if error.strerror is None:
            raise  # a sentence of ours
        raise type(error)(f"{path} could not be written: {error.strerror}") from None


def _replace(path: Path, content: bytes | memoryview) -> None:
    mode = _mode(path)
    with _part(path) as part:
        part.write(content)
        part.flush()
        # After a power cut there must not be an empty file under the new name.
        os.fsync(part.fileno())
        if mode is not None:
            Path(part.name).chmod(mode)
        if os.name == "nt":
            part.close()  # Windows renames no open file
        Path(part.name).replace(path)


def _mode(path: Path) -> int | None:
    """Return the mode of the file that is there, if any."""
    if not path.exists():
        return None
    status = path.stat()
    _refuse_special(path, status)
    return stat.S_IMODE(status.st_mode)


@contextlib.contextmanager
def _part(path: Path) -> Iterator[IO[bytes]]:
    """Make a file beside `path`, locked while this process lives, and remove it at the end."""
    part = _locked_part(path)
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):  # closing writes what a full disk had no room for
            part.close()
        Path(part.name).unlink(missing_ok=True)


def _locked_part(path: Path) -> IO[bytes]:
    part = path.with_name(f"{path.name}{secrets.token_hex(4)}.part")
    file = part.open("xb")
    _lock(file, wait=True)
    if part.exists():
        return file
    file.close()  # somebody took it for a leftover in the moment before it was locked
    return _locked_part(path)


def _lock(file: IO[bytes], *, wait: bool) -> None:
    """Lock an open file; if not to `wait`, raise BlockingIOError where another has locked it."""
    if sys.platform != "win32":  # there, a file that is open cannot be removed
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _remove_leftovers(path: Path) -> None:
    """Remove the parts of `path` that processes left behind which were killed."""
    for part in path.parent.glob(f"{glob.escape(path.name)}????????.part"):
        with contextlib.suppress(OSError), part.open("rb") as file:
            _lock(file, wait=False)
            part.unlink()


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # Windows and some network disks know no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
