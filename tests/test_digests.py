"""Keys tell the truth: they change with meaning, and with nothing else."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convoy import digests

PROGRAM = "import sys; from convoy import digests; print(digests.code(*sys.argv[1:]))"

SOURCE = '''
"""What it is for."""

from convoy.other import other


class Record:
    """One thing."""

    value: int
    """Its value."""


def main() -> int:
    """Do it."""
    return other() + 1  # because
'''


@pytest.fixture
def package(tmp_path: Path, repository: Path) -> Path:
    """A package `convoy` of its own: main imports other, nobody imports unrelated."""
    package = tmp_path / "convoy"
    package.mkdir()
    for name in ("digests.py", "__init__.py"):
        shutil.copy(repository / "src" / "convoy" / name, package / name)
    (package / "main.py").write_text(SOURCE)
    (package / "other.py").write_text("def other() -> int:\n    return 1\n")
    (package / "unrelated.py").write_text("value = 1\n")
    return package


def code(package: Path, *modules: str) -> str:
    """The digest as a fresh process sees it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *modules],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# because", "# for another reason"),
        ('"""What it is for."""', '"""Something else."""'),
        ('"""One thing."""', '"""Another thing."""'),
        ('"""Its value."""', '"""What it counts."""'),
        ('    """Do it."""\n', ""),
        ("other() + 1", "(other() +\n            1)"),
    ],
)
def test_comments_docstrings_and_layout_change_no_digest(package: Path, old: str, new: str) -> None:
    before = code(package, "convoy.main")
    replace(package / "main.py", old, new)
    assert code(package, "convoy.main") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.py", "+ 1", "+ 2"),
        ("main.py", "value: int", "value: float"),
        ("other.py", "return 1", "return 2"),
        ("__init__.py", '"""Convoy', 'import os\n"""Convoy'),
    ],
)
def test_a_change_in_a_module_or_in_what_it_imports_changes_the_digest(
    package: Path, file: str, old: str, new: str
) -> None:
    before = code(package, "convoy.main")
    replace(package / file, old, new)
    assert code(package, "convoy.main") != before


def test_an_unrelated_module_changes_no_digest(package: Path) -> None:
    before = code(package, "convoy.main")
    (package / "unrelated.py").write_text("value = 2\n")
    (package / "new.py").write_text("value = 3\n")
    assert code(package, "convoy.main") == before


def test_moving_code_to_another_file_keeps_it_found(package: Path) -> None:
    """A module that became a package still counts, with all that it imports."""
    (package / "main.py").write_text("from convoy import parts\n")
    (package / "parts").mkdir()
    (package / "parts" / "__init__.py").write_text("from convoy.parts.inner import value\n")
    (package / "parts" / "inner.py").write_text("value = 1\n")
    before = code(package, "convoy.main")
    (package / "parts" / "inner.py").write_text("value = 2\n")
    assert code(package, "convoy.main") != before


def test_a_trainings_code_is_known_without_importing_torch() -> None:
    program = (
        "import sys; from convoy import digests; from convoy.architectures import module_of; "
        "digests.code('convoy.training.fit', module_of('lenet5')); digests.libraries(); "
        "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_trainings_code_holds_what_decides_its_numbers(project_copy: Path) -> None:
    """Every module that a training runs counts; the pipeline around it does not."""
    training = ("convoy.training.fit", "convoy.architectures.lenet")
    before = code(project_copy / "convoy", *training)
    for name in ("tracking.py", "registry.py", "architectures/vgg.py", "evaluation/metrics.py"):
        (project_copy / "convoy" / name).write_text("changed = 1\n")
    assert code(project_copy / "convoy", *training) == before
    inside = ("classifier.py", "datamodule.py", "preprocessing.py", "architectures/__init__.py")
    for name in (*inside, "architectures/lenet.py", "architectures/architecture.py"):
        file = project_copy / "convoy" / name
        file.write_text(file.read_text() + "\nchanged = 1\n")
        after = code(project_copy / "convoy", *training)
        assert after != before, name
        before = after


@pytest.fixture
def project_copy(tmp_path: Path, repository: Path) -> Path:
    """The folder of a copy of the whole package, to change."""
    shutil.copytree(repository / "src" / "convoy", tmp_path / "src" / "convoy")
    return tmp_path / "src"


def test_values_have_one_digest_whatever_the_order_of_their_keys() -> None:
    assert digests.values({"a": 1, "b": [2]}) == digests.values({"b": [2], "a": 1})
    assert digests.values([1, 2]) != digests.values([2, 1])
    assert digests.values("1") != digests.values(1)
    assert digests.values("a", "b") != digests.values("ab")


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes" * 100_000)
    content = (tmp_path / "file").read_bytes()
    assert digests.file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert digests.file(tmp_path / "file", "md5") == hashlib.md5(content).hexdigest()
