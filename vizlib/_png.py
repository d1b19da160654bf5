"""Pictures as PNG files with a palette, a third of the size that true colour takes.

A lesson holds twenty pictures and has to stay small. A figure has few colours that cover much,
and thousands at the edges of its letters, where a neighbouring colour does as well.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

# Greys for the edges of black letters on white, whatever else a picture is made of.
_GREYS = np.linspace(0, 255, 16).astype(np.uint32) * 0x010101


def encode(pixels: np.ndarray) -> bytes:
    r"""Return the bytes of a PNG file of pixels uint8 (H, W, 3 or more): red, green and blue.

    The 240 colours that cover most are exact, and so are 16 greys from black to white; every
    other pixel takes the nearest of them.

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
    kept = np.union1d(found[np.argsort(-counts, kind="stable")[:240]], _GREYS)
    nearest = _nearest(_channels(found), _channels(kept))
    return _channels(kept).astype(np.uint8), nearest[which].reshape(codes.shape)


def _channels(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.float32)


def _nearest(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    # |a - b|² less |a|², which is the same for every b: one product instead of a cube of numbers.
    distances = (palette**2).sum(axis=1) - 2 * colours @ palette.T
    return distances.argmin(axis=1).astype(np.uint8)
