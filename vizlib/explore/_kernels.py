"""What a convolution reads and makes: numbers by hand, or those of a layer of a network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib import arithmetic, data
from vizlib.explore._lifetime import kept
from vizlib.explore._recordings import Recordings
from vizlib.words import listed, times

Pair = tuple[int, int]

# The worked example of the course. The middle 3×3 weights of this kernel are those of the network
# `arithmetic`; the others are there to make it wider.
EXAMPLE = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
_KERNEL = [[1, 0, 2, 0, 1], [0, 0, 1, 2, 0], [2, 2, 2, 0, 1], [0, 0, 1, 2, 0], [1, 0, 2, 0, 1]]
_OWN = 3
# What torch.nn.functional.pad calls a padding mode, where the layer calls it otherwise.
_MODES = {"zeros": "constant"}
# Layers that make of each value one value.
_ELEMENTWISE = {"relu", "activation", "norm"}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Kernels (O, C / groups, kh, kw), and for each image the maps (C, H, W) that they read."""

    name: str
    maps: Callable[[int], Tensor]
    weight: Tensor
    bias: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair | str = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    mode: str = "zeros"
    images: int = 1
    # The kernel's sizes to choose from: its middle, and the whole of it at last.
    sizes: Sequence[Pair] = ()
    size: Pair = (0, 0)
    # One row of numbers: height has no stride, no padding and no dilation.
    is_line: bool = False
    # A network has made its whole output at once.
    is_trained: bool = False
    # The steps of the layers that follow, for image, channel, row and column.
    after: Callable[..., Sequence[arithmetic.Traced]] = lambda *_: ()

    def middle(self, size: Pair) -> Tensor:
        """Return the middle of each kernel, (O, C / groups, *size)."""
        top, left = ((whole - part) // 2 for whole, part in zip(self.weight.shape[2:], size))  # noqa: B905 - two and two
        return self.weight[:, :, top : top + size[0], left : left + size[1]]


def by_hand(image: Any, kernel: Any, bias: Any, groups: int, mode: str, **how: Any) -> Kernels:
    """Return numbers as they are, and kernels of any size up to the given one."""
    maps = _numbers("image", EXAMPLE if image is None else image)
    is_line = maps.dim() == 1
    weight = _weight(_KERNEL if kernel is None else kernel, is_line=is_line)
    sizes = _sizes(weight.shape[2:])
    opened = sizes[-1] if kernel is not None else sizes[_OWN - 1]
    maps = _maps(maps)
    return Kernels(
        name=f"{_shape(maps, is_line=is_line)}, kernel {times(opened[is_line:])}",
        maps=lambda _image: maps,
        weight=weight,
        bias=None if bias is None else _numbers("bias", bias).reshape(-1),
        stride=_pair("stride", how["stride"], is_line=is_line),
        padding=_padding(how["padding"], is_line=is_line),
        dilation=_pair("dilation", how["dilation"], is_line=is_line),
        groups=groups,
        mode=mode,
        sizes=sizes,
        size=opened,
        is_line=is_line,
    )


def of_module(image: Any, module: nn.Conv2d) -> Kernels:
    """Return what one convolution makes of maps (C, H, W)."""
    maps = _maps(_numbers("image", EXAMPLE if image is None else image))
    return _as_set(
        module, maps=lambda _image: maps, name=f"{_shape(maps)}, {type(module).__name__}"
    )


def of_model(model: nn.Module, images: Any, layer: str | None) -> Kernels:
    """Return what a layer of a network reads when it sees each of the images, and its kernels."""
    if images is None:
        raise ValueError(
            "a model needs an image: explore.convolution(model, digits.test.images[0])"
        )
    recordings = Recordings(model, images)
    name, module = _chosen(recordings, layer)
    return _as_set(
        module,
        name=f"{recordings.name}, {name}",
        maps=functools.lru_cache(16)(functools.partial(_read_by, recordings, name)),
        images=len(recordings),
        after=_Followers(recordings, name),
    )


def _as_set(module: nn.Conv2d, **known: Any) -> Kernels:
    size = _pair("kernel_size", module.kernel_size)
    return Kernels(
        # Copies: the network may go on learning.
        weight=module.weight.detach().cpu().float().clone(),
        bias=None if module.bias is None else module.bias.detach().cpu().float().clone(),
        stride=_pair("stride", module.stride),
        padding=_padding(module.padding),
        dilation=_pair("dilation", module.dilation),
        groups=module.groups,
        mode=module.padding_mode,
        sizes=[size],
        size=size,
        is_trained=True,
        **known,
    )


def _chosen(recordings: Recordings, layer: str | None) -> tuple[str, nn.Conv2d]:
    """Return the name of a convolution, of the first one if not chosen, and the module."""
    recording = recordings[0]
    found = {s.name: s.module for s in recording.kind("conv") if isinstance(s.module, nn.Conv2d)}
    if not found:
        raise ValueError(
            f"{recordings.name} has no convolution (nn.Conv2d); its layers are {listed(recording)}"
        )
    stage = recording[next(iter(found)) if layer is None else layer]
    if stage.name not in found:
        raise ValueError(
            f"layer must be a convolution (nn.Conv2d), but {stage.name} is of the kind "
            f"{stage.kind!r}; choose from {listed(found)}"
        )
    return stage.name, found[stage.name]


def _read_by(recordings: Recordings, name: str, image: int) -> Tensor:
    """Return what a convolution had read: the image, or what another layer made of it."""
    recording = recordings[image]
    [source, *_] = recording[name].inputs
    if source == "input":
        return recordings.inputs[image].float()
    if source in recording and recording[source].output.shape == recording[name].input_shape:
        return recording[source].output[0].float()
    raise ValueError(
        f"what {name} reads is no layer's output, such as a part that the network cuts out by "
        "itself; choose another layer"
    )


class _Followers:
    """The steps of the layers behind a convolution that make of its value one value each."""

    def __init__(self, recordings: Recordings, name: str) -> None:
        self.recordings, self.name = recordings, name
        recording = recordings[0]
        self.last = name
        for stage in list(recording.values())[list(recording).index(name) + 1 :]:
            if stage.kind not in _ELEMENTWISE:
                break
            self.last = stage.name

    @kept(16)
    def _chain(self, image: int) -> arithmetic.Chain:
        recordings = self.recordings
        return arithmetic.Chain(recordings.model, recordings.inputs[image : image + 1], self.last)

    def __call__(self, image: int, *place: int) -> Sequence[arithmetic.Traced]:
        if self.last == self.name:
            return ()
        try:
            way = self._chain(image).trace(self.last, *place, until=self.name)
        except (ValueError, IndexError):  # what is not followed back is shown all the same
            return ()
        # In a network with branches the layers behind this one may read another.
        return way[-2::-1] if way[-1].stage == self.name else ()


def _numbers(what: str, values: Any) -> Tensor:
    try:
        return data.as_tensor(values).detach().cpu().float()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{what} must be an array of numbers, but was a {type(values).__name__}"
        ) from None


def _maps(values: Tensor) -> Tensor:
    """Return maps (C, H, W) of an image (H, W), of maps, or of a row of numbers (W,)."""
    match tuple(values.shape):
        case (_,):
            maps = values[None, None]
        case (_, _):
            maps = values[None]
        case (1, _, _, _):
            maps = values[0]
        case _:
            maps = values
    if maps.dim() != len("CHW") or not maps.numel():
        raise ValueError(
            "image must be (H, W), maps (C, H, W), or a row of numbers (W,), "
            f"but had the shape {tuple(values.shape)}"
        )
    return maps


def _weight(kernel: Any, *, is_line: bool) -> Tensor:
    """Return kernels (O, C, kh, kw), of a row of numbers with kh 1."""
    values = _numbers("kernel", kernel)
    shape = tuple(values.shape)
    if is_line:
        values = values[2:3] if kernel is _KERNEL else values.unsqueeze(-2)
    values = {2: values[None, None], 3: values[None]}.get(values.dim(), values)
    if values.dim() != len("OCHW") or not values.numel():
        expected = "(k,) or (O, C, k)" if is_line else "(kh, kw), (C, kh, kw) or (O, C, kh, kw)"
        raise ValueError(f"kernel must be {expected}, but had the shape {shape}")
    return values


def _sizes(whole: Sequence[int]) -> list[Pair]:
    """Return the sizes of a kernel's middle, each a step larger, up to the whole of it."""
    return [(min(n, whole[0]), min(n, whole[1])) for n in range(1, max(whole) + 1)]


def _padding(value: Any, *, is_line: bool = False) -> Pair | str:
    if isinstance(value, str):
        return (0, 0) if value == "valid" else value
    return _pair("padding", value, is_line=is_line)


def _pair(name: str, value: Any, *, is_line: bool = False) -> Pair:
    if is_line:
        return 0 if name == "padding" else 1, arithmetic.per_axis(name, value, 1)[0]
    height, width = arithmetic.per_axis(name, value, 2)
    return height, width


def _shape(maps: Tensor, *, is_line: bool = False) -> str:
    sizes = maps.shape if len(maps) > 1 else maps.shape[1 + is_line :]
    return times(sizes)


@dataclass(frozen=True)
class Setting:
    """How the kernel slides: what the whole output depends on."""

    image: int
    kernel: Pair
    stride: Pair
    padding: Pair | str
    dilation: Pair

    @property
    def sides(self) -> Sequence[Pair]:
        """The padding before and after the rows, and before and after the columns."""
        if not isinstance(self.padding, str):
            return [(side, side) for side in self.padding]
        # "same": the span of the kernel without one cell, of which the end gets the odd one.
        totals = [
            dilation * (size - 1) for size, dilation in zip(self.kernel, self.dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]

    def taps(self, row: int, col: int) -> Sequence[Pair]:
        """Return where the kernel's cells lie for one value of the output, in padded cells."""
        starts = row * self.stride[0], col * self.stride[1]
        return [
            (starts[0] + u * self.dilation[0], starts[1] + v * self.dilation[1])
            for u in range(self.kernel[0])
            for v in range(self.kernel[1])
        ]


@dataclass(frozen=True)
class Output:
    """What is read (C, H, W), the same with its padding, and what is made of it (O, H, W)."""

    kernels: Kernels
    setting: Setting
    maps: Tensor
    padded: Tensor
    weight: Tensor
    output: Tensor

    @property
    def count(self) -> int:
        """How many values each channel of the output has."""
        return self.output[0].numel()

    def step(self, k: int, channel: int) -> arithmetic.ConvStep:
        """Return how value number k of a channel is made, of the last one beyond the end."""
        row, col = divmod(min(k, self.count - 1), self.output.shape[2])
        return _step(self.kernels, self.setting, self.maps, self.weight, (channel, row, col))


@torch.no_grad()
def make(kernels: Kernels, setting: Setting) -> Output:
    """Return the whole output as torch makes it; raise ValueError where it refuses to."""
    maps, weight = kernels.maps(setting.image), kernels.middle(setting.kernel)
    exact = maps.double(), weight.double()
    # The arithmetic refuses what torch does, and says in a sentence why.
    _step(kernels, setting, *exact, (0, 0, 0))
    around = [side for pair in reversed(setting.sides) for side in pair]
    padded = F.pad(maps[None], around, mode=_MODES.get(kernels.mode, kernels.mode))
    sliding = (setting.stride, 0, setting.dilation, kernels.groups)
    output = F.conv2d(padded, weight, kernels.bias, *sliding)
    return Output(kernels, setting, exact[0], padded[0], exact[1], output[0])


def _step(
    kernels: Kernels, setting: Setting, maps: Tensor, weight: Tensor, place: Sequence[int]
) -> arithmetic.ConvStep:
    channel, row, col = place
    return arithmetic.conv2d_step(
        maps,
        weight,
        kernels.bias,
        row=row,
        col=col,
        channel=channel,
        stride=setting.stride,
        padding=setting.padding,
        dilation=setting.dilation,
        groups=kernels.groups,
        padding_mode=kernels.mode,
    )
