"""Checkpoints that are whole: written beside the ones before, and believed by their own hash.

Lightning decides when to save; how is written here. Its own writer says nothing where it may not
write, and stages in a folder that may lie on another file system, so that a kill in the middle of
the move destroys the checkpoint that was there.
"""

import errno
import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from convoy import digests
from convoy.errors import ConvoyError
from convoy.files import draft, settle

GENERATIONS = 2
"""Checkpoints kept of each kind: should the newest be damaged, the one before is gone on from."""

BEST = "best"
"""The weights of the epoch with the lowest validation loss."""
LAST = "last"
"""All of a training at the end of an epoch."""
WITHIN = "within"
"""All of a training in the middle of an epoch."""

_NAME = re.compile(r"(best|last|within)-(\d{9})-([0-9a-f]{16})\.ckpt")


class Saved(NamedTuple):
    """A checkpoint file, by what its name says."""

    path: Path
    kind: str
    step: int
    """Optimizer steps before it."""
    digest: str
    """The beginning of the file's sha256."""

    def is_whole(self) -> bool:
        if digests.file(self.path).startswith(self.digest):
            return True
        logging.getLogger(__name__).warning("%s is damaged.", self.path)
        return False

    def load(self) -> dict[str, Any]:
        """Return its content: plain values, and tensors on the processor."""
        content: dict[str, Any] = torch.load(
            self.path, map_location="cpu", weights_only=True, mmap=True
        )
        return content


class Generations(TorchCheckpointIO):
    """Saves `last.ckpt` as `last-<step>-<sha256>.ckpt`, and keeps the one before it."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint beside the others; then delete those that are too old.

        Raises `ConvoyError` where the disk is full or may not be written to: what was there stays.
        """
        wanted = Path(path)
        folder, kind, step = wanted.parent, wanted.stem, int(checkpoint["global_step"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with draft(wanted) as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                digest = digests.file(Path(stream.name))[:16]
                settle(stream, folder / f"{kind}-{step:09d}-{digest}.ckpt")
        except OSError as error:
            raise _unwritten(folder, error) from error
        except RuntimeError as error:
            if not isinstance(error.__context__, OSError):
                raise
            # torch stumbles over the end of a file that it could not write
            raise _unwritten(folder, error.__context__) from error
        kinds = (BEST,) if kind == BEST else (LAST, WITHIN)
        for old in found(folder, *kinds)[GENERATIONS:]:
            old.path.unlink()

    def remove_checkpoint(self, path: Any) -> None:
        """Nothing: what is too old went when the newest was written."""


def found(folder: Path, *kinds: str) -> list[Saved]:
    """Return the checkpoints of some kinds, the newest first."""
    matches = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("*.ckpt"))
    saved = [Saved(path, m[1], int(m[2]), m[3]) for path, m in matches if m and m[1] in kinds]
    # A step may come twice: at the end of an epoch, and when it was cut off there.
    return sorted(saved, key=lambda one: (one.step, one.kind == LAST), reverse=True)


def resumable(folder: Path) -> Saved | None:
    """Return the newest whole checkpoint to go on from; later ones are gone afterwards.

    Where there is none, nothing is left of the folder's checkpoints.
    """
    for half in folder.glob(".*.ckpt.*"):
        half.unlink()  # of a training that was killed while it wrote
    known = found(folder, LAST, WITHIN)
    newest = next((one for one in known if one.is_whole()), None)
    for one in found(folder, BEST, LAST, WITHIN):
        if newest is None or (one != newest and one.step > newest.step):
            one.path.unlink()
    return newest


def best(folder: Path) -> dict[str, Any] | None:
    """Return the content of the best checkpoint; None where it is missing or damaged."""
    newest = next(iter(found(folder, BEST)), None)
    return newest.load() if newest and newest.is_whole() else None


def _unwritten(folder: Path, error: OSError) -> ConvoyError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    reason = "the disk is full" if full else error.strerror
    mend = "free some space" if full else "give this user the right to write there"
    return ConvoyError(
        f"cannot save a checkpoint in {folder} ({reason}); those from before are whole: {mend} and "
        f"run again, the training goes on from the newest."
    )
