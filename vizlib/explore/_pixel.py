"""A value of any layer, traced back step by step to the pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import arithmetic, plots
from vizlib.explore._images import as_classes, class_name
from vizlib.explore._live import living
from vizlib.explore._panels import Box, Frame, Maps, Panel, Picture, Words, folded, product
from vizlib.explore._recordings import Recordings
from vizlib.explore._sliders import Slider, read
from vizlib.explore._traces import (
    AXES,
    Traces,
    first_sum,
    peak,
    place_of,
    trace_lines,
)
from vizlib.explore._view import View
from vizlib.words import counted, short

# CSS pixels: all maps of a layer, one of them, one of a pair, a cell of a patch and the whole of
# it, the image, the image of a pair, and the words beside it.
_ALL, _ONE, _PAIR, _CELL, _PATCH, _IMAGE, _SMALL, _WORDS = 162, 170, 202, 34, 132, 150, 114, 480


def pixel(
    model: nn.Module,
    images: Any,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> View:
    """Return sliders for one value of any layer, and the way from there back to the image.

    `images` and `classes` are as in `layers`. The model is run in eval mode and comes back as it
    was.

    Above are all maps of the layer, the chosen one in a black frame, and that one large, with the
    value in a black frame: a click on a cell goes there. A vector is folded into a square, row by
    row. Beside them is the first step back that reads more than one value: patch × kernel =
    products for the input channel from which most comes, inputs × weights = products of a neuron,
    or the window of a pooling with the winner in a black frame; padding is hatched. White is zero,
    blue positive, orange negative; all maps of the layer share one scale.

    Below is the image: the large orange frame is the receptive field, all that the value can depend
    on, and the small one is the pixel where the way back ends. The words go that way, a line for
    each layer; [3, 0, 5] is channel 3, row 0, column 5. The first line is the whole sum of the
    chosen value. Where a layer reads many values, the next line is about the one that matters most:
    the winner of a max pooling, otherwise the largest product of either sign; of two outputs that
    are added, as around a residual block, the larger one. Numbers are rounded to be read, but
    computed as they are; the differences are those from what PyTorch computed.

    It opens at the value farthest from zero, unless `state` says where. `beside` is a second image:
    then the maps of both stand side by side on one scale, with their difference. The spot stays
    while the image changes.

    A layer that cannot be followed back is shown all the same, and a sentence says why. `.figure()`
    draws the whole way for print, of two images below their maps and the difference.

    Raises TypeError or ValueError where model, images or state are none of these.

    >>> import torch
    >>> from vizlib import models
    >>> lenet, blank = models.build("lenet", seed=0), torch.zeros(28, 28)
    >>> pixel(lenet, blank, state="layer=pool2 channel=5 row=3").state
    'image=0 layer=pool2 channel=5 row=3 col=0'
    """
    traces = Traces(Recordings(model, images, as_classes(classes, model)))
    name = f"pixel({traces.recordings.name}, {counted(len(traces.recordings), 'image')})"
    pixel = _Pixel(traces)
    sliders = _sliders(traces, state)
    return View(name, sliders, pixel.show, pixel.draw, state=state, living=pixel.living)


def _sliders(traces: Traces, state: str | None) -> list[Slider]:
    """Return the sliders, with the ranges of the layer that the view opens with."""
    images = [str(image) for image in range(len(traces.recordings))]
    layer, beside = Slider("layer", traces.names), Slider("beside", ["none", *images])
    given = read(state, ["image", "layer", *AXES, *(["beside"] if len(images) > 1 else [])])
    layer = layer.at(given.get("layer", layer.word))
    image = Slider("image", len(images)).at(given.get("image", "0"))
    spot = [Slider(name, count) for name, count in traces.counts(layer.index).items()]
    asked = [slider.at(given[slider.name]) for slider in spot if slider.name in given]
    start = traces.strongest(image.index, layer.index, {each.name: each.index for each in asked})
    spot = [replace(slider, index=start[slider.name]) for slider in spot]
    return [image, layer, *spot, *([beside] if len(images) > 1 else [])]


@dataclass(frozen=True)
class _Spot:
    """Where the sliders stand: a value of a layer, for one image or two."""

    images: Sequence[int]
    layer: int
    where: tuple[int, int, int]


class _Pixel:
    """What is seen of a value, as a function of where the sliders stand."""

    def __init__(self, traces: Traces) -> None:
        self.traces = traces

    def _spot(self, *, image: int, layer: int, beside: int = 0, **where: int) -> _Spot:
        ends = self.traces.counts(layer)
        images = [image, beside - 1] if beside else [image]
        channel, row, col = (min(where[name], ends[name] - 1) for name in AXES)
        return _Spot(images, layer, (channel, row, col))

    def living(self, **place: int) -> str:
        """Return the page in which the network computes, opened at a place."""
        spot = self._spot(**place)
        channel, row, col = spot.where
        where = {"layer": self.traces.names[spot.layer], "channel": channel}
        return living(
            self.traces.recordings, where | {"image": spot.images[0], "pixel": f"{row},{col}"}
        )

    def show(self, **place: int) -> Frame:
        """Return what is seen at a place."""
        spot = self._spot(**place)
        traces, sentence = self._traces(spot)
        above = self._both(spot) if len(spot.images) > 1 else self._one(spot, traces)
        lines = self._lines(spot, traces) if traces else [sentence]
        words = Words(lines, title=self._title(spot, traces), width=_WORDS)
        pictures = self._pictures(spot, traces)
        says = f"{self._title(spot, traces)}: {lines[0]}"
        return Frame([*above, *pictures, words], says, self.traces.counts(spot.layer))

    def draw(self, **place: int) -> plots.Figure:
        """Return the whole way of each image for print, or the maps where there is none."""
        spot = self._spot(**place)
        traces, _ = self._traces(spot)
        stages = [self.traces.recordings.stage(image, spot.layer) for image in spot.images]
        difference = [self._difference(spot)] if len(spot.images) > 1 else []
        if not traces:
            maps = [self.traces.maps(image, spot.layer) for image in spot.images]
            name = stages[0].name
            return plots.together(difference, *([plots.feature_maps(m, title=name)] for m in maps))
        titled = [f"image {image}: {place_of(one[0])} = {short(one[0].value, 4)}"
                  for image, one in zip(spot.images, traces, strict=True)]  # fmt: skip
        rows = zip(traces, stages, titled, strict=True)
        return plots.together(
            difference, *([plots.trace(t, output=s, title=w)] for t, s, w in rows)
        )

    def _difference(self, spot: _Spot) -> plots.Figure:
        """Return the chosen map of two images and their difference for print, on one scale."""
        one, other = (self.traces.maps(image, spot.layer) for image in spot.images)
        first, second = (f"image {image}" for image in spot.images)
        name, channel = self.traces.names[spot.layer], spot.where[0]
        if one.dim() == 1:
            return plots.feature_maps(one - other, title=f"{name}: {first} − {second}")
        maps = torch.stack([one[channel], other[channel], one[channel] - other[channel]])
        title = f"{name}, channel {channel}: {first} (0), {second} (1) and their difference (2)"
        return plots.feature_maps(maps, columns=3, title=title)

    def _traces(self, spot: _Spot) -> tuple[list[arithmetic.Trace], str]:
        """Return the way back for each image, or none and why."""
        try:
            found = [self.traces.trace(image, spot.layer, spot.where) for image in spot.images]
        except ValueError as error:
            return [], str(error)
        return found, ""

    def _one(self, spot: _Spot, traces: Sequence[arithmetic.Trace]) -> list[Panel]:
        """Return all maps, the chosen one, and the first step back."""
        maps = self.traces.maps(spot.images[0], spot.layer)
        limit = peak(maps)
        found = [_map(maps, spot.where, limit=limit, width=_ONE)]
        if maps.dim() > 1 and len(maps) > 1:
            pick = {"channel": "channel", "row": "row", "col": "col"}
            title = f"{self.traces.names[spot.layer]}: {len(maps)} maps"
            chosen = spot.where[0]
            whole = Maps(maps, limit=limit, title=title, chosen=chosen, pick=pick, width=_ALL)
            found = [whole, *found]
        else:
            found = [replace(found[0], title=f"{self.traces.names[spot.layer]}: {found[0].title}")]
        return [*found, *(_first_step(traces[0]) if traces else [])]

    def _both(self, spot: _Spot) -> list[Panel]:
        """Return the maps of two images and their difference, on one scale."""
        both = [self.traces.maps(image, spot.layer) for image in spot.images]
        difference = both[0] - both[1]
        channel = spot.where[0]
        limit = peak(
            *(maps[channel] for maps in (*both, difference)) if difference.dim() > 1 else difference
        )
        titles = [f"image {image}" for image in spot.images]
        parts = zip((*both, difference), (*titles, "difference"), ("", "−", "="), strict=True)
        return [
            _map(maps, spot.where, limit=limit, width=_PAIR, title=title, before=before)
            for maps, title, before in parts
        ]

    def _pictures(self, spot: _Spot, traces: Sequence[arithmetic.Trace]) -> list[Panel]:
        """Return each image with the receptive field and the pixel where the way ends."""
        found: list[Panel] = []
        for number, image in enumerate(spot.images):
            boxes = _boxes(traces[number]) if traces else []
            found.append(
                Picture(
                    self.traces.recordings.pictures[image],
                    title=f"image {image}",
                    boxes=boxes,
                    width=_IMAGE if len(spot.images) == 1 else _SMALL,
                    below=number == 0,
                )
            )
        return found

    def _title(self, spot: _Spot, traces: Sequence[arithmetic.Trace]) -> str:
        if not traces:
            return self.traces.names[spot.layer]
        field = traces[0][0].field
        sees = f"sees {field.height}×{field.width} pixels" if field.width else "sees no pixel"
        return f"{place_of(traces[0][0])}{self._class(spot)} {sees}"

    def _class(self, spot: _Spot) -> str:
        """Return the name of the class whose score the value is, if it is one and has a name."""
        recordings = self.traces.recordings
        is_score = spot.layer == len(recordings.names) - 1 and recordings.classes
        return f" ({class_name(recordings.classes, spot.where[0])})" if is_score else ""

    def _lines(self, spot: _Spot, traces: Sequence[arithmetic.Trace]) -> list[str]:
        """Tell the way back; of two images also by how much they differ."""
        if len(traces) == 1:
            return trace_lines(traces[0])
        values = [trace[0].value for trace in traces]
        texts = [short(value, 4) for value in (*values, values[0] - values[1])]
        lines = [
            f"{place_of(traces[0][0])}: {texts[0]} − {texts[1]} = {texts[2]}".replace("− −", "+ ")
        ]
        for image, trace in zip(spot.images, traces, strict=True):
            lines += ["", f"image {image}", *trace_lines(trace)]
        return lines


def _map(maps: Tensor, where: Sequence[int], **look: Any) -> Maps:
    """Return the chosen map with the value framed, of a vector all of it."""
    channel, row, col = where
    if maps.dim() > 1:
        look = {"title": f"channel {channel}", "pick": {"row": "row", "col": "col"}, **look}
        return Maps(maps[channel], boxes=[(row, col, 1, 1)], **look)
    look = {"title": f"{len(maps)} values", "pick": {"cell": "channel"}, **look}
    return folded(maps, [channel], **look)


def _first_step(trace: arithmetic.Trace) -> list[Panel]:
    """Return the numbers of the first layer on the way that reads more than one value."""
    found = first_sum(trace)
    if found is None:
        return []
    one, parts = found
    first, values = next(iter(parts.numbers.items()))
    width = _PATCH if values.dim() == 1 else min(_PATCH, values.shape[-1] * _CELL + 2)
    title = (
        f"{one.stage} {first}" if parts.channel is None else f"{one.stage}, input {parts.channel}"
    )
    return product(parts, width=width, title=title)


def _boxes(trace: arithmetic.Trace) -> list[Box]:
    field, end = trace[0].field, trace[-1]
    boxes: list[Box] = [(field.top, field.left, field.height, field.width)] if field.width else []
    if end.kind == "input" and len(end.place) == len("CHW"):
        boxes.append((*end.place[1:], 1, 1))
    return boxes
