"""A portion of a batch on a worker elsewhere: a part of its files goes there, their rows come back.

The worker sees the same files, as in a folder that both share, and proves it by their sha256; the
model's version it brings and verifies itself. What comes back is one file of the batch's parts,
written as a whole by whoever ordered it, so that a worker that was killed leaves nothing by half.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from convoy import digests, environment, registry, store
from convoy.addresses import without_credentials
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import write_atomically
from convoy.owners import this_owner
from convoy.pipeline.scoring import PROGRAM, Due, parts
from convoy.pipeline.workplace import Place, launcher_of_thread
from convoy.project import Project


class Portion(BaseModel):
    """What some worker is to predict: with the same commit any worker gives the same rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: str
    files: tuple[tuple[str, str], ...]
    """Path and sha256 of each."""
    code: str
    """The digest of the code and the libraries that predict, as whoever ordered it counts it."""
    commit: str
    tracking_uri: str
    """Where MLflow is, without user and password: those are each worker's own."""


class Rows(BaseModel):
    """What a worker says of a portion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    """A row a file, in their order, as JSON lines."""
    worker: str
    """The machine, process and start of who predicted it."""
    seconds: float


def portions(due: Due) -> dict[Path, Portion]:
    """Return what is to be predicted, by the file that the rows of each are for."""
    code, (commit, _) = _code(), due.project.commit()
    address = without_credentials(os.environ["MLFLOW_TRACKING_URI"])
    return {
        Path(part["output"]): Portion(
            model=due.chosen.name,
            version=due.chosen.version,
            files=tuple(part["files"]),
            code=code,
            commit=commit,
            tracking_uri=address,
        )
        for part in parts(due.files, due.base)
    }


def receive(portion: Portion, rows: Rows, output: Path) -> int:
    """Keep a worker's rows; return how many. Raises `ConvoyError` where they are of other files."""
    told = [json.loads(line) for line in rows.text.splitlines()]
    if tuple((row["file"], row["sha256"]) for row in told) != portion.files:
        raise ConvoyError(
            f"{rows.worker} has sent rows of other files than it was given: look at that worker, "
            f"and run again."
        )
    write_atomically(output, rows.text.encode())
    return len(told)


def carry_out(portion: Portion, project: Project, place: Place) -> Rows:
    """Predict a portion's files, here.

    Raises `NotReproducible` where this project is at another commit, where it cannot have the
    model's version, or where a file is not here as whoever ordered it saw it.
    """
    began = time.monotonic()
    environment.apply(project)
    # The credentials, if the server wants any, are in this machine's own environment.
    os.environ["MLFLOW_TRACKING_URI"] = portion.tracking_uri
    project.create_state()
    _refuse_other_code(portion, project)
    _refuse_other_files(portion.files)
    launcher = launcher_of_thread(project, place, PROGRAM)
    model = _models.bring(portion, project)
    with tempfile.TemporaryDirectory(prefix="convoy-portion-") as scratch:
        output = Path(scratch) / "rows.jsonl"
        spec = {
            "model": str(model),
            "parts": [{"files": portion.files, "output": str(output)}],
        }
        launcher.run(PROGRAM, spec, project.state / "programs.log", lambda event: None)
        text = output.read_text(encoding="utf-8")
    return Rows(text=text, worker=this_owner(), seconds=time.monotonic() - began)


def _code() -> str:
    return digests.values(digests.code(PROGRAM), digests.libraries())


def _refuse_other_code(portion: Portion, project: Project) -> None:
    if portion.code != _code():
        commit, _ = project.commit()
        raise NotReproducible(
            f"the worker in {project.root} has other code or libraries (commit {commit[:12]}) than "
            f"the run that ordered these predictions (commit {portion.commit[:12]}): check that "
            f"commit out there, install what its constraints.txt pins, and start the worker again."
        )


def _refuse_other_files(files: Iterable[tuple[str, str]]) -> None:
    for path, sha256 in files:
        try:
            found = digests.file(Path(path))
        except OSError as error:
            raise NotReproducible(
                f"{path} cannot be read on the worker {this_owner()} ({error.strerror}): have the "
                f"files of a batch in a folder that all workers see by the same path, and run "
                f"again."
            ) from None
        if found != sha256:
            raise NotReproducible(
                f"{path} is another file on the worker {this_owner()}, or has changed since the "
                f"batch began: have the files of a batch in a folder that all workers see by the "
                f"same path, and run again."
            )


class _Models:
    """The versions that this process has brought and verified, each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[tuple[str, str, str], tempfile.TemporaryDirectory[str]] = {}
        self._found: dict[tuple[str, str, str], Path] = {}

    def bring(self, portion: Portion, project: Project) -> Path:
        named = (portion.tracking_uri, portion.model, portion.version)
        with self._lock:
            if named not in self._found:
                client = store.connect(project)
                chosen = registry.version(client, portion.model, portion.version)
                # It goes with this process.
                folder = tempfile.TemporaryDirectory(prefix="convoy-model-")
                place = Path(folder.name) / "model"
                self._found[named] = registry.download(chosen, place, client.tracking_uri)
                self._folders[named] = folder
            return self._found[named]


_models = _Models()
