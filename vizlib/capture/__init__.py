"""See what every layer of any PyTorch model did to its input.

>>> import torch
>>> from vizlib import models
>>> recording = record(models.build("lenet", seed=0), torch.zeros(1, 1, 28, 28))
>>> list(recording)[:4]
['conv1', 'relu1', 'pool1', 'conv2']
>>> recording["conv1"].output.shape
torch.Size([1, 6, 24, 24])

A *stage* is one call of one layer: of a module that has no modules inside, of a layer of torch's
own, or of a function such as `F.relu`. Its name is the path in the model (`conv1`, `features.3`);
a function takes its own name under the module that called it (`relu`, `block1.max_pool2d`), and
further calls are counted: `relu:2`. What happens inside a layer is that layer's own business.
Plain forward hooks mislead in three ways, and this module is built around them:

**In-place layers.** `nn.ReLU(inplace=True)` overwrites the output of the layer before it, so a
kept reference shows a convolution without a single negative value. A stage is what its layer gave:
what anything may write on later is copied first.

>>> from torch import nn
>>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
>>> bool((record(model, torch.randn(1, 1, 8, 8))["0"].output < 0).any())
True

**Functions.** `F.relu(x)`, `x + y` and `torch.flatten(x)` are no modules, and no hook sees them.
Here they are stages.

>>> class Block(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.fc = nn.Linear(4, 4)
...     def forward(self, x):
...         return torch.relu(self.fc(x)) + x
>>> list(record(nn.Sequential(Block(), nn.Softmax(1)), torch.ones(1, 4)))
['0.fc', '0.relu', '0.add', '1']

**Reuse.** One `nn.ReLU` that is called twice is two stages.

>>> relu = nn.ReLU()
>>> list(record(nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 2), relu), torch.ones(1, 4)))
['0', '1', '2', '1:2']
"""

from vizlib.capture._probe import Contributions, TopImages, contributions, edit, top_images
from vizlib.capture._record import listen, record
from vizlib.capture._stages import Channels, Recording, Stage, UnknownStageError

__all__ = [
    "Channels",
    "Contributions",
    "Recording",
    "Stage",
    "TopImages",
    "UnknownStageError",
    "contributions",
    "edit",
    "listen",
    "record",
    "top_images",
]
