"""Who carries out a sweep's trainings: this machine's programs, or workers elsewhere.

The search and the pruning stay with whoever sweeps. A training elsewhere is followed by what its
run in MLflow has logged, and given up by ending that run, which its worker looks for.
"""

import queue
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from convoy import open_runs, tracking
from convoy.errors import ConvoyError
from convoy.pipeline import dispatch
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.session import Session
from convoy.pipeline.training import fit
from convoy.programs.launcher import Launcher, start_worker
from convoy.progress import Epoch, report
from convoy.project import Project
from convoy.recipe import Recipe
from convoy.slots import Slot, unshared
from convoy.training.spec import TrainingResult, finished

LOOK = 1.0
"""Seconds between two looks at what a training elsewhere has logged."""
FOLLOWED = ("val/accuracy", "val/loss", "train/loss")

Watch = Callable[[dict[str, Any]], bool]
"""Is told of each epoch, and returns whether the training is to be given up."""


@dataclass(frozen=True)
class Job:
    """One training of a sweep."""

    step: str
    architecture: str
    recipe: Recipe
    overrides: tuple[str, ...]
    """What `--set` would have to say for it."""
    folder: Path
    run_id: str
    """Its run in MLflow, which is open."""


class Trainer(Protocol):
    """What trains, several at the same time."""

    @property
    def places(self) -> int:
        """How many at the same time."""

    def slot(self, step: str) -> AbstractContextManager[None]:
        """Hold the device of a training, from before its run is open."""

    def fit(self, work: Session, job: Job, watch: Watch) -> TrainingResult:
        """Train, and have the files in the job's folder.

        Raises what the training refused, and a `ConvoyError` where it was given up or ended.
        """

    def end(self) -> None:
        """End what still trains, so that it can go on later; each `fit` raises then."""


class Here:
    """Programs of this machine, each with its share of the cores."""

    def __init__(self, launchers: list[Launcher], slot: Slot) -> None:
        self._launchers = launchers
        self._idle: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
        for launcher in launchers:
            self._idle.put(launcher)
        self.slot = slot

    @property
    def places(self) -> int:
        return len(self._launchers)

    def fit(self, work: Session, job: Job, watch: Watch) -> TrainingResult:
        launcher = self._idle.get()

        def follow(row: dict[str, Any]) -> None:
            if watch(row):
                launcher.stop()

        told = job.step, job.architecture, job.recipe, job.folder, job.run_id
        try:
            return fit(work, launcher, *told, follow)
        finally:
            self._idle.put(launcher)

    def end(self) -> None:
        for launcher in self._launchers:
            launcher.close()


@contextmanager
def here(project: Project, places: int, slot: Slot) -> Iterator[Here]:
    """Start a preloaded parent of trainings for each place."""
    with ExitStack() as opened:
        starting = (start_worker(project, place, places) for place in range(places))
        yield Here([opened.enter_context(launcher) for launcher in starting], slot)


class Sent(Protocol):
    """An order on its way."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end, for so long at most; return whether it has ended."""

    def delivery(self) -> Delivery:
        """Return what came of it. Raises what the worker refused, `Stopped` where it is over."""

    def cancel(self) -> None:
        """Have nobody begin it."""


class Elsewhere:
    """Workers elsewhere, which orders are sent to."""

    def __init__(self, send: Callable[[Order], Sent], places: int) -> None:
        self.places = places
        self._send = send
        self._sent: list[Sent] = []
        self._is_over = False

    def slot(self, step: str) -> AbstractContextManager[None]:
        """Hold nothing: a device is its worker's."""
        return unshared(step)

    def fit(self, work: Session, job: Job, watch: Watch) -> TrainingResult:
        told = job.architecture, job.recipe, job.overrides
        sent = self._send(dispatch.order(work, *told, evaluated=False))
        self._sent.append(sent)
        if self._is_over:  # since before it was sent
            sent.cancel()
        followed = _Followed(work, job, watch)
        try:
            while not sent.wait(LOOK):
                followed.look()
            delivery = sent.delivery()
        except ConvoyError:
            followed.look()  # at what it had logged by then
            raise
        finally:
            sent.cancel()
        followed.look()
        dispatch.receive(work, delivery)
        result = finished(job.folder)
        if result is None:
            raise ConvoyError(f"{job.step} left no whole result in {job.folder}.")
        return result

    def end(self) -> None:
        self._is_over = True
        for sent in list(self._sent):
            sent.cancel()


class _Followed:
    """A training elsewhere, as its run in MLflow shows it."""

    def __init__(self, work: Session, job: Job, watch: Watch) -> None:
        self._work, self._job, self._watch = work, job, watch
        self._known: set[int] = set()
        self._is_given_up = False

    def look(self) -> None:
        """Tell of the epochs that are new; end the run of a training that is given up."""
        found, seconds = self._logged()
        for epoch in sorted(found.keys() - self._known):
            self._known.add(epoch)
            metrics, job = found[epoch], self._job
            row = {"epoch": epoch, "epochs": job.recipe.epochs, "metrics": metrics}
            self._is_given_up |= self._watch(row)
            left = seconds * (job.recipe.epochs - epoch)
            told = job.step, epoch, job.recipe.epochs, metrics["train/loss"]
            report(Epoch(*told, metrics["val/accuracy"], left))
        client, run_id = self._work.client, self._job.run_id
        # Each time: another worker opens it again where the first was killed meanwhile.
        if self._is_given_up and open_runs.is_open(client.get_run(run_id)):
            tracking.close(client, run_id, "KILLED")

    def _logged(self) -> tuple[dict[int, dict[str, float]], float]:
        """Return the metrics of each epoch that has all that are followed; seconds of an epoch."""
        found: dict[int, dict[str, float]] = {}
        times: list[int] = []
        for name in FOLLOWED:
            for metric in self._work.client.get_metric_history(self._job.run_id, name):
                found.setdefault(metric.step, {})[name] = metric.value
                times.append(metric.timestamp)
        whole = {epoch: told for epoch, told in found.items() if len(told) == len(FOLLOWED)}
        between = (max(times) - min(times)) / 1000 if times else 0.0
        return whole, between / max(1, len(whole) - 1)
