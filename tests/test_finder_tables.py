"""What a search says to people: in 80 columns, with the lines to use."""

import io
from typing import Any

import pytest
from rich.console import Console

from convoy.finder_tables import scaling, settings, show_suggestion
from convoy.training.suggestion import Point, Rates, Size, Sizes, Suggestion
from tests.recipes import recipe


def found(steepest: float | None = 0.0039, fastest: int = 128, **rates: Any) -> Suggestion:
    values = {"lowest": 0.28, "tenth": 0.028, "ended": "loss", **rates}
    if steepest is None:
        values |= {"lowest": None, "tenth": None}
    tried = [Size(batch_size=n, images_per_second=9e4, memory=2**30) for n in (32, fastest, 1024)]
    return Suggestion(
        device="cpu",
        rates=Rates(points=[Point(rate=2.3, loss=9.0, smoothed=5.0)], steepest=steepest, **values),
        sizes=Sizes(tried=tried, largest=1024, fastest=fastest, ended="images"),
    )


def shown(suggestion: Suggestion, **values: Any) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80, color_system=None)
    show_suggestion(console, "googlenet_3x3", recipe(**values), suggestion)
    return file.getvalue()


def test_it_fits_a_terminal_of_80_and_ends_with_lines_to_copy() -> None:
    lines = shown(found()).splitlines()
    commands = [line for line in lines if line.startswith("  convoy")]
    assert commands == [
        "  convoy run --architectures googlenet_3x3 "
        "--set recipes.googlenet_3x3.learning_rate=0.0039",
        "  convoy find googlenet_3x3 --set recipes.googlenet_3x3.batch_size=128",
    ]
    assert max(len(line.rstrip()) for line in lines if line not in commands) <= 80
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(("tenth", "words"), [(0.028, "upper end"), (0.001, "careful choice")])
def test_each_rate_says_what_it_is(tenth: float, words: str) -> None:
    rows = shown(found(tenth=tenth, lowest=10 * tenth)).splitlines()
    (suggested,) = [row for row in rows if "falls fastest: the suggestion" in row]
    (other,) = [row for row in rows if "a tenth of where it is lowest" in row]
    assert "0.0039" in suggested and f"{tenth:g}" in other and words in other
    order = [float(row.split()[0]) for row in rows if row.strip()[:1].isdigit() and "it" in row]
    assert order == sorted(order)


def test_the_rate_grows_with_the_batch() -> None:
    said = scaling(recipe(), found())
    assert "batches of 32" in said and "take 4 times the rate (0.016)" in said
    assert "arXiv 1706.02677" in said
    assert scaling(recipe(batch_size=128), found()) == ""
    assert "no rule" in scaling(recipe(optimizer="adamw"), found())


def test_where_nothing_was_learnt_there_is_no_line_to_use() -> None:
    assert settings("mlp", found(None)) == [] and scaling(recipe(), found(None)) == ""
    said = shown(found(None))
    assert "No rate made the loss fall" in said and "--set" not in said
