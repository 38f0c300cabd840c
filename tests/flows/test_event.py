"""A promotion by hand is seen arriving in a real Prefect server, as an event others can act on."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from convoy import registry, store
from convoy.project import Project
from tests.servers import prefect_server
from tests.stores import add_whole_version
from tests.terminal import convoy

pytestmark = pytest.mark.soak


def test_an_event_of_a_promotion_arrives_in_prefect(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = store.connect(project)
    version = add_whole_version(project, client, "digits", "key", {})
    allowed = json.dumps({"allowed": True, "reasons": ["good enough"]})
    client.set_model_version_tag("digits", version, registry.VERDICT, allowed)
    with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
        more = {"PREFECT_API_URL": address, "NO_PROXY": "127.0.0.1"}
        done = convoy(project.root, "promote", "digits", "1", "--reason", "seen", more=more)
        assert done.code == 0, done.err
        found = arrived(address, project.state / "announcements.log")
    assert found["event"] == "convoy.promotion"
    assert found["resource"]["prefect.resource.id"] == "convoy.model.digits"
    assert found["resource"]["convoy.version"] == "1"
    told = found["payload"]
    assert (told["model"], told["action"], told["version"]) == ("digits", "promote", "1")
    assert (told["reason"], told["previous"], told["state"]) == ("seen", None, "done")


def arrived(address: str, log: Path) -> dict[str, Any]:
    """Return the one event of a promotion that the server holds, once it does."""
    body = json.dumps({"filter": {"event": {"name": ["convoy.promotion"]}}}).encode()
    head = {"Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        request = urllib.request.Request(f"{address}/events/filter", body, head)
        with opener.open(request, timeout=30) as answer:
            events = json.load(answer)["events"]
        if events:
            (event,) = events
            assert isinstance(event, dict)
            return event
        time.sleep(0.5)
    raise AssertionError(log.read_text())
