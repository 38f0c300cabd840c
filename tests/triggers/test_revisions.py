"""A new commit, and a new dataset version in a commit, here and in another repository."""

from pathlib import Path

import pytest

from convoy.errors import ConvoyError
from convoy.triggers import revisions
from tests.terminal import git

LOCK = "stages:\n  prepare@digits:\n    outs:\n    - path: data\n      md5: {}.dir\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "A Tester")
    git(folder, "config", "user.email", "tester@example.invalid")
    commit(folder, "a.txt", "1")
    return folder


def commit(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", name)


def test_a_commit_on_the_branch_is_a_change_and_work_that_is_none_is_not(root: Path) -> None:
    seen = revisions.commit(root, "main", None)
    (root / "a.txt").write_text("not committed")
    git(root, "stash", "--quiet")
    git(root, "switch", "--quiet", "--create", "other")
    commit(root, "b.txt", "elsewhere")
    assert revisions.commit(root, "main", None) == seen
    git(root, "switch", "--quiet", "main")
    commit(root, "b.txt", "here")
    assert revisions.commit(root, "main", None) != seen


def test_another_repository_is_asked_for_its_branch(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(root), "team.git")
    seen = revisions.commit(root, "main", str(tmp_path / "team.git"))
    commit(root, "b.txt", "1")
    assert revisions.commit(root, "main", str(tmp_path / "team.git")) == seen
    git(root, "push", "--quiet", str(tmp_path / "team.git"), "main")
    assert revisions.commit(root, "main", str(tmp_path / "team.git")) != seen


def test_a_dataset_version_counts_once_it_is_committed(root: Path, tmp_path: Path) -> None:
    assert revisions.version(root, "main", None, "digits") is None
    commit(root, "dvc.lock", LOCK.format("aa"))
    (root / "dvc.lock").write_text(LOCK.format("bb"))  # as a run here leaves it
    assert revisions.version(root, "main", None, "digits") == "aa.dir"
    assert revisions.version(root, "main", None, "animals") is None
    git(root, "checkout", "--quiet", "dvc.lock")
    commit(root, "c.txt", "code alone")
    assert revisions.version(root, "main", None, "digits") == "aa.dir"
    git(tmp_path, "clone", "--quiet", "--bare", str(root), "team.git")
    assert revisions.version(root, "main", str(tmp_path / "team.git"), "digits") == "aa.dir"
    commit(root, "dvc.lock", "stages: [torn")
    assert revisions.version(root, "main", None, "digits") is None


@pytest.mark.parametrize(("branch", "address"), [("mian", None), ("main", "nowhere.git")])
def test_what_is_not_there_is_an_error_and_no_change(
    root: Path, branch: str, address: str | None
) -> None:
    with pytest.raises(ConvoyError, match=f"the branch {branch!r} cannot be read"):
        revisions.commit(root, branch, address)
    with pytest.raises(ConvoyError, match=f"the branch {branch!r} cannot be read"):
        revisions.version(root, branch, address, "digits")
