"""What goes to a worker elsewhere and what comes back: small JSON, never an open session.

Dask ships tasks as pickles between processes of ours. Data, models and results are none: they are
named here by their hashes, and each side verifies the bytes that it takes.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Order(BaseModel):
    """A training for some worker, complete: with the same commit any worker carries it out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    key: str
    """The training's key, as whoever ordered it counts it."""
    dataset: str
    version: str
    """The dataset version's DVC hash."""
    settings: dict[str, Any]
    """All of params.yaml, with what `--set` changed."""
    overrides: list[str]
    evaluated: bool
    """Whether it is evaluated and inspected too; a sweep's trials are not."""
    stamps: dict[str, Any]
    experiment: str
    run_id: str
    """MLflow's run of the whole; a training whose whole has ended is given up."""
    tracking_uri: str
    """Where MLflow is, without user and password: those are each worker's own."""
    origin: str
    """The machine and the project's folder that it came from."""


class Delivery(BaseModel):
    """What a worker says of an order that it has carried out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    key: str
    run_id: str
    kept: bool
    """Whether it was there already."""
    worker: str
    """The machine, process and start of who carried it out."""
    seconds: float
    """From taking the order to the end."""
