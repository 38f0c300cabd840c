"""Evaluation as a program: a trained network on test and val, in one pass over their images.

The probabilities are kept beside the weights (`predictions.npz`), so that every figure can be
computed again without the network. This is the only reader of the test split before the gate.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convoy.errors import DataRefused
from convoy.evaluation.calibration import Calibration, calibrate
from convoy.evaluation.calibration_figure import coverage_figure, reliability_figure
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.expense import expense
from convoy.evaluation.figures import confusion_figure
from convoy.evaluation.intervals import bootstrap
from convoy.evaluation.metrics import Evaluation, evaluate
from convoy.evaluation.predictions import FILE, Predictions, Scored
from convoy.evaluation.reading import open_images
from convoy.files import read_json, write_atomically, write_json
from convoy.graph import ArchitectureRecord, Graph, load_graph, of_batches
from convoy.programs.entry import Emit
from convoy.splits import Split

TIMED = 64
"""Different images that predictions are timed with, again and again in larger batches."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Evaluate the training in `folder` on the test split of `files`, as `record` describes it.

    Returns and keeps in `evaluation.json`: the evaluation, its calibration and cost, the metrics
    that its run gets of them, the files of its figures, and what is missing with the reason. `key`
    names all that decided it. Raises `DataRefused` for probabilities that are none and for a
    dataset of other classes.
    """
    folder = Path(spec["folder"])
    kept = read_json(folder / "evaluation.json")
    if isinstance(kept, dict) and kept.get("key") == spec["key"] and _whole(folder, kept):
        return kept
    record = ArchitectureRecord(**spec["record"])
    _refuse_other_classes(record, spec["files"])
    graph = load_graph(record, folder / "model.safetensors")
    predictions = predict(graph, spec["files"], tuple(record.classes))
    predictions.save(folder / FILE)
    # Beside the weights, so that they can be scored again when the settings are others.
    write_atomically(folder / "architecture.json", record.to_json().encode())
    drawing = Drawing(folder)
    evaluation, calibration = score(predictions, drawing)
    draw(evaluation, calibration, record.architecture, drawing)
    images = open_images(spec["files"], "test")
    cost = expense(graph, images.read(range(min(TIMED, len(images)))), drawing)
    result = {
        "key": spec["key"],
        "test_version": predictions.test.digest,
        "evaluation": evaluation.to_json(),
        "calibration": calibration.to_json(),
        "cost": cost.to_json(),
        "metrics": {
            **evaluation.metrics("test"),
            **calibration.metrics(),
            **cost.metrics(),
        },
        "figures": drawing.figures,
        "missing": drawing.missing,
    }
    write_json(folder / "evaluation.json", result)
    return result


def predict(graph: Graph, files: Mapping[str, str], classes: tuple[str, ...]) -> Predictions:
    """Return what a network says of the test and val images of a dataset version."""
    return Predictions(*(_scored(graph, files, split, classes) for split in ("test", "val")))


def score(predictions: Predictions, drawing: Drawing) -> tuple[Evaluation, Calibration]:
    """Return all that follows from predictions alone; what has no value is listed as missing."""
    test = predictions.test
    intervals = bootstrap(test)
    found = evaluate(test.probabilities, test.labels, test.classes, intervals)
    if not intervals:
        drawing.lack("intervals", "of a single test image there are no others to draw")
    if found.roc_auc is None:
        drawing.lack("roc_auc", "all test images have the same label")
    empty = [repr(one.name) for one in found.per_class if not one.support]
    if empty:
        named = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        drawing.lack("classes", f"no test image of {named}: the means leave out what is not there")
    return found, calibrate(predictions)


def draw(
    evaluation: Evaluation, calibration: Calibration, architecture: str, drawing: Drawing
) -> None:
    """Draw what follows from predictions alone."""
    drawing.draw("confusion_matrix", lambda: confusion_figure(evaluation))
    title = f"{architecture}, {evaluation.count:,} test images"
    drawing.draw("reliability", lambda: reliability_figure(calibration, title))
    drawing.draw("coverage", lambda: coverage_figure(calibration, title))


def _scored(
    graph: Graph, files: Mapping[str, str], split: Split, classes: tuple[str, ...]
) -> Scored:
    images = open_images(files, split)
    found = of_batches(graph, images.batches(), len(images))
    return Scored(found.numpy(), images.labels, images.contents, classes)


def _refuse_other_classes(record: ArchitectureRecord, files: Mapping[str, str]) -> None:
    manifest = read_json(Path(files.get("manifest.json", "")))
    classes = manifest.get("classes") if isinstance(manifest, dict) else None
    if classes != record.classes:
        raise DataRefused(
            f"the network's classes are {_listed(record.classes)}, those of the dataset "
            f"{_listed(classes or [])}: train the network on this dataset."
        )


def _listed(classes: list[str]) -> str:
    return ", ".join(classes[:10]) + (" ..." if len(classes) > 10 else "") or "none"


def _whole(folder: Path, kept: dict[str, Any]) -> bool:
    """Whether all files of an evaluation are there, so that nothing must be computed again."""
    try:
        Predictions.load(folder / FILE)
    except DataRefused:
        return False
    return all((folder / file).is_file() for file in kept.get("figures", {}).values())
