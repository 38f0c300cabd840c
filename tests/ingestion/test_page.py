"""The page shows what was found, to anybody, whatever the names of the files try."""

import hashlib
import json
import random
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convoy.findings import Finding
from convoy.ingestion.check import check
from convoy.ingestion.page import page
from convoy.ingestion.report import report
from convoy.ingestion.rows import Row
from tests.ingestion.animals import DATASET, LENIENT, clean, row

HOSTILE = [
    "<script>alert(1)</script>.png",
    "\"' onerror='alert(1)' x=\".png",
    "new\nline\r\t\x00.png",
    "\u202egnp.exe\u202c.png",
    "{{ 7 * 7 }}{% raw %}.png",
    "</bdi></style><img src=https://example.org/x>.png",
    "\udce9\udcff.png",
    "x" * 5000,
]


class Document(HTMLParser):
    """What a browser would make of a page: its tags, its text, and whether they are balanced."""

    VOID = ("meta", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def noise(content: str, side: int = 32, channels: int = 3) -> NDArray[np.uint8]:
    draw = np.random.default_rng(int(content[:8], 16))
    return draw.integers(0, 256, (side, side, channels), np.uint8)


def reported(
    rows: Sequence[Row],
    near: Sequence[tuple[int, int]] = (),
    findings: Sequence[Finding] = (),
    name: str = "animals",
) -> dict[str, Any]:
    pairs = np.array(near, np.int64).reshape(-1, 2)
    checked = check(rows, pairs, findings, DATASET, LENIENT, name)
    return report(
        checked,
        rows,
        name=name,
        version="0123456789abcdef" * 4,
        dataset=DATASET,
        mean=[120.0, 121.5, 99.25],
        std=[60.0, 61.0, 62.0],
    )


def faulty() -> tuple[list[Row], list[tuple[int, int]], list[Finding]]:
    """One of each thing that a page can show."""
    rows = [*clean(200), row("image 0", path="copy.png"), row("image 2", "dog", path="liar.png")]
    rows += [row("thin", size=(900, 100)), row("tiny", size=(3, 3))]
    rows += [row("other", path="cat/IMAGE 4.png")]
    near = [(10, 12), (20, 21)]
    findings = [
        Finding("quarantined", "truncated", "cut.jpg", "cut off", "replace it", label="cat"),
        Finding("ignored", "hidden", ".DS_Store", "a hidden file", "nothing to do"),
    ]
    return rows, near, findings


def drawn(value: Mapping[str, Any]) -> tuple[str, Document]:
    html = page(value, noise, {"cat": noise("0" * 64)})
    return html, Document(html)


def test_a_page_shows_every_kind_of_finding() -> None:
    value = reported(*faulty())
    _, document = drawn(value)
    for words in (
        "Ready to train on.",
        "One image, several labels",
        "Near-duplicates with different labels",
        "Nearly the same image; both stay, in one split. All 1.",
        "The very same image more than once",
        "cut.jpg",
        "replace it",
        "3 x 3 pixels, fewer than 8",
        "of unusual form",
        "but for case",
        "Ignored: 1",
        "The mean image of each class",
        "0123456789ab",
        "99.2",
    ):
        assert words in document.text
    named = [attributes.get("alt") for tag, attributes in document.tags if tag == "img"]
    assert named.count("cat") == 13 and named.count("dog") == 12
    assert {"copy.png", "cat/image 10.png", "cat/image 12.png", "cat/image 2.png"} <= set(named)


def test_the_figures_on_the_page_are_those_of_the_dataset() -> None:
    value = reported(*faulty())
    html, document = drawn(value)
    for key, count in value["totals"].items():
        label = {"found": "files found", "kept": "images kept"}.get(key, key)
        assert f"<dt>{label}</dt><dd>{count}</dd>" in html
    for split in ("train", "val", "test"):
        assert str(sum(value["counts"][split].values())) in document.text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    rows, near, findings = faulty()
    harmless = drawn(reported(rows, near, findings))[1]
    named = [
        row_._replace(path=f"{number}{name}" if number % 10 == 0 else row_.path, label=label)
        for number, row_ in enumerate(rows)
        for label in [name if row_.label == "cat" else row_.label]
    ]
    findings = [
        Finding("quarantined", "x", name, f"{name!r} is bad", name, label=name),
        findings[1],
    ]
    html, document = drawn(reported(named, near, findings, name=name))
    html.encode("utf-8")
    assert {tag for tag, _ in document.tags} <= {tag for tag, _ in harmless.tags}
    attributes = {key for _, found in document.tags for key in found}
    assert attributes <= {key for _, found in harmless.tags for key in found}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", html)


def test_a_page_loads_and_runs_nothing() -> None:
    html, document = drawn(reported(*faulty()))
    tags = {tag for tag, _ in document.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "a", "base"}
    for _, attributes in document.tags:
        assert not any(key.startswith("on") or key in ("href", "style") for key in attributes)
        if "src" in attributes:
            assert str(attributes["src"]).startswith(("data:image/png;", "data:image/jpeg;"))
    assert "http" not in html.replace("http-equiv", "")
    policy = next(
        str(attributes["content"])
        for tag, attributes in document.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:")


def test_a_page_is_the_same_in_whatever_order_the_images_came() -> None:
    rows, near, findings = faulty()
    order = random.Random(0).sample(range(len(rows)), len(rows))
    place = {old: new for new, old in enumerate(order)}
    turned = [rows[old] for old in order]
    moved = [(place[one], place[other]) for one, other in near]
    assert (
        drawn(reported(rows, near, findings))[0]
        == drawn(reported(turned, moved, findings[::-1]))[0]
    )


def test_the_report_is_json_as_it_stands() -> None:
    value = reported(*faulty())
    assert json.loads(json.dumps(value)) == value


def test_the_report_of_many_findings_says_how_many_there_are() -> None:
    rows = clean(15_000)
    rows += [one._replace(path=f"copy {number}") for number, one in enumerate(rows)]
    value = reported(rows)
    assert value["findings"]["duplicate"]["total"] == 15_000
    assert len(value["findings"]["duplicate"]["listed"]) == 10_000
    assert len(json.dumps(value)) < 5_000_000
    html, document = drawn(value)
    assert "The first 24 of 15,000" in document.text
    assert len(html) < 2_000_000


def test_a_film_of_near_duplicates_is_shown_in_part() -> None:
    value = reported(clean(3000), [(number, number + 2) for number in range(2900)])
    text = " ".join(drawn(value)[1].text.split())
    assert "2,900 such pairs, of which the first 1,000 are listed, 24 are shown." in text


def test_a_page_stays_small_whatever_the_dataset() -> None:
    rows = clean(30_000, [f"class {number:04} {'long name ' * 20}" for number in range(1000)])
    near = [(number, number + 1000) for number in range(2000)]
    copies = [one._replace(path=f"{number}" * 100) for number, one in enumerate(rows[:3000])]
    bad = [
        Finding("quarantined", "x", f"{number} {'path/' * 300}", "bad " * 300, "mend")
        for number in range(2000)
    ]
    value = reported([*rows, *copies], near, bad)
    html = page(value, lambda content: noise(content, 500), {})
    assert 1_000_000 < len(html.encode()) < 2_200_000
    assert "The first 300 of 1,000 classes" in Document(html).text


def test_a_refused_dataset_has_a_page_without_images() -> None:
    value = reported([row("one")])
    html = page(value, lambda content: None, {})
    text = Document(html).text
    assert "Refused" in text and "has one class" in text
    assert "Ready" not in text


def test_a_dataset_of_nothing_has_a_page() -> None:
    assert "files found" in drawn(reported([]))[1].text


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("side", [1, 8, 32, 500])
def test_images_of_any_colour_form_and_size_are_shown(channels: int, side: int) -> None:
    html = page(reported(clean(200)), lambda content: noise(content, side, channels), {})
    kind, content = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', html)[0]
    image = Image.open(BytesIO(b64decode(content)))
    assert image.size == (min(side, 96), min(side, 96))
    assert kind == ("png" if side <= 48 else "jpeg")
    assert image.mode == ("L" if channels == 1 else "RGB")
