"""MLflow's own pages in a real browser, on a real server with the runs of a real pipeline."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convoy import views
from convoy.addresses import artifact_address, runs_address
from convoy.report import REPORT
from tests.browser import Browser, browser, program
from tests.flows.conftest import Chapter
from tests.servers import free_port
from tests.terminal import convoy, environment

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

NOISE = ("users/current", "WebGL", "AG Grid", "React Router", "Warning: ", "[antd", "favicon")
"""What MLflow's pages complain of by themselves, whatever is shown."""


@dataclass(frozen=True)
class Served:
    """A server, and what it has."""

    root: Path
    base: str
    outcome: dict[str, Any]

    @property
    def runs(self) -> list[str]:
        return [row["run_id"] for row in self.outcome["rows"]]


@pytest.fixture(scope="module")
def served(first: Chapter) -> Iterator[Served]:
    program()  # without a browser nothing here is worth a server
    port = free_port()
    database = f"sqlite:///{first.root / '.convoy' / 'mlflow.db'}"
    options = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, *command, "--workers", "1", "--backend-store-uri", database],
        cwd=first.root / ".convoy",
        env=environment(first.root, options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health")
        yield Served(first.root, f"http://127.0.0.1:{port}", first.done.json())
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait(address: str) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def tab(served: Served) -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def complaints(tab: Browser) -> list[str]:
    return [said for said in tab.complaints if not any(noise in said for noise in NOISE)]


def show(tab: Browser, address: str, text: str) -> None:
    """Open a page afresh and wait until it says something."""
    tab.open("about:blank")
    tab.forget()
    tab.open(address)
    tab.page.get_by_text(text).first.wait_for()


def test_the_runs_table_has_the_columns_that_tell_networks_apart(
    tab: Browser, served: Served
) -> None:
    show(tab, runs_address(served.base, served.outcome["experiment_id"], views.ID), "lenet5")
    heads = tab.page.locator("[role=columnheader]")
    heads.get_by_text("test/accuracy").wait_for()
    shown = " ".join(heads.all_inner_texts())
    for column in ("architecture", "test/accuracy", "val/accuracy", "cost/parameters"):
        assert column in shown
    body = tab.page.locator("body").inner_text()
    assert "mlp" in body, "not inside a run that is closed"
    assert complaints(tab) == []


def test_the_view_is_offered_by_its_name(tab: Browser, served: Served) -> None:
    show(tab, runs_address(served.base, served.outcome["experiment_id"], views.ID), "lenet5")
    tab.page.get_by_role("button", name=re.compile("views", re.IGNORECASE)).first.click()
    tab.page.get_by_text(views.NAME).first.wait_for()


def test_the_charts_have_a_section_for_each_group(tab: Browser, served: Served) -> None:
    experiment = served.outcome["experiment_id"]
    show(tab, runs_address(served.base, experiment, views.ID, charts=True), "lenet5")
    for group in ("train", "val", "test", "cost"):
        tab.page.get_by_text(group, exact=True).first.wait_for()
    assert "test/accuracy" in tab.page.locator("body").inner_text()
    assert complaints(tab) == []


def test_the_printed_address_compares_exactly_the_runs_of_the_pipeline(
    tab: Browser, served: Served
) -> None:
    port = served.base.rpartition(":")[2]
    done = convoy(served.root, "run", more={"CONVOY_MLFLOW_PORT": port})
    assert done.code == 0, done.err
    (address,) = re.findall(rf"{served.base}/#/compare-runs\S+", done.out)
    show(tab, address, "Comparing 2 Runs from 1 Experiment")
    body = tab.page.locator("body").inner_text()
    assert all(run in body for run in served.runs)
    assert complaints(tab) == []


def test_the_report_opens_inside_mlflow_with_its_pictures(tab: Browser, served: Served) -> None:
    outcome = served.outcome
    where = outcome["experiment_id"], outcome["run_id"], REPORT
    tab.open("about:blank")
    tab.open(artifact_address(served.base, *where))
    inside = tab.page.frame_locator("iframe")
    inside.get_by_role("heading", level=1).wait_for()
    widths = inside.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert all(width > 0 for width in widths)
    assert inside.locator("svg.chart").count() >= 4
