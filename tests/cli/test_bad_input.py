"""What a user can cause ends in one clear sentence and its exit code, with nothing half-written."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.terminal import Done, convoy, git


def state(root: Path) -> set[str]:
    """Every file of a project but Git's own and Python's caches."""
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {str(f) for f in files if f.parts[0] != ".git" and "__pycache__" not in f.parts}


def edited(root: Path, before: str, after: str) -> None:
    file = root / "params.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dataset", "digitz"), "unknown dataset 'digitz' in params.yaml: did you mean 'digits'"),
        (("--architectures", "lenet6"), "unknown architecture 'lenet6': did you mean 'lenet5'?"),
        (("--architectures", "mlp,,lenet5"), "unknown architecture ''"),
        (("--set", "nonsense"), "--set 'nonsense' is not KEY=VALUE"),
        (("--set", "gate.flor=0.5"), "unknown key 'flor': did you mean 'floor'?"),
        (("--set", "recipes.lenet6.epochs=1"), "unknown key 'lenet6': did you mean 'lenet5'?"),
        (("--set", "recipes.mlp.epochs=many"), "'recipes.mlp.epochs' is 'many', but input should"),
        (("--set", "recipes.mlp.epochs=0"), "'recipes.mlp.epochs' is 0, but input should be"),
        (("--set", "recipes.mlp.epochs=[1"), "'[1' is not a YAML value"),
        (("--set", "gate.floor=.nan"), "'gate.floor' is nan"),
        (("--set", "datasets.digits.val=0.2"), "change them there"),
    ],
)
def test_a_wrong_command_line_changes_nothing(
    bare: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = state(bare)
    done = convoy(bare, "run", *arguments)
    assert done.code == 2
    assert words in done.sentence
    assert done.out == ""
    assert state(bare) == before


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("floor:", "flor:", "params.yaml: unknown key 'gate.flor': did you mean 'floor'?"),
        ("epochs: 20", "epochs: twenty", "params.yaml: 'recipes.mlp.epochs' is 'twenty', but"),
        ("seed: 1", "seed: 1.5", "params.yaml: 'run.seed' is 1.5, but input should be"),
        ("  mlp:\n", "  mpl:\n", "params.yaml: unknown architecture 'mpl': did you mean 'mlp'?"),
        ("  seed: 1\n", "", "params.yaml: 'run.seed' is missing"),
        ("run:", "run: [", "params.yaml, line "),
        ("source: digits", "source: digitz", "'digitz' in params.yaml: did you mean 'digits'?"),
    ],
)
def test_wrong_settings_are_named_with_file_and_key(
    bare: Path, before: str, after: str, words: str
) -> None:
    edited(bare, before, after)
    done = convoy(bare, "run")
    assert done.code == 2
    assert words in done.sentence
    assert not (bare / ".convoy").exists()


def test_an_unknown_command_or_option_is_wrong_usage(bare: Path) -> None:
    for arguments in (("trian",), ("run", "--datasett", "digits"), ("promote", "digits")):
        done = convoy(bare, *arguments)
        assert done.code == 2
        assert "Traceback" not in done.err


def test_outside_of_a_project_there_is_nothing_to_run(repository: Path, tmp_path: Path) -> None:
    done = convoy(repository, "run", folder=tmp_path)
    assert done.code == 2
    assert f"{tmp_path} is not inside a Convoy project" in done.sentence
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_git_checkout_is_refused(bare: Path) -> None:
    shutil.rmtree(bare / ".git")
    done = convoy(bare, "run")
    assert done.code == 2
    assert "is not a Git checkout" in done.sentence
    assert not (bare / ".convoy").exists()


@pytest.mark.slow
def test_a_torn_dvc_lock_is_refused(mine: Path) -> None:
    lock = mine / "dvc.lock"
    torn = lock.read_bytes()[:200] + b"\n  : ["
    lock.write_bytes(torn)
    done = convoy(mine, "run")
    assert done.code == 4
    assert lock.read_bytes() == torn
    assert f"{lock} is not valid YAML: restore it with `git checkout dvc.lock`" in done.sentence


def test_a_port_that_is_none_is_named(bare: Path) -> None:
    done = convoy(bare, "up", more={"CONVOY_MLFLOW_PORT": "99999999"})
    assert done.code == 2
    assert "CONVOY_MLFLOW_PORT is '99999999': it is a port number, 1 to 65535" in done.sentence


def without_override() -> list[str]:
    """Return what starts a command that obeys the modes of files, as root alone does not."""
    if os.geteuid() != 0:
        return []
    capabilities = "-dac_override,-dac_read_search"
    prefix = ["setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("root ignores modes, and setpriv cannot take that right away here")
    return prefix


@pytest.mark.parametrize("command", ["run", "models", "up"])
def test_no_right_to_write_is_said(bare: Path, command: str) -> None:
    (bare / ".convoy").mkdir(mode=0o555)
    done = convoy(bare, command, before=without_override())
    assert done.code == 1
    assert f"cannot write to {bare / '.convoy'}: Permission denied; give" in done.sentence
    assert list((bare / ".convoy").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [pytest.param("run", marks=pytest.mark.soak), "models"])
def test_a_corrupt_store_is_refused_and_left_as_it_is(bare: Path, command: str) -> None:
    (bare / ".convoy").mkdir()
    database = bare / ".convoy" / "mlflow.db"
    database.write_bytes(b"no database at all" * 100)
    before = database.read_bytes()
    done = convoy(bare, command)
    assert done.code == 1
    assert f"sqlite:///{database} is damaged or not an MLflow database" in done.sentence
    assert database.read_bytes() == before
    assert git(bare, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_locked_store_is_said_to_be_in_use(mine: Path) -> None:
    database = mine / ".convoy" / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("begin exclusive")
        done = convoy(mine, "models")
    assert done.code == 1
    assert "is in use by another program that locks it: end that one" in done.sentence


@pytest.mark.slow
def test_data_that_is_not_what_dvc_lock_records_is_refused_and_left_alone(mine: Path) -> None:
    (prepared,) = (mine / "data/prepared/digits/shards").glob("*.csv")
    kept = prepared.read_bytes()
    damaged = kept.replace(b",test,", b",train,", 1)
    assert damaged != kept
    prepared.chmod(0o644)
    prepared.write_bytes(damaged)
    done = convoy(mine, "run")
    assert done.code == 4
    assert prepared.read_bytes() == damaged
    last = Done(done.code, done.out, done.err.splitlines()[-1])
    assert f"{prepared} is not what dvc.lock records" in last.sentence
    assert "Traceback" not in done.err
    assert git(mine, "status", "--porcelain") == ""


@pytest.mark.slow
def test_files_that_are_no_images_are_refused_beside_those_that_are(
    served: Path, tmp_path: Path
) -> None:
    sample = served / ".convoy/samples/digits/003.png"
    contents = {"text": b"no image", "empty": b"", "torn": sample.read_bytes()[:-40]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = [str(sample), *(str(tmp_path / name) for name in (*contents, "missing"))]
    done = convoy(served, "predict", "digits@champion", *files, "--json")
    assert done.code == 3
    assert done.sentence == "4 of 5 files were refused, as listed."
    good, *refused = done.json()
    assert good["refused"] is None and 0 < good["probability"] <= 1
    expected = (
        "is not an image",
        "is empty: download or copy it again",
        "is cut off: download or copy it again",
        "does not exist: check the path",
    )
    for found, words in zip(refused, expected, strict=True):
        assert found["label"] is None and words in found["refused"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("predict", "digits", "x.png"), 2, "'digits' is not NAME@ALIAS or NAME/VERSION"),
        (("predict", "digit@champion", "x.png"), 2, "did you mean 'digits'?"),
        (("predict", "digits@champoin", "x.png"), 2, "did you mean 'champion'?"),
        (("rollback", "digits"), 2, "digits has no earlier champion to go back to"),
        (("promote", "digits", "1"), 2, "digits version 1 is the champion already"),
        (("history", "letters"), 2, "unknown registered model 'letters'"),
        (("compare", "deadbeef"), 2, "MLflow knows no run 'deadbeef'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_names_that_are_not_there_are_answered(
    served: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = convoy(served, *arguments)
    assert done.code == code
    assert words in done.sentence
    assert done.out == ""


@pytest.mark.slow
def test_before_the_first_run_there_is_nothing_to_compare(bare: Path) -> None:
    done = convoy(bare, "compare")
    assert done.code == 2
    assert "no finished run on 'digits' yet: start with `convoy run`" in done.sentence
