"""Another folder of the same project, as a worker elsewhere has it."""

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
