"""`layers`, `pixel`, `switch_off` and `draw`: four doors to the view of a network.

The view has the image at the left, with a pad where the network takes drawings; all layers as one
connected picture; the scores of the classes and what softmax makes of them. Below it, one map is
large, one of its values is taken apart into the numbers that it was made of, and bars show what the
winner's score would be without each channel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizlib import arithmetic, data, plots
from vizlib.explore._images import as_classes, as_labels, check_labels
from vizlib.explore._network import PAD, Network, prepared
from vizlib.explore._place import Place, opened
from vizlib.explore._recordings import Recordings, maps_of, probabilities, refusal, strongest
from vizlib.explore._sliders import Slider
from vizlib.words import counted, short


def layers(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Network:
    """Return the view of a network: all its layers at once, and one place of them closely.

    - `images`: uint8 (N, H, W) in 0…255, normalized as MNIST is (`data.MEAN`, `data.STD`), or
      floats (N, C, H, W) that are normalized already, or one image (H, W); for a network that is
      made for signals, floats (N, C, L)
    - `labels`: the N true classes, as numbers or as names, if they are known
    - `classes`: the names of the classes; those of `model.classes` where it has any

    The network computes in the page, as PyTorch does in eval mode: a slider, a stroke on the pad
    or a channel that is switched off asks no kernel. What a page cannot compute the kernel gives,
    and a sentence below the view says why. The model comes back as it was.

    What is seen:

    - **blue** is positive, **orange** negative, **white** zero, **dark grey** no number; the
      darkest colours are plus and minus the greatest absolute value of the map, of the layer (the
      default) or of the whole network for that image, as the slider *scale* says
    - the **blue frame** is the chosen map; **pink** is the value pointed at, or clicked, or else
      the strongest one, and, in each layer before, the window that it was made from
    - the lines that meet at the chosen map are what adds most to the value (blue) or takes most
      away (orange); pale lines and grey fans say which layer reads which
    - the scores and, beside them, their softmax: the winner is bold, the label underlined
    - *strength* multiplies the chosen channel, also while the sliders are elsewhere; a black mark
      in a score's bar is where the score was
    - of two images, the chosen map of the one `beside` stands next to the first, on one scale
    - *Learn* takes a step of gradient descent in the view alone: `model` stays as it is

    `state` opens the view at a place, such as "layer=conv2 channel=5 pixel=3,4"; `.state` is the
    place where it is. `.figure()` draws that place for print, and `.to_html(path)` writes a page
    that needs no kernel and no connection.

    Raises TypeError or ValueError where model, images, labels or state are none of these.

    >>> import torch
    >>> from vizlib import models
    >>> layers(models.build("mlp", seed=0), torch.zeros(28, 28), state="layer=relu1").state
    'model=mlp image=0 layer=relu1 channel=0 pixel=none strength=1 scale=layer beside=none'
    """
    recordings, labels = _recorded(model, images, labels, classes)
    images, count = counted(len(recordings), "image"), counted(len(recordings.names), "layer")
    name = f"layers({recordings.name}, {images}, {count})"
    return Network(recordings, name, opened(recordings, state), overview, labels=labels)


def pixel(
    model: nn.Module,
    images: Any,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Network:
    """Return the same view, at one value: how it was made, and which pixels it can see.

    It opens at the strongest channel of the layer, unless `state` says otherwise; `images` and
    `classes` are as in `layers`. Click on a value of the large map, or move with the arrow keys:
    below stand the numbers that it was made of, window × kernel = products, their sum for each
    channel that was read, the bias, and the total, which is PyTorch's value.

    `.figure()` draws the whole way back to the image for print: at each step the strongest of the
    numbers that were added, or the winner of a pooling. `arithmetic.trace` returns it as numbers.

    >>> import torch
    >>> from vizlib import models
    >>> lenet, blank = models.build("lenet", seed=0), torch.zeros(28, 28)
    >>> pixel(lenet, blank, state="layer=pool2 channel=5 row=3").state
    'model=lenet image=0 layer=pool2 channel=5 pixel=3,0 strength=1 scale=layer beside=none'
    """
    recordings, labels = _recorded(model, images, None, classes)
    (image, layer, channel, *others), spot = opened(recordings, state)
    if "channel=" not in (state or "") and channel.count > 1:
        maps = maps_of(recordings[image.index][recordings.names[layer.index]])
        channel = channel.at(str(strongest(maps)[0]))
    name = f"pixel({recordings.name}, {counted(len(recordings), 'image')})"
    place = [image, layer, channel, *others], spot
    return Network(recordings, name, place, way_back, labels=labels)


def switch_off(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    off: Mapping[str, int | Sequence[int]] | None = None,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Network:
    """Return the same view, to make channels weaker: cause, not correlation.

    `images`, `labels` and `classes` are as in `layers`. *strength* is what the chosen channel is
    multiplied by: 1 leaves it as it is, 0.5 halves all of its values, 0 switches it off. The layers
    after it get to see no more than that. A channel stays as it was made until it is changed again
    or "Switch all on again" is pressed. `off` names channels that are off from the start, such as
    `off={"conv1": [3, 5]}`; `state="layer=conv2 channel=5 strength=0.3"` opens with one faded.

    Raises ValueError for a layer or a channel in `off` that is not there, and for a network that
    ends in no scores; TypeError for an `off` that is no mapping.

    >>> import torch
    >>> from vizlib import models
    >>> view = switch_off(models.build("lenet", seed=0), torch.zeros(28, 28), off={"conv1": 3})
    >>> view, view.changes
    (switch_off(lenet, 1 image), {'conv1': {3: 0.0}})
    """
    recordings, labels = _recorded(model, images, labels, classes)
    if not isinstance(off or {}, Mapping):
        raise TypeError(f'off must name channels, such as {{"conv1": [3, 5]}}, but was {off!r}')
    changes = {name: _switched(recordings, name, given) for name, given in (off or {}).items()}
    name = f"switch_off({recordings.name}, {counted(len(recordings), 'image')})"
    place = opened(recordings, state)
    return Network(recordings, name, place, overview, labels=labels, changes=changes)


def draw(
    model: nn.Module,
    drawing: Any = None,
    *,
    classes: Sequence[str] | None = None,
    state: str | None = None,
) -> Network:
    """Return the same view with an empty pad: draw a digit, and every layer answers.

    Draw with the mouse, a finger or a pen: white ink on black, as MNIST's own digits are. The
    drawing goes to the network as `handwriting.from_ink` prepares it, normalized as MNIST is: a
    network that was trained on images in 0…1 needs a first layer that undoes it. An empty pad is
    an empty image that is not answered. `classes` and `state` are as in `layers`.

    `drawing` is what lies on the pad at first: uint8 (H, W), white on black, of any square size,
    such as a digit of MNIST. `.drawing` is what is on the pad now, uint8 (280, 280), and
    `.prepared` what became of it, a `handwriting.Prepared`.

    Raises TypeError or ValueError where model, drawing or state are none of these, and ValueError
    where the network takes no image of 28×28.

    >>> from vizlib import weights
    >>> seven = np.zeros((280, 280), np.uint8)
    >>> seven[40:60, 80:200] = 255
    >>> seven[40:240, 180:200] = 255
    >>> draw(weights.load("lenet"), seven)
    draw(lenet, read as 7, P7 > 0.999)
    """
    ink = _as_drawing(drawing)
    image = prepared(ink).image
    recordings, _ = _recorded(model, image, None, classes)
    return Network(
        recordings,
        "draw",
        opened(recordings, state),
        overview,
        ink=ink.tobytes() if ink.any() else b"",
    )


# --- Printed --------------------------------------------------------------------------------


def overview(view: Network) -> plots.Figure:
    """Return the image, the maps of the layer, and the probabilities, also as they were before."""
    place, changed = view.where, view.recording()
    network = plots.largest(stage.output for stage in changed.values() if not refusal(stage)) or 1.0
    scale = network if place.scale == "network" else place.scale
    maps, chosen = _maps(changed, place), place.channel
    row = [plots.feature_maps(maps, scale=scale, title=place.layer, highlight=chosen)]
    if place.beside is not None:
        maps = _maps(view.recordings[place.beside], place)
        title = f"{place.layer}, image {place.beside}"
        row.append(plots.feature_maps(maps, title=title, highlight=chosen))
    return plots.together([_image(view), *row], _bars(view))


def _image(view: Network) -> plots.Figure:
    if view.is_given:
        return plots.images(view.input, titles=["what is read"])
    if view.is_drawn:
        return plots.steps({"drawn": view.drawing, **view.prepared.steps})
    picture = view.recordings.pictures[view.where.image].transpose(2, 0, 1)[None]
    return plots.images(picture, titles=[f"image {view.where.image}"])


def _bars(view: Network) -> list[plots.Figure]:
    """Return the probabilities, those of the whole network first where it is changed."""
    is_labelled = view.labels and not view.is_drawn
    look: dict[str, Any] = {
        "label": view.labels[view.where.image] if is_labelled else None,
        "classes": view.recordings.classes or None,
    }
    after = view.probabilities
    if after is None or not view.changes:
        return [] if after is None else [plots.probabilities(after, **look)]
    before = probabilities(view.recording(whole=True))
    bars = {"whole network": before, "changed network": after}
    return [plots.probabilities(each, title=title, **look) for title, each in bars.items()]


def way_back(view: Network) -> plots.Figure:
    """Return the way back to the image from the value, of two images each, or else the maps."""
    place = view.where
    images = [place.image] if place.beside is None else [place.image, place.beside]
    recordings = [view.recordings[image] for image in images]
    maps, channel = _maps(recordings[0], place), place.channel
    spot = place.pixel or strongest(maps[channel]) if maps.dim() > 1 else ()
    rows = [[_difference(recordings, place)]] if place.beside is not None else []
    for image, recording in zip(images, recordings, strict=True):
        x = view.recordings.inputs[image : image + 1]
        try:
            trace = arithmetic.Chain(view.recordings.model, x).trace(place.layer, channel, *spot)
        except ValueError:
            rows.append([plots.feature_maps(_maps(recording, place), title=place.layer)])
            continue
        where = ", ".join(map(str, trace[0].place))
        title = f"image {image}: {trace[0].stage}[{where}] = {short(trace[0].value, 4)}"
        rows.append([plots.trace(trace, output=recording[place.layer], title=title)])
    return plots.together(*rows)


def _difference(recordings: Sequence[Any], place: Place) -> plots.Figure:
    """Return the chosen map of two images and their difference, on one scale."""
    one, other = (_maps(recording, place) for recording in recordings)
    if one.dim() > 1:
        one, other = one[place.channel], other[place.channel]
    first, second = f"image {place.image}", f"image {place.beside}"
    if one.dim() == 1:
        return plots.feature_maps(one - other, title=f"{place.layer}: {first} − {second}")
    title = (
        f"{place.layer}, channel {place.channel}: {first} (0), {second} (1) and the difference (2)"
    )
    return plots.feature_maps(torch.stack([one, other, one - other]), columns=3, title=title)


def _maps(recording: Any, place: Place) -> Tensor:
    return maps_of(recording[place.layer])


# --- What a door is given -------------------------------------------------------------------


def _recorded(
    model: nn.Module, images: Any, labels: Any, classes: Sequence[str] | None
) -> tuple[Recordings, list[int]]:
    recordings = Recordings(model, images, as_classes(classes, model))
    numbers = as_labels(labels, len(recordings), recordings.classes)
    if (chances := probabilities(recordings[0])) is not None:
        check_labels(numbers, len(chances))
    return recordings, numbers


def _switched(recordings: Recordings, name: str, off: int | Sequence[int]) -> dict[str, float]:
    """Return the channels of a layer, each times zero; raise ValueError for what is not there."""
    layer = Slider("layer", recordings.names).at(name)
    channel = Slider("channel", recordings.shapes[layer.index][0])
    off = getattr(off, "tolist", lambda: off)()  # of an array or a tensor
    numbers = off if isinstance(off, Collection) and not isinstance(off, str) else [off]
    return {channel.at(f"{n:g}" if isinstance(n, float) else str(n)).word: 0.0 for n in numbers}


def _as_drawing(drawing: Any) -> np.ndarray:
    """Return uint8 (280, 280); raise where it was neither none nor a square of bytes."""
    if drawing is None:
        return np.zeros((PAD, PAD), np.uint8)
    shape, kind = np.shape(drawing), str(getattr(drawing, "dtype", type(drawing).__name__))
    is_square = len(shape) == len("HW") and shape[0] == shape[1] > 0
    if not kind.endswith("uint8") or not is_square:
        raise (ValueError if shape else TypeError)(
            f"drawing must be uint8 (N, N), white on black, but was {kind} {shape}; for a "
            "photograph there is explore.upload"
        )
    values = data.as_tensor(drawing).detach().cpu()[None, None].float()
    large = F.interpolate(values, (PAD, PAD), mode="bilinear")[0, 0]
    return large.round().to(torch.uint8).numpy()
