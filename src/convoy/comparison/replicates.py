"""Runs of one recipe with different seeds, and what tells recipes apart by name."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from convoy import tracking
from convoy.lookup import SHORT

if TYPE_CHECKING:
    from mlflow.entities import Run

LONGEST = 24
"""Characters of what tells two recipes of one architecture apart, before a run's id does."""


def replicates(runs: "Sequence[Run]") -> "list[list[Run]]":
    """Return runs by recipe and dataset version.

    Where a seed comes twice, the code has changed between: then by commit too, and where that does
    not tell them apart either, each run is its own.
    """
    found: list[list[Run]] = []
    for alike in _by(runs, _recipe):
        if _differ_in_seed(alike):
            found.append(alike)
            continue
        for same in _by(alike, lambda run: run.data.tags.get(tracking.COMMIT, "")):
            found += [same] if _differ_in_seed(same) else [[run] for run in same]
    return found


def _by(runs: "Iterable[Run]", key: "Callable[[Run], object]") -> "list[list[Run]]":
    found: dict[object, list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return list(found.values())


def _recipe(run: "Run") -> object:
    values = {name: value for name, value in run.data.params.items() if name != "seed"}
    return run.data.tags.get(tracking.DIGEST, ""), tuple(sorted(values.items()))


def _differ_in_seed(runs: "Sequence[Run]") -> bool:
    return len({run.data.params.get("seed", "") for run in runs}) == len(runs)


def names(members: "Sequence[Sequence[Run]]") -> list[str]:
    """Name each by its architecture; where it is not alone, by what its recipe has of its own."""
    named = [_name(those[0], [other[0] for other in members]) for those in members]
    twice = {name for name in named if named.count(name) > 1}
    return [
        f"{those[0].data.params['architecture']} {those[0].info.run_id[:SHORT]}"
        if name in twice
        else name
        for name, those in zip(named, members, strict=True)
    ]


def _name(run: "Run", others: "Sequence[Run]") -> str:
    params = run.data.params
    architecture = params["architecture"]
    kin = [one.data.params for one in others if one.data.params["architecture"] == architecture]
    known = sorted({name for one in kin for name in one} - {"seed"})
    own = [name for name in known if len({one.get(name, "") for one in kin}) > 1]
    said = ", ".join(f"{name.rpartition('.')[2]} {params.get(name, 'off')}" for name in own)
    if len(said) > LONGEST:
        return f"{architecture} {run.info.run_id[:SHORT]}"
    return f"{architecture} ({said})" if said else architecture
