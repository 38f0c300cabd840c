"""A registered version made again: its commit, its data, its settings, and what comes of them.

The commit is checked out into a worktree of its own and the training started there as a program,
so that neither the code nor the data of the present checkout has a say in it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from convoy import published_weights, registry, tracking
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import read_json, write_json
from convoy.programs import cores
from convoy.progress import Step, report
from convoy.project import Project
from convoy.recipe import Recipe
from convoy.registry import Registered
from convoy.surroundings import surroundings
from convoy.versions.restore import bring

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EVALUATE = "from convoy.programs.entry import by_hand; by_hand('convoy.evaluation.program')"


@dataclass(frozen=True)
class Reproduction:
    """A version beside what its commit, data and settings give now."""

    model: str
    version: str
    commit: str
    dataset_version: str
    architecture: str
    weights: str
    """sha256 of the weights that were registered."""
    weights_now: str
    accuracy: float
    """On the test split, with the interval that was stated."""
    accuracy_low: float
    accuracy_high: float
    accuracy_now: float
    differs: dict[str, tuple[str, str]]
    """Of libraries and processor: what it was, and what it is."""
    recorded: bool
    """Whether the run says what it ran in."""
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether the weights are the same, bit for bit."""
        return self.weights == self.weights_now

    @property
    def is_within(self) -> bool:
        """Whether the accuracy is inside the stated interval."""
        return self.accuracy_low <= self.accuracy_now <= self.accuracy_high


def reproduce(
    client: "MlflowClient", project: Project, version: Registered, deterministic: bool
) -> Reproduction:
    """Make a version again. Raises `NotReproducible` where something of it cannot be had."""
    began = time.monotonic()
    where = f"{version.name} version {version.version}"
    run = _run_of(client, version, where)
    commit, data = run.data.tags[tracking.COMMIT], run.data.tags[tracking.VERSION]
    with _checked_out(project, commit, where) as place:
        report(Step("reproduce", "running", f"data version {data[:12]}"))
        found = bring(project, place, version.tags["convoy.dataset"], data)
        folder = place.state / "runs" / "again"
        folder.mkdir(parents=True)
        recipe = recipe_of(run)
        spec: dict[str, Any] = {
            "architecture": run.data.params["architecture"],
            "recipe": recipe,
            "seed": int(run.data.params["seed"]),
            "dataset": found.dataset,
            "version": found.digest,
            "files": found.files,
            "folder": str(folder),
            "deterministic": deterministic,
            "weights": published_weights.of(Recipe.model_validate(recipe), project),
        }
        report(Step("reproduce", "running", f"trains {spec['architecture']} at {commit[:12]}"))
        result = _program(place, ("-m", "convoy.training"), spec)
        report(Step("reproduce", "running", "scores it on the test split"))
        record = _record(client, project, version)
        scoring = {"folder": str(folder), "record": record, "files": found.files, "key": "again"}
        evaluation = _program(place, ("-c", EVALUATE), scoring)["evaluation"]
    then = json.loads(run.data.tags.get(tracking.SURROUNDINGS, "{}"))
    metrics = run.data.metrics
    return Reproduction(
        version.name,
        version.version,
        commit,
        data,
        spec["architecture"],
        run.data.tags.get("convoy.weights_sha256", ""),
        result["weights_sha256"],
        metrics["test/accuracy"],
        metrics.get("test/accuracy_low", metrics["test/accuracy"]),
        metrics.get("test/accuracy_high", metrics["test/accuracy"]),
        float(evaluation["accuracy"]),
        differences(then, surroundings()) if then else {},
        bool(then),
        time.monotonic() - began,
    )


def recipe_of(run: "Run") -> dict[str, Any]:
    """Return the recipe that a run's parameters hold by names with dots."""
    recipe: dict[str, Any] = {}
    for name, text in run.data.params.items():
        if name in ("architecture", "seed"):
            continue
        *path, last = name.split(".")
        section = recipe
        for part in path:
            section = section.setdefault(part, {})
        section[last] = _value(text)
    return recipe


def _value(text: str) -> Any:
    """Return a value that was logged as text: a number, a truth, a list, or the text itself."""
    if text == "None":
        return None
    if text.startswith("(") and text.endswith(")"):
        text = f"[{text[1:-1].rstrip(',')}]"
    value = yaml.load(text, Loader=yaml.CSafeLoader)
    if isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 takes 5e-05 for text
        except ValueError:
            return value
    return value


def differences(then: dict[str, str], now: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs, by name, as it was and as it is."""
    names = sorted(then.keys() | now.keys())
    pairs = {name: (then.get(name, "none"), now.get(name, "none")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _run_of(client: "MlflowClient", version: Registered, where: str) -> "Run":
    """Return a version's run, if it says all that is needed to make it again."""
    try:
        (run,) = tracking.get_runs(client, [version.run_id])
    except ConvoyError:
        raise NotReproducible(
            f"the run of {where} is gone from MLflow: nothing says how it was made."
        ) from None
    tags = run.data.tags
    lacks = [name for name in (tracking.COMMIT, tracking.VERSION) if not tags.get(name)]
    lacks += [name for name in ("architecture", "seed") if name not in run.data.params]
    if lacks or "test/accuracy" not in run.data.metrics:
        missing = ", ".join(lacks) or "test/accuracy"
        raise NotReproducible(
            f"the run of {where} does not say its {missing}: it cannot be made again."
        )
    if tags.get(tracking.DIRTY) == "true":
        raise NotReproducible(
            f"{where} was made from files that differed from commit {tags[tracking.COMMIT][:12]}: "
            f"they cannot be had again; commit before a run that is to be reproduced."
        )
    return run


@contextmanager
def _checked_out(project: Project, commit: str, where: str) -> Iterator[Project]:
    """Check a commit out into a folder of its own, until the end of the block."""
    _git(project, "worktree", "prune")  # those of a command that was killed
    if not _git(project, "cat-file", "-e", f"{commit}^{{commit}}"):
        _git(project, "fetch", "--quiet", "origin", commit)
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        root = Path(scratch) / "checkout"
        if not _git(project, "worktree", "add", "--quiet", "--detach", str(root), commit):
            raise NotReproducible(
                f"commit {commit[:12]}, which made {where}, is neither here nor at `origin`: fetch "
                f"it from where it was made."
            )
        try:
            place = Project(root)
            place.create_state()
            yield place
        finally:
            _git(project, "worktree", "remove", "--force", str(root))


def _git(project: Project, *arguments: str) -> bool:
    done = subprocess.run(["git", *arguments], cwd=project.root, capture_output=True, check=False)
    return done.returncode == 0


def _program(place: Project, program: tuple[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    """Run a program of the checked-out code; return its result.

    Raises `NotReproducible` with what it refused.
    """
    file = place.scratch / "spec.json"
    write_json(file, spec)
    path = f"{place.root / 'src'}{os.pathsep}{place.root}"
    environ = {
        **cores.told(cores.available()),
        **os.environ,
        "PYTHONPATH": path,
        "TMPDIR": str(place.scratch),
    }
    done = subprocess.run(
        [sys.executable, *program, str(file)],
        cwd=place.root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in reversed(done.stdout.splitlines()):
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "result":
            result: dict[str, Any] = event["result"]
            return result
        if event.get("event") in ("refused", "failed"):
            raise NotReproducible(f"its training cannot be repeated here: {event['message']}")
    lines = done.stderr.strip().splitlines()
    raise NotReproducible(
        f"its training cannot be repeated here: {lines[-1] if lines else done.returncode}"
    )


def _record(client: "MlflowClient", project: Project, version: Registered) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        files = registry.download(version, Path(scratch) / "model", client.tracking_uri)
        found = read_json(next(files.rglob("architecture.json")))
    assert isinstance(found, dict)
    return found
