"""Several networks read the same digit while it is moved, turned, scaled and made noisy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib import data, models, words
from vizlib.explore import _images
from vizlib.explore._explorer import script
from vizlib.explore._panels import Bars, Frame, Lines, Panel, Picture, Words
from vizlib.explore._program import NotComputableError, program
from vizlib.explore._sliders import Slider, encodable
from vizlib.explore._view import SLIDING, Panels, View

# What can be done to a digit: the first value, the last, the distance of two, the unit, and the
# value that changes nothing.
_CHANGES = {
    "right": (-8, 8, 1, "pixels", 0),
    "down": (-8, 8, 1, "pixels", 0),
    "turn": (-90, 90, 15, "degrees", 0),
    "size": (0.5, 1.5, 0.1, "times", 1),
    "noise": (0, 1, 0.1, "of white", 0),
}
# What 0 and 255 are to the network.
_BYTES = (-data.MEAN / data.STD, (1 - data.MEAN) / data.STD)
_TOGETHER = 1 << 20  # values of the images that a network sees at once
_LARGEST = 50 << 20  # bytes of weights that a page computes with


def compare(
    models: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module],
    images: Any = None,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> View:
    """Return sliders that change a digit, and what several networks make of it.

    `models` is a list of networks, or they under names of your own; `images`, `labels` and
    `classes` are as in `layers`, and without images there is an empty pad. The digit moves *right*
    and *down* by pixels (a negative number goes left and up), *turns* counter-clockwise about the
    middle by degrees, has another *size*, and gets *noise*: to each pixel a random number is added,
    with a standard deviation of up to the whole distance from black to white, and what leaves
    black…white is cut off. The noise is always the same one, only stronger or weaker. What moves in
    from outside is as black as the image.

    At the left is the digit as the networks get it. Beside it, over all places of the slider that
    *along* names, is the probability that each network gives to the label, or without labels to
    what the first network answers to the unchanged image; the black line is where that slider
    stands, and the others stay where they are. Below are scores and probabilities, one column for
    each network: the winner is the blue bar, an orange one where it is not the label, or without
    labels not what the first network answers. The label is underlined.

    The networks compute in the browser, in notebooks and in pages. Where they read one digit of
    28×28, there is a pad as well: what is drawn there goes to them as `draw` prepares it. Where one
    of them cannot be computed there, a sentence says why; the kernel then answers for all of them.

    Raises TypeError or ValueError where models, images, labels or state are none of these, or the
    networks do not share image size and classes.

    >>> from vizlib import models
    >>> both = [models.build("mlp", seed=0), models.build("lenet", seed=0)]
    >>> view = compare(both, torch.zeros(2, 28, 28, dtype=torch.uint8), state="right=3 turn=-15")
    >>> view, view.state
    (compare(mlp, lenet), 'image=0 right=3 down=0 turn=-15 size=1 noise=0 along=right')
    """
    networks = _named(models)
    if any(map(_images.takes_signals, networks.values())):
        raise ValueError(
            f"compare moves and turns images, but {', '.join(networks)} read signals (N, C, L)"
        )
    images = torch.zeros(1, 28, 28, dtype=torch.uint8) if images is None else images
    inputs, _ = _images.as_inputs(images)
    is_bytes = data.as_tensor(images).dtype == torch.uint8
    ends = [_BYTES if is_bytes else _ends(one) for one in inputs]
    names = _images.as_classes(classes, next(iter(networks.values())))
    labels = _images.as_labels(labels, len(inputs), names)
    comparison = _Comparison(networks, inputs, ends, labels, names)
    # Along its own slider a sweep is computed once; beside it, once for each place.
    sweep = functools.lru_cache(256)(comparison.sweep)
    return View(
        f"compare({', '.join(networks)})",
        comparison.sliders(),
        functools.partial(comparison.show, sweep),
        state=state,
        canvas=_Networks,
        held=comparison.held,
    )


class _Networks(Panels):
    """The canvas in which the networks compute; see static/compare.js."""

    _esm = script(
        *("engine.js", "graph.js", "scores.js", "jobs.js", "ink.js", "sketch.js", *SLIDING),
        *("contents.js", "changes.js", "rivals.js", "verdicts.js", "intakes.js", "compare.js"),
    )


@dataclass
class _Comparison:
    """Networks, and the images that they are to read in every form."""

    models: dict[str, nn.Module]
    inputs: Tensor
    ends: list[tuple[float, float]]
    labels: list[int]
    classes: list[str]

    def __post_init__(self) -> None:
        """Raise ValueError where the networks do not share their classes."""
        count = self.read(self.inputs[:1]).shape[-1]
        _images.check_classes(self.classes, count)
        _images.check_labels(self.labels, count)
        low, high = torch.tensor(self.ends)[:, :, None, None, None].unbind(1)
        self.shares = (self.inputs - low) / (high - low)
        seeded = torch.Generator().manual_seed(0)
        self.grains = torch.randn(self.inputs.shape[1:], generator=seeded)
        self.places = {name: _places(*change[:3]) for name, change in _CHANGES.items()}
        try:
            self.held, self.why = self._computed(), ""
        except NotComputableError as error:
            self.held, self.why = {}, str(error)

    def _computed(self) -> dict[str, Any]:
        """Return what a page computes with; raise NotComputableError where it cannot."""
        networks = [_packed(*each, self.inputs[:1]) for each in self.models.items()]
        size = sum(len(each["weights"]) for each in networks)
        if size > _LARGEST:
            raise NotComputableError(
                f"the weights have {size >> 20} MB, and a page computes with {_LARGEST >> 20} MB"
            )
        takes_ink = self.inputs.shape[1:] == (1, 28, 28)
        return {
            "networks": networks,
            "images": self.shares.numpy().tobytes(),
            "shape": list(self.inputs.shape[1:]),
            "ends": self.ends,
            "ink": _BYTES if takes_ink else None,
            "grains": self.grains.numpy().tobytes(),
            "changes": _CHANGES,
            "labels": self.labels,
            "classes": self.classes,
        }

    def sliders(self) -> list[Slider]:
        """Return them where they change nothing."""
        changes = [
            Slider(name, [f"{value:.4g}" for value in places], places.index(_CHANGES[name][-1]))
            for name, places in self.places.items()
        ]
        return [Slider("image", len(self.inputs)), *changes, Slider("along", list(_CHANGES))]

    def show(self, sweep: Callable[..., Tensor], image: int, along: int, **at: int) -> Frame:
        """Return what is seen there."""
        name, (first, _, step, unit, _) = list(_CHANGES.items())[along]
        swept = sweep(image, name, *{**at, name: 0}.values())
        label = self.labels[image] if self.labels else None
        target = self._first_answer(image) if label is None else label
        chances = swept[:, at[name]]
        answers = chances.argmax(1).tolist()
        right = answers[0] if label is None else label
        panels: list[Panel] = [
            Picture(self._picture(image, at.values()), title=f"image {image}, changed", width=142),
            Lines(
                dict(zip(self.models, swept[..., target].tolist(), strict=True)),
                along=f"{name} ({unit})",
                title=f"probability of {_images.class_name(self.classes, target)}",
                start=first,
                step=step,
                at=at[name],
                ends=(0, 1),
                width=620,
                height=160,
            ),
        ]
        verdicts = [self._verdict(*each, label) for each in zip(self.models, answers, strict=True)]
        rows = enumerate(zip(chances, answers, verdicts, strict=True))
        panels += [
            Bars(one, label, self.classes, answer != right, title=verdict, below=not number)
            for number, (one, answer, verdict) in rows
        ]
        if self.why:
            panels.append(Words([f"No page computes these answers: {self.why}."], below=True))
        return Frame(panels, "; ".join(verdicts))

    def read(self, x: Tensor) -> Tensor:
        """Return what the networks make of a batch, probabilities (M, N, K)."""
        few = x.split(max(1, _TOGETHER // x[0].numel()))
        read = [
            torch.cat([_probabilities(name, model, part) for part in few])
            for name, model in self.models.items()
        ]
        if len({each.shape for each in read}) > 1:
            both = zip(read, self.models, strict=True)
            counts = ", ".join(f"{each.shape[1]} from {name}" for each, name in both)
            raise ValueError(f"the networks must have the same classes, but there are {counts}")
        return torch.stack(read)

    def sweep(self, image: int, along: str, *at: int) -> Tensor:
        """Return probabilities (M, B, K) at all B places of one slider, where the others stand."""
        low, high = self.ends[image]
        changes = self._changes(at) | {along: self.places[along]}
        return self.read(self._changed(image, changes) * (high - low) + low)

    def _changes(self, at: Iterable[int]) -> dict[str, list[float]]:
        places = zip(self.places.items(), at, strict=True)
        return {name: [values[index]] for (name, values), index in places}

    def _changed(self, image: int, changes: Mapping[str, Sequence[float]]) -> Tensor:
        """Return an image (B, C, H, W) from 0, black, to 1, white, changed in B ways."""
        values = (torch.tensor(changes[name]).float() for name in _CHANGES)
        right, down, turn, size, noise = torch.broadcast_tensors(*values)
        turn = turn.deg2rad()
        # The image is turned, then moved: where is what comes to the middle?
        x = (turn.sin() * down - turn.cos() * right) / size
        y = -(turn.sin() * right + turn.cos() * down) / size
        one = self.shares[image].expand(len(right), -1, -1, -1)
        moved = data.affine(one, turn, size, x, y)
        return (moved + noise[:, None, None, None] * self.grains).clamp(0, 1)

    def _picture(self, image: int, at: Iterable[int]) -> np.ndarray:
        changed = self._changed(image, self._changes(at))
        return _images.as_pictures((changed * 255).round().to(torch.uint8))[0]

    def _first_answer(self, image: int) -> int:
        return int(self.read(self.inputs[image : image + 1])[0].argmax())

    def _verdict(self, name: str, answer: int, label: int | None) -> str:
        verdict = "" if label is None else ", right" if answer == label else ", wrong"
        return f"{name}: {_images.class_name(self.classes, answer)}{verdict}"


def _packed(name: str, model: nn.Module, x: Tensor) -> dict[str, Any]:
    """Return a network for a page; raise NotComputableError where that cannot compute it."""
    with models.eval_mode(model), torch.no_grad():
        found = program(model, models.as_input(model, x))
    return {"name": name, "program": found.graph(), "weights": found.packed(np.float32)}


def _ends(image: Tensor) -> tuple[float, float]:
    """Return the values of black and white where nobody said what they are."""
    low, high = (float(end) for end in image.aminmax())
    return low, high if high > low else low + 1


def _named(models: Any) -> dict[str, nn.Module]:
    """Return the networks under their names; one that comes again gets a number."""
    if isinstance(models, Mapping):
        given = [(encodable(str(name)), model) for name, model in models.items()]
    else:
        given = [("", m) for m in (models if isinstance(models, list | tuple) else [models])]
    if not given:
        raise ValueError("there is no network to compare: give one or more, such as [mlp, lenet]")
    for _, model in given:
        _images.check_model(model)
    names = (name or _images.name_of(model) for name, model in given)
    return dict(zip(words.numbered(names), (model for _, model in given), strict=True))


def _places(first: float, last: float, step: float) -> list[float]:
    return [round(first + step * i, 6) for i in range(round((last - first) / step) + 1)]


@torch.no_grad()
def _probabilities(name: str, model: nn.Module, x: Tensor) -> Tensor:
    """Return (N, K), whether the network ends in scores, in softmax or in its logarithm."""
    try:
        with models.eval_mode(model):
            scores = model(models.as_input(model, x)).float().cpu()
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name} does not take images of the shape {tuple(x.shape)}: {error}; compare networks "
            "that take the same images"
        ) from error
    if scores.dim() != 2:  # noqa: PLR2004 - N and K
        raise ValueError(
            f"{name} ends in {tuple(scores.shape)}, not in one score a class (N, K), so that "
            "there is no answer to compare"
        )
    return models.probabilities(scores)
