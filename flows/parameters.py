"""The parameters of flows, as Prefect's pages show them: what may be chosen, and what it means.

Their descriptions are those of the flows' docstrings. What params.yaml and the folder of networks
hold is asked for when a form is made, which is each time that the deployments are served.
"""

from typing import Annotated, Any

from pydantic import Field

from convoy import architectures
from convoy.errors import ConvoyError
from convoy.project import Project
from convoy.settings import load


def _datasets(schema: dict[str, Any]) -> None:
    try:
        settings = load(Project.find().params, architectures.names())
    except ConvoyError:
        return  # the flow says what is wrong with the file
    schema["enum"] = list(settings.datasets)


def _architectures(schema: dict[str, Any]) -> None:
    schema["enum"] = ["all", *architectures.names()]


Dataset = Annotated[str, Field(json_schema_extra=_datasets)] | None
Architectures = list[Annotated[str, Field(json_schema_extra=_architectures)]] | None
Overrides = list[Annotated[str, Field(pattern=r"^[^=\s]+=.+$")]] | None
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w-]*[@/][\w-]+$")]
"""NAME@ALIAS or NAME/VERSION."""
