"""How many digits are read in pictures that a program makes: one digit, several, and none.

python benchmarks/photographs.py                   # some minutes
python benchmarks/photographs.py --part numbers --network lenet --seed 500

Seeds from 100 on are those that no rule was made on. Each part prints a row for each kind:

* `single`: of each kind in `scans.KINDS` and each condition in `photos`, ten digits and more.
* `numbers`: of each kind in `scans.NUMBERS` the digits read right, and what was read too much.
* `pairs`: two of MNIST's test digits that touch, and single wide ones, which stay one.
* `doubt`: how many marks that are no digits, and how many of MNIST's test digits, are doubted.
* `time`: of the CPU for a photograph of 12 megapixels.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import photos
import scans
from PIL import Image

from vizlib import data, handwriting, weights
from vizlib.handwriting import _doubt

NUMBERS, DIGITS, PAIRS, MARKS = 16, 3, 100, 100  # pictures of each kind; DIGITS of each digit
HALF = 127  # of a pixel is covered
Row = tuple[str, int, int, str]


def single(network: nn.Module, seed: int) -> Iterator[Row]:
    """Count the digits that are read right, by kind."""
    makers: dict[str, Callable] = dict.fromkeys(scans.KINDS, scans.draw)
    makers |= {k: photos.take for k in photos.CONDITIONS if "megapixels" not in k}
    for kind, make in makers.items():
        wrong = []
        for k in range(10 * (DIGITS if make is scans.draw else 1)):
            answer = read(network, make(kind, k % 10, seed + k // 10))
            if answer != k % 10:
                wrong.append(f"{k % 10}>{answer}@{seed + k // 10}")
        total = 10 * (DIGITS if make is scans.draw else 1)
        yield kind, total - len(wrong), total, " ".join(wrong)


def read(network: nn.Module, picture: np.ndarray | Image.Image) -> int | None:
    """Return the digit, or None where none was found."""
    try:
        return handwriting.read(network, picture).digit
    except handwriting.NoDigitError:
        return None


def numbers(network: nn.Module, seed: int) -> Iterator[Row]:
    """Count the digits of numbers that are read right, less what was read where no digit is."""
    for kind in scans.NUMBERS:
        right = total = 0
        wrong = []
        for k in range(NUMBERS):
            chance = np.random.default_rng([seed, k])
            digits = chance.integers(0, 10, 2 if kind == "collage" else chance.integers(4, 9))
            picture, boxes = scans.number(kind, digits.tolist(), seed + k)
            good, extra = matched(network, picture, digits.tolist(), boxes)
            right, total = right + good - extra, total + len(digits)
            if good - extra < len(digits):
                wrong.append(f"{len(digits) - good}+{extra}@{k}")
        yield kind, right, total, " ".join(wrong)


def matched(
    network: nn.Module, picture: np.ndarray, digits: list[int], boxes: list[scans.Box]
) -> tuple[int, int]:
    """Return how many digits are read right at their place, and how many readings have none."""
    try:
        readings = handwriting.read_all(network, picture)
    except handwriting.NoDigitError:
        return 0, 0
    places = [(top + height / 2, left + width / 2) for left, top, width, height in boxes]
    right, extra = 0, 0
    for reading in readings:
        top, left, bottom, right_side = reading.box
        here = [k for k, (y, x) in enumerate(places) if top < y < bottom and left < x < right_side]
        right += len(here) == 1 and reading.digit == digits[here[0]]
        extra += not here
    return right, extra


def pairs(network: nn.Module, seed: int) -> Iterator[Row]:
    """Count the touching pairs that are read as their two digits, and the wide digits as one."""
    test = data.load("mnist").test
    images, labels = test.images.numpy(), test.labels.numpy()
    chance = np.random.default_rng(seed)
    for kind, touches in (("touching", True), ("apart", False)):
        right = 0
        for _ in range(PAIRS):
            pair = chance.integers(0, len(images), 2)
            picture = beside(*images[pair], touches=touches, chance=chance)
            found = readings_of(network, picture)
            right += found == labels[pair].tolist()
        yield kind, right, PAIRS, ""
    shapes = [handwriting.from_ink(image).steps["scaled to 20"].shape for image in images]
    wide = [k for k, (height, width) in enumerate(shapes) if width >= height]
    chosen = chance.choice(wide, PAIRS, replace=False)
    whole = [len(readings_of(network, alone(images[k], chance))) == 1 for k in chosen]
    yield "wide ones, whole", sum(whole), PAIRS, ""


def readings_of(network: nn.Module, picture: np.ndarray) -> list[int]:
    """Return the digits of a picture in order, none where none was found."""
    try:
        return [reading.digit for reading in handwriting.read_all(network, picture)]
    except handwriting.NoDigitError:
        return []


def beside(
    one: np.ndarray, other: np.ndarray, *, touches: bool, chance: np.random.Generator
) -> np.ndarray:
    """Lay two of MNIST's images side by side on paper, until their ink meets or just before."""
    row = int(chance.integers(-2, 3))
    wide = np.zeros((36, 64), np.float32)
    wide[4:32, 4:32] = one
    for shift in range(28, 0, -1):
        second = np.zeros_like(wide)
        second[4 + row : 32 + row, 4 + shift : 32 + shift] = other
        if (np.minimum(wide, second) > HALF).any():
            break
    if not touches:
        second = np.roll(second, 3, 1)
    return alone(np.maximum(wide, second), chance)


def alone(image: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Photograph an image, white on black, on grey paper with room around it."""
    large = Image.fromarray(np.pad(image, 8).astype(np.uint8))
    large = large.resize([6 * side for side in large.size], Image.Resampling.BICUBIC)
    cover = np.clip((np.asarray(large) / 255 - 0.5) * 1.5 + 0.5, 0, 1)
    grey = chance.uniform(180, 240) * (1 - chance.uniform(0.5, 0.9) * cover)
    return np.clip(grey + chance.normal(0, 3, grey.shape), 0, 255).astype(np.uint8)


def doubt(network: nn.Module, seed: int) -> Iterator[Row]:
    """Count the marks that are no digits, and those of MNIST's test digits, that are doubted."""
    for kind in scans.NO_DIGITS:
        doubted = [is_doubted(network, scans.no_digit(kind, seed + k)) for k in range(MARKS)]
        yield kind, sum(doubted), MARKS, "refused or doubted"
    images = data.load("mnist").test.images.numpy()
    doubts = np.array(_doubt.doubts(images))
    doubted = int((doubts >= handwriting.DOUBTFUL).sum())
    yield "MNIST's digits", doubted, len(images), "aim: at most 1 in 100"


def is_doubted(network: nn.Module, picture: np.ndarray) -> bool:
    """Tell whether a picture is refused or its reading doubted."""
    try:
        return handwriting.read(network, picture).doubted
    except handwriting.NoDigitError:
        return True


def seconds(network: nn.Module, seed: int) -> Iterator[Row]:
    """Time a JPEG of 12 megapixels: milliseconds of the CPU, the median of five."""
    del network
    for kind, height in (("one digit", 0.5), ("a small one", 0.12)):
        file = io.BytesIO()
        scene = photos.CONDITIONS["12 megapixels"]
        chance = np.random.default_rng(seed)
        scene = photos.replace(scene, height=height)
        photos.photograph(scene, photos.written(scene, 5, chance), chance).save(file, "JPEG")
        taken = []
        for _ in range(5):
            begun = time.process_time()
            handwriting.prepare(file.getvalue())
            taken.append(1_000 * (time.process_time() - begun))
        yield kind, round(median(taken)), 150, "milliseconds, and the most that is allowed"


PARTS = {"single": single, "numbers": numbers, "pairs": pairs, "doubt": doubt, "time": seconds}


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--part", choices=PARTS, action="append", help="all, if left out")
    options.add_argument("--network", default="newnet")
    options.add_argument("--seed", type=int, default=100)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    network = weights.load(chosen.network)
    for part in chosen.part or PARTS:
        sums = np.zeros(2, int)
        for kind, right, total, words in PARTS[part](network, chosen.seed):
            print(f"{part:8} {kind:18} {right:6,} of {total:6,}  {words}", flush=True)
            sums += right, total
        if part in {"single", "numbers"}:
            print(f"{part:8} {'all':18} {sums[0]:6,} of {sums[1]:6,}  {sums[0] / sums[1]:.1%}")


if __name__ == "__main__":
    main()
