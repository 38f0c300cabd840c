"""The pictures in docs/images, made again from a project in which `convoy run` has come to its end.

    python -m tests.screenshots PROJECT [FOLDER]

MLflow's three pages in which runs are compared, and the report, as Chromium shows them. The
dataset's page is not among them: it does not change with what was trained.
"""

import io
import sys
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image

from convoy import tracking, views
from convoy.addresses import compare_address, runs_address
from convoy.report import REPORT
from tests.browser import browser
from tests.servers import mlflow_server

COLOURS = 192
"""Of a picture, which keeps it below 300 kB."""
CLOSE_ASSISTANT = "mlflow.assistant.chat_panel.close"
"""What MLflow calls the button that closes what it opens beside every page."""
SETTLED = 6000
"""Milliseconds after which MLflow's pages have drawn their charts."""


def main(project: Path, folder: Path) -> None:
    """Take the pictures of the last pipeline run of a project."""
    database = f"sqlite:///{project.absolute() / '.convoy' / 'mlflow.db'}"
    client = MlflowClient(database, database)
    (experiment, *_) = (one for one in client.search_experiments() if views.TAG in one.tags)
    number = experiment.experiment_id
    run = tracking.latest_pipeline(client, number)
    assert run is not None, "no pipeline run has come to its end here"
    trainings = run.data.tags[tracking.TRAININGS].split(",")
    with tempfile.TemporaryDirectory() as scratch, mlflow_server(Path(scratch), database) as base:
        pages = {
            "runs": runs_address(base, number, views.ID),
            "charts": runs_address(base, number, views.ID, charts=True),
            "compare": compare_address(base, number, trainings),
        }
        with browser() as tab:
            for name, address in pages.items():
                tab.open("about:blank")
                tab.open(address, 1600, 1000)
                if name == "runs":  # the browser remembers that it was closed
                    tab.page.locator(f"[data-component-id='{CLOSE_ASSISTANT}']").click()
                tab.page.wait_for_timeout(SETTLED)
                keep(tab.page.screenshot(), folder / f"{name}.png")
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(client.download_artifacts(run.info.run_id, REPORT, scratch))
        with browser() as tab:
            tab.open(page, 1200, 1500)
            keep(tab.page.screenshot(), folder / "report.png")


def keep(picture: bytes, file: Path) -> None:
    """Write a picture with few colours, which is a third of its size."""
    with Image.open(io.BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(file, optimize=True)
    sys.stdout.write(f"{file}: {file.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0], given[1] if len(given) > 1 else Path(__file__).parents[1] / "docs" / "images")
