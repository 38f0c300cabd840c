"""Who is dominated at which cost, and a figure that says so."""

import io
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from convoy.evaluation.pareto import COSTS, Priced, dominating, fronts
from convoy.evaluation.pareto_figure import figure

# `convoy run` on digits, as README.md shows it.
MEASURED = [
    ("mlp", 0.9799, 0.959, 0.990, 0.0105, 792586, 2.03),
    ("lenet5", 0.9856, 0.967, 0.994, 0.024, 61706, 3.63),
    ("alexnet", 0.9741, 0.952, 0.986, 0.328, 3749578, 18.4),
    ("zfnet", 0.9655, 0.941, 0.980, 0.317, 5161162, 15.5),
    ("vgg11_bn", 0.9885, 0.971, 0.996, 1.436, 9229962, 25.5),
    ("googlenet", 0.9914, 0.975, 0.997, 0.848, 7189566, 19.0),
    ("resnet20", 0.9885, 0.971, 0.996, 0.290, 269434, 16.5),
]
SEVEN = [
    Priced(
        name, accuracy, low, high, {"latency": latency, "parameters": count, "training": seconds}
    )
    for name, accuracy, low, high, latency, count, seconds in MEASURED
]


def priced(name: str, accuracy: float, latency: float) -> Priced:
    return Priced(name, accuracy, accuracy - 0.01, accuracy + 0.005, {"latency": latency})


def test_dominated_is_who_another_beats_for_less() -> None:
    assert fronts(SEVEN) == {
        "mlp": ("latency", "training"),
        "lenet5": ("latency", "parameters", "training"),
        "alexnet": (),
        "zfnet": (),
        "vgg11_bn": (),
        "googlenet": ("latency", "parameters", "training"),
        "resnet20": ("latency", "parameters", "training"),
    }
    assert dominating(SEVEN, "latency")["vgg11_bn"] == "googlenet"


def test_networks_that_are_equal_do_not_dominate_each_other() -> None:
    equal = [priced("a", 0.9, 1.0), priced("b", 0.9, 1.0)]
    assert dominating(equal, "latency") == {}
    assert dominating([*equal, priced("c", 0.9, 0.5)], "latency") == {"a": "c", "b": "c"}
    assert fronts([Priced("a", 0.9, 0.8, 1.0, {})]) == {"a": ()}


def test_the_front_is_what_a_search_over_all_pairs_leaves() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        many = [
            priced(str(n), round(float(random.random()), 1), float(random.integers(1, 9)))
            for n in range(12)
        ]
        beaten = dominating(many, "latency")
        for one in many:
            better = [
                o
                for o in many
                if o.accuracy >= one.accuracy
                and o.costs["latency"] <= one.costs["latency"]
                and (o.accuracy > one.accuracy or o.costs["latency"] < one.costs["latency"])
            ]
            assert (one.name in beaten) == bool(better)


def names(drawn: Figure) -> list[list[Text]]:
    """The names in each panel."""
    return [
        [text for text in axes.texts if isinstance(text, Annotation) and text.get_text()]
        for axes in drawn.axes
    ]


def boxes(drawn: Figure, texts: Sequence[Text]) -> list[Bbox]:
    renderer = drawn.canvas.get_renderer()  # type: ignore[attr-defined]
    return [text.get_window_extent(renderer) for text in texts]


def test_no_two_names_of_the_seven_collide_and_none_leaves_its_panel() -> None:
    drawn = figure(SEVEN, "digits")
    drawn.savefig(io.BytesIO())
    assert [len(panel) for panel in names(drawn)] == [7, 7, 7]
    for axes, panel in zip(drawn.axes, names(drawn), strict=True):
        found = boxes(drawn, panel)
        assert not [1 for one, other in combinations(found, 2) if one.overlaps(other)]
        inside = axes.get_window_extent()
        assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in found)
        assert axes.get_xscale() == "log"


def test_the_dominated_are_hollow() -> None:
    drawn = figure(SEVEN, "digits")
    for axes, cost in zip(drawn.axes, COSTS, strict=True):
        beaten = dominating(SEVEN, cost)
        hollow = [
            float(np.asarray(line.get_xdata())[0])
            for line in axes.lines
            if line.get_marker() == "o" and line.get_markerfacecolor() == "white"
        ]
        assert sorted(hollow) == sorted(one.costs[cost] for one in SEVEN if one.name in beaten)


@pytest.mark.parametrize(
    "networks",
    [
        SEVEN[:1],
        [Priced("free of costs", 0.9, 0.8, 1.0, {})],
        [],
        [priced("never wrong", 1.0, 1.0), priced("nearly", 0.5, 1.0), priced("$x^2$", 0.999, 1.0)],
        [priced(f"network {n}", 0.9 + n / 1000, 1 + n / 50) for n in range(40)],
    ],
    ids=["one", "no cost", "none", "never wrong", "forty"],
)
def test_any_networks_can_be_drawn(networks: list[Priced]) -> None:
    drawn = figure(networks, "a title with $ and ^")
    for kind in ("png", "svg"):
        stream = io.BytesIO()
        drawn.savefig(stream, format=kind)
        assert len(stream.getvalue()) > 5000
    if len(networks) == 40:
        assert len(names(drawn)[0]) <= 40
