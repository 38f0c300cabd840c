"""Runs side by side: their metrics, which is better and how sure that is, and what each costs.

Nothing here needs a network: what is compared are the predictions that each run keeps. Torch is
not imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convoy import store
from convoy.addresses import compare_address, mlflow_interface
from convoy.comparison import rescoring
from convoy.comparison.choice import choose
from convoy.comparison.evidence import Evidence, gather
from convoy.comparison.networks import SEED, Compared, Network, compared, group
from convoy.evaluation.pairwise import Entrant, Pair, compare_pairs
from convoy.evaluation.pareto import Priced
from convoy.plan import Plan

__all__ = ["Compared", "Comparison", "Network", "Rescored", "compare"]


@dataclass(frozen=True)
class Rescored:
    """On what all were scored again, and from what."""

    dataset_version: str
    sources: dict[str, str]
    """By run: the registered version, or the training folder."""


@dataclass(frozen=True)
class Comparison:
    """Runs, what is known of them, and the address of the page that compares exactly them."""

    dataset: str
    images: int
    test_digest: str
    """Equal where the test images and their labels are."""
    runs: tuple[Compared, ...]
    networks: tuple[Network, ...]
    """The most accurate first; runs of one recipe with several seeds are one of them."""
    pairs: tuple[Pair, ...]
    """Each two networks."""
    notes: tuple[str, ...]
    rescored: Rescored | None
    address: str

    @property
    def best(self) -> Network:
        """The most accurate, in the mean over seeds."""
        return self.networks[0]

    @property
    def champion(self) -> Network | None:
        return next((one for one in self.networks if one.champion), None)

    def against(self, network: Network) -> list[Pair]:
        """Return the pairs that a network is in, in the order of the others."""
        return [pair for pair in self.pairs if network.name in (pair.first, pair.second)]

    @property
    def priced(self) -> list[Priced]:
        """The networks as the Pareto figure takes them."""
        return [one.priced for one in self.networks]


def compare(
    plan: Plan, named: Sequence[str], dataset: str | None = None, rescore: bool = False
) -> Comparison:
    """Compare the named runs, or the trainings of the last pipeline run and the champion.

    Without names the runs are those on the plan's dataset; with them `dataset`, where it is given,
    has to be theirs. `rescore` scores all again on the test split that is here now.
    Raises a `ConvoyError` for what cannot be compared, with the mend.
    """
    plan.project.create_state()
    client = store.connect(plan.project)
    chosen = choose(client, plan, named, dataset)
    again = None
    if rescore:
        found, version, sources = rescoring.rescore(client, plan, chosen)
        again = Rescored(version, sources)
        notes = chosen.notes
    else:
        found, missing = gather(client, chosen)
        notes = chosen.notes + missing
    runs = [run for run in chosen.runs if run.info.run_id in found]
    networks = group(runs, found, chosen)
    entrants = [Entrant(one.name, _correct(one, found)) for one in networks]
    some = next(iter(found.values()))
    return Comparison(
        dataset=chosen.dataset,
        images=len(some.correct),
        test_digest=some.digest,
        runs=tuple(compared(run, networks, found) for run in runs),
        networks=networks,
        pairs=compare_pairs(entrants, SEED),
        notes=notes,
        rescored=again,
        address=compare_address(
            mlflow_interface(), runs[0].info.experiment_id, [run.info.run_id for run in runs]
        ),
    )


def _correct(network: Network, found: dict[str, Evidence]) -> NDArray[np.bool_]:
    return np.stack([found[run_id].correct for run_id in network.runs])
