"""Predictions of a registered model for many files: each version of a file once, as one table.

What was predicted is kept by the model's version in parts, each written as a whole. A batch that
was cut off goes on after its last part; a file is known by its content, so that one that has
changed is predicted again, and one that was only copied or touched is not.
"""

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from convoy import digests, registry, store
from convoy.errors import DataRefused, UsageError
from convoy.files import draft, settle
from convoy.inference.listing import image_files
from convoy.programs.launcher import Launcher
from convoy.progress import Images, report
from convoy.project import Project

PROGRAM = "convoy.inference.batch"
PART = 256
"""Files of a part: what a crash costs at most."""
SHOWN = 20
"""Refused files that a summary names."""
COLUMNS = ("file", "sha256", "label", "probability", "refused")

Row = dict[str, Any]
Form = Literal["csv", "parquet"]


class Scored(BaseModel):
    """What came of a batch."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    files: int
    predicted: int
    """Those of now."""
    kept: int
    """Those whose content this version had seen before."""
    refused: int
    refusals: list[str]
    classes: dict[str, tuple[int, float]]
    """By class: files, and their mean probability."""
    output: str


@dataclass(frozen=True)
class Due:
    """What of a batch a model's version has not seen yet."""

    project: Project
    uri: str
    """Where MLflow is."""
    chosen: registry.Registered
    base: Path
    """The folder of all that this version has said."""
    files: Sequence[tuple[str, str]]
    """Path and sha256 of each."""


Means = Callable[[Due], None]
"""What predicts the files that are due, and leaves a file for each of their `parts`."""


def score(
    project: Project,
    model: str,
    paths: Sequence[str],
    output: str | None,
    form: Form,
    means: Means | None = None,
) -> Scored:
    """Predict the files, folders and patterns of `paths`, from the project's top; write the table.

    They are predicted by `means`, or by a program of this machine.

    Raises `UsageError` for an unknown model and `DataRefused` where there is no file.
    """
    name, _, wanted = model.replace("/", "@").partition("@")
    client = store.connect(project)
    chosen = registry.version(client, name, wanted)
    files = list(resolve(project.root, paths))
    base = project.state / "scores" / f"{name}-{chosen.version}"
    target = project.root / output if output else base / f"predictions.{form}"
    if not target.parent.is_dir() and output:
        raise UsageError(f"output {output}: there is no folder {target.parent}; create it first.")
    (base / "parts").mkdir(parents=True, exist_ok=True)
    with FileLock(base / "lock"):  # a second batch of this version waits
        known = kept_rows(base)
        hashed = [(str(file), digests.file(file)) for file in files]
        fresh = list(dict.fromkeys(pair for pair in hashed if pair not in known))
        if fresh:
            (means or predict_here)(Due(project, client.tracking_uri, chosen, base, fresh))
            known = kept_rows(base)
        rows = [known[pair] for pair in sorted(set(hashed))]
        write_table(target, rows, form)
    return _summary(chosen, rows, len(fresh), target)


def resolve(root: Path, paths: Iterable[str]) -> Iterator[Path]:
    """Yield the files of paths, folders and patterns, each once. Raises `DataRefused` for none."""
    seen: set[Path] = set()
    for told in paths:
        place = root / Path(told).expanduser()
        found = [place]
        if glob.has_magic(told):
            found = [Path(one) for one in sorted(glob.iglob(str(place), recursive=True))]  # noqa: PTH207 (of any root)
        elif not place.exists():
            raise DataRefused(f"{told}: there is no such file or folder below {root}.")
        if not found:
            raise DataRefused(f"{told}: no file has such a name below {root}.")
        for file in image_files(found):
            if file not in seen:
                seen.add(file)
                yield file


def parts(files: Sequence[tuple[str, str]], base: Path) -> list[dict[str, Any]]:
    """Return the parts that files are predicted in, named by what they hold: for any machine."""
    cut = [files[start : start + PART] for start in range(0, len(files), PART)]
    return [
        {"files": some, "output": str(base / "parts" / f"{digests.values(list(some))[:32]}.jsonl")}
        for some in cut
    ]


def kept_rows(base: Path) -> dict[tuple[str, str], Row]:
    """Return what a model's version has said so far, by path and sha256."""
    found: dict[tuple[str, str], Row] = {}
    for part in sorted((base / "parts").glob("*.jsonl")):
        for line in part.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["file"], row["sha256"]] = row
    return found


def write_table(target: Path, rows: Sequence[Row], form: Form) -> None:
    """Write rows as CSV or Parquet, as a whole."""
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import csv, parquet

    kinds = [pa.float64() if name == "probability" else pa.string() for name in COLUMNS]
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    table = pa.Table.from_pylist(list(rows), schema=schema)
    with draft(target) as stream:
        (parquet.write_table if form == "parquet" else csv.write_csv)(table, stream)
        settle(stream, target)


def predict_here(due: Due) -> None:
    """Predict the files that are due in one program, part after part."""
    project, log = due.project, due.project.state / "programs.log"
    with Launcher(PROGRAM, log=log, scratch=project.scratch) as launcher:
        # It imports torch while the model's files are brought and verified.
        model = registry.download(due.chosen, due.base / f"model-{os.getpid()}", due.uri)
        spec = {"model": str(model), "parts": parts(due.files, due.base)}

        def follow(event: dict[str, Any]) -> None:
            report(Images("score", event["done"]))

        launcher.run(PROGRAM, spec, log, follow)


def _summary(chosen: registry.Registered, rows: Sequence[Row], fresh: int, target: Path) -> Scored:
    by_class: dict[str, list[float]] = {}
    for row in rows:
        if row["label"] is not None:
            by_class.setdefault(row["label"], []).append(row["probability"])
    refused = [f"{row['file']}: {row['refused']}" for row in rows if row["refused"]]
    return Scored(
        model=chosen.name,
        version=chosen.version,
        files=len(rows),
        predicted=fresh,
        kept=len(rows) - fresh,
        refused=len(refused),
        refusals=refused[:SHOWN],
        classes={name: (len(all_), sum(all_) / len(all_)) for name, all_ in by_class.items()},
        output=str(target),
    )
