"""Runs in a real MLflow store side by side: what is compared, how sure it is, and what it costs."""

import json
import re
from urllib.parse import unquote

import pytest

from convoy.comparison import Comparison, compare
from tests.comparison.trackings import Tracking, scored

GOOD, BAD, NEAR = range(8), range(4, 60), range(2, 11)


def seen(store: Tracking, *named: str) -> Comparison:
    return compare(store.plan, named)


@pytest.fixture
def three(store: Tracking) -> dict[str, str]:
    """A finished pipeline run of three networks; their runs by name."""
    parent = store.pipeline()
    costs = {"latency_p50_ms": 20.0, "parameters": 60e3, "training_seconds": 3.0}
    runs = {
        "mlp": store.training("mlp", scored(BAD), parent, costs=costs),
        "lenet5": store.training(
            "lenet5", scored(GOOD), parent, costs={**costs, "latency_p50_ms": 30.0}
        ),
        "resnet20": store.training(
            "resnet20", scored(NEAR), parent, costs={**costs, "parameters": 270e3}
        ),
    }
    store.end(parent, list(runs.values()))
    return runs


def test_the_last_pipelines_trainings_are_compared_the_most_accurate_first(
    store: Tracking, three: dict[str, str]
) -> None:
    found = seen(store)
    assert [one.name for one in found.networks] == ["lenet5", "resnet20", "mlp"]
    assert (found.dataset, found.images) == ("digits", 400)
    assert {run.network: run.run_id for run in found.runs} == three
    assert found.best.accuracy.mean == pytest.approx(1 - 8 / 400)
    low, high = found.best.accuracy.low, found.best.accuracy.high
    assert low and high and low < 0.98 < high
    assert found.champion is None and not found.notes


def test_each_pair_is_said_in_words_corrected_for_their_number(
    store: Tracking, three: dict[str, str]
) -> None:
    pairs = {(pair.first, pair.second): pair for pair in seen(store).pairs}
    assert len(pairs) == 3
    better = pairs["lenet5", "mlp"]
    told = r"lenet5 is better than mlp \(\+12\.0 points, 95 % (8|9)\.\d to 1[5-6]\.\d\)"
    assert re.fullmatch(told, better.words)
    assert (better.first_only, better.second_only) == (52, 4)
    same = pairs["lenet5", "resnet20"]
    told = (
        r"no evidence of a difference between lenet5 and resnet20 \(\+0\.2 points, 95 % -.* to .*\)"
    )
    assert re.fullmatch(told, same.words)
    assert same.corrected >= same.p
    assert max(better.corrected, pairs["resnet20", "mlp"].corrected) < 1e-6


def test_the_same_comparison_gives_the_same_numbers(store: Tracking, three: dict[str, str]) -> None:
    assert seen(store) == seen(store)


def test_what_costs_less_and_is_as_good_dominates(store: Tracking, three: dict[str, str]) -> None:
    beaten = {one.name: one.dominated for one in seen(store).networks}
    assert beaten["lenet5"] == {}
    assert beaten["resnet20"] == {"parameters": "lenet5", "training": "lenet5"}
    assert beaten["mlp"] == {
        "latency": "resnet20",
        "parameters": "lenet5",
        "training": "lenet5",
    }


def test_beginnings_of_ids_name_runs_and_the_address_opens_exactly_those(
    store: Tracking, three: dict[str, str]
) -> None:
    named = [three["mlp"], three["resnet20"]]
    found = seen(store, *(run_id[:12].upper() for run_id in named), named[0])
    assert [run.run_id for run in found.runs] == named
    address = unquote(found.address)
    assert address.startswith("http://127.0.0.1:5055/#/compare-runs?runs=")
    assert json.loads(address.partition("runs=")[2].partition("&")[0]) == named
    assert json.loads(address.partition("experiments=")[2].partition("&")[0]) == [store.experiment]


def test_the_champion_is_compared_with_the_last_pipelines_trainings(
    store: Tracking, three: dict[str, str]
) -> None:
    serving = store.training("mlp", scored(range(30)), recipe={"epochs": 9})
    store.serve(serving)
    found = seen(store)
    assert found.champion and found.champion.runs == (serving,)
    assert found.champion.name == "mlp (epochs 9)"
    assert {one.name for one in found.networks} == {
        "lenet5",
        "resnet20",
        "mlp (epochs 2)",
        "mlp (epochs 9)",
    }
    assert len(found.against(found.champion)) == 3 and len(found.pairs) == 6
    store.serve(three["mlp"])
    found = seen(store)
    assert found.champion and (found.champion.name, found.champion.champion) == ("mlp", "2")
    assert len(found.runs) == 3


def test_the_champion_is_no_seed_among_others_unless_its_run_is_named(
    store: Tracking, three: dict[str, str]
) -> None:
    serving = store.training("mlp", scored(range(30)), seed=2)
    store.serve(serving)
    found = seen(store)
    assert found.champion and found.champion.runs == (serving,) and len(found.networks) == 4
    named = seen(store, serving, three["mlp"])
    assert named.champion and named.champion.runs == (serving, three["mlp"])


def test_a_champion_of_other_test_images_is_left_out_and_the_mend_is_said(
    store: Tracking, three: dict[str, str]
) -> None:
    store.serve(store.training("mlp", scored([], first=7), version="b"))
    found = seen(store)
    assert found.champion is None and len(found.runs) == 3
    (note,) = found.notes
    assert note.startswith("the champion is not compared: runs ")
    assert "were tested on different images" in note and "`convoy compare --rescore`" in note


def test_seeds_of_one_recipe_are_one_network_by_their_mean(store: Tracking) -> None:
    runs = [
        store.training("lenet5", scored(range(wrong)), seed=seed)
        for seed, wrong in ((1, 8), (2, 12), (3, 16))
    ]
    other = [store.training("mlp", scored(range(50, 140)), seed=seed) for seed in (1, 2, 3)]
    found = seen(store, *runs, *other)
    lenet5, mlp = found.networks
    assert (lenet5.name, lenet5.seeds, lenet5.runs) == ("lenet5", ("1", "2", "3"), tuple(runs))
    assert lenet5.accuracy.mean == pytest.approx(0.97)
    assert lenet5.accuracy.deviation == pytest.approx(0.01)
    assert lenet5.metrics["test/macro_f1"].deviation
    assert mlp.accuracy.deviation == 0
    (pair,) = found.pairs
    assert pair.seeds == (3, 3) and pair.first_only is None
    assert pair.differs and "points in the mean of 3 and 3 seeds, 95 % " in pair.words


def test_one_lucky_seed_is_no_evidence_for_a_recipe(store: Tracking) -> None:
    lucky = [(1, 0), (2, 40), (3, 38)]
    runs = [store.training("lenet5", scored(range(n)), seed=seed) for seed, n in lucky]
    steady = [(1, 39), (2, 41), (3, 40)]
    runs += [store.training("mlp", scored(range(n)), seed=seed) for seed, n in steady]
    assert seen(store, runs[0], runs[3]).pairs[0].differs
    (pair,) = seen(store, *runs).pairs
    assert pair.gain > 0.03 and not pair.differs


def test_runs_are_seeds_of_one_recipe_only_where_nothing_else_differs(store: Tracking) -> None:
    test = scored(GOOD)
    runs = [
        store.training("lenet5", test, seed=1),
        store.training("lenet5", test, seed=2, recipe={"epochs": 40}),
        store.training("lenet5", test, seed=3, version="b"),
        store.training("lenet5", test, seed=1, commit="decaf"),
        store.training("lenet5", test, seed=2, commit="decaf"),
    ]
    found = seen(store, *runs)
    assert sorted(len(one.runs) for one in found.networks) == [1, 1, 1, 2]
    assert len({one.name for one in found.networks}) == 4
    assert found.pairs[0].words.endswith("(both are right about the same images)")


def test_a_single_network_is_shown_without_a_pair(store: Tracking) -> None:
    found = seen(store, store.training("mlp", scored(BAD)))
    assert found.pairs == () and found.best.name == "mlp"
    assert found.best.costs == {} and found.best.dominated == {}
