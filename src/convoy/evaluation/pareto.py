"""What accuracy costs: networks that no other beats in accuracy without costing more.

Source: Pareto's efficiency, as in Deb, "Multi-objective optimization using evolutionary algorithms"
(2001), section 2.4: a network is dominated where another is at least as accurate and at most as
costly, and better in one of the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Cost = Literal["latency", "parameters", "training"]
COSTS: dict[Cost, str] = {
    "latency": "latency, ms for one image",
    "parameters": "parameters",
    "training": "training, seconds",
}
"""What is weighed against accuracy, as axes say it."""


@dataclass(frozen=True)
class Priced:
    """A network's accuracy with its 95 % interval, and what it costs where that was measured."""

    name: str
    accuracy: float
    low: float
    high: float
    costs: Mapping[Cost, float]


def dominating(networks: Sequence[Priced], cost: Cost) -> dict[str, str]:
    """Return each network that is dominated at `cost`, with the best of those that dominate it.

    What has no such cost is left out of it.
    """
    measured = [one for one in networks if cost in one.costs]
    found = {}
    for one in measured:
        better = [other for other in measured if _dominates(other, one, cost)]
        if better:
            best = max(better, key=lambda other: (other.accuracy, -other.costs[cost]))
            found[one.name] = best.name
    return found


def fronts(networks: Sequence[Priced]) -> dict[str, tuple[Cost, ...]]:
    """Return, for each network, the costs at which no other dominates it."""
    beaten = {cost: dominating(networks, cost) for cost in COSTS}
    return {
        one.name: tuple(c for c in COSTS if c in one.costs and one.name not in beaten[c])
        for one in networks
    }


def _dominates(one: Priced, other: Priced, cost: Cost) -> bool:
    ours, theirs = (one.accuracy, -one.costs[cost]), (other.accuracy, -other.costs[cost])
    return ours != theirs and ours[0] >= theirs[0] and ours[1] >= theirs[1]
