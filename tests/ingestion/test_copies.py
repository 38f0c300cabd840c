"""The same image is kept once, where it is tested on, and never under two labels."""

from tests.ingestion.animals import checked, clean, digest, official, row, splits


def test_of_copies_the_smallest_path_stays() -> None:
    rows = [*clean(), row("image 0", path="b.png"), row("image 0", path="a.png")]
    result = checked(rows)
    assert [rows[n].path for n, _ in result.kept if rows[n].content == digest("image 0")] == [
        "a.png"
    ]
    left = [finding for finding in result.findings if finding.rule == "same-image"]
    assert [(finding.path, finding.others) for finding in left] == [
        ("b.png", ("a.png",)),
        ("cat/image 0.png", ("a.png",)),
    ]


def test_an_image_with_two_labels_leaves_with_all_its_copies() -> None:
    rows = [*clean(), row("image 0", "dog", path="x.png"), row("image 0", path="y.png")]
    result = checked(rows)
    assert digest("image 0") not in splits(rows, result)
    left = [finding for finding in result.findings if finding.rule == "two-labels"]
    assert [finding.path for finding in left] == ["cat/image 0.png", "x.png", "y.png"]
    assert all(finding.severity == "quarantined" for finding in left)
    assert left[1].others == ("cat/image 0.png", "y.png")
    assert "'cat', 'dog'" in left[1].reason


def test_a_copy_in_two_splits_leaves_train() -> None:
    rows = official(val=100)
    rows += [
        row("test 0", path="a.png", split="train"),
        row("test 0", path="b.png", split="val"),
        row("val 2", path="c.png", split="train"),
        row("test 2", path="d.png"),
    ]
    result = checked(rows)
    found = splits(rows, result)
    assert found[digest("test 0")] == "test" and found[digest("val 2")] == "val"
    assert {finding.path: finding.rule for finding in result.findings} == {
        "a.png": "leak",
        "b.png": "leak",
        "c.png": "leak",
        "d.png": "same-image",
    }
