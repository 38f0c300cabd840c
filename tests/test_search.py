"""A study remembers its trials, goes on with those that were cut off, and gives up bad ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from convoy.search import KEY, Search, open_search
from convoy.space import Sweep
from tests.recipes import recipe

SPACE = {
    "learning_rate": {"low": 1e-6, "high": 0.1, "log": True},
    "batch_size": {"choices": [16, 32]},
    "augment.shift": {"low": 0, "high": 3},
}


@contextmanager
def study(tmp_path: Path, name: str = "one", **values: Any) -> Iterator[Search]:
    sweep = Sweep.model_validate({"trials": 6, "parallel": 1, "space": SPACE, **values})
    with open_search(tmp_path / "sweeps.db", name, sweep, recipe(), seed=1) as search:
        yield search


def tried(search: Search, *values: float) -> int:
    """Take a trial, tell of its epochs and end it with the last value."""
    trial = search.take()
    for epoch, value in enumerate(values, 1):
        trial.report(epoch, value)
    search.complete(trial, values[-1])
    return trial.number


def test_the_first_trial_is_the_recipe_as_it_is(tmp_path: Path) -> None:
    with study(tmp_path) as search:
        first = search.take()
    assert first.values == {"learning_rate": 0.05, "batch_size": 32, "augment.shift": 0}


def test_what_lies_outside_of_the_space_is_drawn_for_the_first_trial_too(tmp_path: Path) -> None:
    space = {**SPACE, "batch_size": {"choices": [8, 16]}}
    with study(tmp_path, space=space) as search:
        first = search.take()
    assert first.values["learning_rate"] == 0.05
    assert first.values["batch_size"] in (8, 16)


def test_values_lie_in_the_space_and_have_the_recipes_types(tmp_path: Path) -> None:
    with study(tmp_path) as search:
        for _ in range(6):
            trial = search.take()
            rate, size, shift = trial.values.values()
            assert isinstance(rate, float) and 1e-6 <= rate <= 0.1
            assert size in (16, 32)
            assert isinstance(shift, int) and 0 <= shift <= 3
            search.complete(trial, 0.5)


def test_whole_numbers_stand_for_a_value_with_a_fraction(tmp_path: Path) -> None:
    space = {"momentum": {"choices": [0.0, 0.5]}, "augment.rotate": {"low": 0, "high": 90}}
    with study(tmp_path, space=space) as search:
        search.complete(search.take(), 0.5)
        angles = []
        for _ in range(4):
            trial = search.take()
            angles.append(trial.values["augment.rotate"])
            search.complete(trial, 0.5)
    assert any(isinstance(angle, float) and angle != int(angle) for angle in angles)


def test_a_study_that_is_opened_again_goes_on_as_if_it_had_not_been_closed(tmp_path: Path) -> None:
    with study(tmp_path, "whole") as search:
        for value in (0.5, 0.6, 0.4, 0.7):
            tried(search, value)
        whole = [trial.params for trial in search.trials()]
    for value in (0.5, 0.6, 0.4, 0.7):
        with study(tmp_path, "in parts") as search:
            tried(search, value)
    with study(tmp_path, "in parts") as search:
        assert [trial.params for trial in search.trials()] == whole
        assert search.due() == [4, 5]
    assert len({str(values) for values in whole}) == 4


def test_a_trial_that_was_cut_off_keeps_its_number_its_values_and_its_epochs(
    tmp_path: Path,
) -> None:
    with study(tmp_path) as search:
        tried(search, 0.5, 0.6)
        before = search.take()
        before.report(1, 0.1)
        after_it = tried(search, 0.7)
    with study(tmp_path) as search:
        assert search.due() == [1, 3, 4, 5]
        again = search.take()
        assert (again.number, again.values) == (before.number, before.values)
        again.report(1, 0.9)  # told before: kept as it was
        again.report(2, 0.2)
        search.complete(again, 0.2)
        assert search.trials()[again.number].intermediate_values == {1: 0.1, 2: 0.2}
        assert search.take().number == after_it + 1


def test_a_trial_below_the_median_is_given_up_once_the_others_have_ended(tmp_path: Path) -> None:
    with study(tmp_path, prune={"trials": 2, "epochs": 2}) as search:
        tried(search, 0.5, 0.7, 0.9)
        early = search.take()
        early.report(1, 0.1)
        early.report(2, 0.1)
        assert not early.is_hopeless(), "one trial alone has ended"
        search.complete(early, 0.8)
        bad = search.take()
        bad.report(1, 0.1)
        assert not bad.is_hopeless(), "each has two epochs"
        bad.report(2, 0.2)
        assert bad.is_hopeless()
        search.prune(bad)
        good = search.take()
        good.report(1, 0.1)
        good.report(2, 0.8)
        assert not good.is_hopeless()
        assert [trial.state for trial in search.trials()][2] == TrialState.PRUNED


def test_without_the_section_nothing_is_given_up(tmp_path: Path) -> None:
    with study(tmp_path) as search:
        tried(search, 0.9, 0.9)
        bad = search.take()
        bad.report(1, 0.0)
        assert not bad.is_hopeless()


def test_a_high_loss_is_what_is_bad_where_the_loss_is_looked_for(tmp_path: Path) -> None:
    with study(tmp_path, by_loss=True, prune={"trials": 1, "epochs": 1}) as search:
        tried(search, 0.5, 0.4)
        bad = search.take()
        bad.report(1, 2.0)
        assert bad.is_hopeless()


@pytest.mark.parametrize("end", ["complete", "prune", "fail"])
def test_the_same_training_again_ends_as_it_did(tmp_path: Path, end: str) -> None:
    with study(tmp_path) as search:
        first = search.take()
        first.remember(**{KEY: "abc", "run_id": "run"})
        first.report(1, 0.4)
        if end == "complete":
            search.complete(first, 0.4)
        elif end == "prune":
            search.prune(first)
        else:
            search.fail(first, "it cannot be")
        second = search.take()
        second.remember(**{KEY: "abc"})
        earlier = search.earlier(second, "abc")
        assert earlier is not None and search.earlier(second, "other") is None
        search.repeat(second, earlier)
        one, other = search.trials()
    assert (one.state, one.value, one.user_attrs) == (other.state, other.value, other.user_attrs)
    assert other.intermediate_values == {1: 0.4}


def test_several_threads_take_different_trials(tmp_path: Path) -> None:
    taken: list[int] = []
    with study(tmp_path) as search:
        workers = [
            threading.Thread(target=lambda: taken.append(tried(search, 0.3, 0.4))) for _ in range(6)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(taken) == list(range(6))
        assert search.due() == []


def test_importances_need_values_that_differ(tmp_path: Path) -> None:
    with study(tmp_path) as search:
        tried(search, 0.5)
        tried(search, 0.5)
        assert search.importances() == {}
        for value in (0.1, 0.6, 0.7, 0.2):
            tried(search, value)
        shares = search.importances()
    assert shares.keys() == SPACE.keys()
    assert sum(shares.values()) == pytest.approx(1)
