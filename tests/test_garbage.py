"""What nothing leads to is found and removed, and nothing else, whenever it is interrupted."""

import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from convoy import architectures, garbage, promotion, registry, store, tracking, versions
from convoy.errors import ConvoyError, NotReproducible
from convoy.garbage.item import Item
from convoy.owners import this_owner
from convoy.project import Project
from convoy.settings import load
from convoy.training.spec import training_key
from tests import kills
from tests.stores import add_whole_version
from tests.terminal import convoy, environment, git

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class World:
    """A project that has a past: data, versions, promotions, and work that went wrong."""

    project: Project
    client: MlflowClient
    data: dict[str, str]
    """DVC hashes of the prepared data: `tagged`, `lost`, `present`."""
    runs: dict[str, str]
    """Run ids of what is no version."""
    resumable: str
    """The folder of a training that the present settings go on with."""
    pending: str
    """The model of a registration that was cut off."""


@pytest.fixture(scope="module")
def world(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("garbage") / "project"
    shutil.copytree(_ingested, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / '.convoy/mlflow.db'}")
        patch.setenv("PYTHONPATH", f"{root / 'src'}{os.pathsep}{root}")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.setenv("DVC_SITE_CACHE_DIR", str(root / ".convoy" / "dvc-site"))
        yield made(Project(root))


def made(project: Project) -> World:
    params = yaml.safe_load(project.params.read_text())
    params["gc"] = {"champions": 2, "days": 0}
    project.params.write_text(yaml.safe_dump(params, sort_keys=False))
    data = {"tagged": versions.ingest(project, "digits").hash}
    commit(project, "The first data")
    git(project.root, "tag", "--annotate", "paper", "--message", "The paper's")
    client = store.connect(project)
    for seed, served in ((1, True), (2, True), (3, True), (4, False), (5, False)):
        add_version(project, client, data["tagged"], seed)
        if served:
            promotion.promote(client, "digits", str(seed), f"better than {seed - 1}")
    promotion.keep_challenger(client, "digits", "5")
    data["lost"] = fewer(project, 100)
    data["present"] = fewer(project, 50)
    commit(project, "Other data")
    runs, resumable = work(project, client)
    pending = cut_off(client, runs["finished"])
    copy = project.state / "models" / "digits-4"
    copy.mkdir(parents=True)
    (copy / "model.pt2").write_bytes(b"a copy")
    return World(project, client, data, runs, resumable, pending)


def commit(project: Project, what: str) -> None:
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", what)


def fewer(project: Project, rows: int) -> str:
    """Take the last rows of what came in away; return the version without them."""
    raw = project.raw("digits") / "digits.csv.gz"
    kept = gzip.decompress(raw.read_bytes()).splitlines(keepends=True)[:-rows]
    raw.chmod(0o644)
    raw.write_bytes(gzip.compress(b"".join(kept), mtime=0))
    return versions.ingest(project, "digits").hash


def add_version(project: Project, client: MlflowClient, version: str, seed: int) -> None:
    """Register what passes for a network, whose run and folder are found by its key."""
    key = f"training {seed}"
    folder = project.runs / key
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(f"weights of {seed}".encode())
    tags = {tracking.VERSION: version, tracking.COMMIT: "c0ffee"}
    add_whole_version(project, client, "digits", key, tags)


def work(project: Project, client: MlflowClient) -> tuple[dict[str, str], str]:
    """Leave runs that ended in every way; return their ids, and the folder that can go on."""
    experiment = store.experiment(client, project, "digits")
    settings = load(project.params, architectures.names())
    digest = versions.current(project, "digits").digest
    run, recipe = settings.run, settings.recipe("lenet5")
    resumable = training_key("lenet5", recipe, run.seed, digest, run.deterministic)
    ended = {
        "finished": ("FINISHED", {}),
        "failed": ("FAILED", {}),
        "killed": ("KILLED", {}),
        "deleted": ("FINISHED", {}),
        "resumable": ("KILLED", {tracking.KEY: resumable, tracking.ARCHITECTURE: "lenet5"}),
        "at work": ("RUNNING", {tracking.OWNER: this_owner()}),
        "dead": ("RUNNING", {tracking.OWNER: this_owner().rsplit(":", 1)[0] + ":1.00"}),
    }
    runs = {}
    for name, (status, tags) in ended.items():
        own = {tracking.KEY: f"key of {name}", **tags}
        created = client.create_run(experiment, tags=own).info.run_id
        client.log_text(created, "what it kept", "note.txt")
        folder = project.runs / own[tracking.KEY][:32]
        folder.mkdir()
        (folder / "last.ckpt").write_bytes(b"weights")
        if status != "RUNNING":
            client.set_terminated(created, status)
        runs[name] = created
    sweep = {"mlflow.parentRunId": runs["finished"]}
    runs["pruned"] = client.create_run(experiment, tags=sweep).info.run_id
    client.set_terminated(runs["pruned"], "KILLED")
    client.delete_run(runs["deleted"])
    return runs, resumable[:32]


def cut_off(client: MlflowClient, run_id: str) -> str:
    """Leave a model that a registration was killed over; return its id."""
    experiment = client.get_run(run_id).info.experiment_id
    logged = store.logged_model(client, experiment, "mlp", run_id, {registry.KEY: "cut off"})
    folder = Path(logged.artifact_location.removeprefix("file://"))
    folder.mkdir(parents=True)
    (folder / "model.pt2").write_bytes(b"half a model")
    assert logged.status == LoggedModelStatus.PENDING
    return str(logged.model_id)


def names(items: list[Item], kind: str) -> set[str]:
    return {item.name for item in items if item.kind == kind}


def changed(project: Project, **values: float) -> Callable[[], None]:
    """Set values of the section `gc`; return what puts the file back."""
    before = project.params.read_text()
    params = yaml.safe_load(before)
    params["gc"] |= values
    project.params.write_text(yaml.safe_dump(params, sort_keys=False))

    def back() -> None:
        project.params.write_text(before)

    return back


def everything(root: Path) -> dict[str, int]:
    """Each file of a project's state with its size, but for databases, locks and DVC's own."""
    state = root / ".convoy"
    skipped = ("prefect", "tmp", "dvc-site", "matplotlib")
    return {
        path.relative_to(state).as_posix(): path.stat().st_size
        for path in state.rglob("*")
        if path.is_file()
        and path.relative_to(state).parts[0] not in skipped
        and path.suffix not in (".db", ".lock", ".owner")
    }


def test_it_finds_what_nothing_leads_to_and_nothing_else(world: World) -> None:
    found = garbage.survey(world.project)
    lost = world.data["lost"][:12]
    assert names(found, "data") == {
        f"digits {lost}, prepared",
        f"digits {lost}, as it came in",
    }
    assert names(found, "version") == {"digits/1", "digits/4"}
    gone = {world.runs[name] for name in ("failed", "killed", "deleted", "dead")}
    assert names(found, "run") == gone
    assert names(found, "model") == {world.pending}
    assert names(found, "copy") == {"digits-4"}
    told = ("finished", "failed", "killed", "deleted", "dead")
    folders = {"training 1", "training 4", *(f"key of {name}" for name in told)}
    assert names(found, "training") == folders
    assert names(found, "files") == set()
    assert all(item.why and item.files > 0 and item.size > 0 for item in found)


def test_what_an_alias_a_tag_or_a_champion_leads_to_is_kept_for_that_reason_alone(
    world: World,
) -> None:
    """Take each reason away: then it is found."""
    tagged = world.data["tagged"][:12]
    before = git(world.project.root, "rev-parse", "refs/tags/paper")
    git(world.project.root, "tag", "--delete", "paper")
    try:
        assert not any(tagged in name for name in names(garbage.survey(world.project), "data"))
        for number in ("2", "3", "5"):
            key = "convoy.dataset_version"
            world.client.set_model_version_tag("digits", number, key, "another")
        assert f"digits {tagged}, prepared" in names(garbage.survey(world.project), "data")
    finally:
        git(world.project.root, "update-ref", "refs/tags/paper", before)
        for number in ("2", "3", "5"):
            key, value = "convoy.dataset_version", world.data["tagged"]
            world.client.set_model_version_tag("digits", number, key, value)
    world.client.delete_registered_model_alias("digits", "challenger")
    try:
        found = names(garbage.survey(world.project), "version")
        assert found == {"digits/1", "digits/4", "digits/5"}
    finally:
        promotion.keep_challenger(world.client, "digits", "5")
    back = changed(world.project, champions=3)
    try:
        assert names(garbage.survey(world.project), "version") == {"digits/4"}
    finally:
        back()


def test_what_is_younger_than_the_settings_say_is_kept_whatever_it_is(world: World) -> None:
    back = changed(world.project, days=1)
    try:
        assert garbage.survey(world.project) == []
    finally:
        back()


def test_where_git_gives_no_word_nothing_is_garbage(world: World) -> None:
    broken = world.project.root / ".git" / "refs" / "tags" / "torn"
    broken.write_text("0123456789012345678901234567890123456789\n")
    try:
        with pytest.raises(ConvoyError, match="nothing was removed"):
            garbage.survey(world.project)
    finally:
        broken.unlink()


def test_a_dry_run_prints_a_table_and_leaves_everything(world: World) -> None:
    before = everything(world.project.root)
    done = convoy(world.project.root, "gc", "--dry-run")
    assert done.code == 0, done.err
    for word in (
        "digits/4",
        world.runs["failed"][:12],
        "KiB",
        "served last",
        "nothing was removed",
    ):
        assert word in " ".join(done.out.split()), done.out
    assert everything(world.project.root) == before


@pytest.mark.soak
def test_a_person_who_says_no_keeps_everything(world: World) -> None:
    before = everything(world.project.root)
    asking, answering = os.openpty()
    command = [sys.executable, "-m", "convoy", "gc"]
    with os.fdopen(asking, "wb", buffering=0) as keyboard:
        keyboard.write(b"n\n")
        done = subprocess.run(
            command,
            cwd=world.project.root,
            env=environment(world.project.root),
            stdin=answering,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        os.close(answering)
    assert done.returncode == 0, done.stderr
    assert "Remove these 17 things, " in done.stdout and "nothing was removed" in done.stdout
    assert everything(world.project.root) == before


def test_nobody_is_asked_where_nobody_answers(world: World) -> None:
    before = everything(world.project.root)
    for arguments in (("--json",), ("--yes", "--dry-run")):
        done = convoy(world.project.root, "gc", *arguments)
        assert done.code == 2 and "--dry-run" in done.sentence
    assert everything(world.project.root) == before


# Imports all that it needs, to be forked for each moment.
KILLED = """
import os
from pathlib import Path
import mlflow, pydantic, yaml
from convoy import garbage
from convoy.project import Project

def run(root):
    os.chdir(root)
    garbage.collect(Project(Path(root)))
"""


@pytest.mark.soak
def test_a_collection_that_is_killed_is_ended_by_the_next_one(world: World, tmp_path: Path) -> None:
    root, whole = world.project.root, tmp_path / "whole"
    shutil.copytree(root, whole, symlinks=True)
    found = garbage.survey(world.project)
    count = kills.changes(KILLED, root)
    clean = everything(root)
    moments = kills.spread(count, 14)[1:-1]
    for moment in moments:
        shutil.rmtree(root)
        shutil.copytree(whole, root, symlinks=True)
        kills.kill(KILLED, {moment: [root]})
        champions_are_whole(world)
        garbage.collect(world.project)
        assert everything(root) == clean, f"killed before change {moment} of {count}"
        assert garbage.survey(world.project) == []
    only_garbage_went(world, whole, found)
    shutil.rmtree(root)
    shutil.copytree(whole, root, symlinks=True)


def test_a_real_run_removes_what_it_lists_and_no_byte_more(world: World, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(world.project.root, whole, symlinks=True)
    found = garbage.survey(world.project)
    assert garbage.collect(world.project, found[:1]) == found[:1]
    done = convoy(world.project.root, "gc", "--yes", "--json")
    assert done.code == 0, done.err
    told = done.json()
    assert told["found"] == told["removed"]
    assert [item["name"] for item in told["removed"]] == [item.name for item in found[1:]]
    only_garbage_went(world, whole, found)
    champions_are_whole(world)
    assert garbage.survey(world.project) == []


def champions_are_whole(world: World) -> None:
    client = store.connect(world.project)
    for number in ("2", "3", "5"):
        registry.verify(registry.version(client, "digits", number), client.tracking_uri)
    for name in ("tagged", "present"):
        version = versions.stored(world.project, "digits", world.data[name])
        assert all(Path(path).is_file() for path in version.files.values())


def only_garbage_went(world: World, whole: Path, found: list[Item]) -> None:
    before, after = everything(whole), everything(world.project.root)
    assert after.items() <= before.items()
    told = sum(item.size for item in found)
    assert sum(before.values()) - sum(after.values()) == told
    client = store.connect(world.project)
    kept = {name: world.runs[name] for name in ("finished", "resumable", "at work", "pruned")}
    for run_id in kept.values():
        assert client.get_run(run_id).info.lifecycle_stage == "active"
    assert (world.project.runs / world.resumable / "last.ckpt").is_file()


def test_the_record_of_a_collected_version_stays_and_says_so(world: World) -> None:
    garbage.collect(world.project)
    client = store.connect(world.project)
    collected = registry.version(client, "digits", "1")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert collected.tags[registry.COLLECTED] == today
    assert collected.tags["convoy.dataset_version"] == world.data["tagged"]
    assert [entry.version for entry in promotion.journal(client, "digits")] == ["1", "2", "3"]
    with pytest.raises(NotReproducible, match="the files of digits version 1 are gone"):
        registry.verify(collected, client.tracking_uri)
    with pytest.raises(NotReproducible, match="`convoy gc` collected them"):
        promotion.promote(client, "digits", "1", "a person wants it back")
    assert promotion.journal(client, "digits")[-1].version == "3"


def test_a_collected_version_can_be_registered_again_by_its_key(world: World) -> None:
    garbage.collect(world.project)
    client = store.connect(world.project)
    assert registry.by_key(client, "digits", "training 4") is None
    add_version(world.project, client, world.data["tagged"], 4)
    newest = registry.by_key(client, "digits", "training 4")
    assert newest is not None and newest.version == "6"
    registry.verify(newest, client.tracking_uri)


def test_the_champion_before_is_rolled_back_to_after_all_was_collected(world: World) -> None:
    garbage.collect(world.project)
    done = convoy(world.project.root, "rollback", "digits", "--json")
    assert done.code == 0, done.err
    assert done.json()["version"] == "2"
    assert "digits/3" not in names(garbage.survey(world.project), "version")
