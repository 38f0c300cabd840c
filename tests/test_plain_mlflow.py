"""Without Convoy: a registered version in an environment that has mlflow and torch alone."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convoy.graph import ArchitectureRecord, load_graph, probabilities
from tests import plain_mlflow
from tests.registrations import registered_once

pytestmark = [
    pytest.mark.soak,
    # What MLflow says of its own classes when mlflow.pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@dataclass(frozen=True)
class Plain:
    """The environment, and a registered version with images that it has to answer."""

    python: Path
    variables: dict[str, str]
    images: NDArray[np.uint8]
    answers: NDArray[np.float32]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.python.parents[1],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def plain(tiny: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    """Images of another size than the training's, with the network's own answers."""
    root = tmp_path_factory.mktemp("plain")
    python = plain_mlflow.make(root / "environment", "mlflow", "torch")
    with pytest.MonkeyPatch.context() as patch:
        _, client, spec = registered_once(root / "project", tiny, tmp_path_factory, patch)
        graph = load_graph(
            ArchitectureRecord(**spec["record"]), Path(spec["folder"]) / "model.safetensors"
        )
        images = np.random.default_rng(1).integers(0, 256, (3, 21, 17, 1), dtype=np.uint8)
        answers = probabilities(graph, torch.from_numpy(images)).numpy()
        variables = plain_mlflow.environment(python, client.tracking_uri)
        yield Plain(python, variables, images, answers)


def test_the_environment_has_nothing_of_convoy(plain: Plain) -> None:
    names = "('convoy', 'pytorch_lightning', 'prefect', 'dvc', 'safetensors')"
    code = f"from importlib.util import find_spec; print([n for n in {names} if find_spec(n)])"
    assert plain.run("-c", code).strip() == "[]"


def test_pyfunc_loads_it_with_pickles_and_code_switched_off_and_answers_alike(
    plain: Plain,
) -> None:
    code = (
        "import json, sys, mlflow, numpy as np\n"
        "model = mlflow.pyfunc.load_model('models:/digits/1')\n"
        "images = np.array(json.loads(sys.argv[1]), dtype=np.uint8)\n"
        "print(json.dumps([model.predict(part).tolist() for part in (images, images[:1])]))\n"
    )
    out = plain.run("-c", code, json.dumps(plain.images.tolist()))
    many, one = json.loads(out.splitlines()[-1])
    assert np.abs(np.array(many) - plain.answers).max() <= 1e-5
    assert np.abs(np.array(one) - plain.answers[:1]).max() <= 1e-5


def test_mlflow_models_predict_answers_alike(plain: Plain, tmp_path: Path) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"inputs": plain.images.tolist()}))
    model = ("--model-uri", "models:/digits/1", "--env-manager", "local")
    files = ("--input-path", str(given), "--output-path", str(tmp_path / "answers.json"))
    plain.run("-m", "mlflow", "models", "predict", *model, *files)
    found = json.loads((tmp_path / "answers.json").read_text())
    assert np.abs(np.array(found["predictions"]) - plain.answers).max() <= 1e-5


def test_mlflow_models_serve_answers_alike(plain: Plain, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(plain.python), "-m", "mlflow", "models", "serve", "--model-uri"]
    command += ["models:/digits/1", "--env-manager", "local", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=plain.variables, stdout=log, stderr=log
        )
        try:
            found = _ask(port, plain.images, server, tmp_path / "log")
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert np.abs(np.array(found["predictions"]) - plain.answers).max() <= 1e-5


def _ask(port: int, images: NDArray[np.uint8], server: Any, log: Path) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"inputs": images.tolist()}).encode(),
        {"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 150
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except ConnectionError:
            pass
        except OSError as error:
            if not isinstance(getattr(error, "reason", None), ConnectionError):
                raise
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(1)
