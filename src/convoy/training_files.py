"""A training's files on their way from a worker to whoever ordered it, through MLflow's artifacts.

The run's tag names the manifest, the manifest each file's sha256. Both are written last, so where
the tag stands the rest is whole, and what is brought is verified before it takes its place.
"""

import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from convoy import digests, tracking
from convoy.errors import ConvoyError, NotReproducible
from convoy.files import read_json, write_atomically, write_json
from convoy.kept import files
from convoy.training.spec import finished

MANIFEST = "convoy.training_files"
"""The tag with the sha256 of the manifest of the files that a run keeps of its training."""
FOLDER = "training"
"""The artifacts' folder with what else of a training no run would keep."""
_MANIFEST_FILE = "manifest.json"
_OWN = ("model.safetensors", "architecture.json", "metrics.jsonl", "result.json")
_LOGGED = ("evaluation.json", "predictions.npz", "inspection.json", "errors/label_errors.csv")


def is_packed(run: Run) -> bool:
    """Tell whether a run keeps the files of its training."""
    return MANIFEST in run.data.tags


def bring_finished(client: MlflowClient, experiment_id: str, key: str, folder: Path) -> bool:
    """Have a training that is finished be whole in its folder too. Return whether it is."""
    run = tracking.find(client, experiment_id, key)
    if run is None or not tracking.is_finished(run):
        return False
    if finished(folder) is None and is_packed(run):
        folder.mkdir(exist_ok=True)
        unpack(client, run, folder)
    return finished(folder) is not None


def pack(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Keep a training folder's files with its run, which has those of its scoring already."""
    manifest: dict[str, dict[str, str]] = {}
    for file in _of(folder):
        inside = file.relative_to(folder).as_posix()
        own = inside in _OWN
        if own:
            tracking.log_file(client, run_id, file, FOLDER)
        place = f"{FOLDER}/{inside}" if own else inside
        manifest[inside] = {"artifact": place, "sha256": digests.file(file)}
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / _MANIFEST_FILE
        write_json(listed, manifest)
        tracking.log_file(client, run_id, listed, FOLDER)
        tracking.mark(client, run_id, {MANIFEST: digests.file(listed)})


def unpack(client: MlflowClient, run: Run, folder: Path) -> None:
    """Bring a training's files into its folder.

    Raises `NotReproducible` for a file that is not the one that was trained, `ConvoyError` where
    MLflow has it no more; the folder's `result.json` is written last, so nothing counts by half.
    """
    run_id = run.info.run_id
    with files(client) as there:
        listed = there.bring(run_id, f"{FOLDER}/{_MANIFEST_FILE}")
        if listed is None or digests.file(listed) != run.data.tags[MANIFEST]:
            raise _other(run_id, f"{FOLDER}/{_MANIFEST_FILE}", listed is None)
        manifest = read_json(listed)
        assert isinstance(manifest, dict)
        for inside in sorted(manifest, key=lambda name: name == "result.json"):
            artifact, sha256 = manifest[inside]["artifact"], manifest[inside]["sha256"]
            target = folder / inside
            if not target.resolve().is_relative_to(folder.resolve()):
                raise NotReproducible(f"run {run_id} names {inside!r}, outside of its folder.")
            brought = there.bring(run_id, artifact)
            if brought is None or digests.file(brought) != sha256:
                raise _other(run_id, artifact, brought is None)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, brought.read_bytes())


def _of(folder: Path) -> list[Path]:
    """Return the files that make a training folder whole again, those that are there."""
    found = [folder / name for name in (*_OWN, *_LOGGED)]
    for name in ("evaluation.json", "inspection.json"):
        told = read_json(folder / name)
        found += [folder / file for file in told["figures"].values()] if told else []
    return [file for file in found if file.is_file()]


def _other(run_id: str, artifact: str, missing: bool) -> ConvoyError:
    if missing:
        return ConvoyError(
            f"run {run_id} keeps no {artifact} any more: delete that run in MLflow, and run again "
            f"to train it anew."
        )
    return NotReproducible(
        f"{artifact} of run {run_id} is not the file that its training left: delete that run in "
        f"MLflow, and run again to train it anew."
    )
