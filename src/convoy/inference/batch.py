"""Predictions for a batch of image files, as a program: each part is a file, whole or not there."""

import json
from pathlib import Path
from typing import Any

from convoy.files import write_atomically
from convoy.inference.predict import predict
from convoy.programs.entry import Emit


def main(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Predict the files of each of `parts` with the verified `model` folder; write its rows.

    A part has `files`, a list of path and sha256, and `output`, the file for its rows (JSON lines,
    in the order of the files). Returns how many files were predicted and refused.
    """
    model = Path(spec["model"])
    done = refused = 0
    for part in spec["parts"]:
        found = predict(model, [Path(path) for path, _ in part["files"]])
        rows = [
            {
                "file": path,
                "sha256": sha256,
                "label": one.label,
                "probability": one.probability,
                "refused": one.refused,
            }
            for (path, sha256), one in zip(part["files"], found, strict=True)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(Path(part["output"]), lines.encode())
        done += len(rows)
        refused += sum(row["refused"] is not None for row in rows)
        emit({"event": "part", "done": done})
    return {"done": done, "refused": refused}
