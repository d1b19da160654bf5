"""Several networks read the same digit while it is moved, turned, scaled and made noisy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import data, models, words
from vizlib.explore._images import (
    as_classes,
    as_inputs,
    as_labels,
    check_classes,
    check_model,
    class_name,
    name_of,
    takes_signals,
)
from vizlib.explore._lifetime import kept
from vizlib.explore._panels import Bars, Frame, Lines, Picture
from vizlib.explore._sliders import Slider, encodable
from vizlib.explore._view import View

# What can be done to a digit: the first value, the last, the distance of two, and the unit.
_CHANGES = {
    "right": (-8, 8, 1, "pixels"),
    "down": (-8, 8, 1, "pixels"),
    "turn": (-90, 90, 15, "degrees"),
    "size": (0.5, 1.5, 0.1, "times"),
    "noise": (0, 1, 0.1, "of white"),
}
_NEUTRAL = {"size": 1.0}
# What 0 and 255 are to the network.
_BYTES = (-data.MEAN / data.STD, (1 - data.MEAN) / data.STD)
_TOGETHER = 1 << 20  # values of the images that a network sees at once
_ROOM = 800  # CSS pixels for all columns of bars


def compare(
    models: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module],
    images: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> View:
    """Return sliders that change a digit, and what several networks make of it.

    `models` is a list of networks, or they under names of your own; `images`, `labels` and
    `classes` are as in `layers`. The digit moves *right* and *down* by pixels (a negative number
    goes left and up), *turns* counter-clockwise about the middle by degrees, has another *size*,
    and gets *noise*: to each pixel a random number is added, with a standard deviation of up to the
    whole distance from black to white, and what leaves black…white is cut off. The noise of an
    image is always the same one, only stronger or weaker. What moves in from outside is as black as
    the image.

    At the left is the digit as the networks get it. Beside it, over all places of the slider that
    *along* names, is the probability that each network gives to the label, or without labels to
    what the first network answers to the unchanged image; the black line is where that slider
    stands, and the others stay where they are. Below are the probabilities, one column for each
    network: the winner is the blue bar, the label is underlined.

    Raises TypeError or ValueError where models, images, labels or state are none of these, or the
    networks do not share image size and classes.

    >>> from vizlib import models
    >>> both = [models.build("mlp", seed=0), models.build("lenet", seed=0)]
    >>> view = compare(both, torch.zeros(2, 28, 28, dtype=torch.uint8), state="right=3 turn=-15")
    >>> view, view.state
    (compare(mlp, lenet), 'image=0 right=3 down=0 turn=-15 size=1 noise=0 along=right')
    """
    networks = _named(models)
    if any(map(takes_signals, networks.values())):
        raise ValueError(
            f"compare moves and turns images, but {', '.join(networks)} read signals (N, C, L)"
        )
    inputs, _ = as_inputs(images)
    ends = [_BYTES if _are_bytes(images) else _ends(one) for one in inputs]
    names = as_classes(classes, next(iter(networks.values())))
    labels = as_labels(labels, len(inputs), names)
    comparison = _Comparison(networks, inputs, ends, labels, names)
    title = f"compare({', '.join(networks)})"
    return View(title, comparison.sliders(), comparison.show, state=state)


class _Comparison:
    """Networks, and the images that they are to read in every form."""

    def __init__(
        self,
        models: dict[str, nn.Module],
        inputs: Tensor,
        ends: list[tuple[float, float]],
        labels: list[int],
        classes: list[str],
    ) -> None:
        self.models, self.inputs, self.ends = models, inputs, ends
        self.labels, self.classes = labels, classes
        self.places = {name: _places(*change[:3]) for name, change in _CHANGES.items()}
        check_classes(classes, next(iter(self.read(inputs[:1]).values())).shape[1])

    def sliders(self) -> list[Slider]:
        """Return them where they change nothing."""
        changes = [
            Slider(name, [f"{value:.4g}" for value in places], places.index(_NEUTRAL.get(name, 0)))
            for name, places in self.places.items()
        ]
        return [Slider("image", len(self.inputs)), *changes, Slider("along", list(_CHANGES))]

    def show(self, image: int, along: int, **at: int) -> Frame:
        """Return what is seen there."""
        swept, chances = self._swept(image, along, at)
        target, label = self.target(image), self._label(image)
        first, _, step, unit = _CHANGES[list(_CHANGES)[along]]
        width = min(220, _ROOM // len(self.models) - 20)
        panels = [
            Picture(self._picture(image, at), title=f"image {image}, changed", width=142),
            Lines(
                {name: sweep[:, target].tolist() for name, sweep in swept.items()},
                along=f"{list(_CHANGES)[along]} ({unit})",
                title=f"probability of {class_name(self.classes, target)}",
                start=first,
                step=step,
                at=at[list(_CHANGES)[along]],
                ends=(0, 1),
                width=620,
                height=160,
            ),
        ]
        panels += [
            Bars(
                p,
                label,
                self.classes,
                title=self._verdict(name, p, label),
                width=width,
                below=not number,
            )
            for number, (name, p) in enumerate(chances.items())
        ]
        says = "; ".join(self._verdict(name, p, label) for name, p in chances.items())
        return Frame(panels, says)

    def read(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each network makes of a batch, probabilities (N, K); all have the same K."""
        few = x.split(max(1, _TOGETHER // x[0].numel()))
        read = {
            name: torch.cat([_probabilities(name, model, part) for part in few])
            for name, model in self.models.items()
        }
        if len({chances.shape for chances in read.values()}) > 1:
            counts = ", ".join(f"{chances.shape[1]} from {n}" for n, chances in read.items())
            raise ValueError(f"the networks must have the same classes, but there are {counts}")
        return read

    def _swept(
        self, image: int, along: int, at: dict[str, int]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the probabilities at all places along one slider, and those where it stands."""
        name = list(_CHANGES)[along]
        swept = self.sweep(image, name, *(place for n, place in at.items() if n != name))
        return swept, {each: sweep[at[name]] for each, sweep in swept.items()}

    # Along its own slider a sweep is computed once; beside it, once for each place.
    @kept(256)
    def sweep(self, image: int, along: str, *others: int) -> dict[str, Tensor]:
        given = dict(zip([name for name in _CHANGES if name != along], others, strict=True))
        count = len(self.places[along])
        changes = {name: [self.places[name][index]] * count for name, index in given.items()}
        changes[along] = self.places[along]
        low, high = self.ends[image]
        return self.read(self._changed(image, changes) * (high - low) + low)

    def _changed(self, image: int, changes: Mapping[str, Sequence[float]]) -> Tensor:
        """Return an image (B, C, H, W) from 0, black, to 1, white, changed in B ways."""
        right, down, turn, size, noise = (torch.tensor(changes[name]).float() for name in _CHANGES)
        low, high = self.ends[image]
        one = (self.inputs[image] - low) / (high - low)
        turn = turn.deg2rad()
        # The image is turned, then moved: where is what comes to the middle?
        x = (turn.sin() * down - turn.cos() * right) / size
        y = -(turn.sin() * right + turn.cos() * down) / size
        moved = data.affine(one.expand(len(right), -1, -1, -1), turn, size, x, y)
        grains = torch.randn(one.shape, generator=torch.Generator().manual_seed(image))
        return (moved + noise[:, None, None, None] * grains).clamp(0, 1)

    def _picture(self, image: int, at: dict[str, int]) -> Any:
        values = {name: [places[at[name]]] for name, places in self.places.items()}
        pixels = (self._changed(image, values)[0] * 255).round().to(torch.uint8)
        # Three channels, or those and an opacity, are colours.
        colours = pixels[:3] if len(pixels) in {3, 4} else pixels[0]
        return colours.movedim(0, -1).numpy() if colours.dim() > 2 else colours.numpy()  # noqa: PLR2004

    @kept(256)
    def target(self, image: int) -> int:
        if self.labels:
            return self.labels[image]
        first = next(iter(self.read(self.inputs[image : image + 1]).values()))
        return int(first.argmax())

    def _label(self, image: int) -> int | None:
        return self.labels[image] if self.labels else None

    def _verdict(self, name: str, chances: Tensor, label: int | None) -> str:
        answer = int(chances.argmax())
        verdict = "" if label is None else ", right" if answer == label else ", wrong"
        return f"{name}: {class_name(self.classes, answer)}{verdict}"


def _are_bytes(images: Any) -> bool:
    kind = getattr(images, "dtype", None) or getattr(images[0], "dtype", None)
    return str(kind).endswith("uint8")


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
        check_model(model)
    names = (name or name_of(model) for name, model in given)
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
