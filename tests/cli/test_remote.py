"""What is wrong of a command for a team's servers: one sentence, before anything starts."""

import time
from pathlib import Path

import pytest

from tests.s3 import free_port
from tests.terminal import convoy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "gpu"], "PREFECT_API_URL is not set"),
        (["worker", "gpu"], "PREFECT_API_URL is not set"),
        (["submit", "gpu", "--architectures", "lenet6"], "did you mean 'lenet5'"),
        (["submit", "gpu", "--set", "recipes.lenet5.epoch=3"], "unknown key 'epoch'"),
        (["worker", "gpu", "--kind", "proces"], "did you mean 'process'"),
        (["worker", "gpu", "--kind", "docker"], "name it with --image"),
        (["team", "pool", "kubernets"], "did you mean 'kubernetes'"),
        (["team", "grant", "mila", "membre"], "did you mean 'member'"),
        (["team", "grant", "mila", "member"], "which has no users"),
    ],
)
def test_what_is_wrong_of_a_command_is_told_with_the_mend(
    repository: Path, arguments: list[str], said: str
) -> None:
    done = convoy(repository, *arguments)
    assert done.code == 2
    assert said in done.sentence


def test_a_server_that_is_away_is_told_at_once(repository: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/api"
    began = time.monotonic()
    done = convoy(repository, "submit", "gpu", more={"PREFECT_API_URL": address})
    assert done.code == 1
    assert "Prefect's server does not answer" in done.sentence and address in done.sentence
    assert time.monotonic() - began < 60


def test_the_template_of_a_pool_is_printed_as_prefect_reads_it(repository: Path) -> None:
    done = convoy(repository, "team", "pool", "kubernetes", "--image", "convoy:1", "--gpus", "2")
    made = done.json()
    (container,) = made["job_configuration"]["job_manifest"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert made["variables"]["properties"]["image"]["default"] == "convoy:1"
