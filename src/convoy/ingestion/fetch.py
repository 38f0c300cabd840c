"""Bringing what a dataset's source has into data/raw."""

from pathlib import Path

from convoy.files import read_json, write_json
from convoy.settings import Dataset
from convoy.sources import describe


def fetch(dataset: Dataset, origins: tuple[str, ...], raw: Path, memory: Path) -> None:
    """Have the source write what came in; what lies there already is not brought again.

    `memory` is kept between fetches and not versioned.
    """
    raw.mkdir(parents=True, exist_ok=True)
    memory.mkdir(parents=True, exist_ok=True)
    source = describe(dataset.source)
    # Taken before: what changes while it is brought is seen the next time.
    fingerprint = source.fingerprint(origins) if origins else None
    source.fetch(dataset, origins, raw, memory)
    write_json(memory / "fetched.json", _state(dataset, fingerprint))


def is_stale(dataset: Dataset, origins: tuple[str, ...], memory: Path) -> bool:
    """Tell whether the origins have changed since the last fetch.

    Raises `ConvoyError` where an origin cannot be reached.
    """
    if not origins:
        return False
    fingerprint = describe(dataset.source).fingerprint(origins)
    return bool(read_json(memory / "fetched.json") != _state(dataset, fingerprint))


def _state(dataset: Dataset, fingerprint: str | None) -> dict[str, object]:
    return {"source": dataset.source, "from": list(dataset.origins), "fingerprint": fingerprint}
