"""Any picture of handwriting, from a file or an array, as one grey image of moderate size."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from vizlib import files

SIDE = 800  # pixels: a digit of a tenth of that is still four times as large as MNIST's
MOST_PIXELS = 128_000_000  # above what phones take today, and 400 MB once it is unpacked
MOST_BYTES = 200_000_000  # of a file
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
WHITE = 255
_COLOURED = 3  # axes of an image with colours
_CHANNELS = {1, 2, 3, 4}
_RETRY = "save it anew as JPEG or PNG and try that"


class Photo(NamedTuple):
    """A picture no side of which is over `SIDE`, float32 (H, W) or (H, W, 3) in 0…255.

    `name` is what to call it in a sentence, `longest` the longer side in pixels as it was given.
    """

    values: np.ndarray
    name: str
    longest: int


def read_grey(image: Any) -> Photo:
    """Return a picture as (H, W)."""
    photo = read_colours(image)
    return photo._replace(values=in_grey(photo.values))


def read_colours(image: Any) -> Photo:
    """Return a picture before it is made grey."""
    is_array = isinstance(image, np.ndarray | torch.Tensor)
    if is_array:
        name, picture = f"the array of shape {tuple(image.shape)}", from_array(image)
    else:
        name = name_of(image)
        picture = opened(image, name)
    longest = max(picture.size)
    if not 0 < picture.width * picture.height <= MOST_PIXELS:
        raise ValueError(wrong_size(name, f"{picture.width:,} × {picture.height:,}"))
    with one_sentence(name):
        if picture is not image:  # JPEG can be unpacked at a half, a quarter or an eighth
            width, height = (side * SIDE // longest for side in picture.size)
            picture.draft(None, (width, height))
        picture = shrunk(picture if is_array else in_mode(picture))
        # What a camera says about itself may be damaged where the pixels are sound.
        with contextlib.suppress(Exception):
            picture = ImageOps.exif_transpose(picture)
    return Photo(colours(picture), name, longest)


def name_of(image: Any) -> str:
    """Return what to call the picture in a sentence; raise TypeError where it can be none."""
    if isinstance(image, str | PathLike):
        return Path(image).name
    if isinstance(image, bytes | bytearray | memoryview):
        return "the picture"
    if isinstance(image, Image.Image) or hasattr(image, "read"):
        path = getattr(image, "filename", None) or getattr(image, "name", None)
        return Path(path).name if isinstance(path, str) and path else "the picture"
    raise TypeError(
        "a picture is a path, bytes, an open file, a Pillow image or an array, but this is "
        f"{type(image).__name__}; give the path of a photograph"
    )


# --- Files ------------------------------------------------------------------------------------


def opened(image: Any, name: str) -> Image.Image:
    """Read a file's header, in the formats that are named: others start programs (Ghostscript)."""
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, str | PathLike):
        image = files.check_readable(Path(image), MOST_BYTES).read_bytes()
    held = isinstance(image, bytes | bytearray | memoryview)
    with one_sentence(name):
        return Image.open(io.BytesIO(image) if held else image, formats=FORMATS)


def wrong_size(name: str, found: str) -> str:
    """Return the sentence on a picture that would take gigabytes once it is unpacked, or none."""
    most = f"{MOST_PIXELS // 10**6} million"
    return f"{name} has {found} pixels, and what is read has 1 to {most}: crop it to the digit"


@contextlib.contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """Turn what Pillow raises into a ValueError that names the file and says what to try."""
    try:
        # Pillow warns of large pictures and of odd metadata; the limit is ours, and pixels count.
        with warnings.catch_warnings(action="ignore"):
            yield
    except UnidentifiedImageError:
        raise ValueError(
            f"{name} is in no format that is read here (JPEG, PNG, WebP, TIFF, GIF or BMP, but not "
            f"HEIC or PDF): {_RETRY}"
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(wrong_size(name, "over 178 million")) from None
    except Exception as error:  # noqa: BLE001 - on a damaged file, decoders raise what they like
        raise ValueError(f"{name} is damaged and cannot be read ({error}): {_RETRY}") from None


def in_mode(picture: Image.Image) -> Image.Image:
    """Return the picture in mode L, RGB or RGBA, or in F where it has more than 8 bits."""
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode.startswith(("I", "F")):
        return from_array(np.asarray(picture))
    return picture if picture.mode in {"L", "RGB"} else picture.convert("RGB")


def shrunk(picture: Image.Image) -> Image.Image:
    """Return the picture with no side longer than `SIDE`."""
    factor = min(1, SIDE / max(picture.size))
    size = [max(1, round(side * factor)) for side in picture.size]
    return picture.resize(size, Image.Resampling.HAMMING, reducing_gap=2)


# --- Arrays -----------------------------------------------------------------------------------


def from_array(array: np.ndarray | torch.Tensor) -> Image.Image:
    """Turn (H, W), (H, W, C) or (C, H, W) of bytes, other numbers or truth values into a picture.

    What goes no further than 1 counts from 0 to 1, the rest from 0 to 255, or to the greatest
    integer where that is beyond. Raises ValueError for other shapes and values.
    """
    pixels = channels_last(np.asarray(array.detach().cpu() if torch.is_tensor(array) else array))
    values = to_bytes(pixels)
    return Image.fromarray(values.astype(np.uint8) if values.ndim == _COLOURED else values)


def channels_last(array: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, C) with C of 2, 3 or 4; raise ValueError where it is neither."""
    pixels = array[0] if array.ndim > _COLOURED and len(array) == 1 else array
    if pixels.ndim == _COLOURED and pixels.shape[-1] not in _CHANNELS >= {pixels.shape[0]}:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.shape[2:] == (1,):
        pixels = pixels[..., 0]
    if pixels.shape[2:] not in {(), (2,), (3,), (4,)} or pixels.ndim < len("HW") or not pixels.size:
        raise ValueError(
            f"one picture is an array (H, W), (H, W, 3) or (H, W, 4), but this one has the shape "
            f"{array.shape}; for several, call once for each"
        )
    return pixels


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return float32, or the uint8 that it was, in 0…255."""
    if pixels.dtype.kind not in "biuf":
        raise ValueError(f"pixels are numbers, but these are {pixels.dtype}; give uint8 in 0…255")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high < np.inf) or (pixels.dtype.kind == "f" and high > WHITE):
        raise ValueError(
            f"pixels lie in 0…1 or in 0…255, but these go from {low:.3g} to {high:.3g}; "
            "give the picture as it was before it was normalized"
        )
    full = 1 if high <= 1 else max(WHITE, high)
    return pixels if pixels.dtype == np.uint8 and full > 1 else pixels * np.float32(WHITE / full)


# --- From colours to grey ---------------------------------------------------------------------


def colours(picture: Image.Image) -> np.ndarray:
    """Return float32 (H, W) or (H, W, 3) in 0…255, with what is transparent laid on a ground."""
    values = np.asarray(picture, np.float32)
    if picture.mode != "RGBA":
        return values
    cover = values[..., 3:] / WHITE
    return values[..., :3] * cover + ground(values) * (1 - cover)


def ground(values: np.ndarray) -> np.ndarray | float:
    """Return what a transparent picture (H, W, 4) lies on, so that its ink stands out.

    Where all that is opaque has about one brightness, it is ink, and lies on white or black,
    whichever differs more. Otherwise it is ink with its paper, and lies on more of that paper.
    """
    opaque = values[values[..., 3] > WHITE / 2][:, :3]
    low, high = np.percentile(opaque.mean(1), [5, 95]) if len(opaque) else (0, 0)
    if high - low > WHITE / 4:
        return np.median(opaque, axis=0)
    return WHITE if low + high < WHITE else 0


def in_grey(values: np.ndarray) -> np.ndarray:
    """Weigh the colours so that ink and paper differ most: (H, W) float32 in 0…255.

    Yellow on white differs in blue alone, red chalk on a green board in red. The weights are the
    main direction of all colour steps between neighbours: the first eigenvector of Di Zenzo's
    tensor (A note on the gradient of a multi-image, 1986), summed over the image.
    """
    if values.ndim < _COLOURED:
        return values
    steps = [np.diff(values, axis=axis).reshape(-1, 3) for axis in (0, 1)]
    main = np.linalg.eigh(sum(step.T @ step for step in steps))[1][:, -1]
    weights = np.maximum(main * np.sign(main.sum() or 1), 0)
    return values @ (weights / weights.sum()).astype(np.float32)


def resized(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """Return values in 0…1 in another shape (height, width), smoothly in either direction."""
    smaller = shape[0] <= values.shape[0]
    kind = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    picture = Image.fromarray(np.asarray(values, np.float32))
    return np.clip(np.asarray(picture.resize((shape[1], shape[0]), kind)), 0, 1)
