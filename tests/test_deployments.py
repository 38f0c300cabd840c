"""prefect.yaml: what is refused, and what a change leaves alone."""

import shutil
from difflib import ndiff
from pathlib import Path

import pytest
import yaml

from convoy.deployments import change, read_deployments
from convoy.errors import UsageError
from convoy.orchestration import Trigger
from convoy.project import Project


@pytest.fixture
def here(repository: Path, tmp_path: Path) -> Project:
    shutil.copy(repository / "prefect.yaml", tmp_path)
    return Project(tmp_path)


def text(here: Project) -> str:
    return (here.root / "prefect.yaml").read_text()


def test_the_files_that_come_with_it_hold_what_is_promised(here: Project) -> None:
    found = {one.full_name: one for one in read_deployments(here).deployments}
    assert list(found) == [
        "pipeline/nightly",
        "pipeline/new-data",
        "evaluate/weekly",
        "gc/monthly",
        "score/batch",
    ]
    assert found["pipeline/nightly"].schedule == "0 2 * * *, UTC"
    assert found["pipeline/new-data"].schedule == "no schedule"
    assert all(one.description for one in found.values())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nightly", {"cron": "*/5 * * * *"}),
        ("pipeline/nightly", {"timezone": "Europe/Berlin", "active": False}),
        ("evaluate/weekly", {"active": False}),
    ],
)
def test_a_change_touches_its_values_alone(
    here: Project, name: str, values: dict[str, str | bool]
) -> None:
    before, meant = text(here).splitlines(), yaml.safe_load(text(here))
    changed = change(here, name, values)
    for one in meant["deployments"]:
        if one["name"] == changed.name:
            one["schedules"][0] |= values
    assert yaml.safe_load(text(here)) == meant
    differing = [
        old for old, new in zip(before, text(here).splitlines(), strict=True) if old != new
    ]
    assert len(differing) == len(values)


@pytest.mark.parametrize("name", ["new-data", "batch"])
def test_one_without_a_schedule_gets_one(here: Project, name: str) -> None:
    before, meant = text(here).splitlines(), yaml.safe_load(text(here))
    with pytest.raises(UsageError, match="has no schedule yet: give it one with --cron"):
        change(here, name, {"active": False})
    changed = change(here, name, {"cron": "1 2 3 4 *", "timezone": "Asia/Tokyo"})
    assert changed.schedule == "1 2 3 4 *, Asia/Tokyo"
    for one in meant["deployments"]:
        if one["name"] == changed.name:
            one["schedules"] = [{"cron": "1 2 3 4 *", "timezone": "Asia/Tokyo", "active": True}]
    assert yaml.safe_load(text(here)) == meant
    gone = [line for line in ndiff(before, text(here).splitlines()) if line.startswith("- ")]
    assert gone == ["-     schedules: []"]


def test_windows_line_ends_and_comments_stay(here: Project) -> None:
    file = here.root / "prefect.yaml"
    dos = text(here).replace('"0 2 * * *"', '"0 2 * * *"  # at night').replace("\n", "\r\n")
    file.write_bytes(dos.encode())
    change(here, "nightly", {"cron": "0 3 * * *"})
    assert file.read_bytes().decode() == dos.replace('"0 2 * * *"', "0 3 * * *")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cron": "61 2 * * *"}, "cron: '61 2 * * *' is no cron line (bad minute)"),
        ({"cron": "every day"}, "it has five fields (minute, hour, day, month, day of the week)"),
        ({"timezone": "Europe/Berln"}, "'Europe/Berln' is no time zone: did you mean"),
        ({"timezone": "../../etc/passwd"}, "is no time zone"),
    ],
)
def test_a_time_that_is_none_is_refused_and_nothing_written(
    here: Project, values: dict[str, str | bool], sentence: str
) -> None:
    before = text(here)
    with pytest.raises(UsageError) as refused:
        change(here, "nightly", values)
    assert sentence in str(refused.value)
    assert text(here) == before


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("deployments:", "deployment:", "has no list `deployments`"),
        ("name: nightly", "name: weekly of mine", "'name' is 'weekly of mine'"),
        ("flows/pipeline.py:pipeline", "flows/pipeline", "'entrypoint' is 'flows/pipeline'"),
        ("name: new-data", "name: nightly", "has two deployments 'pipeline/nightly'"),
        ('cron: "0 4 * * 0"', 'cron: "0 4 * * 9"', "'0 4 * * 9' is no cron line"),
        ("name: convoy", "name: [convoy", "is not valid YAML (line 5"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_sentence(
    here: Project, old: str, new: str, sentence: str
) -> None:
    (here.root / "prefect.yaml").write_text(text(here).replace(old, new))
    with pytest.raises(UsageError) as refused:
        read_deployments(here)
    assert sentence in str(refused.value) and "prefect.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_deployment_is_refused_with_the_nearest(here: Project) -> None:
    with pytest.raises(UsageError, match="did you mean 'pipeline/nightly'"):
        read_deployments(here).named("pipeline/nightyl")
    trigger = Trigger(kind="call", deployment="new-dat", every=1.0, quiet=0.0)
    with pytest.raises(UsageError, match=r"^triggers\.mine of params\.yaml: .*new-dat"):
        read_deployments(here).check_triggers({"mine": trigger})


def test_values_behind_an_anchor_are_left_to_people(here: Project) -> None:
    file = here.root / "prefect.yaml"
    shared = text(here).replace('cron: "0 2 * * *"', 'cron: &at "0 2 * * *"')
    file.write_text(shared.replace('cron: "0 4 * * 0"', "cron: *at"))
    before = text(here)
    with pytest.raises(UsageError, match="without touching more than pipeline/nightly"):
        change(here, "nightly", {"cron": "0 3 * * *"})
    assert text(here) == before
