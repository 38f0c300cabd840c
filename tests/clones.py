"""Another folder of the same project: as a worker elsewhere has it, or to change in a test."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from convoy.project import Project
from tests.terminal import git


def clone_of(project: Project, folder: Path) -> Project:
    """Clone a project at its commit; its remote is the one that the original's data are in."""
    config = (project.root / ".dvc" / "config").read_text()
    remote = project.state / "dvc-remote"
    git(project.root, "clone", "--quiet", str(project.root), str(folder))
    clone = Project(folder)
    (clone.root / ".dvc" / "config").write_text(
        config.replace("../.convoy/dvc-remote", str(remote))
    )
    clone.create_state()
    return clone


PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow's store has paths: columns by table."""


def copy_of(source: Path, root: Path) -> Path:
    """Copy a project with its store, whose paths then point into the copy; return `root`."""
    shutil.copytree(source, root, symlinks=True)
    with closing(sqlite3.connect(root / ".convoy" / "mlflow.db")) as database:
        for table, column in PLACES.items():
            change = f"update {table} set {column} = replace({column}, ?, ?)"
            database.execute(change, (str(source), str(root)))
        database.commit()
    return root
