"""What each trigger has seen: the fingerprint that a run was last started for."""

from dataclasses import asdict, dataclass
from pathlib import Path

from convoy import digests
from convoy.files import read_json, write_json
from convoy.orchestration import Trigger


@dataclass(frozen=True)
class Seen:
    """The state of a trigger after its last run; `number` counts the runs."""

    about: str
    fingerprint: str
    number: int


def about(trigger: Trigger) -> str:
    """Return a digest of what is watched: another folder's files are no change of the first's."""
    watched = (trigger.kind, trigger.address, trigger.branch, trigger.dataset, trigger.event)
    return digests.values(*watched)[:16]


def read(folder: Path, name: str, trigger: Trigger) -> Seen | None:
    """Return what a trigger saw last; None for one that is new, or watches something else."""
    found = read_json(folder / f"{name}.json")
    if not isinstance(found, dict) or found.get("about") != about(trigger):
        return None
    return Seen(**found)


def write(folder: Path, name: str, seen: Seen) -> None:
    """Keep it, so that a crash leaves the one before or this one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", asdict(seen))


def key(name: str, seen: Seen, fingerprint: str) -> str:
    """Return the idempotency key of the run for a change.

    It is the same if the change is seen again after a crash, and another if the watched thing goes
    back to what it was once.
    """
    return f"trigger {name} {digests.values(seen.about, seen.number + 1, fingerprint)[:32]}"
