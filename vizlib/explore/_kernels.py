"""What a convolution reads and makes: numbers by hand, or those of a layer of a network."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vizlib import arithmetic, capture, data
from vizlib.explore._recordings import Recordings
from vizlib.words import listed, times

Pair = tuple[int, int]

# The worked example of the course. The middle 3×3 weights of this kernel are those of the network
# `arithmetic`; the others are there to make it wider.
EXAMPLE = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
_KERNEL = [[1, 0, 2, 0, 1], [0, 0, 1, 2, 0], [2, 2, 2, 0, 1], [0, 0, 1, 2, 0], [1, 0, 2, 0, 1]]
_OWN = 3
# What the user of a convolution sets, as torch calls it.
SETTINGS = ("stride", "padding", "dilation", "groups", "padding_mode")
# Layers that make of each value one value.
_ELEMENTWISE = {"relu", "activation", "norm"}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Kernels (O, C / groups, kh, kw), and for each image the maps (C, H, W) that they read."""

    name: str
    reads: Callable[[int], Tensor]
    weight: Tensor
    bias: Tensor | None
    stride: Pair | str
    padding: Pair | str
    dilation: Pair | str
    groups: int
    padding_mode: str
    images: int = 1
    # The kernel's sizes to choose from: its middle, and the whole of it at last.
    sizes: Sequence[Pair]
    kernel: Pair
    # One row of numbers: height has no stride, no padding and no dilation.
    is_line: bool = False
    # A network has made its whole output at once.
    is_trained: bool = False
    # What the next layers made of an image, value by value, and their steps for one place of it.
    followers: Callable[[int], Sequence[tuple[str, Tensor]]] = lambda _: ()
    after: Callable[..., Sequence[arithmetic.Traced]] = lambda *_: ()

    @property
    def middle(self) -> Tensor:
        """The middle of each kernel, as large as is chosen."""
        sizes = zip(self.weight.shape[2:], self.kernel, strict=True)
        top, left = ((whole - part) // 2 for whole, part in sizes)
        return self.weight[:, :, top : top + self.kernel[0], left : left + self.kernel[1]]

    @property
    def _how(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SETTINGS}

    def output(self, maps: Tensor) -> Tensor:
        """Return what torch makes of maps, (O, H, W); raise ValueError where it refuses to."""
        self.step(maps, (0, 0, 0))  # refuses the same, and says in a sentence why
        count = len(self.weight)
        layer = nn.Conv2d(len(maps), count, self.kernel, **self._how, device="meta")
        bias = torch.zeros(count) if self.bias is None else self.bias
        given = {"weight": self.middle, "bias": bias}
        with warnings.catch_warnings(action="ignore"):  # of a copy, where padding is uneven
            return functional_call(layer, given, maps[None])[0]

    def step(self, maps: Tensor, place: Sequence[int]) -> arithmetic.ConvStep:
        """Return how the value at a channel, row and column is made of maps."""
        (channel, row, col), kernel = place, self.middle.double()
        return arithmetic.conv2d_step(
            maps.double(), kernel, self.bias, channel=channel, row=row, col=col, **self._how
        )


def by_hand(image: Any, kernel: Any, bias: Any, how: dict[str, Any]) -> Kernels:
    """Return numbers as they are, and kernels of any size up to the given one."""
    values = _numbers("image", EXAMPLE if image is None else image)
    is_line, maps = values.dim() == 1, _maps(values)
    weight = _weight(_KERNEL if kernel is None else kernel, is_line=is_line)
    sizes = _sizes(weight.shape[2:])
    opened = sizes[-1] if kernel is not None else sizes[_OWN - 1]
    return _kernels(
        how,
        name=f"{_shape(maps, is_line=is_line)}, kernel {times(opened[is_line:])}",
        reads=lambda _image: maps,
        weight=weight,
        bias=None if bias is None else _numbers("bias", bias).reshape(-1),
        sizes=sizes,
        kernel=opened,
        is_line=is_line,
    )


def of_module(image: Any, module: nn.Conv2d) -> Kernels:
    """Return what one convolution makes of maps (C, H, W)."""
    maps = _maps(_numbers("image", EXAMPLE if image is None else image))
    name = f"{_shape(maps)}, {type(module).__name__}"
    return _trained(module, name=name, reads=lambda _image: maps)


def of_model(model: nn.Module, images: Any, layer: str | None) -> Kernels:
    """Return what a layer of a network reads when it sees each of the images, and its kernels."""
    if images is None:
        raise ValueError("a model needs an image: explore.convolution(model, image)")
    recordings = Recordings(model, images)
    name, module = _chosen(recordings, layer)
    return _trained(
        module,
        name=f"{recordings.name}, {name}",
        reads=functools.partial(_read_by, recordings, name),
        images=len(recordings),
        followers=functools.partial(_followers, recordings, name),
        after=functools.partial(_after, recordings, name),
    )


def _trained(module: nn.Conv2d, **known: Any) -> Kernels:
    size = _setting("kernel_size", module.kernel_size)
    return _kernels(
        {name: getattr(module, name) for name in SETTINGS},
        # Copies: the network may go on learning.
        weight=module.weight.detach().cpu().float().clone(),
        bias=None if module.bias is None else module.bias.detach().cpu().float().clone(),
        sizes=[size],
        kernel=size,
        is_trained=True,
        **known,
    )


def _kernels(how: dict[str, Any], *, is_line: bool = False, **known: Any) -> Kernels:
    names = ("stride", "padding", "dilation")
    pairs = {name: _setting(name, how[name], is_line=is_line) for name in names}
    return Kernels(**how | pairs, is_line=is_line, **known)


def _chosen(recordings: Recordings, layer: str | None) -> tuple[str, nn.Conv2d]:
    """Return the name of a convolution, of the first one if not chosen, and the module."""
    recording = recordings[0]
    found = {s.name: s.module for s in recording.kind("conv") if isinstance(s.module, nn.Conv2d)}
    name = next(iter(found), None) if layer is None else recording[layer].name
    if not found:
        raise ValueError(f"{recordings.name} has no convolution (nn.Conv2d)")
    if name not in found:
        raise ValueError(
            f"layer must be a convolution (nn.Conv2d), not {name}; {recordings.name} has "
            f"{listed(found)}"
        )
    return name, found[name]


def _read_by(recordings: Recordings, name: str, image: int) -> Tensor:
    """Return what a convolution had read: the image, or what another layer made of it."""
    recording = recordings[image]
    [source, *_] = recording.steps[name].values
    if isinstance(source, capture.Input):
        return recordings.inputs[image].float()
    if source in recording and recording[source].output.shape == recording[name].input_shape:
        return recording[source].output[0].float()
    raise ValueError(
        f"what {name} reads is no layer's output, such as a part that the network cuts out by "
        "itself; choose another layer"
    )


def _followers(recordings: Recordings, name: str, image: int) -> list[tuple[str, Tensor]]:
    """Return what the layers behind a convolution made of each of its values, one by one."""
    recording, before, found = recordings[image], name, []
    for stage in recording.values():
        if stage.kind in _ELEMENTWISE and list(stage.inputs) == [before]:
            before = stage.name
            found.append((before, stage.output[0].float()))
    return found


def _after(
    recordings: Recordings, name: str, image: int, *place: int
) -> Sequence[arithmetic.Traced]:
    """Return the steps of those layers for one value."""
    try:
        *_, (last, _) = _followers(recordings, name, image)
        chain = arithmetic.Chain(recordings.model, recordings.inputs[image : image + 1])
        way = chain.trace(last, *place, until=name)
    except (ValueError, IndexError):  # no layer follows, or one that cannot be followed back
        return ()
    return way[-2::-1]


def _numbers(what: str, values: Any) -> Tensor:
    try:
        return data.as_tensor(values).detach().cpu().float()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{what} must be an array of numbers, but was a {type(values).__name__}"
        ) from None


def _maps(values: Tensor) -> Tensor:
    """Return maps (C, H, W) of an image (H, W), of maps, or of a row of numbers (W,)."""
    maps = values[0] if values.dim() == len("NCHW") and len(values) == 1 else values
    maps = maps.reshape((1,) * (len("CHW") - maps.dim()) + maps.shape)
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


def _setting(name: str, value: Any, *, is_line: bool = False) -> Pair | str:
    """Return a setting for rows and columns, or the word for it."""
    if isinstance(value, str):
        return (0, 0) if value == "valid" else value
    if is_line:
        return 0 if name == "padding" else 1, arithmetic.per_axis(name, value, 1)[0]
    height, width = arithmetic.per_axis(name, value, 2)
    return height, width


def _shape(maps: Tensor, *, is_line: bool = False) -> str:
    sizes = maps.shape if len(maps) > 1 else maps.shape[1 + is_line :]
    return times(sizes)
