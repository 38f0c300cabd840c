"""What `convoy compare` prints: seven networks and a champion in 80 columns, plain in a pipe."""

import io
import re
from dataclasses import replace

import numpy as np
from rich.console import Console

from convoy.comparison import Comparison, Network, Rescored
from convoy.comparison.networks import Compared, Figure
from convoy.comparison_tables import show_comparison
from convoy.evaluation.pairwise import Entrant, compare_pairs
from convoy.evaluation.pareto import COSTS, dominating

NAMES = ["mlp", "lenet5", "alexnet", "zfnet", "vgg11_bn", "googlenet", "resnet20"]
WRONG = [9, 20, 300, 14, 40, 8, 11]


def network(name: str, wrong: int, place: int, seeds: int = 1) -> Network:
    accuracy = 1 - wrong / 1000
    deviation = None if seeds == 1 else 0.00123
    metrics = {
        f"test/{metric}": Figure(accuracy, accuracy - 0.02, min(1.0, accuracy + 0.02), deviation)
        for metric in ("accuracy", "balanced_accuracy", "macro_f1")
    }
    metrics["test/negative_log_likelihood"] = Figure(12.3456, 11.5, 13.5, deviation)
    metrics["test/expected_calibration_error"] = Figure(0.0123, None, None, deviation)
    metrics["cost/multiply_adds"] = Figure(1e5 * 10**place, None, None, None)
    return Network(
        name=name,
        runs=tuple(f"{place}{seed}".ljust(32, "a") for seed in range(seeds)),
        seeds=tuple(map(str, range(seeds))),
        champion=None,
        metrics=metrics,
        costs={"latency": 0.0123 * 3**place, "parameters": 61706 * 9**place, "training": 2.03},
        dominated={},
    )


def comparison(names: list[str], seeds: int = 1) -> Comparison:
    made = [network(*of, seeds) for of in zip(names, WRONG, range(len(names)), strict=False)]
    priced = [one.priced for one in made]
    beaten = {cost: dominating(priced, cost) for cost in COSTS}
    networks = sorted(
        (
            replace(one, dominated={c: b[one.name] for c, b in beaten.items() if one.name in b})
            for one in made
        ),
        key=lambda one: -one.accuracy.mean,
    )
    entrants = [
        Entrant(one.name, np.tile(np.arange(1000) >= 1000 * (1 - one.accuracy.mean), (seeds, 1)))
        for one in networks
    ]
    return Comparison(
        dataset="digits",
        images=1000,
        test_digest="d" * 64,
        runs=tuple(
            Compared(run, one.name, one.name, "1", "v", "c", {})
            for one in networks
            for run in one.runs
        ),
        networks=tuple(networks),
        pairs=compare_pairs(entrants, 0),
        notes=(),
        rescored=None,
        address="http://127.0.0.1:5000/#/compare-runs?runs=" + "x" * 300,
    )


def printed(found: Comparison, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, force_terminal=terminal, color_system=None, legacy_windows=False
    )
    show_comparison(console, found)
    return stream.getvalue()


def test_seven_networks_and_a_champion_fit_80_columns() -> None:
    found = comparison(NAMES)
    networks = [replace(one, champion="12") if one.name == "mlp" else one for one in found.networks]
    shown = printed(replace(found, networks=tuple(networks)), terminal=True)
    lines = shown.splitlines()
    assert max(len(line) for line in lines if "compare-runs" not in line) <= 80
    for name, wrong in zip(NAMES, WRONG, strict=True):
        assert re.search(rf"^ ?{name} +{100 - wrong / 10:.2f} ", shown, re.M), name
    assert "champion 12" in shown and "…" not in shown
    assert "97.2-100.0" in shown and "11.500-13.500" in shown


def test_pairs_are_those_of_the_best_and_of_the_champion_once_each() -> None:
    found = comparison(NAMES)
    networks = [
        replace(one, champion="12") if one.name == "zfnet" else one for one in found.networks
    ]
    shown = printed(replace(found, networks=tuple(networks)))
    assert "googlenet, the most accurate, against each other:" in shown
    assert "zfnet, the champion, against the others:" in shown
    told = [line.removeprefix("- ") for line in shown.splitlines() if line.startswith("- ")]
    assert len(told) == len(set(told)) == 6 + 5
    assert "googlenet is better than alexnet (+29.2 points, 95 % " in shown
    assert "The 21 pairs, all in --json, were tested so that noise is called" in shown


def test_what_no_other_network_dominates_is_marked() -> None:
    shown = printed(comparison(NAMES)).partition("parameters")[2]
    mlp = next(line for line in shown.splitlines() if line.strip().startswith("mlp"))
    assert re.findall(r"([\d.,]+)(\*?)", mlp) == [
        ("61,706", "*"),
        ("0.10", ""),
        ("0.012", "*"),
        ("2.03", ""),
    ]


def test_in_a_pipe_sentences_stay_whole_lines_without_colours() -> None:
    shown = printed(comparison(NAMES))
    assert "\x1b" not in shown
    assert re.search(r"^- no evidence of a difference between .* to \d\.\d\)$", shown, re.M)


def test_seeds_are_shown_with_mean_and_deviation() -> None:
    shown = printed(comparison(NAMES[:2], seeds=3))
    assert re.search(r"^ mlp +99\.10 .*\n 3 seeds +±0\.12 .*\+2 more", shown, re.M)
    assert "or ± between seeds" in shown
    assert "one training each" not in shown


def test_scoring_again_and_notes_are_said() -> None:
    found = comparison(NAMES[:2])
    sources = {run.run_id: f"digits version {run.network}" for run in found.runs}
    told = replace(
        found, notes=("the champion is left out.",), rescored=Rescored("abc.dir", sources)
    )
    shown = printed(told)
    assert "Note: the champion is left out." in shown
    assert (
        "All were scored again on the test split of version abc: mlp from digits version mlp, "
        in (shown)
    )
