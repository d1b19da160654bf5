"""Pictures as PNG files with a palette, a third of the size that true colour takes.

A lesson holds twenty pictures and has to stay small. A figure has few colours that cover much,
and thousands at the edges of its letters, where a neighbouring colour does as well.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

# Greys for the edges of black letters on white, whatever else a picture is made of.
_GREYS = np.linspace(0, 255, 16, dtype=np.float32)[:, None].repeat(3, axis=1)
_FREQUENT, _SIZE = 48, 256


def encode(pixels: np.ndarray) -> bytes:
    r"""Return the bytes of a PNG file of pixels uint8 (H, W, 3 or more): red, green and blue.

    Up to 256 colours are exact. Of more, sixteen greys from black to white and the 48 colours that
    cover most are exact; the other 192 are chosen one by one, each where most pixels are furthest
    from what they would get.

    >>> encode(np.zeros((2, 2, 3), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    colours, indexes = _palette(pixels)
    height, width = indexes.shape
    rows = np.pad(indexes, ((0, 0), (1, 0)))  # each row begins with its filter: 0 for none
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _palette(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most 256 colours uint8 (P, 3) and the number of each pixel's, uint8 (H, W)."""
    codes = pixels[..., :3].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = _channels(found)
    few = len(colours) <= _SIZE
    palette, nearest = (colours, np.arange(len(colours))) if few else _chosen(colours, counts)
    return palette.astype(np.uint8), nearest[which].reshape(codes.shape).astype(np.uint8)


def _channels(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.float32)


def _chosen(colours: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the palette (P, 3) and, for each colour, the number of its nearest in it."""
    frequent = colours[np.argsort(-counts, kind="stable")[:_FREQUENT]]
    palette = list(np.concatenate([_GREYS, frequent]))
    nearest = np.zeros(len(colours), np.int64)
    distance = np.full(len(colours), np.inf)
    number = 0
    while distance.any() and number < _SIZE:
        if number == len(palette):
            palette.append(colours[(distance * counts).argmax()])
        to_this = ((colours - palette[number]) ** 2).sum(axis=1)
        closer = to_this < distance
        nearest[closer], distance[closer] = number, to_this[closer]
        number += 1
    return np.array(palette), nearest
