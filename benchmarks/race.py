"""MNIST to 99 %: how many seconds a training takes whose mean over ten seeds is there.

python benchmarks/race.py                          # ten seeds on the GPU, or else the CPU
python benchmarks/race.py --device cpu --seeds 10

Prints the row for the board in benchmarks/README.md, which has the rules. To enter with a network
or a recipe of your own, change ENTRIES.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib import data, models, train
from vizlib.recipes import Recipe

GOAL = 0.99
SLIGHTLY = data.Affine(degrees=5, scale=0.05, shift=1, shear=0.05)


@dataclass(frozen=True)
class Entry:
    """What races: a network, built anew for each seed, and its recipe."""

    name: str
    build: Callable[[int], nn.Module]
    recipe: Recipe


class Inner(nn.Module):
    """The middle 24×24 pixels of an image: hardly a digit reaches further."""

    def forward(self, x: Tensor) -> Tensor:
        """Cut two pixels off at each side."""
        return x[..., 2:-2, 2:-2]


def sixteen(seed: int) -> nn.Module:
    """Return a small LeNet with BatchNorm: 16 channels cost a processor little more than 6."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(Inner(), nn.Conv2d(1, 16, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(16)),
        *(nn.ReLU(), nn.Conv2d(16, 32, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(32)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)),
    )


class EachWay:
    """Each ninth of a batch a pixel in another direction, or not at all: nearly for nothing."""

    def __call__(self, images: Tensor, _: torch.Generator) -> Tensor:
        """Return moved copies; what moves in is black."""
        padded, moved = F.pad(images, (1, 1, 1, 1)), torch.empty_like(images)
        for way in range(9):
            y, x = divmod(way, 3)
            moved[way::9] = padded[way::9, :, y : y + 28, x : x + 28]
        return moved


_ADAMW = Recipe(batch_size=256, learning_rate=1e-2, optimizer="adamw")
ENTRIES = {
    "cpu": Entry(
        "16 and 32 channels with BatchNorm",
        sixteen,
        replace(_ADAMW, epochs=2, augment=EachWay(), precision="bfloat16"),
    ),
    "cuda": Entry(
        "LeNet",
        lambda seed: models.build("lenet", seed=seed),
        replace(_ADAMW, epochs=4, augment=SLIGHTLY),
    ),
}


def lap(entry: Entry, digits: data.Digits, seed: int, device: torch.device) -> tuple[float, float]:
    """Train once; return the seconds, from nothing but the data, and the test accuracy."""
    started = time.perf_counter()
    model = entry.build(seed)
    train.fit(model, digits, recipe=entry.recipe, device=device, seed=seed, progress=False)
    # The weights are back on the CPU here: nothing is left to wait for.
    return time.perf_counter() - started, train.evaluate(model, digits).accuracy


def row(device: torch.device, laps: list[tuple[float, float]], entry: Entry) -> str:
    """Return the line of the board."""
    seconds, accuracies = zip(*laps, strict=True)
    day = datetime.now(UTC).date()
    spread = f"{min(accuracies):.2%}–{max(accuracies):.2%}"
    return (
        f"| {machine(device)} | {entry.name}, {entry.recipe.epochs} epochs | {len(laps)} | "
        f"{statistics.mean(accuracies):.2%} ({spread}) | **{statistics.mean(seconds):.2f}** "
        f"({min(seconds):.2f}–{max(seconds):.2f}) | torch {torch.__version__} | {day} |"
    )


def machine(device: torch.device) -> str:
    """Return what computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def main() -> None:
    """Race, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--precision", help="float32 for a processor that has no bfloat16")
    arguments = parser.parse_args()
    device, digits = train.pick_device(arguments.device), data.load("mnist")
    entry = ENTRIES["cuda" if device.type == "cuda" else "cpu"]
    if arguments.precision:
        entry = replace(entry, recipe=replace(entry.recipe, precision=arguments.precision))
    run = partial(lap, entry, digits, device=device)
    print(f"warming up: {run(0)[0]:.2f} s, not counted")
    laps = []
    for seed in range(arguments.seeds):
        laps.append(run(seed))
        print(f"seed {seed}: {laps[-1][1]:.2%} in {laps[-1][0]:.2f} s", flush=True)
    print(row(device, laps, entry))
    reached = statistics.mean(accuracy for _, accuracy in laps)
    print(f"The mean is {'' if reached >= GOAL else 'not '}at {GOAL:.0%}.")


if __name__ == "__main__":
    main()
