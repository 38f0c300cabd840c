"""Images of sizes that cannot be right are left out, strange ones are pointed at."""

from tests.ingestion.animals import checked, clean, only, row, rules


def test_sizes_beyond_the_limits_are_quarantined() -> None:
    small, large = row("small", size=(7, 900)), row("large", size=(10_000, 5001))
    result = checked([*clean(), small, large])
    assert rules(result) == {"too-small": 1, "too-large": 1}
    assert "7 x 900 pixels" in only(result, "too-small").reason
    assert result.totals["quarantined"] == 2


def test_odd_sizes_are_one_warning_with_examples() -> None:
    rows = [*clean(), row("panorama", size=(900, 100)), row("huge", size=(3000, 3000))]
    rows += [row(f"like {number}", size=(33, 31)) for number in range(5)]
    finding = only(checked(rows), "odd-size")
    assert finding.severity == "warning" and finding.reason.startswith("2 images of")
    assert finding.others == ("cat/huge.png", "cat/panorama.png")
