"""A sweep: trainings of one architecture whose recipes Optuna chooses, several at a time."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from convoy import notes, tracking
from convoy.pipeline.session import Session
from convoy.pipeline.trainers import Trainer
from convoy.plan import Plan
from convoy.progress import Step, report
from convoy.search import KEY, STATES, Search, open_search
from convoy.sweep_outcome import SweepOutcome, TrialRow, override, run_overrides, study_key

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Sweep(Session):
    """One sweep on one project: a study, and what trains its trials."""

    search: Search
    trainer: Trainer

    def __init__(self, plan: Plan, flow_run: str, trainer: AbstractContextManager[Trainer]) -> None:
        super().__init__(plan, flow_run)
        self._trainer = trainer
        (self.architecture,) = plan.architectures
        self.sweep = plan.settings.sweep(self.architecture)
        self.recipe = plan.settings.recipe(self.architecture)
        self.study = ""
        self.is_over = False
        """Whether the trials that still run are to end, and no more to begin."""
        self._keys: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def _start_programs(self, opened: ExitStack) -> None:
        self.began = time.monotonic()
        self.trainer = opened.enter_context(self._trainer)

    def _steps(self) -> tuple[str, ...]:
        return tuple(f"trial {number}" for number in range(self.sweep.trials))

    def _open_run(self) -> str:
        self.study = study_key(self.plan, self.version.digest)[:32]
        file, seed = self.project.state / "sweeps.db", self.plan.settings.run.seed
        self.search = self._resources.enter_context(
            open_search(file, self.study, self.sweep, self.recipe, seed)
        )
        name = f"sweep {self.architecture}"
        return tracking.open_sweep(self.client, self.experiment, self.study, name, self.stamps)

    def due(self) -> list[int]:
        """Return the numbers of the trials that have not ended yet; tell of the others."""
        due = self.search.due()
        for number in set(range(self.sweep.trials)) - set(due):
            report(Step(f"trial {number}", "kept"))
        return due

    @contextmanager
    def trials(self) -> Iterator[None]:
        """While trials run; whatever still runs at the end of this is ended and can go on later."""
        try:
            yield
        finally:
            self.is_over = True
            self.trainer.end()

    def alone(self, key: str) -> AbstractContextManager[bool]:
        """Hold the training of this key: no other trial is at it meanwhile."""
        return self._keys[key]

    def value(self, metrics: dict[str, float]) -> float:
        """Return what the sweep looks for of an epoch's metrics, always on the split `val`."""
        return metrics["val/loss" if self.sweep.by_loss else "val/accuracy"]


def finish(work: Sweep) -> SweepOutcome:
    """Close the sweep's run and say what came of it."""
    trials = [trial for trial in work.search.trials() if trial.state.is_finished()]
    rows = [_row(trial) for trial in sorted(trials, key=lambda trial: _place(work, trial))]
    outcome = SweepOutcome(
        architecture=work.architecture,
        dataset=work.plan.dataset,
        dataset_version=work.version.hash,
        experiment_id=work.experiment,
        run_id=work.run_id,
        study=work.study,
        by_loss=work.sweep.by_loss,
        rows=rows,
        settings=_settings(work, rows),
        importances=work.search.importances(),
        seconds=time.monotonic() - work.began,
        flags=list(work.version.flags),
    )
    metrics = {f"importance/{name}": share for name, share in outcome.importances.items()}
    metrics |= {f"trials/{state}": 0.0 for state in STATES.values()}
    for row in rows:
        metrics[f"trials/{row.state}"] += 1
    came, tags = "No trial came to its end.", {}
    if best := outcome.best:
        assert best.val_accuracy is not None and best.val_loss is not None
        metrics |= {"val/best_accuracy": best.val_accuracy, "val/best_loss": best.val_loss}
        tags = {f"convoy.best.{name}": str(value) for name, value in best.values.items()}
        tags |= {"convoy.best_trial": str(best.number), "convoy.best_run": str(best.run_id)}
        came = f"Best on validation: **trial {best.number}**, {best.val_accuracy:.2%}."
    # Of the step that the sweep has come to: a longer one goes on in the same run.
    tracking.log_epoch(work.client, work.run_id, len(rows), metrics)
    counted = (sum(row.state == state for row in rows) for state in STATES.values())
    ended = ", ".join(f"{n} {state}" for n, state in zip(counted, STATES.values(), strict=True))
    how = notes.again(work.stamps, work.plan, [work.architecture], outcome.settings or None)
    note = notes.sweep(work.architecture, f"trials: {ended}", came, work.stamps, how)
    tracking.describe(work.client, work.run_id, note, tags)
    work.close(work.run_id)
    return outcome


def _place(work: Sweep, trial: "FrozenTrial") -> tuple[int, float, int]:
    """Return what trials are ordered by: state, then value, the best first."""
    value = 0.0 if trial.value is None else trial.value
    state = list(STATES).index(trial.state)
    return (state, value if work.sweep.by_loss else -value, trial.number)


def _row(trial: "FrozenTrial") -> TrialRow:
    kept = {name: value for name, value in trial.user_attrs.items() if name != KEY}
    state = STATES[trial.state]
    return TrialRow.model_validate(
        {"number": trial.number, "state": state, "values": trial.params, **kept}
    )


def _settings(work: Sweep, rows: list[TrialRow]) -> list[str]:
    if not rows or rows[0].state != "complete":
        return []
    found = (override(work.architecture, *pair) for pair in rows[0].values.items())
    return [*run_overrides(work.plan), *found]
