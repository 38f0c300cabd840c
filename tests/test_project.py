"""A project is found from inside, named in refusals, and says which commit is checked out."""

import os
from pathlib import Path

import pytest

from convoy import environment
from convoy.errors import ConvoyError, UsageError
from convoy.project import Project


def test_a_project_is_found_from_any_folder_inside(project: Project) -> None:
    assert Project.find(project.root) == project
    assert Project.find(project.root / "src" / "convoy") == project
    assert Project.find() == project


def test_outside_of_a_project_one_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not inside a Convoy project"):
        Project.find(tmp_path)


def test_a_project_without_git_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    with pytest.raises(UsageError, match="is not a Git checkout"):
        Project.find(tmp_path)


def test_a_commit_is_clean_until_a_tracked_file_changes(project: Project) -> None:
    commit, dirty = project.commit()
    assert len(commit) == 40
    assert not dirty
    (project.root / "notes.txt").write_text("not tracked")
    assert project.commit() == (commit, False)
    project.params.write_text(project.params.read_text() + "# changed\n")
    assert project.commit() == (commit, True)


def test_a_repository_without_a_commit_says_so(tmp_path: Path, project: Project) -> None:
    (project.root / ".git").rename(tmp_path / "elsewhere")
    assert project.commit() == ("none", True)


def test_state_is_created_twice_without_harm_and_git_ignores_it(project: Project) -> None:
    project.create_state()
    (project.runs / "a-training").mkdir()
    project.create_state()
    assert (project.runs / "a-training").is_dir()
    assert project.commit()[1] is False


def test_state_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".convoy").write_text("a file in its place")
    with pytest.raises(ConvoyError, match=r"cannot write to .*\.convoy: "):
        Project(tmp_path).create_state()


def test_a_variable_that_is_set_wins_over_the_embedded_one(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "https://mlflow.example"}
    environment.apply(Project(tmp_path), environ)
    assert environ["MLFLOW_TRACKING_URI"] == "https://mlflow.example"
    assert environ["PREFECT_HOME"] == str(tmp_path / ".convoy" / "prefect")
    assert environ["DO_NOT_TRACK"] == "true"


def test_all_embedded_state_stays_inside_the_project(tmp_path: Path) -> None:
    values = environment.embedded(Project(tmp_path)).values()
    for value in values:
        if os.sep in value:
            assert value.removeprefix("sqlite:///").startswith(str(tmp_path / ".convoy"))


def test_what_killed_programs_left_is_cleared_and_nothing_else(project: Project) -> None:
    (project.scratch / "left" / "behind").mkdir(parents=True)
    (project.runs / "a training").mkdir()
    project.clear_scratch()
    assert list(project.scratch.iterdir()) == []
    assert [folder.name for folder in project.runs.iterdir()] == ["a training"]
