"""The saved view of an experiment, in a real store; `test_interface.py` asks a browser for it."""

import json
from pathlib import Path

import pytest

from convoy import store, views
from tests.stores import new_store


def test_an_experiment_has_the_view_from_its_first_day_and_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    experiment = store.experiment(client, project, "digits")
    first = client.get_experiment(experiment).tags[views.TAG]
    assert not views.offer(client, experiment), "it is there already"
    assert client.get_experiment(experiment).tags[views.TAG] == first
    state = json.loads(json.loads(first)["state"])
    assert state["selectedColumns"][0] == "params.`architecture`"


def test_a_view_of_another_release_or_that_somebody_broke_is_made_anew(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, client = new_store(tmp_path, tmp_path_factory, monkeypatch)
    experiment = store.experiment(client, project, "digits")
    meant = json.loads(client.get_experiment(experiment).tags[views.TAG])["state"]
    for other in ("no json", "[]", json.dumps({"name": "x", "createdAt": 1, "state": "{}"})):
        client.set_experiment_tag(experiment, views.TAG, other)
        assert views.offer(client, experiment)
        assert json.loads(client.get_experiment(experiment).tags[views.TAG])["state"] == meant
