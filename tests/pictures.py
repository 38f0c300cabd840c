"""Pictures to decode, made on the spot."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def jpeg(pixels: NDArray[np.uint8], **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """An RGB image with both areas and single pixels that differ."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    areas = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    return np.where(draw.random((height, width, 1)) < 0.2, 255 - areas, areas).astype(np.uint8)
