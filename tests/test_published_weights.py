"""A file of weights is the one that its sha256 tells, wherever it comes from."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from convoy.downloads import Patience
from convoy.errors import ConvoyError, NotReproducible, UsageError
from convoy.project import Project
from convoy.published_weights import bring, of
from tests import loopback
from tests.loopback import Server
from tests.recipes import recipe

CONTENT = random.Random(0).randbytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"").hexdigest()
QUICK = Patience(attempts=2, pause=0.01, longest=0.05, connect=2, stall=0.3)


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback.serving() as server:
        yield server


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


def test_a_local_file_stays_where_it_is(tmp_path: Path, memory: Path) -> None:
    file = tmp_path / "resnet18.pth"
    file.write_bytes(CONTENT)
    assert bring(str(file), SHA256, memory) == file
    assert not memory.exists()


def test_a_recipe_names_its_file_from_the_top_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "resnet18.pth").write_bytes(CONTENT)
    named = {"from": "resnet18.pth", "sha256": SHA256, "frozen": 0.0, "rate": 1.0}
    project = Project(tmp_path)
    assert of(recipe(weights=named), project) == str(tmp_path / "resnet18.pth")
    assert of(recipe(), project) is None


def test_a_local_path_may_begin_at_home(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "resnet18.pth").write_bytes(CONTENT)
    assert bring("~/resnet18.pth", SHA256, memory) == tmp_path / "resnet18.pth"


def test_a_local_file_with_other_bytes_is_not_the_one(tmp_path: Path, memory: Path) -> None:
    file = tmp_path / "resnet18.pth"
    file.write_bytes(CONTENT)
    with pytest.raises(NotReproducible) as caught:
        bring(str(file), OTHER, memory)
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        f"{file} has the sha256 {SHA256[:16]}... instead of {OTHER[:16]}...: bring the file that "
        f"was meant, or write the sha256 of this one."
    )
    assert file.read_bytes() == CONTENT, "what a person put there is theirs"


@pytest.mark.parametrize("name", ["gone.pth", "."])
def test_a_path_without_a_file_is_refused(name: str, tmp_path: Path, memory: Path) -> None:
    with pytest.raises(UsageError, match=r"is not there: correct the path of the weights\.$"):
        bring(str(tmp_path / name), SHA256, memory)


@pytest.mark.parametrize("sha256", ["", "abc", SHA256.upper(), SHA256 + "0", SHA256[:-1] + "g"])
def test_what_is_no_sha256_is_refused(sha256: str, memory: Path) -> None:
    with pytest.raises(UsageError, match="is no sha256: write its 64 digits"):
        bring("resnet18.pth", sha256, memory)


def test_another_kind_of_address_is_refused(memory: Path) -> None:
    with pytest.raises(UsageError) as caught:
        bring("s3://bucket/resnet18.pth", SHA256, memory)
    assert str(caught.value) == (
        "s3://bucket/resnet18.pth is neither a file nor an http(s) address: copy the weights to a "
        "file and name that."
    )


def test_a_download_comes_once_and_keeps_its_name(server: Server, memory: Path) -> None:
    address = server.serve("/models/resnet18.pth", CONTENT)
    file = bring(address, SHA256, memory, QUICK)
    assert file.read_bytes() == CONTENT and file.name == "resnet18.pth"
    assert memory in file.parents
    assert bring(address, SHA256, memory, QUICK) == file
    assert len(server.asked) == 1
    assert [path for path in memory.rglob("*") if "part" in path.name or "unv" in path.name] == []


def test_a_query_is_no_part_of_the_name(server: Server, memory: Path) -> None:
    address = server.serve("/models/resnet18.pth?token=secret", CONTENT)
    assert bring(address, SHA256, memory, QUICK).name == "resnet18.pth"


def test_a_download_goes_on_where_the_line_broke(server: Server, memory: Path) -> None:
    address = server.serve("/w.pth", CONTENT, loopback.breaks_off(60_000), loopback.whole)
    assert bring(address, SHA256, memory, QUICK).read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=60000-"]


def test_a_download_with_another_byte_is_refused_and_not_kept(server: Server, memory: Path) -> None:
    address = server.serve("/w.pth", CONTENT, loopback.corrupts(50_000), loopback.whole)
    with pytest.raises(NotReproducible, match=rf"^{address} has the sha256 .* instead of "):
        bring(address, SHA256, memory, QUICK)
    assert [path for path in memory.rglob("*") if path.is_file() and path.stat().st_size] == []
    assert bring(address, SHA256, memory, QUICK).read_bytes() == CONTENT, "the next one is right"


def test_a_kept_file_that_was_damaged_comes_again(server: Server, memory: Path) -> None:
    address = server.serve("/w.pth", CONTENT)
    bring(address, SHA256, memory, QUICK).write_bytes(CONTENT[:-1])
    assert bring(address, SHA256, memory, QUICK).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_two_files_of_one_name_are_kept_apart(server: Server, memory: Path) -> None:
    one = bring(server.serve("/a/w.pth", CONTENT), SHA256, memory, QUICK)
    other = bring(server.serve("/b/w.pth", b"other"), _sha256(b"other"), memory, QUICK)
    assert one.read_bytes() == CONTENT and other.read_bytes() == b"other"


def test_an_address_without_the_file_is_a_fault_of_the_service(
    server: Server, memory: Path
) -> None:
    with pytest.raises(ConvoyError, match=r"w\.pth could not be downloaded .*404") as caught:
        bring(f"{server.address}/w.pth", SHA256, memory, QUICK)
    assert caught.value.exit_code == 1


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
