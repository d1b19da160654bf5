"""What the tests of capture share: models whose forward a test writes, and plain hooks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vizlib import capture

IMAGE = torch.linspace(-1, 1, 2 * 3 * 8 * 8).sin().view(2, 3, 8, 8)


class Calls(nn.Module):
    """A module around a function of itself and the input: each test writes its own forward."""

    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def hooked(model: nn.Module, x: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """What plain hooks on childless modules see: each call in its order, cloned."""
    seen, handles = [], []
    for path, module in model.named_modules():
        if not list(module.children()):

            def hook(_module, _args, output, path=path):
                seen.append((path, output.detach().clone()))

            handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def answer(model: nn.Module, *args):
    with torch.no_grad():
        return model(*args)


def last(recording: capture.Recording) -> capture.Stage:
    return list(recording.values())[-1]


def block_model() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    return Calls(
        lambda self, x: F.relu(self.fc(F.relu(self.features(x)).flatten(1))),
        features=features,
        fc=nn.Linear(64, 3),
    ).eval()
