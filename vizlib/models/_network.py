"""What every network of the course is: a chain of named layers."""

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
