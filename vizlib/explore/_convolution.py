"""The convolution step by step: patch × kernel = products, and the whole sum, for every k."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from vizlib import arithmetic, plots
from vizlib.explore._kernels import (
    Kernels,
    Output,
    Pair,
    Setting,
    by_hand,
    make,
    of_model,
    of_module,
)
from vizlib.explore._panels import Box, Frame, Maps, Panel, Words, product
from vizlib.explore._sliders import Slider
from vizlib.explore._traces import strongest, whole_line
from vizlib.explore._view import View
from vizlib.words import short, times

# CSS pixels: what the maps share, what a cell of a patch takes, and how wide a patch may be.
_ROOM, _CELL, _WIDEST, _TITLE, _LARGEST = 732, 38, 164, 64, 246
# So many values at most are shown one after the other as they are made.
_GROWING = 64


def convolution(
    image: Any = None,
    kernel: Any = None,
    *,
    layer: str | None = None,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    state: str | None = None,
) -> View:
    """Return sliders over every step of a convolution, with every number of its sum.

    - `convolution()` is the worked example: 5×5 numbers and a 3×3 kernel.
    - `convolution(image, kernel)` takes numbers as they are: an image (H, W) or maps (C, H, W), and
      a kernel (kh, kw), (C, kh, kw) or kernels (O, C / groups, kh, kw); a row of numbers (W,) has a
      kernel (k,). `bias` (O,) and the other settings are those of `torch.nn.Conv2d`. The kernel may
      also be an `nn.Conv2d`, which brings its own.
    - `convolution(model, images, layer="conv2")` shows what a layer of a network makes of what it
      reads when the network sees an image: uint8 (N, H, W) in 0…255, normalized as MNIST is, floats
      (N, C, H, W) that are normalized already, or one image (H, W). Without `layer` it is the first
      convolution. The model is run in eval mode and comes back as it was.

    Step k makes the value number k of the output, in reading order: Back, Next and Play go through
    them, and a click on a cell of the output goes there. `channel` is the output channel and
    `input` the input channel that is shown: a trained layer opens at its value farthest from zero
    and at the input that adds most to it, unless `state` says where. Stride, padding, dilation and
    the size of the kernel (its middle; a trained layer keeps its own) start as they were given.
    What PyTorch refuses is said in a sentence.

    From left to right: an input channel with its padding hatched and the patch in a black frame (a
    frame around each cell, where dilation leaves some out), patch × kernel = products, and the
    output with the value in a black frame. Where you gave the kernel and the output has at most 64
    values, those that no step has made yet are blank. White is zero, blue positive, orange
    negative; input and patch share one scale, and so do all steps. Below is the sum: of a single
    channel up to nine products, otherwise each input channel's subtotal, the largest first, and
    those behind the eighth as one. Numbers are rounded to be read, but summed as they are, and
    the difference from PyTorch is printed; then what the layers that follow make of the value, and
    the formula of the output's size.

    `.figure()` draws the step for print, `.state` is the place, which `state=` opens again.

    Raises TypeError or ValueError for what does not fit together, KeyError for an unknown layer.

    >>> view = convolution(state="k=4 stride=1")
    >>> view
    convolution(5×5, kernel 3×3)
    >>> view.state
    'k=4 stride=1 padding=0 dilation=1 kernel=3'
    """
    if isinstance(image, nn.Module):
        image, kernel = kernel, image
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    if not isinstance(kernel, nn.Module):
        if layer is not None:
            raise ValueError(
                f"layer={layer!r} is a layer of a model; give that too, as in "
                "explore.convolution(model, image, layer=…)"
            )
        kernels = by_hand(image, kernel, bias, groups, padding_mode, **how)
    elif (*how.values(), groups, padding_mode) != (1, 0, 1, 1, "zeros") or bias is not None:
        raise ValueError(
            "a layer brings its own bias, stride, padding, dilation and groups; leave them out, or "
            "give its weight alone: explore.convolution(image, model.conv1.weight, stride=2)"
        )
    elif isinstance(kernel, nn.Conv2d):
        kernels = of_module(image, kernel)
    else:
        kernels = of_model(kernel, image, layer)
    steps, name = _Convolution(kernels), f"convolution({kernels.name})"
    return View(name, steps.sliders, steps.show, steps.draw, state=state)


class _Convolution:
    """Every step of a convolution, as a function of where the sliders stand."""

    def __init__(self, kernels: Kernels) -> None:
        """Raise ValueError where the kernel does not fit what it reads."""
        self.kernels = it = kernels
        self.made = functools.lru_cache(64)(functools.partial(make, kernels))
        self.own = Setting(0, it.size, it.stride, it.padding, it.dilation)
        first = self.made(self.own)
        self.choices: dict[str, Sequence[Any]] = {
            "stride": _choices(it.stride, range(1, 6), it),
            "padding": _choices(it.padding, range(5), it),
            "dilation": _choices(it.dilation, range(1, 6), it),
            "kernel": it.sizes,
        }
        counts = {"k": first.count, "image": it.images}
        counts |= {"channel": len(first.output), "input": it.weight.shape[1]}
        start = _start(first) if it.is_trained else {}
        self.sliders = [
            Slider(name, count, start.get(name, 0), stepped=name == "k")
            for name, count in counts.items()
            if count > 1 or name == "k"
        ]
        self.sliders += [self._slider(name) for name, all_ in self.choices.items() if len(all_) > 1]

    def _slider(self, name: str) -> Slider:
        choices = self.choices[name]
        words = [_word(value, self.kernels) for value in choices]
        return Slider(name, words, choices.index(getattr(self.own, name)))

    def at(self, k: int, channel: int, **place: int) -> tuple[Output, arithmetic.ConvStep]:
        """Return what is made at that place, and its step k."""
        chosen = {name: values[place.get(name, 0)] for name, values in self.choices.items()}
        made = self.made(Setting(image=place.get("image", 0), **chosen))
        return made, made.step(k, channel)

    def show(self, *, k: int, channel: int = 0, **place: int) -> Frame:
        """Return step k; raise ValueError where nothing can be made."""
        made, step = self.at(k, channel, **place)
        number = place.get("input", 0)
        words = [*_sum(step, number), _checked(made, step), *self._after(made, step), *_size(made)]
        where = _where(made, step)
        panels = [*_panels(made, step, number), Words(words, title=where, below=True)]
        says = f"step {min(k + 1, made.count)} of {made.count}, {where}: {step.in_words()}"
        return Frame(panels, says, {"k": made.count})

    def draw(self, *, k: int, channel: int = 0, **place: int) -> plots.Figure:
        """Return step k for print."""
        made, step = self.at(k, channel, **place)
        return plots.convolution(
            step,
            image=made.maps,
            output=made.output[channel],
            expected=made.output[channel][step.place].item(),
            after=self._followers(made, step),
            title=f"{self.kernels.name}: {_where(made, step)}",
        )

    def _followers(self, made: Output, step: arithmetic.ConvStep) -> Sequence[arithmetic.Traced]:
        """Return the steps that follow in the network, which knows only its own setting."""
        if replace(made.setting, image=0) != self.own:
            return ()
        return self.kernels.after(made.setting.image, step.channel, *step.place)

    def _after(self, made: Output, step: arithmetic.ConvStep) -> list[str]:
        followers = self._followers(made, step)
        return [f"then {one.stage}: {whole_line(one)}" for one in followers]


def _start(made: Output) -> dict[str, int]:
    """Return where the output is farthest from zero, and the input channel that adds most to it."""
    place = strongest(made.output, {})
    k = place["row"] * made.output.shape[2] + place["col"]
    step = made.step(k, place["channel"])
    largest = int(step.channel_sums.abs().argmax())
    return {"k": k, "channel": place["channel"], "input": largest}


def _choices(own: Pair | str, numbers: range, kernels: Kernels) -> list[Pair | str]:
    """Return what a setting can be: a number for both axes, and what it was."""
    found = {(numbers[0] if kernels.is_line else n, n) for n in numbers}
    return [own, *sorted(found)] if isinstance(own, str) else sorted(found | {own})


def _word(value: Pair | str, kernels: Kernels) -> str:
    if isinstance(value, str):
        return value
    return str(value[1]) if kernels.is_line or value[0] == value[1] else f"{value[0]}×{value[1]}"


def _panels(made: Output, step: arithmetic.ConvStep, number: int) -> list[Panel]:
    source, limit = step.channels[number], plots.largest([made.padded])
    wide = _widths(made.setting.kernel)
    return [
        Maps(
            made.padded[source],
            title=_named("input", source, len(made.maps)),
            limit=limit,
            boxes=_boxes(made.setting, step.place),
            padding=[pair[end] for end in (0, 1) for pair in made.setting.sides],
            width=wide["input"],
        ),
        *product(step.parts((source,)), title="patch", limit=limit, width=wide["patch"]),
        Maps(
            made.output[step.channel],
            title=_named("output", step.channel, len(made.output)),
            limit=plots.largest([made.output]),
            boxes=[(*step.place, 1, 1)],
            pick={"cell": "k"},
            known=_known(made, step),
            width=wide["output"],
        ),
    ]


def _named(what: str, channel: int, channels: int) -> str:
    return f"{what} {channel}" if channels > 1 else what


def _widths(kernel: Pair) -> dict[str, int]:
    """Return the CSS pixels of each part, so that all stand in one row."""
    patch = min(_WIDEST, kernel[1] * _CELL + 2)
    rest = _ROOM - 3 * max(patch, _TITLE)
    return {"patch": patch, "input": min(_LARGEST, rest * 3 // 5), "output": rest * 2 // 5}


def _boxes(setting: Setting, place: Sequence[int]) -> list[Box]:
    """Return one frame around the patch, or around each of its cells where they lie apart."""
    taps = setting.taps(*place)
    if setting.dilation == (1, 1):
        return [(*taps[0], *setting.kernel)]
    return [(*tap, 1, 1) for tap in taps]


def _known(made: Output, step: arithmetic.ConvStep) -> int | None:
    """Return how many values there are yet; a trained layer has made all of them at once."""
    if made.kernels.is_trained or made.count > _GROWING:
        return None
    row, column = step.place
    return row * made.output.shape[2] + column + 1


def _where(made: Output, step: arithmetic.ConvStep) -> str:
    row, column = step.place
    place = f"column {column}" if made.kernels.is_line else f"row {row}, column {column}"
    return f"{place} of channel {step.channel}" if len(made.output) > 1 else place


def _sum(step: arithmetic.ConvStep, number: int) -> list[str]:
    """Tell the sum, and before it what the channel that is shown adds to it."""
    if len(step.channels) == 1:
        return [f"the sum: {step.in_words()}"]
    shown, total = step.channels[number], short(step.channel_sums[number].item(), 4)
    count = step.products[number].numel()
    return [
        f"input {shown}: its {count} product{'s' * (count > 1)} sum to {total}",
        f"the whole sum: {step.in_words()}",
    ]


def _checked(made: Output, step: arithmetic.ConvStep) -> str:
    torchs, ours = made.output[step.channel][step.place].item(), step.total
    difference = short(ours - torchs, 2)
    return f"torch says {short(torchs, 8)}, this sum is {short(ours, 8)}: difference {difference}"


def _size(made: Output) -> list[str]:
    """Tell the size of the output, with the numbers in its formula."""
    setting, sizes = made.setting, made.maps.shape[1:]
    if isinstance(setting.padding, str):
        (top, bottom), (left, right) = setting.sides
        around = f"padding {top} above, {bottom} below, {left} left, {right} right"
        return [f"output {times(sizes)}, as large as the input: {around}"]
    axes = zip(
        sizes, setting.kernel, setting.stride, setting.padding, setting.dilation, strict=True
    )
    height, width = (arithmetic.size_formula(*axis) for axis in axes)
    if made.kernels.is_line:
        return [f"output width = {width}"]
    if height == width:
        return [f"output size = {height}"]
    return [f"output height = {height}", f"output width = {width}"]
