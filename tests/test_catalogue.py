"""What there is to say of each network, counted once and remembered by the code it came from."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convoy import catalogue
from convoy.architectures import describe, names
from convoy.architectures.options import offered
from convoy.catalogue import Entry, entries
from convoy.errors import UsageError
from convoy.files import read_json, write_json


@pytest.fixture(scope="module")
def all_entries() -> dict[str, Entry]:
    return {entry.name: entry for entry in entries(names())}


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "architectures.json"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were counted anew."""
    seen: list[str] = []
    count = catalogue._count

    def noted(name: str) -> Entry:
        seen.append(name)
        return count(name)

    monkeypatch.setattr(catalogue, "_count", noted)
    return seen


def test_every_network_has_an_entry_with_its_facts(all_entries: dict[str, Entry]) -> None:
    assert tuple(all_entries) == names()
    for name, entry in all_entries.items():
        assert entry.paper and 1980 < entry.year < 2020
        assert entry.file.startswith("convoy.architectures.")
        assert entry.parameters > entry.training_only >= 0
        assert entry.multiply_adds > 100_000 and entry.activation_bytes > 5_000
        assert set(entry.options) == set(offered(describe(name).network))


def test_every_published_accuracy_has_its_source(all_entries: dict[str, Entry]) -> None:
    for entry in all_entries.values():
        found = entry.accuracy
        assert found and found.source and found.on in ("ImageNet", "CIFAR-10", "MNIST")
        shares = [share for share in (found.top1, found.top5) if share is not None]
        assert shares == sorted(shares) and all(50 < share < 100 for share in shares)


@pytest.mark.parametrize(
    ("name", "top1", "top5"),
    [
        ("alexnet", 100 - 40.7, 100 - 18.2),
        ("zfnet", 100 - 38.4, 100 - 16.5),
        ("alexnet_owt", 56.522, 79.066),
        ("vgg16_bn", 73.360, 91.516),
        ("googlenet", None, 100 - 10.07),
        ("googlenet_3x3", 69.778, 89.530),
        ("resnet50", 76.130, 92.862),
        ("resnet20", 100 - 8.75, None),
        ("resnet110", 100 - 6.43, None),
        ("lenet5", 100 - 0.95, None),
    ],
)
def test_accuracies_are_the_published_ones(
    name: str, top1: float | None, top5: float | None, all_entries: dict[str, Entry]
) -> None:
    found = all_entries[name].accuracy
    assert found and (found.top1, found.top5) == (
        top1 and pytest.approx(top1),
        top5 and pytest.approx(top5),
    )


def test_an_entry_says_what_may_be_chosen(all_entries: dict[str, Entry]) -> None:
    lenet = all_entries["lenet5"].options
    assert (lenet["pool"].default, lenet["pool"].allowed) == ("average", "max or average")
    assert lenet["dropout"].allowed == "at least 0 and less than 1"
    assert all_entries["mlp"].options["hidden"].default == [512, 512]
    assert all_entries["alexnet"].options["dropout"].default is None


def test_what_was_counted_is_remembered(memory: Path, counted: list[str]) -> None:
    first = entries(["lenet5", "mlp"], memory)
    assert entries(["mlp", "lenet5"], memory) == first[::-1]
    assert counted == ["lenet5", "mlp"]
    entries(["resnet20"], memory)
    assert entries(["lenet5", "resnet20"], memory)[0] == first[0]
    assert counted == ["lenet5", "mlp", "resnet20"]


def test_other_code_is_counted_anew(
    memory: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(["lenet5"], memory)
    monkeypatch.setattr(catalogue, "_key", lambda module: "of other code")
    entries(["lenet5"], memory)
    assert counted == ["lenet5", "lenet5"]


@pytest.mark.parametrize("damage", ["{", "[]", '"x"', '{"lenet5": 3}'])
def test_a_damaged_memory_is_counted_anew(memory: Path, counted: list[str], damage: str) -> None:
    (right,) = entries(["lenet5"], memory)
    memory.write_text(damage)
    assert entries(["lenet5"], memory) == [right]
    assert entries(["lenet5"], memory) == [right]
    assert counted == ["lenet5", "lenet5"]


def test_a_remembered_entry_of_another_form_is_counted_anew(
    memory: Path, counted: list[str]
) -> None:
    (right,) = entries(["lenet5"], memory)
    remembered: dict[str, Any] = read_json(memory) or {}
    del remembered["lenet5"]["entry"]["paper"]
    write_json(memory, remembered)
    assert entries(["lenet5"], memory) == [right]
    assert counted == ["lenet5", "lenet5"]


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    assert [entry.name for entry in entries(["mlp"], blocked / "architectures.json")] == ["mlp"]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown architecture 'lenet': did you mean 'lenet5'"):
        entries(["lenet"])


def test_what_is_remembered_needs_no_torch(memory: Path) -> None:
    entries(["lenet5", "vgg16"], memory)
    program = (
        "import sys; from pathlib import Path; from convoy.catalogue import entries; "
        f"found = entries(['vgg16', 'lenet5'], Path({str(memory)!r})); "
        "assert found[0].parameters == 138_357_544; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
