"""Runs as networks: several of one recipe with different seeds are one, by their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np

from convoy import tracking
from convoy.comparison.choice import Choice
from convoy.comparison.evidence import Evidence
from convoy.comparison.replicates import names, replicates
from convoy.evaluation.pareto import COSTS, Cost, Priced, dominating
from convoy.evaluation.significance import paired_differences, paired_interval
from convoy.tracking import run_name

if TYPE_CHECKING:
    from mlflow.entities import Run

SEED = 0
"""Of the bootstraps: any would do, and the same runs shall give the same intervals."""
MEASURED: dict[Cost, str] = {
    "latency": "cost/latency_p50_ms",
    "parameters": "cost/parameters",
    "training": "cost/training_seconds",
}
"""The metric of each cost."""


@dataclass(frozen=True)
class Compared:
    """One run's figures."""

    run_id: str
    name: str
    network: str
    """The name of the network that it belongs to."""
    seed: str
    dataset_version: str
    commit: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Figure:
    """A metric of a network, in the mean over its seeds."""

    mean: float
    low: float | None
    """The lower end of its 95 % interval; None where nobody has taken one."""
    high: float | None
    deviation: float | None
    """Between seeds; None with one."""


@dataclass(frozen=True)
class Network:
    """A training, or several of one recipe with different seeds."""

    name: str
    runs: tuple[str, ...]
    seeds: tuple[str, ...]
    champion: str | None
    """The registered version, where one of the runs is the champion's."""
    metrics: dict[str, Figure]
    """By the name in MLflow, those of `test` and `cost` that all its runs have."""
    costs: dict[Cost, float]
    dominated: dict[Cost, str]
    """Who is at least as accurate for less, by cost; what is not here is on the front."""

    @property
    def accuracy(self) -> Figure:
        return self.metrics["test/accuracy"]

    @property
    def priced(self) -> Priced:
        """The network as the Pareto figure takes it."""
        found = self.accuracy
        low, high = found.low or 0.0, 1.0 if found.high is None else found.high
        return Priced(self.name, found.mean, low, high, self.costs)


def group(
    runs: "Sequence[Run]", found: Mapping[str, Evidence], chosen: Choice
) -> tuple[Network, ...]:
    """Return the networks that runs belong to, the most accurate first.

    The champion is the very network that serves: where nobody has named its run, it is no seed
    among others.
    """
    members = replicates([run for run in runs if run.info.run_id != chosen.added])
    members += [[run] for run in runs if run.info.run_id == chosen.added]
    champion = chosen.champion
    serving = {champion.run_id: champion.version} if champion else {}
    networks = [
        _network(name, those, found, serving)
        for name, those in zip(names(members), members, strict=True)
    ]
    networks.sort(key=lambda one: -one.accuracy.mean)
    priced = [one.priced for one in networks]
    beaten = {cost: dominating(priced, cost) for cost in COSTS}
    return tuple(
        replace(one, dominated={c: beaten[c][one.name] for c in COSTS if one.name in beaten[c]})
        for one in networks
    )


def compared(run: "Run", networks: Sequence[Network], found: Mapping[str, Evidence]) -> Compared:
    """Return a run's own figures."""
    return Compared(
        run_id=run.info.run_id,
        name=run_name(run),
        network=next(one.name for one in networks if run.info.run_id in one.runs),
        seed=run.data.params.get("seed", ""),
        dataset_version=run.data.tags.get(tracking.VERSION, ""),
        commit=run.data.tags.get(tracking.COMMIT, ""),
        metrics=dict(found[run.info.run_id].metrics),
    )


def _network(
    name: str, runs: "Sequence[Run]", found: Mapping[str, Evidence], serving: Mapping[str, str]
) -> Network:
    ids = tuple(run.info.run_id for run in runs)
    each = [found[run_id].metrics for run_id in ids]
    shared = set.intersection(*map(set, each))
    metrics = {
        metric: _figure(metric, each)
        for metric in sorted(shared)
        if metric.startswith(("test/", "cost/")) and not metric.endswith(("_low", "_high"))
    }
    metrics["test/accuracy"] = _accuracy(ids, found, metrics.get("test/accuracy"))
    costs = {
        cost: metrics[metric].mean
        for cost, metric in MEASURED.items()
        if metric in metrics and metrics[metric].mean > 0
    }
    champion = next((serving[run_id] for run_id in ids if run_id in serving), None)
    seeds = tuple(run.data.params.get("seed", "") for run in runs)
    return Network(name, ids, seeds, champion, metrics, costs, {})


def _figure(metric: str, each: Sequence[Mapping[str, float]]) -> Figure:
    values = [one[metric] for one in each]
    if len(values) > 1:
        return Figure(mean(values), None, None, stdev(values))
    return Figure(values[0], _end(metric, "low", each[0]), _end(metric, "high", each[0]), None)


def _end(metric: str, end: str, metrics: Mapping[str, float]) -> float | None:
    name = metric.partition("/")[2]
    # Wilson's for the accuracy, as `convoy run` shows it; the bootstrap's for the others.
    found = metrics.get(f"{metric}_{end}", metrics.get(f"interval/{name}_{end}"))
    return found if found is None or isfinite(found) else None


def _accuracy(ids: Sequence[str], found: Mapping[str, Evidence], logged: Figure | None) -> Figure:
    """Return the accuracy, of which images and seeds give the interval where there are several."""
    correct = np.stack([found[run_id].correct for run_id in ids])
    if logged is not None and len(ids) == 1:
        return logged
    nothing = np.zeros(correct.shape[1], dtype=bool)
    low, high = paired_interval(paired_differences(correct, nothing, SEED))
    values = correct.mean(axis=1).tolist()
    spread = stdev(values) if len(values) > 1 else None
    return Figure(mean(values), max(low, 0.0), min(high, 1.0), spread)
