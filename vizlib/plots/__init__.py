"""Arrays in, a figure out: every static picture of the course.

Nothing here runs a model or shows anything by itself. A function takes arrays, tensors or what
another module returned, and returns a matplotlib figure that a notebook shows as the last line of
a cell. One style holds for all: white is zero, blue positive, orange negative, and no colour says
anything that a word, a number or a shape does not say as well.

>>> import numpy as np
>>> feature_maps(np.zeros((6, 24, 24)), title="conv1")
<Figure size 635x442 with 1 Axes>
"""

from vizlib.plots._charts import answers, compare, confusion, probabilities
from vizlib.plots._equations import backpropagation, convolution, pooling
from vizlib.plots._figure import Figure, png, together, words
from vizlib.plots._images import images, photograph, steps
from vizlib.plots._landscapes import activation, contours, regions
from vizlib.plots._lines import curves, lines
from vizlib.plots._maps import feature_maps, kernels
from vizlib.plots._network import connections, network
from vizlib.plots._style import colours, largest
from vizlib.plots._trace import trace

__all__ = [
    "Figure",
    "activation",
    "answers",
    "backpropagation",
    "colours",
    "compare",
    "confusion",
    "connections",
    "contours",
    "convolution",
    "curves",
    "feature_maps",
    "images",
    "kernels",
    "largest",
    "lines",
    "network",
    "photograph",
    "png",
    "pooling",
    "probabilities",
    "regions",
    "steps",
    "together",
    "trace",
    "words",
]
