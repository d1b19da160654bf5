"""What a GPU makes of vizlib, in one table: a minute or two, and no network is needed.

python benchmarks/gpu.py                        # on the GPU
python benchmarks/gpu.py --device cpu --quick   # tries every part of it where there is none

Reads MNIST where `VIZLIB_DATA` says it is, and else scikit-learn's digits, which race to nowhere.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import torch
from race import ENTRIES, lap, machine
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from vizlib import capture, data, models, recipes, train
from vizlib.train import _run

NETWORKS = ("lenet", "mlp", "newnet")
RECORDED = {"lenet": 1, "newnet": 64, "resnet18": 1, "vgg16": 1}  # batch sizes
THEIRS = {"resnet18", "vgg16"}  # torchvision's, for photographs
AN_EPOCH = 60_000
LAPS = {"lenet": 10, "newnet": 3}
NEWNET = replace(ENTRIES["cuda"].recipe, epochs=5, batch_size=128)

Row = tuple[str, str]


def built(name: str) -> nn.Module | None:
    """Return the network, untrained; None where torchvision has it and is not here."""
    torch.manual_seed(0)
    if name not in THEIRS:
        return models.build(name, seed=0)
    try:
        from torchvision import models as theirs
    except ImportError:
        return None
    return theirs.get_model(name, weights=None)


def inputs(name: str, count: int) -> Tensor:
    """Return images that the network takes."""
    shape = (3, 224, 224) if name in THEIRS else (1, 28, 28)
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def waited(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds until the device has done the work."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def agreement(name: str, device: torch.device) -> Iterator[Row]:
    """Record a network on the CPU and on the device, and compare every stage."""
    model, x = built(name), inputs(name, 2)
    if model is None:
        return
    here = capture.record(model.eval(), x)
    there = capture.record(copy.deepcopy(model).to(device), x.to(device))
    worst = max(
        float((there[stage].output - here[stage].output).abs().max())
        / max(float(here[stage].output.abs().max()), 1e-6)
        for stage in here
    )
    yield f"{name}: {len(here)} stages, largest difference from the CPU's", f"{worst:.1e}"


def recording(name: str, count: int, device: torch.device, rounds: int) -> Iterator[Row]:
    """Time `record` beside a plain forward pass, in turn."""
    model = built(name)
    if model is None:
        return
    model, x = model.eval().to(device), inputs(name, count).to(device)

    def forward() -> None:
        with torch.no_grad():
            model(x)

    def record() -> None:
        capture.record(model, x)

    taken = in_turn({"forward": forward, "record": record}, device, rounds)
    plain, recorded = (1000 * statistics.median(taken[way]) for way in ("forward", "record"))
    yield f"{name}, batch {count}: `record` (plain forward)", f"{recorded:.2f} ms ({plain:.2f})"


def in_turn(
    ways: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Run each way once a round; return the seconds of each round but the first."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            seconds = waited(work, device)
            if number:
                taken[name].append(seconds)
    return taken


class OneByOne(Dataset):
    """The images as a DataLoader takes them: each made a normalized tensor by itself."""

    def __init__(self, digits: data.Digits) -> None:
        """Keep the training split as numpy has it."""
        self.images, self.labels = digits.train.images.numpy(), digits.train.labels.tolist()

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image (1, 28, 28) and its label."""
        image = torch.from_numpy(self.images[index]).float()[None] / 255
        return (image - data.MEAN) / data.STD, self.labels[index]


def usual_way(name: str, digits: data.Digits, device: torch.device, steps: int) -> Callable:
    """Train as tutorials do, with a DataLoader and its workers."""
    model = models.build(name, seed=0).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    workers = 4 if device.type == "cuda" else 0
    loader = DataLoader(
        OneByOne(digits), batch_size=128, shuffle=True, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=device.type == "cuda", drop_last=True,
    )  # fmt: skip
    batches = endless(loader)

    def work() -> None:
        for _ in range(steps):
            images, labels = (part.to(device, non_blocking=True) for part in next(batches))
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

    return work


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    """Yield batches for ever, with the workers up."""
    while True:
        yield from loader


def fitted(name: str, digits: data.Digits, device: torch.device, steps: int, graph: bool) -> list:  # noqa: FBT001
    """Return the seconds of three epochs by recipe, each of so many steps, without validation."""
    recipe = replace(recipes.recipe(name), epochs=3)
    options = {"recipe": recipe, "device": device, "steps_per_epoch": steps, "progress": False}
    short = replace(digits, val=data.Split(*digits.val[:64]))
    seam = _run._cuda if graph else lambda _: None  # noqa: SLF001 - to have both ways here
    with patch.object(_run, "_cuda", seam):
        history = train.fit(models.build(name, seed=0), short, **options)
    return history.seconds, history.step_kind


def epochs(
    name: str, digits: data.Digits, device: torch.device, steps: int, rounds: int
) -> Iterator[Row]:
    """Time an epoch by recipe beside a DataLoader, in turn."""
    usual = usual_way(name, digits, device, steps)
    waited(usual, device)
    theirs, ordinary, graphed, first = [], [], [], []
    for _ in range(rounds):
        theirs.append(waited(usual, device))
        ordinary += fitted(name, digits, device, steps, graph=False)[0][1:]
        seconds, kind = fitted(name, digits, device, steps, graph=True)
        graphed += seconds[1:]
        first.append(seconds[0] - statistics.mean(seconds[1:]))
    whole = AN_EPOCH / 128 / steps
    usual_s, plain_s, graph_s = (
        whole * statistics.median(taken) for taken in (theirs, ordinary, graphed)
    )
    yield f"{name}, an epoch by a DataLoader, plain SGD at 128", f"{usual_s:.2f} s"
    yield f"{name}, an epoch by recipe, ordinary steps", f"{plain_s:.3f} s"
    yield (
        f"{name}, an epoch by recipe, {kind.split(':')[0]} steps",
        f"**{graph_s:.3f} s**, {usual_s / graph_s:.1f}× the DataLoader",
    )
    yield f"{name}, the first epoch takes longer by", f"{first[0]:.2f} s, then {first[-1]:.2f} s"


def race(name: str, digits: data.Digits, device: torch.device, laps: int) -> Iterator[Row]:
    """Train to the goal with so many seeds, all counted, after one to warm up."""
    entry = ENTRIES["cuda" if device.type == "cuda" else "cpu"]
    if name == "newnet":
        entry = replace(
            entry, name="NewNet", build=lambda s: models.build("newnet", seed=s), recipe=NEWNET
        )
    lap(entry, digits, 0, device)
    seconds, accuracies = zip(*(lap(entry, digits, s, device) for s in range(laps)), strict=True)
    what = f"{entry.name}, {entry.recipe.epochs} epochs, everything counted, {laps} seeds"
    spread = f"({min(accuracies):.2%}–{max(accuracies):.2%})"
    yield (
        what,
        f"**{statistics.mean(seconds):.2f} s** to {statistics.mean(accuracies):.2%} {spread}",
    )


def rows(digits: data.Digits, device: torch.device, *, quick: bool) -> Iterator[Row]:
    """Yield every line of the table, as soon as it is measured."""
    rounds, steps = (3, 4) if quick else (30, 200)
    torch.backends.cudnn.allow_tf32 = False  # the CPU has no numbers that short
    for name in (*NETWORKS, "myvggnet", "resnet18"):
        yield from agreement(name, device)
    torch.backends.cudnn.allow_tf32 = True
    for name, count in RECORDED.items():
        yield from recording(name, count, device, rounds)
    for name in NETWORKS:
        yield from epochs(name, digits, device, steps, 1 if quick else 3)
    for name, laps in LAPS.items():
        if quick:
            digits = replace(digits, train=data.Split(*digits.train[:640]))
        if not (quick and name == "newnet"):
            yield from race(name, digits, device, 1 if quick else laps)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    arguments = parser.parse_args()
    device, digits = train.pick_device(arguments.device), data.load(download=False)
    if device.type == "cpu" and not arguments.quick:
        print("There is no GPU here: --device cpu --quick tries every part of this on the CPU.")
        return
    started = time.perf_counter()
    print(f"| {machine(device)}, torch {torch.__version__}, {digits.name} | |\n|---|--:|")
    for what, figure in rows(digits, device, quick=arguments.quick):
        print(f"| {what} | {figure} |", flush=True)
    print(f"| all of this | {time.perf_counter() - started:.0f} s |")


if __name__ == "__main__":
    main()
