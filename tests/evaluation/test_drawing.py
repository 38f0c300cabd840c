"""A figure that cannot be drawn is missing with a reason, and costs nothing else."""

from pathlib import Path

from matplotlib.figure import Figure

from convoy.evaluation.drawing import Drawing


def broken() -> Figure:
    raise ValueError("the glyph is missing\nfrom font 7")


def test_what_can_be_drawn_is_a_file_and_what_cannot_has_its_reason(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path)
    drawing.draw("whole", Figure)
    drawing.draw("broken", broken)
    drawing.draw("silent", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    drawing.lack("energy", "no meter")
    assert drawing.figures == {"whole": "figures/whole.png"}
    assert (tmp_path / "figures/whole.png").read_bytes().startswith(b"\x89PNG")
    assert drawing.missing == {
        "broken": "the glyph is missing",
        "silent": "division by zero",
        "energy": "no meter",
    }


def test_a_full_disk_or_a_file_in_the_way_is_a_reason_too(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    drawing = Drawing(tmp_path)
    drawing.draw("whole", Figure)
    assert list(drawing.missing) == ["whole"]
    assert drawing.missing["whole"]


def test_the_figure_of_an_evaluation_before_is_not_left_for_one_that_cannot_be_drawn(
    tmp_path: Path,
) -> None:
    Drawing(tmp_path).draw("one", Figure)
    again = Drawing(tmp_path)
    again.draw("one", broken)
    assert not list((tmp_path / "figures").iterdir())
