"""Which image an image is: the hash that tells duplicates, splits and what a model has seen."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy import jpeg
from convoy.decoding import FileImage

HASHED_SLOWLY = 256 * 256
"""Pixels up to which their hash is SHA-256: with another number images would be others."""


def of_pixels(image: NDArray[np.uint8]) -> bytes:
    """Return a hash of an image's (H, W, C) pixels and shape, 32 bytes.

    That is SHA-256, which every Python has, but of large images BLAKE3, in a third of the time.
    """
    shape = "x".join(map(str, image.shape)).encode() + b":"
    height, width, _ = image.shape
    found = hashlib.sha256(shape) if height * width <= HASHED_SLOWLY else _blake3(shape)
    found.update(np.ascontiguousarray(image).data)
    digest: bytes = found.digest()
    return digest


def of_file(image: FileImage, data: bytes) -> bytes:
    """Return the hash of a file's image, 32 bytes: that of its pixels, however they are encoded.

    A photograph (`jpeg.PHOTOGRAPH`) is told by how it was held and its coded pixels instead, which
    are the same at whatever size it was decoded.
    """
    if not jpeg.is_photograph(image.format, image.width, image.height):
        return of_pixels(image.pixels)
    digest: bytes = _blake3(b"JPEG %d:" % image.orientation + jpeg.coded(data)).digest()
    return digest


def _blake3(data: bytes) -> Any:
    from blake3 import blake3  # a bare training machine lacks it, and ingests no large images

    return blake3(data)
