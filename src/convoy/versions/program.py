"""DVC as a program of its own, and what its lock file and cache hold.

It takes an altered cache object for good, so objects are hashed again here.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from convoy import digests, progress
from convoy.errors import ConvoyError, DataRefused, NotReproducible, UsageError
from convoy.files import read_json
from convoy.progress import Step, report
from convoy.project import Project

PATIENCE = 30.0
"""Seconds that another DVC in the same checkout is waited for."""
ROOM = 2**20
"""Bytes without which DVC fails in many ways, few of which say why."""
GASP = 10
"""Seconds that DVC itself may work on without them: diskcache, which it keeps its state in, tries
to begin a transaction for ever."""


def dvc(project: Project, *arguments: str) -> str:
    """Run a DVC command; raise what a stage refused, or DVC's own words."""
    # The stages' `python` is the one that runs Convoy, whether or not its environment is active.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    rwlock = project.root / ".dvc" / "tmp" / "rwlock"
    deadline = time.monotonic() + PATIENCE
    while True:
        code, out, err = _run(
            [sys.executable, "-m", "dvc", *arguments],
            project,
            {**os.environ, "PATH": path, progress.VARIABLE: "lines"},
        )
        if code == 0:
            return out
        # By a person's own DVC, or by one that was killed and is not quite gone.
        blocked = "being blocked by" in err or "acquire lock" in err
        torn = "RWLock-file" in err
        if not (blocked or torn) or time.monotonic() > deadline:
            raise _failure(project, arguments, err)
        if torn:  # by a DVC that was killed while it wrote down what it was at
            rwlock.unlink(missing_ok=True)
        time.sleep(0.5)


def _run(command: list[str], project: Project, environ: dict[str, str]) -> tuple[int, str, str]:
    """Return exit code, output and errors; what a stage reports is reported here."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=environ,
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout and process.stderr
    with process, ThreadPoolExecutor(2) as pool:
        try:
            errors = pool.submit(process.stderr.read)
            pool.submit(_end_on_full_disk, process, project)
            said = [line for line in process.stdout if not progress.heard(line)]
            return process.wait(), "".join(said), errors.result()
        except BaseException:
            process.kill()
            raise


def _end_on_full_disk(process: "subprocess.Popen[str]", project: Project) -> None:
    """End a DVC that works on for `GASP` seconds on a full disk, with no stage of ours running."""
    waited = 0
    while waited < GASP:
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return
        waited = waited + 1 if _is_full(project) and not _children(process) else 0
    process.kill()


def _children(process: "subprocess.Popen[str]") -> bool:
    try:
        return bool(psutil.Process(process.pid).children())
    except psutil.NoSuchProcess:
        return False


def _is_full(project: Project) -> bool:
    return shutil.disk_usage(project.state).free < ROOM


def _failure(project: Project, arguments: tuple[str, ...], stderr: str) -> ConvoyError:
    """Return what a stage of ours said, as the kind that its exit code tells; else DVC's words."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    exited = re.search(r"exited with (\d+)", stderr)
    code = int(exited[1]) if exited else ConvoyError.exit_code
    kinds = {kind.exit_code: kind for kind in (UsageError, DataRefused, NotReproducible)}
    for line in lines:
        if line.startswith("convoy: "):
            return kinds.get(code, ConvoyError)(line.removeprefix("convoy: "))
    if _is_full(project):
        return ConvoyError(f"the disk of {project.state} is full: make room and run again.")
    own: list[str] = []
    told: list[str] = []
    for line in lines:
        (told if line.startswith("ERROR") else own).append(line.removeprefix("ERROR: "))
    if "Traceback" in stderr or not told:
        told += own[-1:]
    return ConvoyError(f"`dvc {' '.join(arguments)}` failed: {'; '.join(told)}")


def stages_of(dataset: str) -> tuple[str, str]:
    """Return the names of a dataset's stages."""
    return f"fetch@{dataset}", f"prepare@{dataset}"


def stages(lock: str, name: str = "dvc.lock") -> dict[str, Any]:
    """Return the stages that the text of a dvc.lock holds.

    Raises `NotReproducible` for one that cannot be read.
    """
    mend = "restore it with `git checkout dvc.lock`, or delete it to record the data anew"
    try:
        found = yaml.load(lock, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):  # PyYAML raises the latter for a date like 2020-13-45
        raise NotReproducible(f"{name} is not valid YAML: {mend}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("stages"), dict):
        raise NotReproducible(f"{name} has no stages: {mend}.")
    if not lock.endswith("\n"):  # a hash that was cut short is valid YAML
        raise NotReproducible(f"{name} ends in the middle of a line: {mend}.")
    return dict(found["stages"])


def stages_in(lock: str, dataset: str, name: str = "dvc.lock") -> dict[str, Any]:
    """Return what the text of a dvc.lock holds of a dataset's stages, as `stages` does."""
    found = stages(lock, name)
    return {stage: found[stage] for stage in stages_of(dataset) if stage in found}


def recorded(project: Project, dataset: str) -> dict[str, Any]:
    """Return what dvc.lock holds of a dataset's stages; empty before the first ingest.

    Raises `NotReproducible` for a dvc.lock that cannot be read.
    """
    try:
        text = project.lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except ValueError:
        text = "\0"  # no UTF-8, so no YAML either
    return stages_in(text, dataset, str(project.lock))


def recorded_hash(project: Project, dataset: str) -> str | None:
    """Return the version that dvc.lock records; None before the first ingest."""
    return hash_in(recorded(project, dataset), dataset)


def hash_in(stages: dict[str, Any], dataset: str, kind: str = "prepare") -> str | None:
    """Return the hash of the prepared dataset among what dvc.lock holds of its stages.

    Of `kind` "fetch" that of what came in.
    """
    name = f"{kind}@{dataset}"
    try:
        return str(stages[name]["outs"][0]["md5"]) if name in stages else None
    except (KeyError, IndexError, TypeError):
        raise NotReproducible(
            f"dvc.lock: {name} records no output; restore the file with `git checkout dvc.lock`."
        ) from None


def mend(project: Project, dataset: str, version: str, kind: str = "prepare") -> list[Path]:
    """Fetch a version's damaged cache objects again; return those that nobody has whole.

    Damaged ones are deleted: DVC would hand them out.
    """
    for _ in range(2):  # a listing, then what it lists
        if not (damaged := broken(project, version)):
            return []
        _delete(damaged, "looks for it in the remote")
        try:
            dvc(project, "fetch", f"{kind}@{dataset}")
        except ConvoyError:
            break  # which objects it lacks is said by their names
    still = broken(project, version)
    _delete(still, "and so it is in the remote")
    return still


def _delete(objects: list[Path], then: str) -> None:
    for path in objects:
        if path.is_file():
            report(Step("ingest", "running", f"{path} in DVC's cache is damaged: {then}"))
            path.unlink()


def broken(project: Project, version: str) -> list[Path]:
    """Return the cache objects of a version that are missing or not what their name says."""
    listed = listing(project, version)
    if listed is None:
        return [object_at(project, version)]
    objects = ((object_at(project, entry["md5"]), entry["md5"]) for entry in listed)
    return [p for p, md5 in objects if not p.is_file() or digests.file(p, "md5") != md5]


def listing(project: Project, version: str) -> list[dict[str, str]] | None:
    """Return a version's files (md5, relpath); None where the listing is missing or damaged."""
    path = object_at(project, version)
    if not path.is_file() or digests.file(path, "md5") != version.removesuffix(".dir"):
        return None
    found: list[dict[str, str]] = read_json(path) or []
    return found


def object_at(project: Project, md5: str) -> Path:
    """Return where DVC's cache has an object."""
    return project.state / "dvc-cache" / "files" / "md5" / md5[:2] / md5[2:]
