"""The page of a pipeline run: whole, harmless whatever it shows, honest about what it lacks."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from convoy.lineage import Chain
from convoy.report.page import page
from tests.report.records import HOSTILE, SKILLS, a_report, network, png


class Outline(HTMLParser):
    """The tags of a page, and its headings in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def html() -> str:
    return page(a_report())


def test_names_of_classes_are_text_and_nothing_else(html: str) -> None:
    outline = Outline(html)
    assert not outline.named("script", "iframe", "object", "link", "form", "base")
    handlers = [name for _, found in outline.tags for name in found if name.startswith("on")]
    assert not handlers
    assert "&lt;script&gt;document.title=" in html
    assert html.count(HOSTILE[0]) == 0 and html.count(HOSTILE[1]) == 0


def test_the_page_forbids_itself_to_load_or_run_anything(html: str) -> None:
    (policy,) = (
        found["content"] or ""
        for found in Outline(html).named("meta")
        if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert not re.search(r"(src|href)=\"(?!data:|#)", html), "an address outside the page"


def test_whoever_reads_it_aloud_or_by_keyboard_finds_the_way(html: str) -> None:
    outline = Outline(html)
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(outline.named(landmark)) == 1
    assert all(found.get("alt") for found in outline.named("img"))
    assert all(found.get("scope") for found in outline.named("th"))
    charts = [one for one in outline.named("svg") if one.get("class") == "chart"]
    assert charts and all(one.get("role") == "img" and one.get("aria-label") for one in charts)
    places = {found["id"] for _, found in outline.tags if "id" in found}
    links = [(found["href"] or "").removeprefix("#") for found in outline.named("a")]
    assert "results" in links and set(links) <= places


def test_it_says_who_is_better_in_words_and_by_how_much(html: str) -> None:
    assert "resnet20 is better than mlp (+" in html
    assert "no evidence of a difference between" in html
    assert "mlp is dominated by" in html


def test_what_is_behind_the_registered_version_is_drawn_and_told_in_words(html: str) -> None:
    chain = Chain(
        *("run-of-resnet20", "resnet20", "FINISHED", "signs", "ab" * 16, "d16e57", "c0ffee"),
        *(False, "", {"seed": "1"}, "<b>signs</b>", "3", ("champion",)),
    )
    drawn = page(replace(a_report(), lineage=chain))
    (svg,) = [found for found in Outline(drawn).named("svg") if found.get("class") == "lineage"]
    assert svg["role"] == "img" and svg["aria-labelledby"]
    for place in str(svg["aria-labelledby"]).split():
        assert f'id="{place}"' in drawn
    assert "registered: &lt;b&gt;signs&lt;/b&gt; version 3, champion" in drawn
    assert "<b>" not in drawn and drawn.count("<style") == 1
    assert 'href="#lineage"' in drawn and 'href="#lineage"' not in html


def test_all_figures_of_the_networks_stand_in_the_table(html: str) -> None:
    report = a_report()
    for one in report.networks:
        assert f"{one.accuracy:.2%}" in html
    assert set(SKILLS) <= {one.architecture for one in report.networks}


def test_what_a_network_lacks_is_listed_with_the_reason_and_the_rest_stands() -> None:
    report = a_report()
    poor = replace(
        report.networks[0],
        predictions=None,
        evaluation=None,
        pictures={"worst_mistakes": b"no picture"},
        missing={"what is said of each image": "predictions.npz is not among the artifacts"},
    )
    html = page(replace(report, networks=[poor, *report.networks[1:]]))
    listed = html.partition('id="missing"')[2]
    assert "mlp: what is said of each image: predictions.npz is not among the artifacts." in listed
    assert "mlp: worst mistakes: the file is no image" in listed
    assert "difference between resnet20 and lenet5" in html, "the two that are whole"


def test_one_network_has_no_other_to_be_better_than() -> None:
    html = page(a_report([network("lenet5", 0.97, 2)]))
    assert "1 network compared" in html
    assert "it takes what two networks say of each image" in html.partition('id="missing"')[2]


def test_pictures_beyond_the_budget_are_left_out_and_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = a_report()
    many = {f"sheet_{number}": png() for number in range(9)}
    large = replace(report, networks=[replace(report.networks[0], pictures=many)])
    large = replace(large, registered=report.networks[0].run_id)
    whole = len(page(large))
    monkeypatch.setattr("convoy.report.page.BUDGET", 20_000)
    html = page(large)
    shown, left_out = html.count("<img "), html.count("the page would be too large")
    assert 0 < shown < 9 and shown + left_out == 9
    assert len(html) < whole
