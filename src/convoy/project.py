"""Where things are: a project is a Git checkout with a params.yaml at its top."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from convoy.errors import ConvoyError, UsageError


@dataclass(frozen=True)
class Project:
    """The paths of one checkout; nothing here touches the disk but `find` and `commit`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """Return the project around `start` (default: the working directory).

        Raises `UsageError` outside of one.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file():
                if not (folder / ".git").exists():
                    raise UsageError(
                        f"{folder} has a params.yaml but is not a Git checkout, so no run could "
                        f"say which code made it: run `git init` and commit, or clone Convoy."
                    )
                return cls(folder)
        raise UsageError(
            f"{start} is not inside a Convoy project (a Git checkout with a params.yaml at its "
            f"top): change into your clone first."
        )

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "dvc.lock"

    @property
    def state(self) -> Path:
        """All state of the embedded default: git-ignored, safe to move as a whole."""
        return self.root / ".convoy"

    @property
    def database(self) -> Path:
        return self.state / "mlflow.db"

    @property
    def runs(self) -> Path:
        """One folder a training, named by its key; a training resumes from what it finds there."""
        return self.state / "runs"

    def raw(self, dataset: str) -> Path:
        return self.root / "data" / "raw" / dataset

    def prepared(self, dataset: str) -> Path:
        return self.root / "data" / "prepared" / dataset

    def memory(self, dataset: str) -> Path:
        """What a source remembers between fetches; nothing is lost with it but time."""
        return self.state / "fetched" / dataset

    def reports(self, dataset: str) -> Path:
        """The page of a dataset, and why it was refused."""
        return self.state / "reports" / dataset

    def origins(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """Return origins as params.yaml names them, paths from the project's top made absolute."""
        return tuple(
            name if "://" in name else str(self.root / Path(name).expanduser()) for name in named
        )

    @property
    def scratch(self) -> Path:
        """Where programs write what nobody keeps."""
        return self.state / "tmp"

    def clear_scratch(self) -> None:
        """Remove what killed programs left; nobody else may be at work in this project."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)

    def create_state(self) -> None:
        """Create `.convoy/`, or say in one sentence why that cannot be."""
        try:
            for folder in (self.state, self.runs, self.scratch, self.state / "prefect"):
                folder.mkdir(exist_ok=True)
            probe = self.scratch / "probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConvoyError(
                f"cannot write to {self.state}: {error.strerror}; give this user the right to "
                f"write there, or free some space."
            ) from error

    def commit(self) -> tuple[str, bool]:
        """Return the commit that is checked out and whether tracked files differ from it.

        A repository without a commit yet gives ("none", True).
        """
        head = self._git("rev-parse", "--verify", "HEAD")
        changes = self._git("status", "--porcelain", "--untracked-files=no")
        return head or "none", bool(changes) or not head

    def committed(self, file: str, revision: str = "HEAD") -> str:
        """Return a file's text as a commit has it; empty where it has none."""
        found = self._git("show", "--end-of-options", f"{revision}:{file}")
        return f"{found}\n" if found else ""

    def commits(self, file: str) -> list[tuple[str, str]]:
        """Return commit and date (ISO 8601) of each change of a file, the oldest first.

        On whatever branch: a version that a colleague made is one that can be had.
        """
        where = ("--branches", "--tags", "--remotes", "HEAD")
        log = self._git("log", "--reverse", "--format=%H %cI", *where, "--", file)
        return [(commit, date) for commit, date in map(str.split, log.splitlines())]

    def tags(self) -> list[str]:
        return self._git("tag", "--list").splitlines()

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise ConvoyError(
                "git is not on the PATH: install it, every run records its commit."
            ) from error
        return done.stdout.strip() if done.returncode == 0 else ""
