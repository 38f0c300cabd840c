"""MLflow's own pages in a real browser, on a real server with the runs of a real pipeline."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convoy import views
from convoy.addresses import CLASSIC, artifact_address, runs_address
from convoy.report import REPORT
from tests.browser import Browser, browser, program
from tests.clones import copy_of
from tests.flows.conftest import Chapter
from tests.servers import mlflow_server
from tests.terminal import convoy

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

NOISE = ("users/current", "WebGL", "AG Grid", "React Router", "Warning: ", "[antd", "favicon")
"""What MLflow's pages complain of by themselves, whatever is shown."""
SAVED_VIEWS = "mlflow.experiment_page.saved_views.trigger"
"""What MLflow calls the button of its saved views."""


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
def served(first: Chapter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    program()  # without a browser nothing here is worth a server
    root = copy_of(first.root, tmp_path_factory.mktemp("copy") / "project")
    database = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    with mlflow_server(tmp_path_factory.mktemp("server"), database) as base:
        yield Served(root, base, first.done.json())


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
    plain = f"{served.base}/#/experiments/{served.outcome['experiment_id']}/runs?{CLASSIC}"
    show(tab, plain, "Runs")
    # The button says which view is shown, so that its words are no name of it.
    tab.page.locator(f"[data-component-id='{SAVED_VIEWS}']").click()
    tab.page.get_by_text(views.NAME).first.click()
    tab.page.locator("[role=columnheader]").get_by_text("test/accuracy").wait_for()
    assert views.NAME in tab.page.locator(f"[data-component-id='{SAVED_VIEWS}']").inner_text()


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
    drawn = tab.page.locator(".js-plotly-plot").first
    drawn.get_by_text("val/accuracy").first.wait_for()
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
