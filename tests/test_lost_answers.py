"""Uploads and the registration program behind a proxy that drops the first three answers of each
endpoint: every file is whole, and there is one of everything.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import FileInfo, ViewType

from convoy import kept, registry, tracking
from convoy.client import Client
from convoy.kept import keep_json
from convoy.project import Project
from convoy.registration import main as register
from tests.registrations import trained
from tests.servers import Proxy, mlflow_server, proxying

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, f"sqlite:///{folder / 'mlflow.db'}") as address:
        yield address


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    with proxying(server) as proxy:
        yield proxy


def test_files_of_a_run_arrive_whole_and_once(proxy: Proxy, server: str, tmp_path: Path) -> None:
    plain = MlflowClient(server, server)
    run = plain.create_run(plain.create_experiment("uploads")).info.run_id
    file = tmp_path / "predictions.npz"
    file.write_bytes(bytes(range(256)) * 4000)
    client = Client(proxy.address)
    proxy.lost = 3
    tracking.log_file(client, run, file, "kept")
    keep_json(client, run, {"accuracy": 0.9}, "evaluation.json")
    tracking.log_file(client, run, file, "figures")
    proxy.lost = 0
    back = Path(plain.download_artifacts(run, "kept/predictions.npz", str(tmp_path / "back")))
    assert back.read_bytes() == file.read_bytes()
    listed = [one.path for folder in ("", "kept", "figures") for one in _files(plain, run, folder)]
    assert sorted(listed) == ["evaluation.json", "figures/predictions.npz", "kept/predictions.npz"]
    puts = sum(count for endpoint, count in proxy.asked.items() if endpoint.startswith("PUT"))
    assert puts >= 6, "three answers were lost, and what they were of was sent again"


def _files(client: MlflowClient, run: str, folder: str) -> list[FileInfo]:
    return [one for one in client.list_artifacts(run, folder or None) if not one.is_dir]


def test_the_registration_program_makes_one_version_of_one_model(
    proxy: Proxy, server: str, tiny: dict[str, str], tmp_path: Path
) -> None:
    project, plain = Project(tmp_path), Client(server)
    project.create_state()
    spec = trained(project, plain, tiny, 0) | {"onnx": False, "tracking_uri": proxy.address}
    proxy.lost = 3
    made = register(spec, lambda event: None)
    again = register(spec, lambda event: None)
    proxy.lost = 0
    assert made["version"] == again["version"] == "1" and made["champion"] is None
    assert made["evidence"]["challenger"]["accuracy"] > 0
    found = plain.search_model_versions("name = 'digits'")
    assert [str(version.version) for version in found] == ["1"]
    (experiment,) = plain.search_experiments(ViewType.ALL, filter_string="name = 'digits'")
    place = experiment.experiment_id
    assert len(plain.search_runs([place], run_view_type=ViewType.ALL)) == 1
    (model,) = plain.search_logged_models([place])
    assert found[0].source == f"models:/{model.model_id}" and str(model.status) == "READY"
    assert [m.name for m in plain.search_registered_models()] == ["digits"]
    registry.verify(registry.version(plain, "digits", "1"), server)


def test_a_file_that_is_not_there_is_said_at_once(proxy: Proxy, server: str) -> None:
    plain = MlflowClient(server, server)
    run = plain.create_run(plain.create_experiment("missing")).info.run_id
    client = Client(proxy.address, patience=60.0)
    began = time.monotonic()
    with kept.files(client) as files:
        assert files.bring(run, "evaluation.json") is None
    assert time.monotonic() - began < 30
