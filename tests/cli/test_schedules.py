"""`convoy schedule` and `convoy trigger` without a server that could help, and with a wrong one."""

import json
import shutil
from pathlib import Path

import pytest

from tests import loopback
from tests.terminal import Done, convoy


def refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done.err
    assert all(word in done.sentence for word in words), done.sentence


def test_all_are_listed_also_where_no_server_runs(bare: Path) -> None:
    found = convoy(bare, "schedule", "--json").json()
    assert [row["deployment"] for row in found] == [
        "pipeline/nightly",
        "pipeline/new-data",
        "evaluate/weekly",
        "gc/monthly",
        "score/batch",
    ]
    shown = convoy(bare, "schedule")
    assert shown.code == 0 and "0 2 * * *" in shown.out and "on demand" in shown.out


def test_a_change_is_kept_in_the_file_until_a_server_runs(bare: Path) -> None:
    done = convoy(bare, "schedule", "nightly", "--cron", "0 3 * * 1-5", "--timezone", "Asia/Tokyo")
    assert done.code == 0, done.err
    assert "`convoy up` applies it when it starts" in done.out
    assert "cron: 0 3 * * 1-5\n        timezone: Asia/Tokyo" in (bare / "prefect.yaml").read_text()
    assert convoy(bare, "schedule", "nightly", "--pause").code == 0
    (row,) = convoy(bare, "schedule", "nightly", "--json").json()
    expected = {"cron": "0 3 * * 1-5", "timezone": "Asia/Tokyo", "active": False}
    assert row["schedules"] == [expected]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("schedule", "nightly", "--cron", "0 25 * * *"), "no cron line (bad hour)"),
        (("schedule", "nightly", "--timezone", "Mars/Olympus"), "'Mars/Olympus' is no time zone"),
        (("schedule", "nightli", "--pause"), "did you mean 'pipeline/nightly'?"),
        (("schedule", "nightly", "--pause", "--resume"), "--pause and --resume are opposites"),
        (("schedule", "--pause"), "which deployment?"),
        (("schedule", "batch", "--pause"), "score/batch has no schedule yet"),
        (("trigger", "nightli"), "did you mean 'pipeline/nightly'?"),
        (("trigger", "nightly", "--set", "dataset"), "--set 'dataset' is not PARAMETER=VALUE"),
        (("trigger", "nightly", "--set", "dataset=[1"), "'[1' is not a YAML value"),
    ],
)
def test_what_is_no_schedule_is_refused_and_nothing_written(
    bare: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = (bare / "prefect.yaml").read_bytes()
    refused(convoy(bare, *arguments), 2, words)
    assert (bare / "prefect.yaml").read_bytes() == before


def test_a_trigger_without_a_server_says_what_to_start(bare: Path) -> None:
    refused(convoy(bare, "trigger", "nightly"), 1, "start `convoy up`", "PREFECT_API_URL")
    away = {"PREFECT_API_URL": "http://user:secret@127.0.0.1:9/api"}
    done = convoy(bare, "trigger", "nightly", more=away)
    refused(done, 1, "Prefect's server does not answer at http://127.0.0.1:9")
    assert "secret" not in done.sentence


def test_another_version_or_something_else_at_the_address_is_named(bare: Path) -> None:
    with loopback.serving() as server:
        server.serve("/api/admin/version", json.dumps("2.20.1").encode())
        told = {"PREFECT_API_URL": f"{server.address}/api", "NO_PROXY": "127.0.0.1"}
        for command in (("trigger", "nightly"), ("run",), ("sweep", "lenet5")):
            refused(convoy(bare, *command, more=told), 1, "has version 2.20.1 and this")
        server.serve("/api/admin/version", b"<html>")
        refused(convoy(bare, "schedule", more=told), 1, "is no Prefect server")
        server.serve("/api/admin/version", b"", loopback.status(401))
        refused(convoy(bare, "schedule", more=told), 1, "PREFECT_API_AUTH_STRING is not set")


def test_up_refuses_triggers_and_deployments_that_are_wrong_before_anything_starts(
    bare: Path,
) -> None:
    params = (bare / "params.yaml").read_text()
    told = "\ntriggers:\n  hook: {kind: call, deployment: DEPLOYMENT, every: 1, quiet: 0}\n"
    for name, words in (
        ("nobody", "no deployment 'nobody'"),
        ("new-data", "CONVOY_TRIGGER_SECRET"),
    ):
        (bare / "params.yaml").write_text(params + told.replace("DEPLOYMENT", name))
        refused(convoy(bare, "up"), 2, words)
    (bare / "params.yaml").write_text(params + told.replace(", every: 1", ""))
    refused(convoy(bare, "up"), 2, "'triggers.hook.every' is missing")
    (bare / "params.yaml").write_text(params + told.replace("call", "files"))
    refused(convoy(bare, "up"), 2, "needs 'address'")
    shutil.copy(Path(__file__).parents[2] / "params.yaml", bare)
    (bare / "prefect.yaml").unlink()
    refused(convoy(bare, "up"), 2, "cannot read", "prefect.yaml")
    assert not (bare / ".convoy" / "up.json").exists()
