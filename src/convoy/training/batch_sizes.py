"""Which batches fit the memory, and how many images a second are trained on with each.

Each size is about twice the one before. A GPU says itself where its memory ends. A processor's
system ends programs that take too much, so there the memory of the next size is foretold from that
of the one before. Lightning's `BatchSizeFinder` is not used: it doubles until something fails, and
measures no time (docs/adr/0019-finder.md).
"""

import gc
import resource
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from convoy import readers
from convoy.errors import ConvoyError
from convoy.programs.entry import Emit
from convoy.training import suggestion
from convoy.training.fit import out_of_memory
from convoy.training.suggestion import Size, Sizes
from convoy.training.trials import Trials

SMALLEST = 8
"""Images of the smallest batch that is tried, if the recipe's own is not smaller."""
STEPS, SECONDS = 20, 1.0
"""What a size is measured for at most, behind a first step that pays for memory and kernels."""
LONGEST = 5.0
"""Seconds that a step may take, before no larger batch is tried."""
ROOM = 0.8
"""Of a processor's free memory, what a batch may take: its other programs need the rest."""
STILL = 1e-6
"""A learning rate that leaves the weights where they are: large ones would end in no number."""


def measure(trials: Trials, emit: Emit) -> Sizes:
    """Try the sizes until the next one is too large.

    Emits {"event": "size", ...} with each one's figures. Raises `ConvoyError` where not even the
    smallest fits.
    """
    cuda = trials.device.type == "cuda"
    room, before = readers.free(trials.device), 0 if cuda else _most_resident()
    classifier = trials.classifier(STILL)
    tried: list[Size] = []
    ended: Literal["memory", "images", "seconds"] = "images"
    for batch_size in _candidates(trials.spec.recipe.batch_size, trials.images):
        if tried:
            growth = batch_size / tried[-1].batch_size
            if not cuda and tried[-1].memory * growth > ROOM * room:
                ended = "memory"
                break
            if batch_size / tried[-1].images_per_second > LONGEST:
                ended = "seconds"
                break
        watch = _Stopwatch(batch_size)
        try:
            trials.run(classifier, batch_size, watch)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            ended = "memory"
            break
        taken = torch.cuda.max_memory_allocated() if cuda else _most_resident() - before
        speed = batch_size / median(watch.took)
        tried.append(Size(batch_size=batch_size, images_per_second=round(speed, 1), memory=taken))
        emit({"event": "size", **tried[-1].model_dump()})
    del classifier
    gc.collect()
    torch.cuda.empty_cache()
    if not tried:
        raise ConvoyError(
            f"{trials.spec.architecture} does not fit the memory even with a batch of "
            f"{batch_size} images: choose a smaller network, or smaller images."
        )
    return suggestion.sizes(tried, ended)


def _candidates(recipe: int, images: int) -> Iterator[int]:
    """Yield sizes that grow about twofold up to all images, the recipe's own among them."""
    most = min(recipe, images)
    halvings = max((most // SMALLEST).bit_length() - 1, 0)
    yield from (most >> halving for halving in range(halvings, -1, -1))
    while (most := 2 * most) <= images:
        yield most


def _most_resident() -> int:
    """Return the bytes of memory that this process has held at most."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


class _Stopwatch(pl.Callback):
    """Times steps of whole batches, each with the reading before it; ends a run by itself."""

    def __init__(self, batch_size: int) -> None:
        self.took: list[float] = []
        """Seconds."""
        self._size = batch_size
        self._last: float | None = None
        self._began = 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        now = time.perf_counter()
        if self._last is None:
            self._began = now
        elif len(batch[1]) == self._size:
            self.took.append(now - self._last)
        self._last = now
        enough = len(self.took) == STEPS or now - self._began > SECONDS
        trainer.should_stop = bool(self.took) and enough
