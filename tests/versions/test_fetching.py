"""A version by its hash alone, in a clone that never ingested it: from the remote, verified."""

import shutil
from pathlib import Path

import pytest

from convoy import digests
from convoy.errors import NotReproducible
from convoy.project import Project
from convoy.versions import recorded_hash
from convoy.versions.fetching import fetched
from tests.clones import clone_of
from tests.terminal import git

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(ingested: Project, tmp_path: Path) -> Project:
    return clone_of(ingested, tmp_path / "clone")


def version_of(project: Project) -> str:
    found = recorded_hash(project, "digits")
    assert found
    return found


def test_a_clone_gets_a_version_that_its_commit_does_not_record(
    ingested: Project, clone: Project
) -> None:
    wanted = version_of(ingested)
    (clone.root / "dvc.lock").unlink()  # as where the version is newer than the commit
    before = git(clone.root, "status", "--porcelain")
    found = fetched(clone, "digits", wanted)
    assert found.hash == wanted and found.manifest["digest"] == found.digest
    for path in map(Path, found.files.values()):
        assert path.is_relative_to(clone.state)
        assert digests.file(path, "md5") == path.parent.name + path.name
    assert git(clone.root, "status", "--porcelain") == before, "the checkout is left as it was"


def test_a_damaged_object_is_brought_again_and_one_that_nobody_has_is_refused(
    ingested: Project, clone: Project
) -> None:
    wanted = version_of(ingested)
    manifest = Path(fetched(clone, "digits", wanted).files["manifest.json"])
    manifest.chmod(0o644)
    manifest.write_text("{}")
    assert fetched(clone, "digits", wanted).digest
    shutil.rmtree(ingested.state / "dvc-remote")
    assert fetched(clone, "digits", wanted).digest, "what is here needs no remote"
    manifest.unlink()
    with pytest.raises(NotReproducible, match=r"nor in its remote.*`convoy data push digits`"):
        fetched(clone, "digits", wanted)
