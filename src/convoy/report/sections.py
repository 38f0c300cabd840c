"""What the page of a pipeline run shows, from its numbers; what cannot be shown says why."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from convoy.comparison.networks import SEED
from convoy.errors import ConvoyError
from convoy.evaluation.metrics import Evaluation
from convoy.evaluation.pairwise import Entrant, Pair, compare_pairs
from convoy.evaluation.pareto import COSTS, Cost, Priced, dominating
from convoy.evaluation.predictions import Scored
from convoy.report import charts
from convoy.report.charts import percent, short
from convoy.report.record import Network, Report

MOST_CLASSES = 30
"""Classes of a confusion matrix that a table shows; with more, the pairs alone."""
MOST_PAIRS = 8
BINS = 10


def drawn(report: Report, missing: dict[str, str]) -> dict[str, Any]:
    """Return what the template shows, by name; add to `missing` what cannot be drawn."""
    networks = report.networks
    makers: dict[str, Callable[[], Any]] = {
        "accuracies": lambda: charts.intervals(
            "Test accuracy with its 95 % interval by network",
            {one.architecture: (one.accuracy, *one.interval) for one in networks},
        ),
        "pairs": lambda: pairs(networks),
        "pareto": lambda: pareto(networks),
        "curves": lambda: curves(networks),
        "harmed": lambda: harmed(networks),
        "reliabilities": lambda: reliabilities(networks),
    }
    found: dict[str, Any] = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except (ConvoyError, ValueError) as error:  # one figure less is no reason for no page
            found[name] = None
            missing[name] = str(error).rstrip(".")
    confusions = {one.architecture: confusion(one.evaluation) for one in networks if one.evaluation}
    counts = report.data.counts
    totals = {split: sum(found.values()) for split, found in counts.items()}
    return {**found, "confusions": confusions, "totals": totals, "rows": rows(networks)}


def rows(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Return the table of results: a row a network, each figure as people read it."""

    def shown(value: float | None, form: Callable[[float], str]) -> str:
        return "-" if value is None else form(value)

    return [
        {
            "architecture": one.architecture,
            "run": one.run_id,
            "accuracy": f"{one.accuracy:.2%}",
            "interval": " to ".join(f"{end:.1%}" for end in one.interval),
            "validation": shown(one.metric("val/best_accuracy"), "{:.2%}".format),
            "f1": shown(one.metric("test/macro_f1"), "{:.3f}".format),
            "calibration": shown(one.metric("test/expected_calibration_error"), "{:.3f}".format),
            "robust": shown(one.metric("robust/all"), "{:.0%}".format),
            "parameters": shown(one.metric("cost/parameters"), short),
            "multiply_adds": shown(one.metric("cost/multiply_adds"), short),
            "latency": shown(one.latency, "{:.3g}".format),
            "training": shown(one.metric("cost/training_seconds"), "{:.3g}".format),
        }
        for one in networks
    ]


def pairs(networks: Sequence[Network]) -> list[Pair]:
    """Return each two networks compared on the same images.

    Raises `DataRefused` for too few images, and `ValueError` where not two of them can be compared.
    """
    known = [(one, one.predictions.test) for one in networks if one.predictions]
    if len(known) < 2:
        raise ValueError("it takes what two networks say of each image")
    first = known[0][1].digest
    same = [(one, test) for one, test in known if test.digest == first]
    if len(same) < len(known):
        raise ValueError("the networks were scored on different test images")
    entrants = [Entrant(one.architecture, test.correct[None]) for one, test in same]
    return sorted(compare_pairs(entrants, SEED), key=lambda pair: (not pair.differs, -pair.gain))


def pareto(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Return a chart of accuracy against each cost, with who is dominated by whom."""
    priced = [
        Priced(one.architecture, one.accuracy, *one.interval, _costs(one)) for one in networks
    ]
    found = []
    for cost, label in COSTS.items():
        known = [one for one in priced if one.costs.get(cost, 0) > 0]
        if not known:
            continue
        beaten = dominating(known, cost)
        x = charts.axis_of([one.costs[cost] for one in known], label, short, log=True)
        y = charts.axis_of([one.accuracy for one in known], "", percent)
        title = f"Test accuracy against {label}; hollow: dominated"
        points = {one.name: (one.costs[cost], one.accuracy) for one in known}
        found.append(
            {
                "cost": label,
                "chart": charts.scatter(title, points, beaten, x, y),
                "dominated": beaten,
                "best": [one.name for one in known if one.name not in beaten],
            }
        )
    if not found:
        raise ValueError("no cost was measured")
    return found


def _costs(one: Network) -> dict[Cost, float]:
    known: dict[Cost, float | None] = {
        "latency": one.latency,
        "parameters": one.metric("cost/parameters"),
        "training": one.metric("cost/training_seconds"),
    }
    return {name: value for name, value in known.items() if value is not None}


def curves(networks: Sequence[Network]) -> list[Markup]:
    """Return validation accuracy and loss by epoch, a line a network."""
    found = []
    for name, label, log in (
        ("val/accuracy", "Validation accuracy by epoch", False),
        ("val/loss", "Validation loss by epoch", True),
    ):
        series = {one.architecture: one.curves.get(name, []) for one in networks}
        values = [value for points in series.values() for _, value in points]
        if values:
            last = max(step for points in series.values() for step, _ in points)
            x = charts.Axis(1, max(2, last), "epoch", "{:g}".format, whole=True)
            y = charts.axis_of(values, "", percent if not log else "{:.3g}".format, log)
            found.append(charts.lines(label, series, x, y))
    if not found:
        raise ValueError("no epoch is recorded")
    return found


def harmed(networks: Sequence[Network]) -> dict[str, Markup]:
    """Return accuracy by the strength of each corruption, if it was measured."""
    names = dict.fromkeys(
        name for one in networks for name in one.curves if name.startswith("robust/accuracy/")
    )
    found = {}
    for name in names:
        series = {one.architecture: one.curves.get(name, []) for one in networks}
        values = [value for points in series.values() for _, value in points]
        last = max(step for points in series.values() for step, _ in points)
        kind = name.rpartition("/")[2]
        x = charts.Axis(0, max(1, last), "strength", "{:g}".format, whole=True)
        y = charts.axis_of([*values, 0.0], "", percent)
        found[kind] = charts.lines(f"Test accuracy by strength of {kind}", series, x, y)
    return found


def reliabilities(networks: Sequence[Network]) -> dict[str, Markup]:
    """Return accuracy by confidence of each network."""
    found = {}
    for one in networks:
        if one.predictions:
            title = f"{one.architecture}: accuracy by confidence, on the diagonal if calibrated"
            temperature = one.metric("calibration/temperature")
            fitted = "" if temperature is None else f"; temperature {temperature:.2f}"
            found[f"{one.architecture}{fitted}"] = charts.reliability(
                title, bins(one.predictions.test)
            )
    if not found:
        raise ValueError("it takes what a network says of each image")
    return found


def bins(scored: Scored) -> list[tuple[float, float, int]]:
    """Return (mean confidence, accuracy, images) of each tenth of confidence that has images."""
    confidence = scored.probabilities.max(axis=1).astype(np.float64)
    found = []
    for low, high in pairwise(np.linspace(0, 1, BINS + 1)):
        inside = (confidence > low) & (confidence <= high)
        if count := int(inside.sum()):
            found.append(
                (float(confidence[inside].mean()), float(scored.correct[inside].mean()), count)
            )
    return found


def confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Return a confusion matrix for a table, with the pairs that are confused most."""
    names = [one.name for one in evaluation.per_class]
    matrix = np.array(evaluation.confusion)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    confused = [(names[t], names[p], int(wrong[t, p])) for t, p in places if wrong[t, p]]
    weakest = [one for one in evaluation.per_class if one.support]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    levels = np.ceil(np.sqrt(shares) * 5).astype(int)  # a root: one in a hundred is to be seen
    return {
        "names": names if len(names) <= MOST_CLASSES else [],
        "matrix": matrix.tolist(),
        "levels": levels.tolist(),
        "confused": confused,
        "weakest": sorted(weakest, key=lambda one: one.recall)[:3],
    }


def summary_of(pairs: Sequence[Pair] | None, chosen: str) -> Mapping[str, list[str]]:
    """Return which networks the registered one is better than, worse than, or as good as."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for pair in pairs or ():
        if chosen == pair.first:
            found["better" if pair.differs else "unclear"].append(pair.second)
        elif chosen == pair.second:
            found["worse" if pair.differs else "unclear"].append(pair.first)
    return found
