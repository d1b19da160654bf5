"""How fast training is, each claim against the usual way, piece by piece in turn in one run.

python benchmarks/training.py                        # everything: minutes on a quiet machine
python benchmarks/training.py --quick                # a few steps of each
python benchmarks/training.py --part epoch --network lenet
python benchmarks/training.py --part race --whole    # both trainings to 99 %, to the end

Seconds depend on the machine and on what else it does; the ratios are what is claimed. See
benchmarks/README.md.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated

import torch
import typer
from race import ENTRIES, GOAL, lap
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adadelta, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vizlib import data, models, train
from vizlib.recipes import Recipe

MNIST = 60_000
# Images in one piece: enough that the start of an epoch weighs little, few enough to take turns.
PIECE = {"lenet": 6_400, "mlp": 12_800, "newnet": 1_536}
BATCHES = {"lenet": (64, 128, 256, 512), "mlp": (64, 128, 256, 512), "newnet": (64, 128)}
PLAIN = Recipe(epochs=1, learning_rate=1e-3, optimizer="adam", schedule="constant")

Way = Callable[[int], float]  # train on so many images and return the seconds


def endless(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches for ever: pieces go on where the last one stopped, with the workers up."""
    while True:
        yield from loader


def folder() -> str:
    """Return where MNIST is, which both ways read."""
    found = data._find(None)  # noqa: SLF001 - the usual way has to read the same files
    if found is None:
        raise SystemExit("MNIST is not here: set VIZLIB_DATA to the folder that holds MNIST/raw")
    return str(found.parents[1])


def usual_images(*, is_train: bool = True) -> datasets.MNIST:
    """Return MNIST as tutorials read it: a Pillow image, made a tensor, one at a time."""
    steps = [transforms.ToTensor(), transforms.Normalize((data.MEAN,), (data.STD,))]
    return datasets.MNIST(folder(), train=is_train, transform=transforms.Compose(steps))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, y: Tensor) -> None:
    """Do what every tutorial does with a batch."""
    optimizer.zero_grad()
    F.cross_entropy(model(images), y).backward()
    optimizer.step()


def usual_way(network: str, workers: int) -> Way:
    """Train with a DataLoader, batch 64 and Adam."""
    model = models.build(network, seed=0).train()
    optimizer = Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(usual_images(), batch_size=64, shuffle=True, num_workers=workers)
    batches = endless(loader)
    step(model, optimizer, *next(batches))

    def run(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count // 64):
            step(model, optimizer, *next(batches))
        return time.perf_counter() - started

    return run


def our_way(network: str, digits: data.Digits, batch_size: int, precision: str) -> Way:
    """Train with `fit`; its own clock leaves out the validation, which the usual way has not."""
    recipe = replace(PLAIN, batch_size=batch_size, precision=precision)
    # A short validation split, so that the pieces follow each other quickly.
    short = replace(digits, val=data.Split(*digits.val[:64]))

    def run(count: int) -> float:
        model = models.build(network, seed=0)
        steps = count // batch_size
        options = {"recipe": recipe, "device": "cpu", "progress": False, "steps_per_epoch": steps}
        return train.fit(model, short, **options).seconds[0]

    return run


def in_turn(ways: dict[str, Way], count: int, rounds: int) -> dict[str, list[float]]:
    """Run each way once a round and return its seconds a round, without the first."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds = way(count)
            if number:
                taken[name].append(seconds)
    return taken


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over the rounds, so that a busy minute counts on both sides."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def epoch(network: str, digits: data.Digits, rounds: int, count: int) -> None:
    """Print an epoch's seconds in each way, and how much faster ours is than the best usual."""
    usual = {f"DataLoader, {w} workers, batch 64": usual_way(network, w) for w in (0, 2)}
    ours = {f"fit, batch {b}": our_way(network, digits, b, "float32") for b in BATCHES[network]}
    if network != "mlp":
        most = BATCHES[network][-1]
        ours[f"fit, batch {most}, bfloat16"] = our_way(network, digits, most, "bfloat16")
    taken = in_turn(usual | ours, count, rounds)
    best = min(usual, key=lambda name: statistics.median(taken[name]))
    print(f"\n{network}: one epoch of {MNIST:,} images, from pieces of {count:,}")
    for name, seconds in taken.items():
        whole = statistics.median(seconds) / count * MNIST
        print(f"  {name:32} {whole:7.1f} s   {ratio(taken[best], seconds):5.2f}x")


def feeding(network: str, digits: data.Digits, rounds: int, count: int) -> None:
    """Print what the batches cost, against computing on one batch that is there already."""
    model = models.build(network, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = Adam(model.parameters(), lr=1e-3, fused=True)
    batches = digits.batches("train", 64, shuffle=True)
    same = next(iter(batches))

    def compute(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count // 64):
            step(model, optimizer, *same)
        return time.perf_counter() - started

    def feed(count: int) -> float:
        started = time.perf_counter()
        for _ in zip(range(count // 64), batches, strict=False):
            pass
        return time.perf_counter() - started

    taken = in_turn({"compute": compute, "feed": feed}, count, rounds)
    print(
        f"{network}: batches of 64 cost {ratio(taken['feed'], taken['compute']):.1%} of computing"
    )


def evaluation(digits: data.Digits, rounds: int) -> None:
    """Print the seconds that LeNet takes for the 10,000 test images."""
    model = models.build("lenet", seed=0)

    def run(_: int) -> float:
        started = time.perf_counter()
        train.evaluate(model, digits)
        return time.perf_counter() - started

    seconds = in_turn({"evaluate": run}, 0, rounds)["evaluate"]
    median, least = statistics.median(seconds), min(seconds)
    print(f"\nlenet: 10,000 test images in {median:.2f} s (least {least:.2f})")


# --- The race to 99 % ------------------------------------------------------------------------


class Example(nn.Module):
    """A network of the size and shape of the one in PyTorch's own MNIST example."""

    def __init__(self) -> None:
        """Build two convolutions, two dropouts and two linear layers."""
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
            *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities (N, 10)."""
        return F.log_softmax(self.body(x), dim=1)


class Theirs:
    """PyTorch's example: batch 64, Adadelta at 1, the rate times 0.7 after each epoch."""

    def __init__(self) -> None:
        """Begin with seed 1, as it does."""
        torch.manual_seed(1)
        self.model = Example()
        self.optimizer = Adadelta(self.model.parameters(), lr=1.0)
        self.schedule = StepLR(self.optimizer, step_size=1, gamma=0.7)
        self.loader = DataLoader(usual_images(), batch_size=64, shuffle=True)
        self.batches = endless(self.loader)

    def learn(self, count: int) -> float:
        """Train on so many images and return the seconds."""
        self.model.train()
        started = time.perf_counter()
        for _ in range(count // 64):
            images, labels = next(self.batches)
            self.optimizer.zero_grad()
            F.nll_loss(self.model(images), labels).backward()
            self.optimizer.step()
        return time.perf_counter() - started

    def accuracy(self) -> float:
        """Return the share of the test images that it reads right."""
        self.model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in DataLoader(usual_images(is_train=False), batch_size=1000):
                right += int((self.model(images).argmax(1) == labels).sum())
        return right / 10_000


def ours_to_goal(digits: data.Digits) -> tuple[float, float]:
    """Train as benchmarks/race.py does; return the seconds, validation too, and test accuracy."""
    return lap(ENTRIES["cpu"], digits, 0, torch.device("cpu"))


def race(digits: data.Digits, *, whole: bool, count: int) -> None:
    """Print the time to 99 % for both; not `whole`, the other's epochs are counted from a piece."""
    seconds, accuracy = ours_to_goal(digits)
    entry = ENTRIES["cpu"]
    print(f"\n{entry.name} by fit, {entry.recipe.epochs} epochs: {accuracy:.2%} in {seconds:.1f} s")
    theirs = Theirs()
    if not whole:
        theirs.learn(640)
        an_epoch = theirs.learn(count) / (count // 64 * 64) * MNIST
        again, _ = ours_to_goal(digits)
        ours = statistics.mean([seconds, again])
        print(f"PyTorch's example: {an_epoch:.1f} s an epoch, from {count:,} images: one epoch of")
        print(f"it takes {an_epoch / ours:.1f}x our whole training; --whole counts its epochs")
        return
    spent, reached, epochs, ours = 0.0, 0.0, 0, [seconds]
    while reached < GOAL and epochs < 14:  # noqa: PLR2004 - as many as the example itself has
        spent += theirs.learn(MNIST)
        theirs.schedule.step()
        reached, epochs = theirs.accuracy(), epochs + 1
        ours.append(ours_to_goal(digits)[0])
        print(f"PyTorch's example, epoch {epochs}: {reached:.2%} after {spent:.1f} s")
    print(f"{spent / statistics.median(ours):.1f}x")


def main(
    part: Annotated[str, typer.Option(help="epoch, feeding, evaluate, race or all")] = "all",
    network: Annotated[str, typer.Option(help="lenet, mlp, newnet or all")] = "all",
    rounds: Annotated[int, typer.Option(help="pieces of each way")] = 7,
    *,
    quick: Annotated[bool, typer.Option(help="three small pieces of each way")] = False,
    whole: Annotated[bool, typer.Option(help="run the race to its end")] = False,
) -> None:
    """Measure how fast training is, each claim against the usual way."""
    digits, rounds = data.load("mnist"), 3 if quick else rounds
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of {rounds} rounds"
    )
    for name in PIECE if network == "all" else [network]:
        count = PIECE[name] // (4 if quick else 1) // 512 * 512 or 512
        if part in {"all", "epoch"}:
            epoch(name, digits, rounds, count)
        if part in {"all", "feeding"}:
            feeding(name, digits, rounds, count)
    if part in {"all", "evaluate"}:
        evaluation(digits, rounds)
    if part in {"all", "race"}:
        race(digits, whole=whole, count=640 if quick else 3_200)


if __name__ == "__main__":
    typer.run(main)
