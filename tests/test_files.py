"""Files: whole or not at all, with the right mode, and never a wait before one is read."""

import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vizlib import files


@pytest.fixture
def umask():
    """A function that sets the umask, for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mask, expected):
    umask(mask)
    files.replace_whole(tmp_path / "new", "x")
    assert mode(tmp_path / "new") == expected


@pytest.mark.parametrize("before", [0o600, 0o640, 0o755, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, before):
    path = tmp_path / "old"
    path.write_text("old")
    path.chmod(before)
    files.replace_whole(path, "new")
    assert (path.read_text(), mode(path)) == ("new", before)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    files.replace_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_folders_are_made(tmp_path):
    files.replace_whole(tmp_path / "a" / "b" / "c.txt", b"x")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"x"


def test_text_is_utf_8_whatever_the_console_has(tmp_path):
    files.replace_whole(tmp_path / "a", "6×24×24 – 数")
    assert (tmp_path / "a").read_bytes() == "6×24×24 – 数".encode()


def write_with_room_for(room, path, content):
    """Write in a process whose files may have so many bytes, and return what it was told."""
    code = (
        "import resource, sys; from vizlib import files\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        f"try: files.replace_whole({str(path)!r}, b'n' * {content})\n"
        "except OSError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("size", [2_000, 3_000_000])
def test_a_disk_without_room_leaves_the_old_file_and_says_which(tmp_path, size):
    path = tmp_path / "mine"
    path.write_bytes(b"old")
    assert write_with_room_for(1_000, path, size) == (
        f"OSError {path} could not be written: File too large"
    )
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []

    def told(name, call):
        def tell(*args, **options):
            calls.append(name)
            return call(*args, **options)

        return tell

    monkeypatch.setattr(os, "fsync", told("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", told("rename", Path.replace))
    files.replace_whole(tmp_path / "a", "x")
    assert calls == ["fsync", "rename"]


@pytest.mark.parametrize("path", ["/proc/none/a", "{file}/a", "{folder}/" + "a" * 300])
def test_a_place_where_nothing_can_be_written_is_named(tmp_path, path):
    (tmp_path / "file").write_text("x")
    path = path.format(file=tmp_path / "file", folder=tmp_path)
    with pytest.raises(OSError, match=rf"^{path} could not be written: \w") as error:
        files.replace_whole(path, "x")
    assert "\n" not in str(error.value)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match=f"^{tmp_path} is a folder: name a file in it$"):
        files.replace_whole(tmp_path, "x")


def test_a_device_is_never_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=f"{pipe} is a pipe: name an ordinary file"):
        files.replace_whole(pipe, "x")
    assert pipe.is_fifo()


# --- What a killed process leaves ------------------------------------------------------------


def write_slowly(path):
    """Write, but sleep before the rename."""
    Path.replace = lambda *_: time.sleep(60)
    files.replace_whole(path, "half")


def parts(folder):
    return list(folder.glob("*.part"))


def until(happens):
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def slow(tmp_path):
    """Another process that is in the middle of writing `mine`."""
    process = multiprocessing.get_context("spawn").Process(
        target=write_slowly, args=(tmp_path / "mine",)
    )
    process.start()
    until(lambda: any(part.stat().st_size for part in parts(tmp_path)))
    yield process
    process.kill()
    process.join()


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path, slow):
    os.kill(slow.pid, signal.SIGKILL)
    slow.join()
    (part,) = parts(tmp_path)
    files.replace_whole(tmp_path / "mine", "new")
    assert part.exists()  # somebody may still be writing it
    os.utime(part, (0, 0))
    files.replace_whole(tmp_path / "mine", "whole")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_what_a_living_process_writes_is_left_alone(tmp_path, slow):
    before = parts(tmp_path)
    files.replace_whole(tmp_path / "mine", "whole")
    assert slow.is_alive()
    assert parts(tmp_path) == before


def test_the_parts_of_other_files_are_left_alone(tmp_path):
    for name in ("other12345678.part", "mine.part", "mine-and-more12345678.part"):
        (tmp_path / name).write_text("x")
    files.replace_whole(tmp_path / "mine", "whole")
    assert len(parts(tmp_path)) == 3


def test_many_threads_may_write_one_file(tmp_path):
    path, failures = tmp_path / "mine", []

    def write(letter):
        try:
            for _ in range(30):
                files.replace_whole(path, letter * 100_000)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert path.read_text() in {letter * 100_000 for letter in "abcdef"}
    assert parts(tmp_path) == []


# --- Before a file is read -------------------------------------------------------------------


def test_an_ordinary_file_may_be_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert files.check_readable(tmp_path / "a", most_bytes=5) == tmp_path / "a"
    assert files.check_readable(str(tmp_path / "a")) == tmp_path / "a"


def test_a_file_that_is_too_large_is_named_and_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ValueError, match="large has 3,000 MB, and at most 200 MB are read: is it"):
        files.check_readable(tmp_path / "large", most_bytes=200e6)


@pytest.mark.parametrize("name", ["gone", "a" * 5_000, "zero\0byte", "loop", "file/below"])
def test_what_is_not_there_is_told(tmp_path, name):
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="^there is no file "):
        files.check_readable(tmp_path / name)


def test_a_folder_is_told(tmp_path):
    with pytest.raises(IsADirectoryError, match=f"^{tmp_path} is a folder: name a file in it$"):
        files.check_readable(tmp_path)


def test_pipes_devices_and_sockets_are_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, kind in (("pipe", "pipe"), ("socket", "socket"), ("/dev/zero", "device")):
            with pytest.raises(ValueError, match=f"^{name} is a {kind}: name an ordinary file$"):
                files.check_readable(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(PermissionError, match="secret may not be read: ask its owner"):
        files.check_readable(tmp_path / "secret")
