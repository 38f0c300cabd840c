"""Inspection as a program: where a trained network fails, and what it looks at.

It needs what an evaluation has left in the training's folder: the predictions, and the weights for
robustness and explanation. Images are read where they are shown, and by batches where all are
needed. Nothing here is needed for the numbers of an evaluation: what cannot be drawn is listed.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from convoy import shards
from convoy.evaluation import error_figures, explanation, label_errors, mistakes
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.label_errors import Suspect
from convoy.evaluation.pictures import pictures
from convoy.evaluation.predictions import FILE, Predictions
from convoy.evaluation.reading import SplitImages, open_images
from convoy.evaluation.robustness import Robustness, measure, samples
from convoy.evaluation.robustness_figure import robustness_figure
from convoy.evaluation.subject import Subject
from convoy.files import read_json, write_atomically, write_json
from convoy.graph import ArchitectureRecord, load_graph
from convoy.programs.entry import Emit

RESULT = "inspection.json"
SUSPECTS = "errors/label_errors.csv"
LISTED = 50
"""Mistakes and pairs that the result lists; the figures show the first of them."""


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Inspect the training in `folder` on the test split of `files`, as `record` describes it.

    `dataset` names it in titles; at most `robustness` images are harmed, none of them if it is 0.
    Returns and keeps in `inspection.json`: the files of the figures, what is missing with the
    reason, the metrics and curves that its run gets, and what the figures show. `key` names all
    that decided it. Raises `DataRefused` where the predictions or the images are not there.
    """
    folder = Path(spec["folder"])
    kept = read_json(folder / RESULT)
    if isinstance(kept, dict) and kept.get("key") == spec["key"] and _whole(folder, kept):
        return kept
    record = ArchitectureRecord(**spec["record"])
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    device = accelerator or torch.device("cpu")
    graph = load_graph(record, folder / "model.safetensors").to(device)
    # The same numbers; on a processor, networks of many small convolutions are then faster.
    graph.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    predictions = Predictions.load(folder / FILE)
    title = f"{record.architecture} on {spec['dataset']}"
    images = open_images(spec["files"], "test")
    subject = Subject(graph, record.channels, images, predictions.test, device, title)
    drawing = Drawing(folder)
    paths = _paths(spec["files"])
    found = _robustness(subject, spec["robustness"], drawing)
    result = {
        "key": spec["key"],
        "robustness": found.to_json() if found else None,
        **_errors(subject, drawing, paths),
        "label_errors": _label_errors(predictions, subject, spec["files"], paths, drawing),
        "metrics": found.metrics() if found else {},
        "curves": found.curves() if found else {},
    }
    _explain(subject, drawing)
    result |= {"figures": drawing.figures, "missing": drawing.missing}
    write_json(folder / RESULT, result)
    return result


def _robustness(subject: Subject, most: int, drawing: Drawing) -> Robustness | None:
    if not most:
        drawing.lack("robustness", "evaluation.robustness in params.yaml is 0")
        return None
    found: list[Robustness] = []
    measured = drawing.attempt(
        "robustness",
        lambda: found.append(measure(subject.graph, subject.images, most, subject.device)),
    )
    if not measured:
        return None
    shown = subject.images.read([explanation.examples(subject.scored)[0]])
    drawing.draw(
        "robustness",
        lambda: robustness_figure(
            found[0],
            {name: pictures(harmed) for name, harmed in samples(shown).items()},
            subject.title,
        ),
    )
    return found[0]


def _errors(subject: Subject, drawing: Drawing, paths: Mapping[str, str]) -> dict[str, Any]:
    scored, classes = subject.scored, subject.classes
    drawing.draw(
        "errors/worst_mistakes",
        lambda: error_figures.mistakes_figure(scored, subject.look, subject.title),
    )
    pairs = mistakes.confused_pairs(scored)
    drawing.draw(
        "errors/confused_pairs",
        lambda: error_figures.pairs_figure(pairs, classes, subject.look, subject.title),
    )
    sure = mistakes.confidence(scored)
    return {
        "mistakes": int((~scored.correct).sum()),
        "worst_mistakes": [
            {
                "image": str(scored.images[number]),
                "path": paths.get(str(scored.images[number]), ""),
                "label": classes[scored.labels[number]],
                "predicted": classes[scored.predicted[number]],
                "confidence": float(sure[number]),
            }
            for number in mistakes.worst_mistakes(scored)[:LISTED]
        ],
        "confused_pairs": [
            {
                "label": classes[pair.true],
                "predicted": classes[pair.predicted],
                "images": len(pair.numbers),
                "of": pair.support,
            }
            for pair in pairs[:LISTED]
        ],
    }


def _label_errors(
    predictions: Predictions,
    subject: Subject,
    files: Mapping[str, str],
    paths: Mapping[str, str],
    drawing: Drawing,
) -> dict[str, Any] | None:
    """Return how many labels look wrong, with a table of them all as a file."""
    name, place = "errors/label_errors", drawing.folder / SUSPECTS
    found: list[Suspect] = []
    place.unlink(missing_ok=True)
    if not drawing.attempt(name, lambda: found.extend(label_errors.suspects(predictions))):
        return None
    images = len(predictions.val) + len(predictions.test)

    def listed() -> Iterable[error_figures.Listed]:
        splits: dict[str, SplitImages] = {"test": subject.images, "val": open_images(files, "val")}
        for one in found[: error_figures.SUSPECTS]:
            picture = pictures(splits[one.split].read([one.number]))[0]
            yield error_figures.Listed(one, picture, paths.get(one.image, ""))

    drawing.draw(
        name,
        lambda: error_figures.suspects_figure(
            list(listed()), len(found), images, predictions.classes, subject.title
        ),
    )
    rows = [_row(one, predictions.classes, paths) for one in found]
    if rows:
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, _table(rows))
    return {"found": len(rows), "images": images, "listed": rows[:LISTED]}


def _row(one: Suspect, classes: tuple[str, ...], paths: Mapping[str, str]) -> dict[str, Any]:
    return {
        "path": paths.get(one.image, ""),
        "split": one.split,
        "label": classes[one.given],
        "label_probability": round(one.given_probability, 6),
        "suggested": classes[one.suggested],
        "suggested_probability": round(one.suggested_probability, 6),
        "image": one.image,
    }


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("utf-8", errors="surrogateescape")


def _explain(subject: Subject, drawing: Drawing) -> None:
    drawing.draw("explanation/first_filters", lambda: explanation.filters(subject))
    drawing.draw("explanation/feature_maps", lambda: explanation.depths(subject))
    drawing.draw("explanation/grad_cam", lambda: explanation.cam(subject))
    if "explanation/grad_cam" in drawing.missing:
        drawing.draw("explanation/input_gradients", lambda: explanation.gradients(subject))


def _paths(files: Mapping[str, str]) -> dict[str, str]:
    """Return the file that each image of val and test came from, by the hash of its content."""
    stored = shards.places(files).stored
    return {one.content.hex(): one.path for one in stored if one.split in ("val", "test")}


def _whole(folder: Path, kept: Mapping[str, Any]) -> bool:
    """Tell whether all files of an inspection are there."""
    table = [SUSPECTS] if (kept.get("label_errors") or {}).get("found") else []
    return all((folder / file).is_file() for file in (*kept["figures"].values(), *table))
