"""MNIST's four files: found on disk, checked, or downloaded within a deadline."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import math
import os
import threading
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vizlib import files

VALIDATION = 5_000
_DIGITS = range(10)
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_AXES = (3, 1)  # of the images, and of their labels
_MOST_BYTES = 100_000_000  # the largest file has 47 million
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_DEADLINE = 10.0  # seconds for everything: a class waits
_PATIENCE = 5.0  # seconds for one mirror to say something
_has_failed = threading.Event()  # a download is tried once a session


# --- On disk -------------------------------------------------------------------------------


def folder_in(place: str | Path) -> Path | None:
    """Return the folder with the four files: `place`, or MNIST/raw or raw in it; None if none.

    `~` is the home, and the files may be packed (.gz).
    """
    below = ("MNIST/raw", "raw", ".")
    folders = (Path(os.path.expanduser(place), each) for each in below)  # noqa: PTH111 - a place without a home is no error
    return next((each for each in folders if all(_file(each / name) for name in _SHA256)), None)


def _file(path: Path) -> Path | None:
    """Return the path of a file as it lies there, packed or not."""
    either = (path, path.with_name(f"{path.name}.gz"))
    return next((each for each in either if os.path.isfile(each)), None)  # noqa: PTH113 - Path.is_file raises for long names


def read(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return images uint8 (N, 28, 28) and labels int64 (N,) of "train" and "test".

    Raises ValueError, which names the file, where one is damaged.
    """
    return {part: _pair(folder, part) for part in _FILES}


def _pair(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    paths = [folder / name for name in _FILES[part]]
    images, labels = map(_array, paths, _AXES)
    fault = _fault(images, labels, least=VALIDATION + 1 if part == "train" else 1)
    if fault:
        raise ValueError(f"{paths[0]} is damaged: {fault}; delete the folder and load again")
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def _fault(images: np.ndarray, labels: np.ndarray, least: int) -> str | None:
    """Return what is wrong with images and labels that can be read."""
    if images.shape != (len(labels), 28, 28):
        return f"it holds {images.shape} images for {len(labels)} labels"
    if len(labels) < least:
        return f"it holds {len(labels):,} images, and at least {least:,} are needed"
    if labels.max() not in _DIGITS:
        return f"one of its labels is {labels.max()}, and there are 0 to 9"
    return None if images.any() else "all its images are black"


def _array(path: Path, axes: int) -> np.ndarray:
    """Read one file in the format that MNIST's page describes: type, sizes, then the bytes."""
    content = _content(path)
    start = 4 + 4 * axes
    is_right = len(content) >= start and content[:4] == bytes([0, 0, 8, axes])
    shape = np.frombuffer(content, ">u4", axes, offset=4).tolist() if is_right else []
    expected = start + math.prod(shape)
    if not is_right or len(content) != expected:
        found = f"it has {len(content):,} bytes" + (f", not {expected:,}" if is_right else "")
        raise ValueError(f"{path} is damaged: {found}; delete the folder and load again")
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    file = files.check_readable(_file(path) or path, _MOST_BYTES)
    content = file.read_bytes()
    try:
        return content if file == path else _unpacked(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} is damaged: {error}; delete the folder and load again") from None


def _unpacked(content: bytes) -> bytes:
    # Not a byte more, whatever a strange file would unpack to.
    return gzip.GzipFile(fileobj=io.BytesIO(content)).read(_MOST_BYTES)


# --- From a mirror -------------------------------------------------------------------------


def download(cache: Path) -> Path | None:
    """Fetch MNIST into the user's cache and return its folder, in at most ten seconds.

    None where that fails, and from then on at once, as long as this process lives.
    """
    if _has_failed.is_set():
        return None
    with contextlib.suppress(OSError):
        for name, content in files.in_time(_fetch, _DEADLINE).items():
            files.replace_whole(cache / "MNIST" / "raw" / name, content)
        return folder_in(cache)
    _has_failed.set()
    return None


def _fetch() -> dict[str, bytes]:
    """Return the four files, unpacked, from the first mirror that has them."""
    for mirror in _MIRRORS:
        with contextlib.suppress(Exception):  # servers and proxies say the strangest things
            return {name: _checked(name, _get(f"{mirror}{name}.gz")) for name in _SHA256}
    raise OSError("no mirror has the four files")


def _get(url: str) -> bytes:
    # An opener of its own heeds the proxies of now, not those of the process's first request.
    with urllib.request.build_opener().open(url, timeout=_PATIENCE) as response:
        return response.read(_MOST_BYTES)


def _checked(name: str, packed: bytes) -> bytes:
    content = _unpacked(packed)
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise ValueError(f"what was downloaded is not {name}")
    return content
