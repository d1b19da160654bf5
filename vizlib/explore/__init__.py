"""Slide through a network, in one line at the end of a cell.

>>> import torch
>>> from vizlib import models
>>> layers(models.build("lenet", seed=0), torch.zeros(2, 28, 28, dtype=torch.uint8))
layers(lenet, 2 images, 12 layers)

Sliders and view are linked in the browser, where the network computes: a slider that moves repaints
within a frame and asks the kernel nothing.
"""

from vizlib.explore._backpropagation import backpropagation
from vizlib.explore._compare import compare
from vizlib.explore._convolution import convolution
from vizlib.explore._doors import draw, layers, pixel, switch_off
from vizlib.explore._epochs import epochs
from vizlib.explore._slide import slide
from vizlib.explore._training import Training, training
from vizlib.explore._upload import upload

__all__ = [
    "Training",
    "backpropagation",
    "compare",
    "convolution",
    "draw",
    "epochs",
    "layers",
    "pixel",
    "slide",
    "switch_off",
    "training",
    "upload",
]
