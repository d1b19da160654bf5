"""What the view of a network holds: its program and weights, its images, and what torch answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import capture, data, models
from vizlib.explore._explorer import script
from vizlib.explore._panels import palette
from vizlib.explore._program import NotComputableError, program
from vizlib.explore._recordings import LARGEST, Recordings, probabilities, refusal
from vizlib.words import counted

_COMPARED = 10  # images whose answers are held against torch's
_FED = 16 << 20  # bytes of maps that the kernel sends at a time
_PRODUCTS = 300_000_000  # multiplications that a browser does in about a third of a second
# Multiplications that a page computes in its own thread. NewNet has 10.6 million: in another thread
# its picture came 59 ms after a stroke in place of 42, on two cores that a training used as well.
_QUICK = 20_000_000
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def contents(
    recordings: Recordings, labels: Sequence[int], *, is_pad: bool, recorded: bool
) -> dict[str, Any]:
    """Return all that does not change while one slides: text, numbers, and values as bytes.

    A network that a page cannot compute is given by its layers alone; `why` says what hinders it.
    With `recorded`, any network is, and nobody answers what is drawn.
    """
    try:
        computed = _computed(recordings, recorded=recorded)
    except NotComputableError as error:
        computed = {**_layers(recordings[0]), "isComputed": False, "why": str(error)}
    count = 0 if (chances := probabilities(recordings[0])) is None else len(chances)
    return {
        "title": recordings.name,
        "palette": palette(),
        "labels": list(labels),
        "isPad": is_pad and not recorded,
        # A class without a name has its number.
        "classes": [*recordings.classes, *map(str, range(len(recordings.classes), count))],
        **_images(recordings.inputs.float()),
        **computed,
    }


def _computed(recordings: Recordings, *, recorded: bool) -> dict[str, Any]:
    if recorded:
        raise NotComputableError("this page has no weights in it")
    if (products := sum(map(_products, recordings[0].values()))) > _PRODUCTS:
        raise NotComputableError(f"its {products:,} multiplications would take a page too long")
    few = recordings.inputs[: max(1, _COMPARED // recordings.sets)]
    sets = [_exported(model, few, recordings.sets) for model in recordings.each()]
    if any(each["program"] != sets[0]["program"] for each in sets):
        raise NotComputableError("with other weights it does not compute the same")
    weights = b"".join(each["weights"] for each in sets)
    outputs = [output for each in sets for output in each["outputs"]]
    engine = _engine() if products > _QUICK else ""
    return {**sets[0], "weights": weights, "outputs": outputs, "engine": engine}


def _exported(model: nn.Module, few: Tensor, sets: int) -> dict[str, Any]:
    """Return one of so many sets of weights, with the program and its answers to a few images."""
    with models.eval_mode(model), torch.no_grad():
        given = models.as_input(model, few)
        found = program(model, given[:1])
        outputs = [_scores(model(given[i : i + 1])) for i in range(len(few))]
    size = sum(values.size for values in found.values)
    if 2 * size * sets > LARGEST:
        raise NotComputableError(f"its {size * sets:,} weights are too many for a page")
    is_half = 4 * size * sets > LARGEST
    stages = sum(not step.get("hidden") for step in found.steps)
    return {
        "isComputed": True,
        "program": found.graph(),
        "weights": found.packed(np.float16 if is_half else np.float32),
        "half": is_half,
        "outputs": [output.numpy().tobytes() for output in outputs],
        "about": f"{counted(stages, 'layer')}, {size:,} weights",
    }


def _engine() -> str:
    """Return what computes a network in a thread of its own; nobody imports anything from it."""
    return _EXPORT.sub("", script("engine.js", "graph.js", "jobs.js", "worker.js"))


def _products(stage: capture.Stage) -> int:
    """Return how many products a convolution or a linear layer adds up."""
    weight = getattr(stage.module, "weight", None)
    if stage.kind not in {"conv", "linear"} or not isinstance(weight, Tensor):
        return 0
    return stage.output.numel() * weight[0].numel()


def _scores(output: Any) -> Tensor:
    """Return what the network answers; raise where that is not one tensor of numbers."""
    if not isinstance(output, Tensor):
        raise NotComputableError(f"the network gives a {type(output).__name__}, not one tensor")
    return output.float().cpu()


def _layers(recording: capture.Recording) -> dict[str, Any]:
    """Return the layers with what each of them read, but without what they compute."""
    steps = [
        {
            "name": stage.name,
            "operation": stage.kind,
            "isTold": True,
            "options": {"input": [{"stage": name} for name in _sources(recording, stage.inputs)]},
        }
        for stage in recording.values()
    ]
    graph = {"input": "input", "steps": steps, "tensors": [], "output": steps[-1]["name"]}
    about = counted(len(steps), "layer")
    return {"program": graph, "weights": b"", "half": False, "outputs": [], "about": about}


def _sources(recording: capture.Recording, names: Sequence[str]) -> list[str]:
    """Return the layers that were read, also through the steps between them."""
    found: list[str] = []
    for name in names:
        if name in recording or name == "input":
            found.append(name)
        elif name in recording.steps:
            found += _sources(recording, recording.steps[name].inputs)
    return list(dict.fromkeys(found))


def made(
    x: Tensor, recording: capture.Recording, chosen: str, *, most: int = _FED
) -> dict[str, Any]:
    """Return what the layers made of an image x (1, C, H, W), as bytes, and what cannot be shown.

    Of more than `most` bytes only the chosen layer, the last one and the smallest ones travel.
    """
    says = {name: sentence for name, stage in recording.items() if (sentence := refusal(stage))}
    room, stages = most, {}
    order = sorted(recording, key=lambda name: recording[name].output.numel())
    for name in dict.fromkeys([chosen, *list(recording)[-1:], *order]):
        output = recording[name].output
        room -= 0 if name in says else 4 * output.numel()
        if name not in says and (room > 0 or name == chosen):
            stages[name] = _packed(output)
        else:
            says.setdefault(name, f"{name} is fetched when you go there")
            stages[name] = {"shape": [1, 1], "values": np.full(1, np.nan, np.float32).tobytes()}
    # Last, as a layer may be called so too.
    return {"stages": stages | {"input": _packed(x)}, "says": says}


def _packed(values: Tensor) -> dict[str, Any]:
    shape = list(values.shape) if values.dim() > 1 else [1, values.numel()]
    return {"shape": shape, "values": capture.real(values).contiguous().cpu().numpy().tobytes()}


def _images(inputs: Tensor) -> dict[str, Any]:
    """Return the images as bytes, where they are normalized ones, or else as floats."""
    levels = ((inputs * data.STD + data.MEAN) * 255).round()
    pixels = levels.clamp(0, 255).to(torch.uint8)
    is_bytes = torch.equal((pixels / 255 - data.MEAN) / data.STD, inputs)
    values = pixels if is_bytes else inputs
    ends = (-data.MEAN / data.STD, (1 - data.MEAN) / data.STD)
    finite = inputs.nan_to_num()
    if values.numel() * values.element_size() > LARGEST:
        raise ValueError(
            f"the {len(inputs)} images have more than {LARGEST >> 20} MB: give the view fewer, "
            "as in images[:100]"
        )
    return {
        "images": [image.numpy().tobytes() for image in values],
        "isBytes": is_bytes,
        "range": list(ends) if is_bytes else [float(finite.min()), float(finite.max())],
        "shape": [1, *inputs.shape[1:]],
        "mean": data.MEAN,
        "std": data.STD,
    }
