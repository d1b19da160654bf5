"""The networks of the course, by name.

Every network takes a batch of images and returns raw scores, the *logits*; whoever wants
probabilities applies softmax. Activations and pooling layers are modules of their own, so that
`vizlib.capture` can show what each of them does.

>>> model = build("lenet", seed=0)
>>> model(torch.zeros(2, 1, 28, 28)).shape
torch.Size([2, 10])
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn


class Network(nn.Sequential):
    """A chain of named layers that knows its own name and the images (C, H, W) it expects."""

    def __init__(self, name: str, input_shape: tuple[int, ...], **layers: nn.Module) -> None:
        """Chain `layers` in the order in which they are named."""
        super().__init__()
        self.name = name
        self.input_shape = input_shape
        for layer_name, layer in layers.items():
            self.add_module(layer_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 10) of a batch (N, C, H, W); a flat network takes (N, C·H·W) too.

        Raises ValueError where the images have another shape than the network was built for.
        """
        _check_images(self, x)
        return super().forward(x)


def _check_images(model: Network, x: Tensor) -> None:
    flat = isinstance(model[0], nn.Flatten) and x[0].numel() == torch.Size(model.input_shape).numel()
    if tuple(x.shape[1:]) == model.input_shape or flat:
        return
    message = (
        f"{model.name} expects a batch of images (N, {', '.join(map(str, model.input_shape))}), "
        f"but got {tuple(x.shape)}"
    )
    if tuple(x.shape) == model.input_shape:
        message += "; add the batch axis with x[None]"
    elif tuple(x.shape) == model.input_shape[1:]:
        message += "; add the batch and channel axes with x[None, None]"
    raise ValueError(message)


class TwoBranch(nn.Module):
    """Two VGG blocks side by side on two images; their maps meet on the channel axis."""

    def __init__(self) -> None:
        """Build both branches and the linear layer that reads them together."""
        super().__init__()
        self.name = "twobranch"
        self.input_shape = (3, 32, 32)
        self.left = nn.Sequential(*_vgg_block(3, 64))
        self.right = nn.Sequential(*_vgg_block(3, 64))
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(2 * 64 * 16 * 16, 10)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the logits (N, 10) of two batches of colour images (N, 3, 32, 32)."""
        maps = torch.cat([self.left(left), self.right(right)], dim=1)
        return self.fc(self.flatten(maps))


def _vgg_block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        *(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2),
    ]


def _lenet(shape: tuple[int, ...] = (1, 28, 28), name: str = "lenet") -> Network:
    side = ((shape[1] - 4) // 2 - 4) // 2
    return Network(
        name,
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


def _lenet5() -> Network:
    return _lenet((3, 32, 32), "lenet5")


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
    return Network("newnet", (1, 28, 28), features=nn.Sequential(*layers), flatten=nn.Flatten())


def _mlp() -> Network:
    return Network(
        "mlp",
        (1, 28, 28),
        flatten=nn.Flatten(),
        linear1=nn.Linear(784, 256),
        relu1=nn.ReLU(),
        linear2=nn.Linear(256, 64),
        relu2=nn.ReLU(),
        linear3=nn.Linear(64, 10),
    )


def _one_hidden_layer(name: str, width: int) -> Network:
    return Network(
        name,
        (1, 28, 28),
        flatten=nn.Flatten(),
        fc1=nn.Linear(784, width),
        relu1=nn.ReLU(),
        fc2=nn.Linear(width, 10),
    )


def _cnn() -> Network:
    conv = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
    )
    fc = nn.Sequential(nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10))
    return Network("cnn", (1, 28, 28), conv=conv, flatten=nn.Flatten(), fc=fc)


def _defaultnet() -> Network:
    return Network(
        "defaultnet",
        (1, 28, 28),
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
        "myfullconvnet",
        (1, 28, 28),
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


def _features_and_classifier(
    name: str, features: list[nn.Module], classifier: list[nn.Module]
) -> Network:
    return Network(
        name,
        (1, 28, 28),
        features=nn.Sequential(*features),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(*classifier),
    )


def _mynetv1() -> Network:
    features = [
        *(nn.Conv2d(1, 10, 3), nn.ReLU()),
        *(nn.Conv2d(10, 48, 3, stride=2), nn.ReLU()),
        *(nn.Conv2d(48, 128, 3), nn.ReLU()),
        *(nn.Conv2d(128, 512, 3, stride=2), nn.ReLU()),
    ]
    classifier = [
        *(nn.Dropout(), nn.Linear(8192, 1024), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(1024, 128), nn.ReLU()),
        nn.Linear(128, 10),
    ]
    return _features_and_classifier("mynetv1", features, classifier)


def _mynetv2() -> Network:
    features = [
        *(nn.Conv2d(1, 10, 3), nn.ReLU()),
        *(nn.Conv2d(10, 20, 3, stride=2), nn.ReLU()),
        *(nn.Conv2d(20, 40, 3), nn.ReLU()),
        *(nn.Conv2d(40, 80, 3, stride=2), nn.ReLU()),
        *(nn.Conv2d(80, 40, 3), nn.ReLU()),
    ]
    classifier = [nn.Dropout(), nn.Linear(160, 48), nn.ReLU(), nn.Linear(48, 10)]
    return _features_and_classifier("mynetv2", features, classifier)


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
    return _features_and_classifier("myvggnet", features, classifier)


def _arithmetic() -> Network:
    conv = nn.Conv2d(1, 1, 3, bias=False)
    conv.weight.data = torch.tensor([[[[0.0, 1, 2], [2, 2, 0], [0, 1, 2]]]])
    return Network(
        "arithmetic",
        (1, 5, 5),
        conv=conv,
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2, stride=2, padding=1),
        flatten=nn.Flatten(),
    )


# The columns A, B, D and E of Table 1 in Simonyan and Zisserman, "Very Deep Convolutional
# Networks for Large-Scale Image Recognition" (2015); "M" is a 2×2 max-pool.
_VGG = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


def _vgg(name: str) -> Network:
    layers: list[nn.Module] = []
    inputs = 3
    for width in _VGG[name]:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    features = nn.Sequential(*layers)
    return Network(
        name, (3, 32, 32), features=features, flatten=nn.Flatten(), classifier=nn.Linear(512, 10)
    )


def _alexnet() -> nn.Module:
    # torchvision takes two seconds to import, which only this network should cost.
    from torchvision.models import alexnet

    model = alexnet(weights=None)
    model.name, model.input_shape = "alexnet", (3, 224, 224)
    return model


_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet": _lenet,
    "newnet": _newnet,
    "mlp": _mlp,
    "mlp500": lambda: _one_hidden_layer("mlp500", 500),
    "mlp256": lambda: _one_hidden_layer("mlp256", 256),
    "cnn": _cnn,
    "defaultnet": _defaultnet,
    "myfullconvnet": _myfullconvnet,
    "mynetv1": _mynetv1,
    "mynetv2": _mynetv2,
    "myvggnet": _myvggnet,
    "arithmetic": _arithmetic,
    "lenet5": _lenet5,
    "alexnet": _alexnet,
    "vgg11": lambda: _vgg("vgg11"),
    "vgg13": lambda: _vgg("vgg13"),
    "vgg16": lambda: _vgg("vgg16"),
    "vgg19": lambda: _vgg("vgg19"),
    "twobranch": TwoBranch,
}


def names() -> list[str]:
    """Return the name of every network that `build` knows.

    >>> names()[:3]
    ['lenet', 'newnet', 'mlp']
    """
    return list(_NETWORKS)


def build(name: str, *, seed: int | None = None) -> nn.Module:
    """Build a network with fresh, untrained weights.

    `seed` makes the weights the same on every call and leaves torch's own random numbers
    alone. Raises ValueError for a name that is not in `names()`.

    >>> sum(parameter.numel() for parameter in build("lenet").parameters())
    44426
    """
    if name not in _NETWORKS:
        close = difflib.get_close_matches(name, _NETWORKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no network is called {name!r}; {hint}choose from {', '.join(names())}")
    if seed is None:
        return _NETWORKS[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _NETWORKS[name]()
