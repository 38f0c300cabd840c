"""Archives and tables with bytes altered at random: nothing but a clear refusal may come of it."""

import random
import time
from pathlib import Path

import pyarrow as arrow  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from convoy.errors import ConvoyError
from tests.origins.archives import KINDS, pack
from tests.origins.held import Held, write

MUTATIONS = 100


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes with some of them altered, cut out, doubled or cut off."""
    found = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(max(1, len(found)))
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = chance.randbytes(1)
            case 1:
                found[at : at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case 2:
                del found[at : at + chance.randrange(1, 64)]
            case 3:
                found[at:at] = found[at : at + chance.randrange(1, 64)]
            case 4:
                del found[at + 1 :]
    return bytes(found)


def outcome(held: Held, path: Path) -> str:
    """Fetch and read; return the class of the refusal. What else is raised fails the test."""
    start = time.monotonic()
    try:
        held.fetch(path)
        held.images(nested="join")
        found = "read"
    except ConvoyError as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)
        found = type(error).__name__
    assert time.monotonic() - start < 5
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_altered_archives_are_read_or_refused(tmp_path: Path, held: Held, kind: str) -> None:
    chance = random.Random(7)
    members = {f"{label}/{n}.jpg": chance.randbytes(500) for label in "ab" for n in range(5)}
    content = pack(tmp_path / "photos", members, kind).read_bytes()

    outcomes = set()
    for number in range(MUTATIONS):
        path = tmp_path / f"photos{number}"
        path.write_bytes(mutated(content, chance))
        outcomes.add(outcome(held, path))

    assert "DataRefused" in outcomes
    assert outcomes <= {"read", "DataRefused"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_altered_tables_are_read_or_refused(tmp_path: Path, held: Held, kind: str) -> None:
    chance = random.Random(7)
    paths = [f"{n}.jpg" for n in range(20)]
    labels = [chance.choice(["cat", "dog, big", "é"]) for _ in paths]
    write(tmp_path, *paths)
    if kind == "csv":
        rows = [f'{path},"{label}",train\n' for path, label in zip(paths, labels, strict=True)]
        content = ("\ufeffpath,label,split\n" + "".join(rows)).encode()
    else:
        parquet.write_table(arrow.table({"path": paths, "label": labels}), tmp_path / "whole")
        content = (tmp_path / "whole").read_bytes()

    outcomes = set()
    for number in range(MUTATIONS):
        path = tmp_path / f"labels{number}.{kind}"
        path.write_bytes(mutated(content, chance))
        outcomes.add(outcome(held, path))

    assert "DataRefused" in outcomes
    assert outcomes <= {"read", "DataRefused"}
