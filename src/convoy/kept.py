"""Files that runs keep in MLflow, brought back; what is not there is told, with its reason."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image


@contextmanager
def files(client: MlflowClient) -> Iterator["Files"]:
    """A place for what is brought back, gone afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        yield Files(client, Path(scratch))


class Files:
    """The files of runs, by their paths there."""

    def __init__(self, client: MlflowClient, scratch: Path) -> None:
        self._client, self._scratch = client, scratch

    def bring(self, run_id: str, path: str) -> Path | None:
        """Return a copy of a file, or None where the run has no such file any more."""
        place = self._scratch / run_id
        place.mkdir(exist_ok=True)
        try:
            found = Path(self._client.download_artifacts(run_id, path, str(place)))
        except (MlflowException, OSError):
            return None
        return found if found.is_file() else None

    def listed(self, run_id: str, folder: str, suffix: str) -> list[str]:
        """Return the paths of the files of a run's folder whose names end so."""
        try:
            found = self._client.list_artifacts(run_id, folder)
        except (MlflowException, OSError):
            return []
        return sorted(one.path for one in found if not one.is_dir and one.path.endswith(suffix))


def keep_json(client: MlflowClient, run_id: str, value: Mapping[str, Any], path: str) -> None:
    """Keep a JSON value with a run."""
    client.log_dict(run_id, dict(value), path)


def keep_text(client: MlflowClient, run_id: str, text: str, path: str) -> None:
    """Keep a text with a run."""
    client.log_text(run_id, text, path)


def keep_image(client: MlflowClient, run_id: str, file: Path, key: str, step: int) -> None:
    """Keep a PNG as an image that MLflow's charts show side by side for several runs.

    One that is there of this step is left alone: MLflow would keep a second one.
    """
    with suppress(MlflowException, OSError):
        there = (Path(one.path).name for one in client.list_artifacts(run_id, "images"))
        # Its separator is + or %, whichever the store can keep in a name.
        if any(re.match(rf"{re.escape(key)}[+%]step[+%]{step}[+%]", name) for name in there):
            return
    with Image.open(file, formats=["PNG"]) as image:
        client.log_image(run_id, np.asarray(image.convert("RGB")), key=key, step=step)
