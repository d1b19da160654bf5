"""The functions that the lessons ask for: what each gets, and how one that is written is judged.

Torch gets the same inputs, new ones each time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Function = Callable[..., Any]
Mistake = tuple[Function, str]
NOTHING = "Not written yet: put your lines in place of the dots, and end with `return`."


class Task:
    """What a function gets, what torch makes of it, and functions often written in its place."""

    def __init__(self, inputs: Function, right: Function, hint: str, *mistakes: Mistake) -> None:
        self.inputs, self.right, self.hint, self.mistakes = inputs, right, hint, mistakes


def judge(function: Function, task: Task) -> tuple[bool, str]:
    """Call the function three times; say whether it agrees with torch, and what is wrong if not."""
    for _ in range(3):
        given = task.inputs()
        try:
            made = function(*copy.deepcopy(given))
        except Exception as error:  # noqa: BLE001 - whatever a student's lines raise is said
            return False, f"It stopped with {type(error).__name__}: {error}. {task.hint}"
        if made is None or made is ...:
            return False, NOTHING
        if not _agree(made, task.right(*copy.deepcopy(given))):
            return False, _explain(made, given, task)
    return True, "torch makes the same of three new inputs."


def _explain(made: Any, given: tuple, task: Task) -> str:
    for wrong, thought in task.mistakes:
        if _agree(made, wrong(*copy.deepcopy(given))):
            return thought
    expected = task.right(*copy.deepcopy(given))
    if _shape(made) != _shape(expected):
        return f"It returns {_shape(made)}, and should return {_shape(expected)}. {task.hint}"
    return f"Its shape is right, its numbers are not. {task.hint}"


def _agree(made: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        same = isinstance(made, dict) and list(made) == list(expected)
        return same and all(_agree(made[name], expected[name]) for name in expected)
    made, expected = _tensor(made), _tensor(expected)
    if made is None or made.shape != expected.shape:
        return False
    return torch.allclose(made, expected, rtol=1e-3, atol=1e-4)


def _tensor(made: Any) -> Tensor | None:
    if isinstance(made, list | tuple) and any(isinstance(one, Tensor) for one in made):
        made = [one.tolist() if isinstance(one, Tensor) else one for one in made]
    try:
        return torch.as_tensor(made).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def _shape(made: Any) -> str:
    if isinstance(made, dict):
        return f"a dict with the keys {', '.join(map(str, made)) or '(none)'}"
    tensor = _tensor(made)
    if tensor is None:
        return f"a {type(made).__name__}"
    return f"the shape {tuple(tensor.shape)}" if tensor.dim() else "one number"


# --- Inputs, new each time, that leave the random numbers of the lesson alone -----------------


def _random() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


def _some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=_random())


def _whole(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=_random())


def _small_network() -> nn.Sequential:
    """Three layers, the second of which overwrites what the first has made."""
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    network = nn.Sequential(*layers)
    network.load_state_dict({"0.weight": _some(2, 1, 3, 3), "0.bias": _some(2)})
    return network


# --- What torch makes of them -----------------------------------------------------------------


def _outputs(network: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    made = {}
    for name, layer in network.named_children():
        x = layer(x.clone())
        made[name] = x.detach().clone()
    return made


def _outputs_kept_by_reference(network: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    made = _outputs(network, x)
    return {**made, "0": made["1"]}


def _batch_norm_of(x: Tensor, axes: tuple[int, ...], correction: int = 0) -> Tensor:
    spread = x.std(axes, correction=correction, keepdim=True)
    return (x - x.mean(axes, keepdim=True)) / spread


def _after_hook(layer: nn.Module, given: Any, made: Tensor) -> Tensor:  # noqa: ARG001
    changed = made.clone()
    changed[:, 0] = 0
    return changed


def _centre(image: Tensor) -> list[float]:
    ink = image.double()
    rows, columns = (torch.arange(size, dtype=torch.double) for size in image.shape)
    return [(ink.sum(1) @ rows / ink.sum()).item(), (ink.sum(0) @ columns / ink.sum()).item()]


def _rates(first: float, gamma: float, epochs: int) -> list[float]:
    return (first * gamma ** torch.arange(epochs)).tolist()


def _field(kernels: list[int], strides: list[int]) -> int:
    """How many pixels of a long row have a gradient, seen from one value at the end."""
    x = torch.zeros(1, 1, 999, requires_grad=True)
    made = x
    for kernel, stride in zip(kernels, strides, strict=True):
        made = F.conv1d(made, torch.ones(1, 1, kernel), stride=stride)
    (gradient,) = torch.autograd.grad(made[0, 0, 0], x)
    return int((gradient != 0).sum())


def _share(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).float().mean().item()


TASKS = {
    "01.5": Task(
        lambda: (_whole(256, 5, 5).to(torch.uint8), 0.1307, 0.3081),
        lambda image, mean, std: (image.float() / 255 - mean) / std,
        "Divide by 255, subtract the mean, divide by the standard deviation.",
        (lambda x, mean, std: (x.float() - mean) / std, "Divide by 255 first."),
        (lambda x, mean, std: x / 255 - mean / std, "Put brackets around image / 255 − mean."),
        (lambda x, mean, std: (x / 255 - mean) * std, "Divide by the standard deviation."),
        (lambda x, _mean, _std: x / 255, "That is ToTensor; now mean and deviation."),
    ),
    "02.6": Task(
        lambda: (_whole(10, 6), 10),
        F.one_hot,
        "Begin with torch.zeros(len(labels), classes), and set one place of each row to 1.",
        (lambda x, n: F.one_hot(x, n).T, "One row for each label: yours has rows for classes."),
        (lambda x, n: F.one_hot(x, n) * x[:, None], "The place that is hot holds a 1."),
    ),
    "03.6": Task(
        lambda: (_some(5),),
        lambda scores: scores.softmax(0),
        "Raise e to every score, then divide by the sum of these.",
        (torch.exp, "Now divide by their sum."),
        (lambda x: x / x.sum(), "Raise e to each score first: scores may be negative."),
        (lambda x: x.log_softmax(0), "That is its logarithm."),
        (torch.sigmoid, "That is the sigmoid: each score by itself, so the sum is not 1."),
    ),
    "04.5": Task(
        lambda: (_some(6, 6),),
        lambda image: F.max_pool2d(image[None, None], 2)[0, 0],
        "Two loops; the window of row r and column c begins at 2 · r and 2 · c.",
        (lambda x: F.avg_pool2d(x[None, None], 2)[0, 0], "That is the mean of each window."),
        (lambda x: F.max_pool2d(x[None, None], 2, 1)[0, 0], "Windows move by two pixels."),
        (lambda x: x[::2, ::2], "That is the corner of each window; take the largest value."),
    ),
    "04.6": Task(
        lambda: (_some(2, 5, 5), _some(2, 3, 3)),
        lambda image, kernel: F.conv2d(image[None], kernel[None])[0, 0],
        "As by_hand, but patch and kernel have two channels, and all 18 products are one sum.",
        (
            lambda x, k: F.conv2d(x[None], k[:, None], groups=2)[0],
            "The two channels go into one sum: one map comes out, not two.",
        ),
        (lambda x, k: F.conv2d(x[None, :1], k[None, :1])[0, 0], "Read both channels."),
        (lambda x, k: F.conv2d(x[None], k[None].flip(2, 3))[0, 0], "Do not turn the kernel."),
    ),
    "05.5": Task(
        lambda: (0.1 + _whole(9, 1).item() / 10, 0.5, 4),
        _rates,
        "A list: the first epoch has the first rate, each following one gamma times the last.",
        (lambda r, g, n: [g * rate for rate in _rates(r, g, n)], "Begin with the first rate."),
        (lambda r, g, n: _rates(r, g, n)[-1], "Return the rates of all epochs, as a list."),
    ),
    "06.5": Task(
        lambda: (_small_network(), _some(1, 1, 6, 6)),
        _outputs,
        "For each name and layer of named_children register a hook that keeps made.clone().",
        (
            _outputs_kept_by_reference,
            "The first trap: the ReLU works in place and overwrites what you kept. Clone it.",
        ),
    ),
    "07.6": Task(
        lambda: (3 * _some(4, 2, 3, 3) + 1,),
        lambda x: F.batch_norm(x, None, None, training=True),
        "Mean and standard deviation over the axes (0, 2, 3), with keepdim=True.",
        (lambda x: _batch_norm_of(x, (0, 1, 2, 3)), "Each channel has a mean of its own."),
        (lambda x: _batch_norm_of(x, (2, 3)), "All images of the batch share the mean."),
        (lambda x: _batch_norm_of(x, (1, 2, 3)), "That is one mean for each image."),
        (
            lambda x: _batch_norm_of(x, (0, 2, 3), correction=1),
            "Divide by the count, not by the count minus one: correction=0.",
        ),
    ),
    "08.6": Task(
        lambda: (_some(20, 3), _whole(3, 20)),
        _share,
        "The answer is the place of the largest score of a row; compare it with the label.",
        (lambda x, y: 1 - _share(x, y), "That is the share of the wrong ones."),
        (lambda x, y: 100 * _share(x, y), "Give a share between 0 and 1, not percent."),
        (lambda x, y: 20 * _share(x, y), "That is how many; divide by how many there are."),
        (lambda x, y: (x.argmax(1) == y).float(), "Now take the mean of these."),
    ),
    "09.5": Task(
        lambda: (_whole(256, 6, 8),),
        _centre,
        "Each row number times the ink of its row, added up, divided by all the ink.",
        (lambda x: _centre(x)[::-1], "The row first, then the column."),
        (lambda x: [(side - 1) / 2 for side in x.shape], "That is the middle of the image."),
    ),
    "10.6": Task(
        lambda: (nn.Identity(), (), _some(2, 3, 4, 4)),
        _after_hook,
        "Set made[:, 0] to 0 and return made.",
        (lambda _layer, _given, made: made * 0, "Only channel 0: yours silences all."),
        (lambda _layer, _given, made: made, "Nothing has changed: set made[:, 0] to 0."),
    ),
    "11.6": Task(
        lambda: (_some(2, 3, 4, 4), lambda x: x[:, :1] + 1, lambda x: 2 * x),
        lambda x, left, right: torch.cat([left(x), right(x)], 1),
        "Call both branches with x, and put their channels side by side: torch.cat, dim=1.",
        (lambda x, left, right: left(x) + right(x), "That adds the maps, as a residual does."),
        (lambda x, left, right: torch.cat([right(x), left(x)], 1), "The left branch comes first."),
    ),
    "12.5": Task(
        lambda: ([3, 3, 5, 3], [1, *(1 + _whole(2, 3)).tolist()]),
        _field,
        "Begin with field = 1 and jump = 1. Each layer: field += (kernel − 1) · jump; "
        "then jump *= stride.",
        (lambda k, _s: _field(k, [1] * len(k)), "Strides widen the jump to the next value."),
        (lambda k, _s: sum(k), "Fields overlap: a kernel adds (kernel − 1) · jump pixels."),
    ),
}
