"""Short trainings, and what is done to the checkpoints of them."""

from pathlib import Path
from typing import Any

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
