"""A first run under a floor that no network reaches."""

import pytest
from mlflow import MlflowClient

from tests.flows.conftest import NewProject
from tests.terminal import convoy

pytestmark = pytest.mark.soak


def test_a_first_version_below_the_floor_is_refused_and_kept_as_challenger(
    new_project: NewProject,
) -> None:
    root = new_project("refused")
    command = ("run", "--json", "--architectures", "mlp", "--set", "gate.floor=0.99999")
    done = convoy(root, *command)
    assert done.code == 5, done.err
    found = done.json()
    assert (found["version"], found["alias"], found["champion"]) == ("1", "challenger", None)
    (reason,) = found["reasons"]
    assert reason.startswith("test accuracy ") and "floor of 100.00%" in reason
    uri = f"sqlite:///{root / '.convoy' / 'mlflow.db'}"
    aliases = MlflowClient(uri, uri).get_registered_model("digits").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"challenger": "1"}
