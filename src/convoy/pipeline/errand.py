"""A worker's side of an order: its training, evaluation and inspection as the pipeline's own.

A worker has a project of its own: a clone at the same commit, or the folder of whoever ordered. It
counts the training's key again, so that no other code can carry out an order. Its MLflow run is
the training's, as everywhere; whoever takes an order that another worker was cut off in, takes over
that run.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convoy import architectures, environment, open_runs, store, tracking, training_files
from convoy.errors import ConvoyError, NotReproducible, Stopped
from convoy.owners import this_owner
from convoy.pipeline import inspection, training
from convoy.pipeline.order import Delivery, Order
from convoy.pipeline.session import Session
from convoy.pipeline.workplace import Place, launcher_of_thread
from convoy.plan import Plan
from convoy.programs.entry import Emit
from convoy.programs.launcher import PRELOADED, STOPPED, Launcher
from convoy.project import Project
from convoy.settings import Settings
from convoy.training.spec import training_key
from convoy.versions.fetching import fetched

PULSE = 2.0
"""Seconds between two looks at whether an order still stands."""


def carry_out(order: Order, project: Project, place: Place) -> Delivery:
    """Train as ordered, unless that was done before; evaluate and inspect it where that is asked.

    Raises `Stopped` where the order was taken back, `NotReproducible` where this project is at
    another commit, or cannot have the dataset version.
    """
    began = time.monotonic()
    with Errand(order, project, place) as work:
        # Another worker may have finished it, and been cut off before it could say so.
        folder = project.runs / order.key[:32]
        training_files.bring_finished(work.client, work.experiment, order.key, folder)
        run_id = training.train(work, order.architecture)
        if order.evaluated:
            training.evaluate(work, order.architecture)
            inspection.inspect(work, order.architecture)
        else:
            result = work.trainings[order.architecture].result
            tracking.log_metrics(work.client, run_id, training.figures_of(result))
            tracking.mark(work.client, run_id, training.tags_of(result))
            work.close(run_id)
        work.hand_over(run_id)
        kept = work.trainings[order.architecture].kept
        seconds = time.monotonic() - began
    return Delivery(
        architecture=order.architecture,
        key=order.key,
        run_id=run_id,
        kept=kept,
        worker=this_owner(),
        seconds=seconds,
    )


class Errand(Session):
    """One order at work: what `Session` is to the pipeline, on another process's behalf."""

    def __init__(self, order: Order, project: Project, place: Place) -> None:
        settings = Settings.model_validate_json(
            json.dumps(order.settings), context={"architectures": architectures.names()}
        )
        named = order.dataset, (order.architecture,), tuple(order.overrides)
        super().__init__(Plan(project, settings, *named), order.stamps["flow_run"], releases=False)
        self.order, self.place = order, place
        self._over = threading.Event()

    def __enter__(self) -> Self:
        environment.apply(self.project)
        # The credentials, if the server wants any, are in this machine's own environment.
        os.environ["MLFLOW_TRACKING_URI"] = self.order.tracking_uri
        self.project.create_state()
        self.client = store.connect(self.project)
        self.experiment, self.run_id = self.order.experiment, self.order.run_id
        self.stamps = tracking.Stamps(**self.order.stamps)
        self._refuse_other_code()
        self.version = fetched(self.project, self.order.dataset, self.order.version)
        self.manifest = self.version.manifest
        modules = PRELOADED if self.order.evaluated else PRELOADED[:1]
        launcher = launcher_of_thread(self.project, self.place, *modules)
        self.launcher = _Stoppable(launcher, self._over)
        self._resources.enter_context(self._watching())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A run that another worker has taken over is that one's to end.
        self.open_runs = [run for run in self.open_runs if open_runs.is_ours(self.client, run)]
        super().__exit__(kind, error, trace)

    def close(self, run_id: str) -> None:
        """Hand over the training before its run is finished: a finished run is a whole one."""
        self.hand_over(run_id)
        super().close(run_id)

    def hand_over(self, run_id: str) -> None:
        """Keep the training's files with its run, unless whoever ordered it shares this folder."""
        if self.order.origin == origin(self.project):
            return
        (run,) = tracking.get_runs(self.client, [run_id])
        if not training_files.is_packed(run):
            folder = self.trainings[self.order.architecture].folder
            training_files.pack(self.client, run_id, folder)

    def _refuse_other_code(self) -> None:
        """Raise `NotReproducible` where this project's code or libraries make other trainings."""
        run, name = self.plan.settings.run, self.order.architecture
        digest, recipe = self.order.stamps["digest"], self.plan.settings.recipe(name)
        if training_key(name, recipe, run.seed, digest, run.deterministic) != self.order.key:
            commit, _ = self.project.commit()
            raise NotReproducible(
                f"the worker in {origin(self.project)} has other code or libraries (commit "
                f"{commit[:12]}) than the run that ordered {name} (commit "
                f"{self.stamps.commit[:12]}): check that commit out there, install what its "
                f"constraints.txt pins, and start the worker again."
            )

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Stop what runs once the order is taken back: by Ctrl-C, say, or by another worker."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(PULSE):
                if not self._stands():
                    self._over.set()
                    self.launcher.stop()
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _stands(self) -> bool:
        try:
            (whole,) = tracking.get_runs(self.client, [self.run_id])
            ours = all(open_runs.is_ours(self.client, run) for run in list(self.open_runs))
        except ConvoyError:  # a server that is away takes nothing back
            return True
        return open_runs.is_open(whole) and ours


class _Stoppable(Launcher):
    """Another launcher, for as long as an order stands."""

    def __init__(self, launcher: Launcher, over: threading.Event) -> None:
        self._launcher, self._over = launcher, over

    def run(self, module: str, spec: dict[str, Any], log: Path, emit: Emit) -> dict[str, Any]:
        """Run a program as a `Launcher` does. Raises `Stopped` once the order is taken back."""
        if self._over.is_set():
            raise Stopped(STOPPED)
        found = self._launcher.run(module, spec, log, emit)
        if self._over.is_set():
            raise Stopped(STOPPED)
        return found

    def stop(self) -> None:
        self._launcher.stop()


def origin(project: Project) -> str:
    """Return what tells this machine's folder of a project from all others."""
    return f"{this_owner().rsplit(':', 2)[0]}:{project.root}"
