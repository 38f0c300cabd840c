"""Augmentation of whole batches, against a loop of Pillow over images, and against kornia.

    python -m benchmarks.augmentation [RESULT.json]

Convoy takes a batch of uint8, channels last, and gives one back. So does the loop, which is what a
`Dataset` does for each image after it is decoded: an array becomes Pillow's image, is changed and
becomes an array again. kornia is measured where it is installed; it takes and gives planes of
float32 from 0 to 1, whose conversion is not counted, and draws a policy's operations once a batch.
Times are medians on one thread, which is all that the loop has.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional as F

from benchmarks.rows import Row, machine
from convoy.augmentation.composition import Augmentation
from convoy.augmentation.policy import AUTOAUGMENT, dealt
from convoy.augmentation.settings import Augment

SHAPES = ((256, 3, 32, 32), (8, 3, 224, 224))
REPEATS = 40
CLASSES = 10
PAD = 4
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}
RANDAUGMENT = {"name": "randaugment", "operations": 2, "magnitude": 9}
CASES: dict[str, dict[str, Any]] = {
    "shift": {"shift": PAD},
    "flip": {"flip": True},
    "rotate": {"rotate": 15},
    "jitter": {"jitter": JITTER},
    "erase": {"erase": 0.25},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "randaugment": {"policy": RANDAUGMENT},
    "trivial": {"policy": {"name": "trivial"}},
    "shift, flip": {"shift": PAD, "flip": True},
    "shift, flip, erase": {"shift": PAD, "flip": True, "erase": 0.25},
    "shift, flip, randaugment, erase": {
        "shift": PAD, "flip": True, "policy": RANDAUGMENT, "erase": 0.25,
    },
    "shift, flip, mixup": {"shift": PAD, "flip": True, "mixup": 0.2},
}  # fmt: skip


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where a bound is missed."""
    torch.set_num_threads(1)
    rows = [*_windows(), *(row for shape in SHAPES for row in _against_peers(shape)), _selecting()]
    for row in rows:
        row.show()
    if result:
        told = {
            "command": "python -m benchmarks.augmentation RESULT.json",
            "machine": {**machine(), "threads": 1},
            "kornia": _kornia_version(),
            "rows": [{**row._asdict(), "holds": row.holds} for row in rows],
        }
        result.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(not all(row.holds for row in rows))


def _batch(shape: tuple[int, ...]) -> Tensor:
    images = torch.randint(256, shape, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


def _times(functions: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, float]:
    """Return the median milliseconds of each, one after another in each repeat."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 2):  # the first two warm up
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            found[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times[2:]) for name, times in found.items()}


def _against_peers(shape: tuple[int, ...]) -> list[Row]:
    images, labels = _batch(shape), torch.randint(CLASSES, shape[:1])
    generator = torch.Generator()
    rows = []
    for name, values in CASES.items():
        ours = Augmentation(Augment.model_validate(values))
        functions: dict[str, Callable[[], Any]] = {
            "convoy": partial(ours, images, labels, generator, CLASSES),
            "pillow": partial(_pillow_loop, values, images.permute(0, 2, 3, 1).numpy()),
        }
        if _kornia_version():
            functions["kornia"] = _kornia(values, images.contiguous() / 255, labels)
        times = _times(functions)
        which = f"{shape[0]}x{shape[2]}: {name}"
        # Small images are what batches are for: large ones keep a loop's overhead small.
        bound = 1 if shape == SHAPES[0] else None
        rows.append(Row(f"{which}, ms", times["convoy"]))
        detail = {"milliseconds a batch": times}
        rows.append(
            Row(f"{which}, times Pillow", times["pillow"] / times["convoy"], bound, True, detail)
        )
        if "kornia" in times:
            rows.append(Row(f"{which}, times kornia", times["kornia"] / times["convoy"]))
    return rows


# What Convoy did before, for shift and flip alone.


def _windows() -> list[Row]:
    rows = []
    for shape in ((256, 1, 32, 32), (256, 3, 32, 32), (128, 1, 32, 32), (128, 3, 32, 32)):
        images, labels = _batch(shape), torch.randint(CLASSES, shape[:1])
        generator = torch.Generator()
        ours = Augmentation(Augment(shift=PAD, flip=True), "gray" if shape[1] == 1 else "rgb")
        times = _times(
            {
                "convoy": partial(ours, images, labels, generator, CLASSES),
                "numpy": partial(_by_windows, images, generator),
            },
            200,
        )
        name = f"{shape[0]}x{shape[1]}x32: shift, flip, times NumPy's windows"
        detail = {"milliseconds a batch": times}
        rows.append(Row(name, times["numpy"] / times["convoy"], 1, True, detail))
    return rows


def _by_windows(images: Tensor, generator: torch.Generator) -> Tensor:
    count, channels, height, width = images.shape
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0) + (PAD,) * 4).contiguous()
    windows = sliding_window_view(padded.numpy(), (height, width, channels), axis=(1, 2, 3))
    down, right = torch.randint(0, 2 * PAD + 1, (2, count), generator=generator).numpy()
    moved = torch.from_numpy(windows[np.arange(count), down, right, 0]).permute(0, 3, 1, 2)
    drawn = torch.randint(0, 2, (count,), generator=generator).bool()
    found = moved.clone()
    found[drawn] = moved[drawn].flip(3)
    return found.contiguous(memory_format=torch.channels_last)


def _selecting() -> Row:
    """As many slots of each operation as there are images: each is computed for all of them."""
    images, generator = _batch(SHAPES[0]).contiguous(), torch.Generator()
    times = _times(
        {
            name: partial(dealt, images, torch.full((14, slots), 0.9), AUTOAUGMENT, generator)
            for name, slots in (("dealt", -(-len(images) // 14)), ("all", len(images)))
        }
    )
    detail = {"milliseconds a batch": times}
    return Row(
        "an operation dealt, times all computed", times["all"] / times["dealt"], 1, True, detail
    )


# The loop: each image by itself.


def _pillow_loop(values: dict[str, Any], batch: np.ndarray[Any, Any]) -> Tensor:
    found = np.stack([_pillow(values, pixels) for pixels in batch])
    if "mixup" in values:
        own = np.random.beta(values["mixup"], values["mixup"], len(batch)).astype(np.float32)
        for place, partner in enumerate(np.random.permutation(len(batch))):
            mixed = found[place] * own[place] + batch[partner] * (1 - own[place])
            found[place] = mixed.round()
    if "cutmix" in values:
        side = batch.shape[1]
        for place, partner in enumerate(np.random.permutation(len(batch))):
            half = int(side * (1 - np.random.beta(1, 1)) ** 0.5) // 2
            y, x = random.randrange(side), random.randrange(side)
            box = slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half)
            found[place][box] = batch[partner][box]
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def _pillow(values: dict[str, Any], pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not values.keys() - {"mixup", "cutmix"}:
        return pixels
    image = Image.fromarray(pixels)
    if pad := values.get("shift"):
        left, upper = random.randrange(2 * pad + 1), random.randrange(2 * pad + 1)
        size = image.size
        image = ImageOps.expand(image, pad).crop((left, upper, left + size[0], upper + size[1]))
    if "flip" in values and random.random() < 0.5:
        image = ImageOps.mirror(image)
    if degrees := values.get("rotate"):
        image = image.rotate(random.uniform(-degrees, degrees), Image.Resampling.BILINEAR)
    if jitter := values.get("jitter"):
        for name, part in (("Brightness", "brightness"), ("Contrast", "contrast"),
                           ("Color", "saturation")):  # fmt: skip
            factor = random.uniform(1 - jitter[part], 1 + jitter[part])
            image = getattr(ImageEnhance, name)(image).enhance(factor)
        hue, saturation, value = image.convert("HSV").split()
        turn = int(255 * random.uniform(-jitter["hue"], jitter["hue"]))
        turned = Image.fromarray(np.asarray(hue) + np.uint8(turn % 256))
        image = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    if policy := values.get("policy"):
        for _ in range(policy.get("operations", 1)):
            image = random.choice(_OPERATIONS)(image, 0.9 * random.choice((-1, 1)))
    found = np.array(image)
    if random.random() < values.get("erase", 0):
        high, wide = (random.randrange(len(found) // 8, len(found) * 6 // 10) for _ in range(2))
        top, left = random.randrange(len(found) - high), random.randrange(len(found) - wide)
        found[top : top + high, left : left + wide] = np.random.randint(256, size=(high, wide, 3))
    return found


def _affine(a: float, b: float, c: float, d: float, image: Image.Image, by: float) -> Image.Image:
    matrix = (1, a * by, c * by, b * by, 1, d * by)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


_OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, _: image,
    lambda image, by: image.rotate(30 * by, Image.Resampling.BILINEAR),
    partial(_affine, 0.3, 0, 0, 0),
    partial(_affine, 0, 0.3, 0, 0),
    lambda image, by: _affine(0, 0, image.width * 150 / 331, 0, image, by),
    lambda image, by: _affine(0, 0, 0, image.height * 150 / 331, image, by),
    lambda image, by: ImageOps.solarize(image, round(256 * (1 - abs(by)))),
    lambda image, by: ImageOps.posterize(image, 8 - round(4 * abs(by))),
    *(
        lambda image, by, enhance=enhance: enhance(image).enhance(1 + 0.9 * by)
        for enhance in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness,
                        ImageEnhance.Sharpness)
    ),
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
)  # fmt: skip


# kornia, which is none of Convoy's dependencies.


def _kornia_version() -> str | None:
    return str(import_module("kornia").__version__) if find_spec("kornia") else None


def _kornia(values: dict[str, Any], images: Tensor, labels: Tensor) -> Callable[[], Any]:
    """Return kornia's form of a case. Its policies have one draw of operations a batch."""
    k = import_module("kornia.augmentation")
    parts: dict[str, Callable[[Any], Any]] = {
        "shift": lambda pad: k.RandomCrop(images.shape[2:], padding=pad, cropping_mode="slice"),
        "flip": lambda _: k.RandomHorizontalFlip(p=0.5),
        "rotate": lambda degrees: k.RandomRotation(float(degrees), p=1.0),
        "jitter": lambda by: k.ColorJitter(**by, p=1.0),
        "policy": lambda policy: (
            k.auto.TrivialAugment()
            if policy["name"] == "trivial"
            else k.auto.RandAugment(n=policy["operations"], m=3 * policy["magnitude"])
        ),
        "erase": lambda share: k.RandomErasing(p=share, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3)),
    }
    steps = [make(values[name]) for name, make in parts.items() if name in values]
    changed = (
        k.AugmentationSequential(*steps, data_keys=["input"]) if steps else lambda batch: batch
    )
    # No sequence of kornia's takes those that change labels.
    keys = ["input", "class"]
    if "mixup" in values:
        mixup = k.RandomMixUpV2(p=1.0, data_keys=keys)
        return lambda: mixup(changed(images), labels)
    if "cutmix" in values:
        cutmix = k.RandomCutMixV2(p=1.0, data_keys=keys, use_correct_lambda=True)
        return lambda: cutmix(changed(images), labels)
    return lambda: changed(images)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
