"""The page of a prepared dataset as a browser shows it: on a desk and on a telephone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from convoy.files import read_json
from convoy.ingestion.fetch import fetch
from convoy.ingestion.prepare import files_of, prepare
from convoy.ingestion.render import write_page
from convoy.settings import Dataset
from tests.browser import Browser, browser
from tests.ingestion.animals import CHECKS
from tests.pets import draw

pytestmark = pytest.mark.slow

WIDTHS = (1200, 400)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with a bad file, a duplicate, two near-duplicates and a system file."""
    home = tmp_path_factory.mktemp("page")
    draw(home / "pets")
    raw, prepared, reports = (home / name for name in ("raw", "prepared", "reports"))
    dataset = Dataset.model_validate(
        {"source": "files", "from": [str(home / "pets")], "model": "pets", "channels": "rgb",
         "image_size": 64, "val": 0.2, "test": 0.2}
    )  # fmt: skip
    fetch(dataset, dataset.origins, raw, home / "memory")
    checks = CHECKS.model_copy(update={"rarest": 1})
    prepare("pets", dataset, checks, raw, prepared, reports)
    return write_page(files_of(prepared), reports)


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(params=WIDTHS)
def shown(request: pytest.FixtureRequest, tab: Browser, page: Path) -> Browser:
    tab.forget()
    tab.open(page, request.param)
    return tab


def test_nothing_is_asked_of_anybody_and_the_console_has_no_complaint(
    shown: Browser, page: Path
) -> None:
    assert [url for url in shown.requests if not url.startswith("data:")] == [page.as_uri()]
    assert shown.complaints == []


def test_every_picture_is_one_and_visible(shown: Browser) -> None:
    pictures = shown.page.evaluate(
        "[...document.images].map(i => [i.src.slice(0, 11), i.complete, i.naturalWidth,"
        " i.naturalHeight, i.getBoundingClientRect().width, i.closest('.class') !== null])"
    )
    samples = [picture for picture in pictures if picture[5]]
    assert len(samples) == 24, "twelve a class"
    for address, complete, width, height, on_page, _ in pictures:
        assert address == "data:image/" and complete
        assert (width, height) == (64, 64)
        assert 20 < on_page <= 96


def test_nothing_sticks_out_at_the_side(shown: Browser) -> None:
    width = shown.page.evaluate("innerWidth")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('img, h1, h2, p, figure')]"
    assert (
        shown.page.evaluate(f"Math.max(...{wide}.map(e => e.getBoundingClientRect().right))")
        <= width
    )


def test_the_figures_of_the_report_stand_on_the_page(shown: Browser, page: Path) -> None:
    report = read_json(page.with_name("report.json"))
    assert isinstance(report, dict)
    rows = shown.page.evaluate(
        "[...document.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.innerText.trim()))"
    )
    for label in ("cat", "dog"):
        counts = [report["counts"][split][label] for split in ("train", "val", "test")]
        assert [label, "", *map(str, counts), str(sum(counts))] in rows
    for channel, mean, std in zip(("red", "green", "blue"), report["mean"], report["std"],
                                  strict=True):  # fmt: skip
        assert [channel, f"{mean:.1f}", f"{std:.1f}"] in rows
    assert ["dog/cut.png", "is cut off", "download or copy it again"] in rows
    tiles = shown.page.evaluate("document.querySelector('.tiles').innerText").split()
    assert {str(count) for count in report["totals"].values()} <= set(tiles)


def test_copies_stand_side_by_side(shown: Browser) -> None:
    pairs = shown.page.evaluate(
        "[...document.querySelectorAll('figure.pair')].map(f => ({text: f.innerText,"
        " tops: [...f.querySelectorAll('img')].map(i => i.getBoundingClientRect().top),"
        " lefts: [...f.querySelectorAll('img')].map(i => i.getBoundingClientRect().left)}))"
    )
    for names in (("cat/copy of 03.png", "cat/03.png"), ("dog/05.png", "dog/nearly 05.png")):
        (pair,) = [pair for pair in pairs if all(name in pair["text"] for name in names)]
        first, second = pair["tops"]
        assert first == second
        assert pair["lefts"][1] > pair["lefts"][0] + 64
    (copy,) = [pair["text"] for pair in pairs if "copy of" in pair["text"]]
    assert copy.index("left out") < copy.index("cat/copy of 03.png") < copy.index("kept")


def test_a_screenshot_shows_more_than_an_empty_sheet(shown: Browser, tmp_path: Path) -> None:
    shown.page.screenshot(path=tmp_path / "page.png", full_page=True)
    with Image.open(tmp_path / "page.png") as image:
        assert image.width in WIDTHS and image.height > 1500
        assert len(image.convert("RGB").quantize(64).getcolors() or []) > 40
