"""One run of the pipeline: what it holds open, and what its tasks hand on to each other."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convoy import notes, promotion, registry, store, tracking, turn, versions
from convoy.errors import NotReproducible, Stopped
from convoy.ingestion.render import write_page
from convoy.plan import Plan
from convoy.programs.launcher import start_launcher, warm
from convoy.progress import Planned, Step, report
from convoy.training.spec import TrainingResult


@dataclass
class Training:
    """An architecture on its way through the pipeline."""

    architecture: str
    key: str
    folder: Path
    run_id: str
    kept: bool
    """Whether it was there before this run."""
    result: TrainingResult
    logged_evaluation: str = ""
    """The key of the evaluation that its run holds."""
    evaluated: dict[str, Any] = field(default_factory=dict)
    """What the evaluation program found: `evaluation.json`."""


class Session:
    """One run of the pipeline on one project; a second one at the same time is refused."""

    def __init__(self, plan: Plan, flow_run: str, releases: bool = True) -> None:
        """Of a run that `releases`, the best training is registered and judged."""
        self.plan = plan
        self.project = plan.project
        self.flow_run = flow_run
        self.releases = releases
        self.run_id = ""
        self.fit_seconds = 0.0
        self.trainings: dict[str, Training] = {}
        self.open_runs: list[str] = []
        self.delivered: set[str] = set()
        """The architectures that this run has had trained elsewhere."""
        self.dead_flow_runs: set[str] = set()
        """Prefect's runs whose process is gone, for the flow to end."""
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self.plan.check_recipes()
        self.project.create_state()
        with ExitStack() as opened:
            opened.enter_context(turn.take(self.project.state, self.plan.dataset, self.flow_run))
            self.project.clear_scratch()
            self._start_programs(opened)
            self.client = store.connect(self.project)
            self.experiment = store.experiment(self.client, self.project, self.plan.dataset)
            dead = tracking.settle(self.client, self.experiment)
            # This one too where it was interrupted and goes on: it is not dead.
            self.dead_flow_runs = tracking.flow_runs(self.client, dead) - {self.flow_run}
            if self.plan.data.model in registry.names(self.client):
                promotion.settle(self.client, self.plan.data.model)
            self._resources = opened.pop_all()
        report(Planned(("ingest", *self._steps())))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None:
                failed = issubclass(kind, Exception) and not issubclass(kind, Stopped)
                status = "FAILED" if failed else "KILLED"
                for run_id in self.open_runs:
                    tracking.close(self.client, run_id, status)
        finally:
            self._resources.close()

    def _start_programs(self, opened: ExitStack) -> None:
        self.launcher = warm.get() or opened.enter_context(start_launcher(self.project))
        self.began = self.launcher.began

    def _steps(self) -> tuple[str, ...]:
        """Return the steps after ingestion."""
        trained = (f"train {name}" for name in self.plan.architectures)
        return (*trained, "register", "gate") if self.releases else tuple(trained)

    def _open_run(self) -> str:
        """Open the run of this whole; return its id."""
        kind = "pipeline" if self.releases else "training"
        name = time.strftime(f"{kind} %Y-%m-%d %H:%M:%S")
        return tracking.open_pipeline(self.client, self.experiment, name, self.stamps)

    def ingest(self) -> str:
        """Bring the dataset up to date; open the run of this whole. Return the dataset version."""
        report(Step("ingest", "running"))
        self.version = versions.ingest(self.project, self.plan.dataset)
        self.manifest = self.version.manifest
        if self.plan.strict and self.version.flags:
            raise NotReproducible(refusal(self.plan.dataset, self.version.flags))
        commit, dirty = self.project.commit()
        self.stamps = tracking.Stamps(
            commit,
            dirty,
            self.plan.dataset,
            self.version.hash,
            self.version.digest,
            self.flow_run,
        )
        if not self.run_id:  # a retry of this task goes on in the run that is open
            self.run_id = self._open_run()
            self.open_runs.append(self.run_id)
            self._describe()
            tracking.log_file(self.client, self.run_id, self._page(), "dataset")
            if self.version.flags:
                tracking.flag(self.client, self.run_id, "; ".join(self.version.flags))
        counts = {split: sum(found.values()) for split, found in self.manifest["counts"].items()}
        report(Step("ingest", "done", ", ".join(f"{v:,} {k}" for k, v in counts.items())))
        return self.version.hash

    def _describe(self) -> None:
        """Say in the run what it is, so that it does also if it never comes to its end."""
        names = self.plan.architectures
        how = notes.again(self.stamps, self.plan, names)
        note = notes.begun(", ".join(names), self.stamps, how)
        tracking.describe(self.client, self.run_id, note, {})

    def _page(self) -> Path:
        """Draw the dataset's page."""
        folder = self.project.reports(self.plan.dataset)
        return write_page(self.version.files, folder)

    def close(self, run_id: str) -> None:
        """End one of the runs that this one opened in MLflow; others have ended."""
        if run_id in self.open_runs:
            tracking.close(self.client, run_id)
            self.open_runs.remove(run_id)


def refusal(dataset: str, flags: Sequence[str]) -> str:
    """Say why `--strict` refuses a dataset version that could not be had again."""
    return f"--strict refuses this version of {dataset!r}: {'; '.join(flags)}."
