"""A first run with the network taken away, under a floor that no network reaches."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.flows.conftest import NewProject
from tests.terminal import Done, convoy

pytestmark = pytest.mark.slow

# `unshare -n` takes the loopback too, down until somebody brings it up: SIOCSIFFLAGS, UP | RUNNING.
LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network() -> Sequence[str]:
    """Return the command that starts another without a network; empty where that is forbidden."""
    if not shutil.which("unshare"):
        return ()
    for options in (("-n",), ("-r", "-n")):
        command = ("unshare", *options, sys.executable, "-c", LOOPBACK)
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    return ()


@pytest.fixture(scope="module")
def cut_off(new_project: NewProject) -> tuple[Path, Sequence[str], Done]:
    root, before = new_project("offline", fresh=True), without_network()
    command = ("run", "--json", "--architectures", "mlp", "--set", "gate.floor=0.99999")
    return root, before, convoy(root, *command, before=before)


def test_the_pipeline_completes_with_the_network_taken_away(
    cut_off: tuple[Path, Sequence[str], Done],
) -> None:
    _, before, done = cut_off
    if not before:
        pytest.skip("this user may not take the network away (unshare -n)")
    assert done.code == 5, done.err
    assert done.json()["rows"][0]["architecture"] == "mlp"
    assert "rror" not in done.err


def test_a_first_version_below_the_floor_is_refused_and_kept_as_challenger(
    cut_off: tuple[Path, Sequence[str], Done],
) -> None:
    root, _, done = cut_off
    found = done.json()
    assert done.code == 5
    assert (found["version"], found["alias"], found["champion"]) == ("1", "challenger", None)
    (reason,) = found["reasons"]
    assert reason.startswith("test accuracy ") and "floor of 100.00%" in reason
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    aliases = MlflowClient(uri, uri).get_registered_model("digits").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"challenger": "1"}
