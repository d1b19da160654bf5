"""What a recording costs: ratios to a plain forward pass, next to Captum's and TorchLens's.

pip install -e ".[bench]"                 # the peers; each is left out where it is not installed
python benchmarks/capture.py              # everything: minutes
python benchmarks/capture.py lenet-1      # one row

Each way takes its turn in one process, with medians of all turns. TorchLens leaves torch wrapped,
so it runs in a process of its own, in turn with a plain forward pass there.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from vizlib import capture, models

Way = Callable[[], object]
# The network, the shape of its input, and how often each way takes its turn.
ROWS = {
    "lenet-1": ("lenet", (1, 1, 28, 28), 600),
    "lenet-64": ("lenet", (64, 1, 28, 28), 100),
    "resnet18-1": ("resnet18", (1, 3, 224, 224), 60),
    "vgg16-1": ("vgg16", (1, 3, 224, 224), 15),
}
# `record` may take so many times what hooks that clone take.
PROMISED = 1.1


def network(name: str) -> nn.Module:
    """Return a network of ours or of torchvision's, with fresh weights."""
    if name == "lenet":
        return models.build(name, seed=0).eval()
    from torchvision.models import get_model

    return get_model(name, weights=None).eval()


def plain(model: nn.Module, x: torch.Tensor) -> Way:
    """Return the forward pass alone."""

    def run() -> object:
        with torch.no_grad():
            return model(x)

    return run


def clones(model: nn.Module, x: torch.Tensor) -> Way:
    """Return what a careful reader writes by hand: a hook on each layer that keeps a clone."""
    layers = [module for module in model.modules() if not list(module.children())]

    def run() -> object:
        kept: list[torch.Tensor] = []

        def keep(_layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            kept.append(output.clone())

        handles = [layer.register_forward_hook(keep) for layer in layers]
        with torch.no_grad():
            model(x)
        for handle in handles:
            handle.remove()
        return kept

    return run


def captum(model: nn.Module, x: torch.Tensor) -> Way:
    """Return Captum's capture of all layers at once."""
    from captum.attr import LayerActivation

    layers = [module for module in model.modules() if not list(module.children())]

    def run() -> object:
        with torch.no_grad():
            return LayerActivation(model, layers).attribute(x)

    return run


def torchlens(model: nn.Module, x: torch.Tensor) -> Way:
    """Return TorchLens's trace of everything."""
    import torchlens as lens

    return lambda: lens.trace(model, x)


def in_turn(ways: dict[str, Way], turns: int) -> dict[str, float]:
    """Return the median seconds of each way; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(times[1:]) for name, times in seconds.items()}


def ratios(row: str, *, of_torchlens: bool) -> str:
    """Measure one row and return its ratios in words."""
    name, shape, turns = ROWS[row]
    model, x = network(name), torch.randn(shape)
    ways = {"plain": plain(model, x)}
    if of_torchlens:
        ways["TorchLens"], turns = torchlens(model, x), max(3, turns // 20)
    else:
        ways["vizlib"] = lambda: capture.record(model, x)
        ways["hooks that clone"] = clones(model, x)
        if importlib.util.find_spec("captum"):
            ways["Captum"] = captum(model, x)
    seconds = in_turn(ways, turns)
    base = seconds.pop("plain")
    said = [f"{way} {taken / base:.2f}" for way, taken in seconds.items()]
    if of_torchlens:
        return ", ".join(said)
    share = seconds["vizlib"] / seconds["hooks that clone"]
    return ", ".join([f"plain {base * 1e3:.2f} ms", *said, f"vizlib / hooks {share:.2f}"])


def measure(row: str) -> None:
    """Print one row, with TorchLens from a process of its own."""
    print(f"{row} (promised {PROMISED} × hooks): {ratios(row, of_torchlens=False)}", flush=True)
    if importlib.util.find_spec("torchlens"):
        subprocess.run([sys.executable, __file__, row, "--torchlens"], check=False)  # noqa: S603


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if not word.startswith("-")] or list(ROWS)
    for row in chosen:
        if "--torchlens" in sys.argv:
            print(f"{row}: {ratios(row, of_torchlens=True)}")
        else:
            measure(row)
