"""A store of MLflow that grows: one training, version and promotion, copied inside the database."""

import json
import random
import time
from dataclasses import asdict, dataclass, field
from uuid import uuid4

from mlflow.entities import Run
from sqlalchemy import Connection, create_engine, text

from convoy import journal, tracking
from convoy.client import Client
from convoy.tracking import Stamps

EPOCHS = 3
CHILDREN = 7
"""Trainings of a pipeline's run."""
VERSIONS, PROMOTIONS = 10, 100
"""Runs for each version, and for each promotion."""
_NAMED = ("optimizer", "learning_rate", "momentum", "weight_decay", "schedule")
_PARAMS = dict.fromkeys((*_NAMED, *(f"augment.{number}" for number in range(15))), "0.1")
_SCORES = {f"test/{number}": 0.5 for number in range(30)}
_COPIED = {
    "params": ("key", "value"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan"),
}


@dataclass
class Store:
    """What was logged as the model of all, and how many runs there are."""

    client: Client
    uri: str
    experiment: str
    whole: str
    training: str
    open: str
    model: str = "digits"
    runs: int = 0
    _epochs: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    @classmethod
    def create(cls, client: Client, uri: str) -> "Store":
        """Log one pipeline's run with a training, register it, promote it."""
        experiment = client.create_experiment("digits")
        stamps = Stamps("c" * 40, False, "digits", "d" * 32 + ".dir", "e" * 64, str(uuid4()))
        whole = tracking.open_pipeline(client, experiment, "pipeline", stamps)
        tracking.mark(client, whole, {tracking.TRAININGS: "x"})
        training = _log(client, experiment, whole, stamps)
        client.create_registered_model("digits")
        source = f"{client.get_run(training).info.artifact_uri}/model"
        client.create_model_version("digits", source, training, {"convoy.key": "template"})
        client.set_registered_model_alias("digits", "champion", "1")
        said = journal.Entry(
            1, "promote", "1", None, "it was better", "gate", journal.now(), "done"
        )
        journal.write(client, "digits", said)
        tracking.close(client, whole)
        opened = tracking.open_pipeline(client, experiment, "open", stamps)
        return cls(client, uri, experiment, whole, training, opened)

    def epoch(self) -> int:
        self._epochs += 1
        return self._epochs

    def some_id(self) -> str:
        """Return the id of a run that was copied, or of the first one."""
        return _id(self._random.randrange(1, self.runs + 1)) if self.runs else self.training

    def some_key(self) -> str:
        return f"key{self.some_id()}"

    def pipeline(self) -> Run:
        return self.client.get_run(self.whole)

    def open_one(self) -> str:
        """Open a training as the pipeline does, and end it."""
        stamps = Stamps("c" * 40, False, "digits", "d" * 32 + ".dir", "e" * 64, str(uuid4()))
        opened = tracking.open_training(
            self.client, self.experiment, self.open, uuid4().hex, "mlp", _PARAMS, 1, stamps
        )
        tracking.close(self.client, opened)
        return opened


def _log(client: Client, experiment: str, whole: str, stamps: Stamps) -> str:
    """Log a short training as the pipeline does; no time is spent on training."""
    run_id = tracking.open_training(
        client, experiment, whole, "template", "mlp", _PARAMS, 1, stamps
    )
    for epoch in range(1, EPOCHS + 1):
        names = ("train/loss", "val/loss", "val/accuracy", "lr")
        tracking.log_epoch(client, run_id, epoch, {name: 1 / epoch for name in names})
    tracking.log_metrics(client, run_id, _SCORES)
    tracking.describe(client, run_id, "A training that was none.", {"convoy.device": "cpu"})
    tracking.close(client, run_id)
    return run_id


def _id(number: int) -> str:
    """Return the id of a copied run; spread over all ids, as random ones are."""
    return f"{number * 2654435761 % 2**32:08x}{number:024x}"


def grow(store: Store, size: int) -> None:
    """Copy the training until there are `size`; versions and promotions become more with it."""
    engine = create_engine(store.uri)
    with engine.begin() as connection:
        _runs(connection, store, size)
        _versions(connection, store, size // VERSIONS)
        _promotions(connection, store, size // PROMOTIONS)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))  # as a database's own housekeeping does
    engine.dispose()
    store.runs = size


def _runs(connection: Connection, store: Store, size: int) -> None:
    connection.execute(text("create temporary table fresh (id varchar(32), place integer)"))
    numbers = range(store.runs + 1, size + 1)
    rows = [{"id": _id(number), "place": number} for number in numbers]
    for begin in range(0, len(rows), 10_000):
        part = rows[begin : begin + 10_000]
        connection.execute(text("insert into fresh values (:id, :place)"), part)
    of = {"template": store.training, "now": int(time.time() * 1000) - 10**9}
    columns = "name, source_type, source_name, entry_point_name, user_id, status, lifecycle_stage"
    others = "source_version, artifact_uri, experiment_id"
    connection.execute(
        text(
            f"insert into runs (run_uuid, start_time, end_time, {columns}, {others}) "
            f"select fresh.id, :now + place, :now + place + 10, {columns}, {others} "
            f"from runs, fresh where run_uuid = :template"
        ),
        of,
    )
    parent = _id(1)
    connection.execute(
        text(
            "insert into tags (key, value, run_uuid) select key, case key "
            "when 'convoy.key' then 'key' || fresh.id "
            "when 'mlflow.parentRunId' then cast(:parent as varchar(32)) || (place / :children) "
            "else value end, fresh.id from tags, fresh where run_uuid = :template"
        ),
        {**of, "parent": parent[:8], "children": CHILDREN},
    )
    for table, named in _COPIED.items():
        listed = ", ".join(named)
        connection.execute(
            text(
                f"insert into {table} ({listed}, run_uuid) select {listed}, fresh.id "
                f"from {table}, fresh where run_uuid = :template"
            ),
            of,
        )
    connection.execute(text("drop table fresh"))


def _versions(connection: Connection, store: Store, size: int) -> None:
    known = connection.execute(text("select max(version) from model_versions")).scalar() or 0
    columns = "name, creation_time, last_updated_time, description, user_id, current_stage, source"
    others = "run_id, status"
    for number in range(int(known) + 1, size + 1):
        connection.execute(
            text(
                f"insert into model_versions (version, {columns}, {others}) select :number, "
                f"{columns}, {others} from model_versions where version = 1"
            ),
            {"number": number},
        )
        connection.execute(
            text(
                "insert into model_version_tags (name, version, key, value) select name, :number, "
                "key, value || :mark from model_version_tags where version = 1"
            ),
            {"number": number, "mark": str(number)},
        )


def _promotions(connection: Connection, store: Store, size: int) -> None:
    asked = "select count(*) from registered_model_tags where key like 'convoy.journal.%'"
    known = connection.execute(text(asked)).scalar() or 0
    for number in range(int(known) + 1, size + 1):
        said = journal.Entry(
            number, "promote", str(number), str(number - 1), "it was better", "gate", journal.now(),
            "done",
        )  # fmt: skip
        connection.execute(
            text(
                "insert into registered_model_tags (name, key, value) values (:name, :key, :value)"
            ),
            {
                "name": store.model,
                "key": f"{journal.PREFIX}{number:06d}",
                "value": json.dumps(asdict(said)),
            },
        )
