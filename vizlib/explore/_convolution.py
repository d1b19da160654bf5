"""The convolution step by step: a window glides over numbers, and the page computes every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import traitlets
from torch import Tensor, nn

from vizlib import arithmetic, plots
from vizlib.explore._explorer import Canvas, Explorer, script
from vizlib.explore._kernels import SETTINGS, Kernels, Pair, by_hand, of_model, of_module
from vizlib.explore._panels import palette
from vizlib.explore._recordings import strongest
from vizlib.explore._sliders import Slider, read
from vizlib.explore._view import closed

# So many values at most are shown one after the other as they are made.
_GROWING = 64
_MODULES = (
    *("geometry", "numbers", "words", "state", "grid", "marks", "player", "pose", "kernel"),
    *("parts", "tools", "layout", "telling"),
)


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
) -> Explorer:
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

    Step k makes the value number k of the output, in reading order: the window glides there, its
    products fly into the sum, and the sum lands in the output. Back, Next and Play go through the
    steps; a click on a cell of the output goes there, and one on the input shows in green who
    reads that pixel. The kernel's weights and the pixels can be changed: all is computed in the
    page. `channel` is the output channel and `input` the input channel that is shown. A trained
    layer, and an output of more than 64 values, opens at its value farthest from zero and at the
    input that adds most to it, unless `state` says where. Stride, padding, dilation and the size of
    the kernel (its middle; a trained layer keeps its own) start as they were given. What PyTorch
    refuses is said in a sentence, with buttons that mend it.

    White is zero, blue positive, orange negative; input and patch share one scale. Padding is
    hatched. Numbers are rounded to be read, but summed as they are, and what is written as a sum
    adds up as written. Below stand what the layers that follow make of the value, the formula of
    the output's size, and the difference from PyTorch's own output.

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
    how = (stride, padding, dilation, groups, padding_mode)
    if not isinstance(kernel, nn.Module):
        if layer is not None:
            raise ValueError(
                f"layer={layer!r} is a layer of a model; give that too, as in "
                "explore.convolution(model, image, layer=…)"
            )
        kernels = by_hand(image, kernel, bias, dict(zip(SETTINGS, how, strict=True)))
    elif how != (1, 0, 1, 1, "zeros") or bias is not None:
        raise ValueError(
            "a layer brings its own bias, stride, padding, dilation and groups; leave them out, or "
            "give its weight alone: explore.convolution(image, model.conv1.weight, stride=2)"
        )
    elif isinstance(kernel, nn.Conv2d):
        kernels = of_module(image, kernel)
    else:
        kernels = of_model(kernel, image, layer)
    return _Steps(kernels, state)


class _Canvas(Canvas):
    """What is convolved; static/sliding.js says how it looks and computes what comes of it."""

    _esm = script(
        *("numbers.js", "elements.js", "kernel.js", "engine.js", "tiles.js", "sliders.js"),
        "colours.js",
        *(f"sliding_{name}.js" for name in _MODULES),
        "sliding.js",
    )
    _css = script("colours.css", "sliding.css", "sliders.css")
    within = ("k",)  # beside Play
    # What does not change; `choices` is what each setting can be, `own` which of them was given.
    held = traitlets.Dict().tag(sync=True)
    # Of the images that are near: what is read, and what torch and the next layers make of it.
    reads = traitlets.List(traitlets.Dict()).tag(sync=True)
    # Weights and pixels that were changed, by their number; pixels for each image.
    edits = traitlets.Dict().tag(sync=True)
    k, image, channel, input = (traitlets.Int().tag(sync=True) for _ in range(4))
    stride, padding, dilation, kernel = (traitlets.Int().tag(sync=True) for _ in range(4))


class _Steps(Explorer):
    """Sliders over all steps of a convolution."""

    def __init__(self, kernels: Kernels, state: str | None) -> None:
        """Raise ValueError where the kernel does not fit what it reads, or `state` the sliders."""
        self._kernels: Callable[[], Kernels] = lambda: kernels
        choices = _choices(kernels)
        own = {name: all_.index(getattr(kernels, name)) for name, all_ in choices.items()}
        maps = kernels.reads(0)
        output = kernels.output(maps)
        is_known = kernels.is_trained or output[0].numel() > _GROWING
        start = _start(kernels, output) if is_known else {}
        sliders = _sliders(kernels, choices, output, start)
        given = read(state, [slider.name for slider in sliders])
        sliders = [s.at(given[s.name]) if s.name in given else s for s in sliders]
        place = {slider.name: slider.index for slider in sliders}
        held = {
            "shape": list(maps.shape),
            "weightShape": list(kernels.weight.shape),
            "weight": _bytes(kernels.weight),
            "bias": b"" if kernels.bias is None else _bytes(kernels.bias),
            "palette": palette(),
            "groups": kernels.groups,
            "mode": kernels.padding_mode,
            "isLine": kernels.is_line,
            "knowsAll": is_known,
            "choices": choices,
            "own": own,
        }
        reads = [self._packed(place.get("image", 0))]
        canvas = _Canvas(held=held, reads=reads, edits={"weights": {}, "pixels": {}}, **own | place)
        super().__init__(f"convolution({kernels.name})", sliders, canvas)

    def figure(self) -> plots.Figure:
        """Return the step with all that was changed for print; raise ValueError where none is."""
        canvas, (kernels, maps) = self._canvas, self._edited()
        output = kernels.output(maps)[canvas.channel]
        place = divmod(min(canvas.k, output.numel() - 1), output.shape[1])
        step = kernels.step(maps, (canvas.channel, *place))
        return plots.convolution(
            step,
            image=maps,
            output=output,
            expected=output[place].item(),
            after=kernels.after(canvas.image, step.channel, *place) if self._is_given else (),
            title=f"{kernels.name}: {_where(kernels, step)}",
        )

    @property
    def _is_given(self) -> bool:
        """Whether everything but the place is as it was given: the next layers know only that."""
        canvas = self._canvas
        is_own = all(getattr(canvas, name) == at for name, at in canvas.held["own"].items())
        return is_own and not canvas.edits["weights"] and not any(canvas.edits["pixels"].values())

    def _edited(self) -> tuple[Kernels, Tensor]:
        """Return kernels and maps as the page shows them."""
        canvas, kernels = self._canvas, self._kernels()
        chosen = {
            name: all_[getattr(canvas, name)] for name, all_ in canvas.held["choices"].items()
        }
        weight = _changed(kernels.weight, canvas.edits["weights"])
        pixels = canvas.edits["pixels"].get(str(canvas.image), {})
        maps = _changed(kernels.reads(canvas.image), pixels)
        return replace(kernels, weight=weight, **chosen), maps

    def _reply(self, _asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Send the image that is shown, and those beside it, as traits."""
        at = self._canvas.image
        near = range(max(0, at - 1), min(at + 2, self._kernels().images))
        self._canvas.reads = [self._packed(image) for image in near]
        return {}, []

    def _packed(self, image: int) -> dict[str, Any]:
        kernels = self._kernels()
        maps = kernels.reads(image)
        return {
            "image": image,
            "maps": _bytes(maps),
            "output": _bytes(kernels.output(maps)),
            "after": [[name, _bytes(made)] for name, made in kernels.followers(image)],
        }

    def _everything(self, *, recorded: bool) -> dict[str, Any]:
        """Return what is read of all images; raise ValueError where a page cannot hold it."""
        del recorded  # a kernel is all that is to be seen here
        return {"reads": self._fitting(map(self._packed, range(self._kernels().images)))}

    def _release(self) -> None:
        super()._release()
        self._kernels, self._canvas.reads = closed, []


def _choices(kernels: Kernels) -> dict[str, list[Pair | str]]:
    """Return what each setting can be: a number for both axes, and what it was."""
    numbers = {"stride": range(1, 6), "padding": range(5), "dilation": range(1, 6)}
    found: dict[str, list[Pair | str]] = {}
    for name, all_ in numbers.items():
        own, pairs = getattr(kernels, name), {(all_[0] if kernels.is_line else n, n) for n in all_}
        found[name] = [own, *sorted(pairs)] if isinstance(own, str) else sorted(pairs | {own})
    return found | {"kernel": list(kernels.sizes)}


def _sliders(
    kernels: Kernels, choices: dict[str, list[Pair | str]], output: Tensor, start: dict[str, int]
) -> list[Slider]:
    """Return a slider for all that can be slid, each where it stands at first."""
    counts = {"k": output[0].numel(), "image": kernels.images}
    counts |= {"channel": len(output), "input": kernels.weight.shape[1]}
    places = [Slider(name, count, start.get(name, 0)) for name, count in counts.items()]
    settings = [
        Slider(name, [_word(one, kernels) for one in all_], all_.index(getattr(kernels, name)))
        for name, all_ in choices.items()
    ]
    return [each for each in (*places, *settings) if each.count > 1 or each.name == "k"]


def _start(kernels: Kernels, output: Tensor) -> dict[str, int]:
    """Return where the output is farthest from zero, and the input channel that adds most to it."""
    channel, row, column = strongest(output)
    step = kernels.step(kernels.reads(0), (channel, row, column))
    largest = int(step.channel_sums.abs().argmax())
    return {"k": row * output.shape[2] + column, "channel": channel, "input": largest}


def _word(value: Pair | str, kernels: Kernels) -> str:
    if isinstance(value, str):
        return value
    return str(value[1]) if kernels.is_line or value[0] == value[1] else f"{value[0]}×{value[1]}"


def _where(kernels: Kernels, step: arithmetic.ConvStep) -> str:
    row, column = step.place
    place = f"column {column}" if kernels.is_line else f"row {row}, column {column}"
    return f"{place} of channel {step.channel}" if len(kernels.weight) > 1 else place


def _bytes(values: Tensor) -> bytes:
    return values.float().contiguous().numpy().tobytes()


def _changed(values: Tensor, changes: dict[str, float]) -> Tensor:
    """Return a copy with other values at some numbers, counted through all axes."""
    copy = values.clone()
    for number, value in changes.items():
        copy.view(-1)[int(number)] = value
    return copy
