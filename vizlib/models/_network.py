"""What every network of the course is, a chain of named layers; VGG, AlexNet, and two branches."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

DIGIT = (1, 28, 28)


class Network(nn.Sequential):
    """A chain of named layers that knows its own name and the images (C, H, W) it expects."""

    # For `vizlib.capture`: `forward` only checks its input and calls the layers.
    is_chain = True

    name: str  # `models.build` gives it

    def __init__(self, input_shape: tuple[int, ...] = DIGIT, /, **layers: nn.Module) -> None:
        """Chain `layers` in the order in which they are named."""
        super().__init__(OrderedDict(layers))
        self.input_shape = input_shape

    def __getitem__(self, index: int | slice) -> nn.Module:  # type: ignore[override] # one for both
        """Return a layer, or a part of the chain as a plain `nn.Sequential`."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 10) of a batch (N, C, H, W); a flat network takes (N, C·H·W) too.

        Raises ValueError where the images have another shape than the network was built for.
        """
        self.check(x)
        return super().forward(x)

    def check(self, x: Tensor) -> None:
        """Raise ValueError where `forward` would not take the batch."""
        shape = self.input_shape
        flat = isinstance(self[0], nn.Flatten) and x[0].numel() == torch.Size(shape).numel()
        if tuple(x.shape[1:]) == shape or flat:
            return
        message = (
            f"{self.name} expects a batch of images (N, {', '.join(map(str, shape))}), "
            f"but got {tuple(x.shape)}"
        )
        if tuple(x.shape) == shape:
            message += "; add the batch axis with x[None]"
        elif tuple(x.shape) == shape[1:]:
            message += "; add the batch and channel axes with x[None, None]"
        raise ValueError(message)


class TwoBranch(nn.Module):
    """Two VGG blocks side by side on two images; their maps meet on the channel axis."""

    def __init__(self) -> None:
        """Build both branches and the linear layer that reads them together."""
        super().__init__()
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


# The columns A, B, D and E of Table 1 in Simonyan and Zisserman, "Very Deep Convolutional
# Networks for Large-Scale Image Recognition" (2015); "M" is a 2×2 max-pool.
VGG: dict[str, list[int | str]] = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


def vgg(widths: list[int | str]) -> Network:
    layers: list[nn.Module] = []
    inputs = 3
    for width in widths:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    features = nn.Sequential(*layers)
    return Network(
        (3, 32, 32), features=features, flatten=nn.Flatten(), classifier=nn.Linear(512, 10)
    )


def alexnet() -> nn.Module:
    # torchvision takes two seconds to import, which only this network should cost.
    from torchvision import models

    model = models.alexnet(weights=None)
    vars(model).update(input_shape=(3, 224, 224))
    return model
