"""Handwritten digits as tensors, and batches of them without per-sample work.

MNIST where it can be had, and otherwise 1,797 real digits that travel with scikit-learn, so that
every lesson runs on a machine without a network. The images stay bytes; a batch is cut out of one
tensor, on the device that trains, and normalized there.

>>> digits = load("digits")
>>> images, labels = next(iter(digits.batches("train", 64)))
>>> images.shape, labels.shape
(torch.Size([64, 1, 28, 28]), torch.Size([64]))
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor
from torch.nn import functional as F

from vizlib import words
from vizlib.data import _mnist
from vizlib.data._affine import Affine, affine

__all__ = ["Affine", "Batches", "Digits", "Split", "affine", "as_tensor", "load", "normalize"]

# Of MNIST's 60,000 training images after scaling to 0…1: the numbers that every tutorial uses.
MEAN, STD = 0.1307, 0.3081
SPLITS = ("train", "val", "test")
NAMES = ("auto", "mnist", "digits")
_AT_ONCE = 16  # batches cut out of the images together where a GPU waits for each launch


# What `batches(augment=…)` calls: it returns changed copies of images (N, 1, 28, 28) in 0…1, and
# draws every random number from the generator.
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Split:
    """One part of a data set: `images` uint8 (N, 28, 28) in 0…255 and `labels` int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        """Return how many images there are, not their pixels."""
        return f"Split({len(self):,} images)"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> tuple[Tensor, Tensor]:
        """Return the images and labels at `index`."""
        return self.images[index], self.labels[index]


@dataclass(frozen=True)
class Digits:
    """A data set of handwritten digits, white ink on black, in three splits that share nothing.

    `name` is "mnist" or "digits"; `mean` and `std` are what `normalize` subtracts and divides by.
    """

    name: str
    train: Split
    val: Split
    test: Split
    mean: float = MEAN
    std: float = STD

    def split(self, name: str) -> Split:
        """Return the split called "train", "val" or "test"; raise ValueError for another name."""
        if name not in SPLITS:
            raise ValueError(words.unknown("split", name, SPLITS))
        return getattr(self, name)

    def normalize(self, images: Tensor) -> Tensor:
        """Turn bytes (N, 28, 28) into the network's input: float32 (N, 1, 28, 28), about -0.4…2.8.

        Scaling to 0…1 and then subtracting the mean and dividing by the standard deviation gives
        inputs with mean 0 and variance 1 over the training set. One image (28, 28) becomes a
        batch of one.
        """
        return normalize(images, self.mean, self.std)

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        device: str | torch.device = "cpu",
        shuffle: bool = False,
        augment: Augment | None = None,
        generator: torch.Generator | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> Batches:
        """Return an iterable over (images (N, 1, 28, 28) normalized, labels (N,)) on `device`.

        `shuffle` draws a new order for every pass, and `augment` changes the images (see
        `Affine`); both take their random numbers from `generator` (default: one seeded with 0).
        With `share=(rank, world)` each batch is dealt out to `world` processes and this one gets
        every `world`-th image of it; `len()` and the batch size are those of the whole. On a GPU
        sixteen batches are cut out and changed together: it takes them faster than one by one.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but was {batch_size}")
        part = self.split(split)
        images, labels = part.images.to(device), part.labels.to(device)
        generator = generator or torch.Generator().manual_seed(0)
        at_once = _AT_ONCE if images.is_cuda and share[1] == 1 else 1
        return Batches(
            images, labels, self, batch_size, shuffle, augment, generator, share, at_once
        )


@dataclass
class Batches:
    """One pass after another over a split; see `Digits.batches`."""

    images: Tensor
    labels: Tensor
    digits: Digits
    batch_size: int
    shuffle: bool
    augment: Augment | None
    generator: torch.Generator = field(repr=False)
    share: tuple[int, int]
    at_once: int = 1

    def __len__(self) -> int:
        """Return the number of batches in a pass; the last one may be smaller."""
        return math.ceil(len(self.labels) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in batches."""
        count = len(self.labels)
        order = (
            torch.randperm(count, generator=self.generator) if self.shuffle else torch.arange(count)
        )
        for rows in order.to(self.images.device).split(self.batch_size * self.at_once):
            cut = (part.split(self.batch_size) for part in self._batch(rows))
            yield from zip(*cut, strict=True)

    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        # index_select copies whole images: seven times as fast as images[rows], which looks at
        # every pixel by itself.
        images = self.images.index_select(0, rows)
        if self.augment:
            mean, std = self.digits.mean, self.digits.std
            # Floats are somebody's own, and normalized already.
            is_own = images.is_floating_point()
            fractions = images * std + mean if is_own else _as_fractions(images)
            images = (self.augment(fractions, self.generator) - mean).div_(std)
        else:
            images = self.digits.normalize(images)
        # The whole batch is changed before it is dealt out: random numbers stay in step in
        # every process, so two processes see just what one would have seen.
        rank, world = self.share
        return images[rank::world], self.labels.index_select(0, rows[rank::world])


def normalize(images: Any, mean: float = MEAN, std: float = STD) -> Tensor:
    """Turn bytes (N, 28, 28) in 0…255 into a network's input, float32 (N, 1, 28, 28).

    Scaled to 0…1, less the mean, divided by the standard deviation: about -0.4…2.8 for MNIST.
    One image (28, 28) becomes a batch of one. Raises ValueError for colours (N, 3, H, W), and for
    floats that are fractions or normalized already.

    >>> normalize(np.full((28, 28), 255, np.uint8)).max()
    tensor(2.8215)
    """
    return _as_fractions(as_tensor(images)).sub_(mean).div_(std)


def _as_fractions(images: Tensor) -> Tensor:
    if images.dim() > len("NHW") and images.shape[1] != 1:
        raise ValueError(
            f"images must be grey (N, H, W), but were {tuple(images.shape)}; for colours give "
            "floats (N, C, H, W), often images.float() / 255"
        )
    if images.is_floating_point() and images.numel():
        low, high = images.aminmax()
        if low < 0 or 0 < high <= 1:
            raise ValueError(
                f"images must be in 0…255, but were in {low:.3g}…{high:.3g}; multiply fractions by "
                "255, and give a network what is normalized already as it is"
            )
    # A copy also where they are floats already: the rest is done in place.
    return images.reshape(-1, 1, *images.shape[-2:]).to(torch.float32, copy=True).div_(255)


def load(name: str = "auto", root: str | Path | None = None, *, download: bool = True) -> Digits:
    """Load handwritten digits as three splits of uint8 images (N, 28, 28) and int64 labels (N,).

    `name` is one of

    * "mnist";
    * "digits": scikit-learn's 1,797 digits, enlarged;
    * "auto": MNIST if it can be had, else the digits, with one line on stderr that says so.

    MNIST is looked for in `root`, then `$VIZLIB_DATA`, then `./data`, then the user's cache: in
    the folder itself, in `raw` or in `MNIST/raw`, packed (.gz) or not. Where it is in none of
    them, it is downloaded into the cache; that takes at most ten seconds and is tried once a
    session. The validation split is the last 5,000 of a seeded permutation of the training set.

    Raises ValueError for an unknown name or a damaged file, and FileNotFoundError where "mnist"
    is asked for and can neither be found nor downloaded.
    """
    if name not in NAMES:
        raise ValueError(words.unknown("data set", name, NAMES))
    if name == "digits":
        return _embedded()
    cache = _cache()
    named = {"root": root, "VIZLIB_DATA": os.environ.get("VIZLIB_DATA")}
    places = [place for place in (*named.values(), "data", cache) if place]
    folder = next(filter(None, map(_mnist.folder_in, places)), None)
    passed_over = _passed_over(named)
    if folder is None and cache and download:
        folder = _mnist.download(cache)
    if folder is not None:
        if passed_over:
            sys.stderr.write(f"{passed_over}: reading it from {folder}\n")
        return _from_mnist(folder)
    if name == "mnist":
        raise FileNotFoundError(
            f"MNIST is in none of {words.listed(places)}, and could not be downloaded; "
            "set VIZLIB_DATA to the folder that holds MNIST/raw, or load('digits')"
        )
    sys.stderr.write(
        f"{passed_over or 'MNIST is not on disk'}, and it cannot be downloaded: "
        "using the 1,797 smaller digits that come with scikit-learn\n"
    )
    return _embedded()


def _cache() -> Path | None:
    """Return the folder where downloads are kept; None for a user without a home."""
    with contextlib.suppress(RuntimeError):
        return user_cache_path("vizlib")
    return None


def _passed_over(named: Mapping[str, str | Path | None]) -> str | None:
    """Return a sentence where the first place that somebody named does not hold MNIST."""
    for name, place in named.items():
        if place:
            return None if _mnist.folder_in(place) else f"{name} is {place}, where MNIST is not"
    return None


def _from_mnist(folder: Path) -> Digits:
    parts = _mnist.read(folder)
    images, labels = parts["train"]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    # Sorted, so that train.images[0] is still the 5 that everybody knows.
    kept, held_out = (rows.sort().values for rows in order.tensor_split([-_mnist.VALIDATION]))
    return Digits(
        "mnist",
        train=Split(images[kept], labels[kept]),
        val=Split(images[held_out], labels[held_out]),
        test=Split(*parts["test"]),
    )


def _embedded() -> Digits:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = F.interpolate(small, size=(20, 20), mode="bicubic").clamp(0, 1)
    # As in MNIST: the digit fills 20×20, in a frame of 28×28.
    images = (F.pad(large, (4, 4, 4, 4))[:, 0] * 255).round().to(torch.uint8)
    labels = torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rows = order.split([1_257, 180, 360])
    train, val, test = (Split(images[part], labels[part]) for part in rows)
    return Digits("digits", train, val, test)


def as_tensor(values: Any) -> Tensor:
    """Return an array or a tensor as a tensor.

    An array that may not be written to, as pandas and JAX give them, is copied: torch would share
    its memory, and warn.

    >>> as_tensor(np.broadcast_to(np.uint8(7), (2, 2))).sum()
    tensor(28)
    """
    if torch.is_tensor(values):
        return values
    array = np.require(values, requirements="W")
    if array.dtype.kind not in "biufc":
        what = type(values).__name__ if array.ndim == 0 else array.dtype
        raise TypeError(f"values must be numbers, as an array or a tensor, but were {what}")
    return torch.as_tensor(array)
