"""The networks of the course, by name.

Every network takes a batch of images and returns raw scores, the *logits*; whoever wants
probabilities applies softmax. Activations and pooling layers are modules of their own, so that
`vizlib.capture` can show what each of them does.

>>> model = build("lenet", seed=0)
>>> model(torch.zeros(2, 1, 28, 28)).shape
torch.Size([2, 10])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from torch import nn

from vizlib import words
from vizlib.models import _network
from vizlib.models._asking import as_input, eval_mode, probabilities, undisturbed
from vizlib.models._network import DIGIT, Network
from vizlib.models._summary import Layer, Summary, summary

__all__ = [
    "Layer",
    "Summary",
    "as_input",
    "build",
    "eval_mode",
    "names",
    "probabilities",
    "summary",
    "undisturbed",
]


def _lenet(shape: tuple[int, int, int] = DIGIT) -> Network:
    side = ((shape[1] - 4) // 2 - 4) // 2
    return Network(
        shape,
        conv1=nn.Conv2d(shape[0], 6, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(16 * side * side, 120),
        relu3=nn.ReLU(),
        fc2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        fc3=nn.Linear(84, 10),
    )


def _newnet() -> Network:
    channels = (1, 16, 16, 64, 64, 128, 128, 96, 10)
    strides = (1, 2, 1, 2, 1, 2, 2, 2)
    layers: list[nn.Module] = []
    for block, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=strides[block - 1], padding=1),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
        ]
        if block in {2, 4, 6, 7, 8}:
            layers.append(nn.Dropout(0.2))
    return Network(features=nn.Sequential(*layers), flatten=nn.Flatten())


def _fully_connected(name: str, *widths: int) -> Network:
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for n, (inputs, outputs) in enumerate(pairwise((784, *widths, 10)), start=1):
        layers |= {f"{name}{n}": nn.Linear(inputs, outputs), f"relu{n}": nn.ReLU()}
    layers.popitem()  # none after the scores
    return Network(**layers)


def _cnn() -> Network:
    conv = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
    )
    fc = nn.Sequential(nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10))
    return Network(conv=conv, flatten=nn.Flatten(), fc=fc)


def _defaultnet() -> Network:
    return Network(
        conv1=nn.Conv2d(1, 32, 3),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 64, 3),
        relu2=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        dropout1=nn.Dropout(0.25),
        flatten=nn.Flatten(),
        fc1=nn.Linear(9216, 128),
        relu3=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        fc2=nn.Linear(128, 10),
    )


def _myfullconvnet() -> Network:
    return Network(
        conv1=nn.Conv2d(1, 6, 3),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(6, 12, 3),
        relu2=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv3=nn.Conv2d(12, 24, 3),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(24, 48, 3),
        relu4=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        conv5=nn.Conv2d(48, 96, 3),
        conv6=nn.Conv2d(96, 48, 2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(48, 10),
    )


def _features_and_classifier(features: list[nn.Module], classifier: list[nn.Module]) -> Network:
    return Network(
        features=nn.Sequential(*features),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(*classifier),
    )


def _every_other_with_stride_2(*channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n, (inputs, outputs) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=1 + n % 2), nn.ReLU()]
    return layers


def _mynetv1() -> Network:
    features = _every_other_with_stride_2(1, 10, 48, 128, 512)
    classifier = [
        *(nn.Dropout(), nn.Linear(8192, 1024), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(1024, 128), nn.ReLU()),
        nn.Linear(128, 10),
    ]
    return _features_and_classifier(features, classifier)


def _mynetv2() -> Network:
    features = _every_other_with_stride_2(1, 10, 20, 40, 80, 40)
    classifier = [nn.Dropout(), nn.Linear(160, 48), nn.ReLU(), nn.Linear(48, 10)]
    return _features_and_classifier(features, classifier)


def _myvggnet() -> Network:
    features = [
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 64, 3), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3), nn.ReLU()),
        *(nn.Conv2d(64, 64, 1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU()),
        *(nn.Conv2d(128, 128, 3), nn.ReLU()),
    ]
    classifier = [nn.Dropout(), nn.Linear(128, 96), nn.ReLU(), nn.Linear(96, 10)]
    return _features_and_classifier(features, classifier)


def _arithmetic() -> Network:
    conv = nn.Conv2d(1, 1, 3, bias=False)
    conv.weight.data = torch.tensor([[[[0.0, 1, 2], [2, 2, 0], [0, 1, 2]]]])
    return Network(
        (1, 5, 5),
        conv=conv,
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2, stride=2, padding=1),
        flatten=nn.Flatten(),
    )


_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet": _lenet,
    "newnet": _newnet,
    "mlp": partial(_fully_connected, "linear", 256, 64),
    "mlp500": partial(_fully_connected, "fc", 500),
    "mlp256": partial(_fully_connected, "fc", 256),
    "cnn": _cnn,
    "defaultnet": _defaultnet,
    "myfullconvnet": _myfullconvnet,
    "mynetv1": _mynetv1,
    "mynetv2": _mynetv2,
    "myvggnet": _myvggnet,
    "arithmetic": _arithmetic,
    "lenet5": partial(_lenet, (3, 32, 32)),
    "alexnet": _network.alexnet,
    **{name: partial(_network.vgg, widths) for name, widths in _network.VGG.items()},
    "twobranch": _network.TwoBranch,
}


def names() -> list[str]:
    """Return the name of every network that `build` knows.

    >>> names()[:3]
    ['lenet', 'newnet', 'mlp']
    """
    return list(_NETWORKS)


def build(name: str, *, seed: int | None = None) -> nn.Module:
    """Build a network with fresh, untrained weights.

    `seed`, a whole number from 0 to 2**63 - 1, makes the weights the same on every call and leaves
    torch's own random numbers alone. Raises ValueError for another, and for a name that is not in
    `names()`.

    >>> sum(parameter.numel() for parameter in build("lenet").parameters())
    44426
    """
    if name not in _NETWORKS:
        raise ValueError(words.unknown("network", name, names()))
    with torch.random.fork_rng([], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(checked_seed(seed))
        model = _NETWORKS[name]()
    vars(model)["name"] = name
    return model


def checked_seed(seed: Any) -> int:
    """Return a seed as torch takes it; raise ValueError for what is none.

    >>> checked_seed(1.5)
    Traceback (most recent call last):
    ValueError: seed must be a whole number from 0 to 2**63 - 1, but was 1.5
    """
    if not isinstance(seed, Integral) or int(seed) not in range(2**63):
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, but was {seed!r}")
    return int(seed)


def input_shape(model: nn.Module) -> tuple[int, ...]:
    """Return the shape (C, H, W) of the images that a network of `build` reads.

    >>> input_shape(build("lenet"))
    (1, 28, 28)
    """
    return vars(model)["input_shape"]
