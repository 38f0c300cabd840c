"""What work pools start: what Docker's and Kubernetes' own models take, without a secret."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from convoy.errors import UsageError
from convoy.team import pools
from tests.kubernetes_models import faults
from tests.team_servers import read_env, unit

DEPLOY = Path(__file__).parents[1] / "deploy"
COMMAND = "prefect flow-run execute"
VALUES = {
    "command": COMMAND,
    "name": "eager-otter",
    "env": {"A": "1"},
    "labels": {"prefect.io/flow-run-name": "eager-otter"},
}


def filled(template: dict[str, Any]) -> Any:
    """Fill a template in as Prefect's workers do: with its defaults, then with a run's values."""
    from prefect.utilities.templating import apply_values

    properties = template["variables"]["properties"]
    defaults = {k: v["default"] for k, v in properties.items() if "default" in v}
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used <= properties.keys(), "a place that no variable fills"
    return apply_values(template["job_configuration"], {**defaults, **VALUES})


def test_a_kubernetes_job_is_what_kubernetes_takes_once_prefects_worker_has_filled_it_in() -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    configured = KubernetesWorkerJobConfiguration(
        **filled(pools.template("kubernetes", "registry.example.org/convoy:1", gpus=1))
    )
    run = FlowRun(flow_id=uuid4(), name="eager-otter")
    configured.prepare_for_flow_run(run)
    job = configured.job_manifest
    assert list(faults(job, "V1Job")) == []
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.org/convoy:1"
    assert container["args"] == shlex.split(COMMAND)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "A", "value": "1"} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": "convoy-worker"}}]


def test_the_check_finds_fields_in_the_wrong_place_and_of_the_wrong_type() -> None:
    spec = {"parallelism": 1, "restartPolicy": "Never", "containers": [{"name": 3}]}
    job = {"spec": {"template": {"spec": spec}, "backoffLimit": "0"}}
    assert sorted(faults(job, "V1Job")) == [
        ".spec.backoffLimit is '0' and not int",
        ".spec.template.spec.containers[0].name is 3 and not str",
        ".spec.template.spec.parallelism is no field of V1PodSpec",
    ]


def test_a_docker_pool_is_what_prefects_worker_and_docker_take() -> None:
    from docker.types import HostConfig
    from prefect_docker.worker import DockerWorkerJobConfiguration

    made = pools.template("docker", "convoy:1", gpus=2)
    configured = DockerWorkerJobConfiguration(**filled(made))
    assert configured.image == "convoy:1"
    more = configured.container_create_kwargs
    assert more is not None
    host = HostConfig(version="1.45", **more)
    assert host["DeviceRequests"][0]["DeviceIDs"] == ["0", "1"]
    slots = made["variables"]["properties"]["env"]["default"]["CONVOY_SLOTS"]
    assert [slot.rpartition(":")[2] for slot in slots.split(",")] == ["gpu-0", "gpu-1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("kubernets", "convoy"), "did you mean 'kubernetes'"),
        (("docker", ""), "--image"),
        (("docker", "convoy", -1), "--gpus is -1"),
    ],
)
def test_a_pool_that_could_start_nothing_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pools.template(*arguments)


def test_compose_takes_the_file_and_would_not_take_a_misspelt_one() -> None:
    from compose_spec import PyCompose

    text = (DEPLOY / "compose.yaml").read_text()
    found = PyCompose.from_yaml(text)
    found.validate()
    assert sorted(found.service_names()) == ["mlflow", "postgres", "prefect"]
    with pytest.raises(ValueError, match="depends_om"):
        PyCompose.from_yaml(text.replace("depends_on", "depends_om"))


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_containers_start_what_the_units_start(name: str) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]
    command, public = unit(name)
    program, *options = shlex.split(command)
    own = [word for word in options if not word.startswith(("$", "127."))]
    assert [Path(program).name, *own] == [
        word for word in service["command"] if word not in ("0.0.0.0", "4200", "5000")
    ]
    (file,) = service["env_file"]
    assert read_env(DEPLOY / file).items() <= public.items()


def test_no_file_of_deploy_holds_a_secret() -> None:
    for line in (DEPLOY / "secrets.example").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#") and re.search("PASSWORD|SECRET|KEY|AUTH", name):
            assert value in ("", "convoy:"), line
    template = json.dumps(pools.template("kubernetes", "convoy")) + json.dumps(
        pools.template("docker", "convoy")
    )
    assert not re.search("PASSWORD|AUTH_STRING|ACCESS_KEY", template)
