"""The door to Optuna: which recipes a sweep tries, what came of each, which are given up.

A study is a file's memory of trials: SQLite, which a kill at any moment leaves whole. What a trial
tries follows from the trials that have ended, the seed and the trial's number, so that a sweep of
one trial after another goes on after a kill as if there had been none.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from convoy import digests
from convoy.recipe import Recipe
from convoy.space import Sweep, Value, Values, kind_of, value_of

WAIT = 60
"""Seconds that one thread waits for another's write."""
KEY = "key"
"""What a trial is told apart by beside its number: the key of its training."""
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
"""How a trial may have ended, the best first."""


class Tried:
    """A trial at work: the values that it tries of a recipe, and the epochs it has told of."""

    def __init__(self, trial: Trial, values: dict[str, Value], epochs: set[int]) -> None:
        self.number = trial.number
        self.values = values
        self._trial = trial
        self._epochs = epochs

    def report(self, epoch: int, value: float) -> None:
        """Tell of an epoch, once: a training that goes on tells again of those behind it."""
        if epoch not in self._epochs:
            self._trial.report(value, epoch)
            self._epochs.add(epoch)

    def is_hopeless(self) -> bool:
        return self._trial.should_prune()

    def remember(self, **values: Any) -> None:
        for name, value in values.items():
            self._trial.set_user_attr(name, value)


class Search:
    """The trials of one sweep. Several threads may take trials and tell of them."""

    def __init__(
        self, storage: RDBStorage, name: str, sweep: Sweep, recipe: Recipe, seed: int
    ) -> None:
        self._storage, self._name, self._sweep, self._seed = storage, name, sweep, seed
        self._lock = threading.Lock()
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="minimize" if sweep.by_loss else "maximize",
            pruner=_pruner(sweep),
            load_if_exists=True,
        )
        if not self.trials():
            # The first trial is the recipe as it is, where it lies in the space.
            here = {key: value_of(recipe, key) for key in sweep.space}
            self._study.enqueue_trial({k: v for k, v in here.items() if v in sweep.space[k]})

        # Nobody else is at work in this project: those that run are a killed process's.
        running = (trial for trial in self.trials() if trial.state == TrialState.RUNNING)
        self._cut_off = [trial.number for trial in running]

    def trials(self) -> list[FrozenTrial]:
        """Return all trials in the order of their numbers, those at work too."""
        return self._study.get_trials(deepcopy=False)

    def due(self) -> list[int]:
        """Return the numbers of the trials that have not ended yet."""
        ended = {trial.number for trial in self.trials() if trial.state.is_finished()}
        return [number for number in range(self._sweep.trials) if number not in ended]

    def take(self) -> Tried:
        """Go on with a trial that was cut off, or begin the next one."""
        with self._lock:
            known = self.trials()
            if self._cut_off:
                number = self._cut_off.pop(0)
                self._study.sampler = self._sampler(number)
                study = self._storage.get_study_id_from_name(self._name)
                found = self._storage.get_trial_id_from_study_id_trial_number(study, number)
                trial, epochs = Trial(self._study, found), set(known[number].intermediate_values)
            else:
                waiting = (one.number for one in known if one.state == TrialState.WAITING)
                self._study.sampler = self._sampler(next(waiting, len(known)))
                trial, epochs = self._study.ask(), set()
            values = {key: _suggest(trial, key, space) for key, space in self._sweep.space.items()}
        return Tried(trial, values, epochs)

    def earlier(self, tried: Tried, key: str) -> FrozenTrial | None:
        """Return another trial that came to the same training and has ended."""
        return next(
            (
                trial
                for trial in self.trials()
                if trial.number != tried.number
                and trial.state.is_finished()
                and trial.user_attrs.get(KEY) == key
            ),
            None,
        )

    def repeat(self, tried: Tried, earlier: FrozenTrial) -> None:
        """Have a trial end as the one that came to the same training."""
        for epoch, value in earlier.intermediate_values.items():
            tried.report(epoch, value)
        tried.remember(**earlier.user_attrs)
        is_complete = earlier.state == TrialState.COMPLETE
        self._study.tell(tried.number, earlier.value if is_complete else None, earlier.state)

    def complete(self, tried: Tried, value: float) -> None:
        self._study.tell(tried.number, value)

    def prune(self, tried: Tried) -> None:
        self._study.tell(tried.number, state=TrialState.PRUNED)

    def fail(self, tried: Tried, reason: str) -> None:
        """End a trial whose recipe cannot be trained; it is not tried again."""
        tried.remember(reason=reason)
        self._study.tell(tried.number, state=TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """Return each value's share in what made trials better, where two or more can tell."""
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if len({trial.value for trial in complete}) < 2:
            return {}
        found: Mapping[str, float] = get_param_importances(self._study)
        return dict(found)

    def _sampler(self, number: int) -> TPESampler:
        return TPESampler(seed=int(digests.values(self._seed, number)[:8], 16))


@contextmanager
def open_search(file: Path, name: str, sweep: Sweep, recipe: Recipe, seed: int) -> Iterator[Search]:
    """Open the study of this name in a file, created where it is missing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": WAIT}})
    try:
        yield Search(storage, name, sweep, recipe, seed)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _pruner(sweep: Sweep) -> BasePruner:
    if sweep.prune is None:
        return NopPruner()
    return MedianPruner(n_startup_trials=sweep.prune.trials, n_warmup_steps=sweep.prune.epochs)


def _suggest(trial: Trial, name: str, values: Values) -> Value:
    if values.choices:
        return trial.suggest_categorical(name, values.choices)
    low, high, kind = values.low, values.high, kind_of(name)
    if isinstance(low, int) and isinstance(high, int) and kind in (int, None):
        return trial.suggest_int(name, low, high, log=values.log)
    assert low is not None and high is not None
    return trial.suggest_float(name, low, high, log=values.log)
