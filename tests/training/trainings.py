"""Short trainings, and what is done to the checkpoints of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from convoy.classifier import Classifier
from convoy.training.checkpoints import Saved, found
from convoy.training.spec import TrainingSpec
from tests.recipes import recipe

Event = dict[str, Any]


def a_spec(
    files: dict[str, str], folder: Path, architecture: str = "mlp", **values: Any
) -> TrainingSpec:
    return TrainingSpec(
        architecture=architecture,
        recipe=recipe(**values),
        seed=1,
        dataset="tiny",
        version="0123.dir",
        files=files,
        folder=str(folder),
        device="cpu",
    )


def silent(event: Event) -> None:
    """Follow nothing."""


def newest(folder: Path, kind: str) -> Saved:
    return found(folder / "checkpoints", kind)[0]


def damage(file: Path, kept: float | str) -> None:
    """Leave so many bytes of a file, or such a share of it, or change one bit."""
    content = bytearray(file.read_bytes())
    if isinstance(kept, str):
        content[len(content) // 2] ^= 1
    else:
        content = content[: int(kept if kept >= 1 else kept * len(content))]
    file.write_bytes(content)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def before_step(patch: pytest.MonkeyPatch, act: Callable[[Classifier, Any, int], None]) -> None:
    """Have something happen before each training step."""
    step = Classifier.training_step

    def wrapped(self: Classifier, batch: Any, index: int) -> Tensor:
        act(self, batch, index)
        return step(self, batch, index)

    patch.setattr(Classifier, "training_step", wrapped)


@contextmanager
def short_of_memory(patch: pytest.MonkeyPatch, most: int) -> Iterator[list[int]]:
    """A device that has room for so many images in a step."""
    sizes: list[int] = []

    def act(classifier: Classifier, batch: Any, now: int) -> None:
        sizes.append(len(batch[1]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    with patch.context() as here:
        before_step(here, act)
        yield sizes
