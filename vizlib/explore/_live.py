"""A page in which a network computes: its program, its weights, images, and what torch answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import data, models, words
from vizlib.explore._explorer import STATIC, in_script, in_text, script
from vizlib.explore._panels import palette
from vizlib.explore._program import NotComputableError, Program, program

if TYPE_CHECKING:
    from vizlib.explore._recordings import Recordings

_NAMES = (
    *("numbers", "elements", "engine", "graph", "fold", "ink", "contents", "tiles"),
    *("arrangement", "picture", "equation", "lens", "equation_view", "scores", "needs", "sketch"),
    *("slider", "jobs", "state"),
    *("address", "answers", "actions", "controls", "intake", "headings", "band", "closeup"),
    *("reply", "keyboard", "check", "live"),
)
MODULES = tuple(f"{name}.js" for name in _NAMES)
_LARGEST = 50 << 20  # bytes of a page


def live_page(
    title: str,
    model: nn.Module,
    inputs: Tensor,
    *,
    labels: Sequence[int] = (),
    classes: Sequence[str] = (),
    place: dict[str, Any] | None = None,
    changes: dict[str, dict[int, float]] | None = None,
) -> str:
    """Return a page (HTML) in which `model` computes what it makes of an image, or of a drawing.

    `inputs` are the images that it opens with, (N, C, H, W), as the network takes them; `labels`
    their classes, `classes` the names of all, `place` where it opens, such as {"layer": "conv2"},
    `changes` what channels are multiplied by, such as {"conv1": {3: 0.0}}.

    Raises NotComputableError, in one sentence, where a page cannot compute this network.
    """
    with models.eval_mode(model), torch.no_grad():
        given = models.as_input(model, inputs)
        found = program(model, given[:1])
        outputs = [_scores(model(given[i : i + 1])) for i in range(len(inputs))]
    is_half = _bytes(found, inputs, 4) > _LARGEST
    if _bytes(found, inputs, 2) > _LARGEST:
        raise NotComputableError(f"a page of {title} would be larger than {_LARGEST >> 20} MB")
    count = outputs[0].shape[1] if outputs[0].dim() > 1 else 1
    held = {
        "program": {"input": "input", **_graph(found)},
        "weights": _text(found.packed(np.float16 if is_half else np.float32)),
        "half": is_half,
        **_images(inputs.float()),
        "outputs": [_text(output.numpy().tobytes()) for output in outputs],
        "labels": list(labels),
        # A class without a name has its number.
        "classes": [*map(str, classes), *map(str, range(len(classes), count))],
        "palette": _text(palette()),
        "place": {name: str(value) for name, value in (place or {}).items()},
        "changes": {layer: _faded(own) for layer, own in (changes or {}).items()},
        "about": f"{words.counted(_stages(found), 'layer')}, "
        f"{sum(each.size for each in found.values):,} weights, computed in this page",
    }
    return Template((STATIC / "live.html").read_text("utf-8")).substitute(
        title=in_text(title),
        style=(STATIC / "live.css").read_text("utf-8"),
        data=in_script(held),
        script=script(*MODULES),
    )


def living(
    recordings: Recordings,
    place: dict[str, Any],
    labels: Sequence[int] = (),
    changes: dict[str, dict[int, float]] | None = None,
) -> str:
    """Return the page of the images that a view has recorded."""
    return live_page(
        recordings.name,
        recordings.model,
        recordings.inputs,
        labels=labels,
        classes=recordings.classes,
        place=place,
        changes=changes,
    )


def _bytes(found: Program, inputs: Tensor, each: int) -> int:
    """Return about how large the page will be: bytes become a third more as text."""
    values = sum(tensor.size for tensor in found.values)
    return (values * each + inputs.numel() * 4) * 4 // 3


def _scores(output: Any) -> Tensor:
    """Return what the network answers; raise where that is not one tensor of numbers."""
    if not isinstance(output, Tensor):
        raise NotComputableError(f"the network gives a {type(output).__name__}, not one tensor")
    return output.float().cpu()


def _faded(factors: dict[int, float]) -> dict[int, float]:
    return {channel: factor for channel, factor in factors.items() if factor != 1}


def _graph(found: Program) -> dict[str, Any]:
    return {"steps": found.steps, "tensors": found.tensors, "output": found.output}


def _stages(found: Program) -> int:
    return sum(not step.get("hidden") for step in found.steps)


def _images(inputs: Tensor) -> dict[str, Any]:
    """Return the images as bytes, where they are normalized ones, or else as floats."""
    levels = ((inputs * data.STD + data.MEAN) * 255).round()
    pixels = levels.clamp(0, 255).to(torch.uint8)
    is_bytes = torch.equal((pixels / 255 - data.MEAN) / data.STD, inputs)
    values = pixels if is_bytes else inputs
    return {
        "images": [_text(image.numpy().tobytes()) for image in values],
        "isBytes": is_bytes,
        "shape": [1, *inputs.shape[1:]],
        "mean": data.MEAN,
        "std": data.STD,
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
