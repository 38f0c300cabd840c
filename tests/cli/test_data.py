"""`convoy data add` and `data check` as a person runs them: what they print, write and refuse."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests.pets import EACH, Pets, add_pets, contents
from tests.terminal import convoy, git


@pytest.fixture(scope="session")
def pets(_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Pets:
    """Two classes just added; tests leave them as they are."""
    return add_pets(_clone, tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="session")
def refused(pets: Pets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pets]:
    """A copy whose pictures went bad after its version was committed, checked again."""
    found = pets.copy(tmp_path_factory.mktemp("refused") / "home")
    git(found.root, "add", "--all")
    git(found.root, "commit", "--quiet", "--message", "The pets")
    for number in range(8):
        (found.pictures / "cat" / f"page {number}.jpg").write_text("<!doctype html><html>404")
    yield Pets(found.home, found.run("data", "check", "pets"))


@pytest.mark.slow
def test_add_writes_the_entry_and_brings_the_dataset_in(pets: Pets) -> None:
    assert pets.done.code == 0, pets.done.err
    assert pets.done.err == ""
    out = pets.done.out
    assert out.startswith("params.yaml: dataset 'pets' written (rgb, 32 pixels a side)\n")
    assert f"pets, version {pets.recorded()[:12]}\n" in out
    assert "124 files: 121 kept, 1 duplicate, 1 quarantined, 1 ignored." in out
    assert "quarantined: dog/cut.png: " in out
    assert "warning: dog/05.png: nearly the same image as 'dog/nearly 05.png'" in out
    assert "duplicate: cat/copy of 03.png: the same image as 'cat/03.png'" in out
    assert "Note: its dvc.lock entry is not committed: `git " in out
    assert out.endswith("The page: .convoy/reports/pets/page.html\n")


@pytest.mark.slow
def test_add_changes_the_two_files_that_record_datasets_and_no_other(pets: Pets) -> None:
    changed = git(pets.root, "status", "--porcelain").split()
    assert changed == ["M", "dvc.lock", "M", "params.yaml"]
    assert not re.findall(r"^-[^-]", git(pets.root, "diff", "params.yaml"), re.M), "lines removed"


@pytest.mark.slow
def test_the_table_fits_a_terminal_and_counts_what_the_manifest_does(pets: Pets) -> None:
    manifest = pets.manifest()
    lines = pets.done.out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith((" ", "all"))
            if line.strip()}  # fmt: skip
    for label in ("cat", "dog"):
        counts = [manifest["counts"][split][label] for split in ("train", "val", "test")]
        assert rows[label] == [str(count) for count in counts]
    assert sum(map(int, rows["all"])) == manifest["totals"]["kept"] == 2 * EACH + 1


@pytest.mark.slow
def test_check_says_as_json_what_the_manifest_holds_and_changes_nothing(
    pets: Pets, tmp_path: Path
) -> None:
    before, lock = contents(pets.pictures), (pets.root / "dvc.lock").read_bytes()
    done = pets.run("data", "check", "pets", "--json")
    assert (done.code, done.err) == (0, "")
    found, manifest = done.json(), pets.manifest()
    for key in ("classes", "counts", "totals", "mean", "std", "digest", "channels", "image_size"):
        assert found[key] == manifest[key], key
    assert found["version"] == pets.recorded()
    totals = found["totals"]
    parts = ("kept", "duplicates", "quarantined", "ignored")
    assert totals["found"] == sum(totals[part] for part in parts) == 124
    assert sum(sum(by.values()) for by in found["counts"].values()) == totals["kept"]
    listed = found["findings"]["quarantined"]["listed"]
    assert [finding["path"] for finding in listed] == ["dog/cut.png"]
    assert all(finding["reason"] and finding["mend"] for finding in listed)
    assert len(found["flags"]) == 1 and "not committed" in found["flags"][0]
    assert (pets.root / found["page"]).is_file()
    assert contents(pets.pictures) == before
    assert (pets.root / "dvc.lock").read_bytes() == lock


class _Addresses(HTMLParser):
    """What a page would load, and from where."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        keys = ("src", "href", "srcset", "data", "action", "poster", "background")
        self.found += [str(value) for key, value in attrs if key in keys]


@pytest.mark.slow
def test_the_page_is_one_file_that_loads_nothing(pets: Pets) -> None:
    html = (pets.reports / "page.html").read_text(encoding="utf-8")
    page = _Addresses(html)
    assert not re.search(r"https?://|//\w|@import|url\(", re.sub(r"base64,[^\"]+", "", html))
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "audio", "video"}
    assert len(page.found) > 20
    assert all(address.startswith("data:image/") for address in page.found)
    assert "dog/cut.png" in html and pets.manifest()["digest"][:12] in html


@pytest.mark.slow
def test_too_many_bad_files_end_in_a_refusal_with_its_report(refused: Pets) -> None:
    done = refused.done
    assert done.code == 3
    assert "pets, refused" in done.out
    assert "132 files: 121 kept, 1 duplicate, 9 quarantined, 1 ignored." in done.out
    assert "refused: dataset 'pets', class 'cat': 8 of 69 files (11.6%) cannot be used" in done.out
    assert "... and 4 more quarantined, on the page." in done.out
    assert "9 of 131 files (6.9%) cannot be used, more than the 1.0% of" in done.sentence
    assert str(refused.reports / "page.html") in done.sentence
    html = (refused.reports / "page.html").read_text(encoding="utf-8")
    assert "Refused" in html and "cat/page 7.jpg" in html


@pytest.mark.slow
def test_a_refusal_changes_nothing_of_the_version(pets: Pets, refused: Pets) -> None:
    prepared = "data/prepared/pets"
    assert refused.recorded() == pets.recorded()
    assert contents(refused.root / prepared) == contents(pets.root / prepared)
    assert {p.name for p in (refused.root / "data/prepared").iterdir()} == {"pets"}
    before = contents(pets.pictures)
    assert before.items() <= contents(refused.pictures).items()
    (found,) = refused.run("data", "versions", "pets", "--json").json()
    assert found["present"] and found["hash"] == pets.recorded()


@pytest.mark.slow
def test_a_refusal_as_json_has_the_report_and_no_version(refused: Pets) -> None:
    done = refused.run("data", "check", "pets", "--json")
    assert done.code == 3
    found = done.json()
    assert (found["version"], found["digest"]) == (None, "")
    assert found["findings"]["quarantined"]["total"] == 9
    assert found["findings"]["refused"]["listed"][0]["reason"] in done.sentence


@pytest.mark.soak
@pytest.mark.slow
def test_pictures_that_are_mended_are_accepted_again(refused: Pets, tmp_path: Path) -> None:
    mended = refused.copy(tmp_path / "home")
    for path in mended.pictures.glob("cat/page*"):
        path.unlink()
    found = mended.run("data", "check", "pets", "--json").json()
    assert found["version"] == refused.recorded()
    assert found["flags"] == []


@pytest.mark.slow
def test_adding_again_and_adding_more(pets: Pets, tmp_path: Path) -> None:
    grown = pets.copy(tmp_path / "home")
    again = grown.run("data", "add", "pets", "../pets")
    assert again.out.startswith("params.yaml: dataset 'pets' has this source already\n")
    assert grown.recorded() == pets.recorded()
    (grown.home / "more" / "cat").mkdir(parents=True)
    for number in range(3):
        source = grown.pictures / "dog" / f"{number:02}.png"
        source.rename(grown.home / "more" / "cat" / f"{number}.png")
    more = grown.run("data", "add", "pets", "../more", "--json")
    assert more.code == 0, more.err
    found = more.json()
    assert found["version"] == grown.recorded() != pets.recorded()
    # What is known of the first origin stays as it is.
    duplicates = found["findings"]["duplicate"]["listed"]
    assert [finding["path"] for finding in duplicates] == ["cat/copy of 03.png"]
    assert found["totals"]["kept"] == 2 * EACH + 1
    assert "from: [../pets, ../more]" in (grown.root / "params.yaml").read_text()


@pytest.mark.soak
@pytest.mark.slow
def test_two_datasets_that_are_added_at_once_are_both_there(pets: Pets, tmp_path: Path) -> None:
    both = pets.copy(tmp_path / "home")
    names = ("one", "other")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda name: both.run("data", "add", name, "../pets"), names))
    assert [one.code for one in done] == [0, 0], done
    datasets = yaml.safe_load((both.root / "params.yaml").read_text())["datasets"]
    assert {*names} < datasets.keys()
    prepared = both.root / "data" / "prepared"
    assert all((prepared / name / "manifest.json").is_file() for name in names)
    assert any("waits for the ingestion of process" in one.err for one in done)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "digitz"),
        ("versions", "digitz"),
        ("diff", "digitz", "a", "b"),
        ("restore", "digitz", "a"),
        ("push", "digitz"),
        ("pull", "digitz"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_dataset_is_named_with_the_nearest(
    bare: Path, arguments: tuple[str, ...]
) -> None:
    done = convoy(bare, "data", *arguments)
    assert done.code == 2
    assert "unknown dataset 'digitz' in params.yaml: did you mean 'digits'?" in done.sentence
    assert done.out == ""
    assert git(bare, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pets", "nowhere"), 3, "nowhere is neither a file or folder nor a named source"),
        (("p e", "digits"), 2, "'p e' is not a name"),
        (("pets", "digits", "--channels", "lab"), 2, "channels is 'lab', but input should be"),
        (("digits", "digits", "--channels", "rgb"), 2, "has channels 'gray': change it in params"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_sentence(
    bare: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = convoy(bare, "data", "add", *arguments)
    assert done.code == code
    assert words in done.sentence
    assert done.out == ""
    assert git(bare, "status", "--porcelain") == ""
