"""The sections of params.yaml on when and why a deployment runs by itself."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convoy.section import Section

NEEDS: dict[str, tuple[str, ...]] = {
    "files": ("address",),
    "git": ("branch",),
    "dvc": ("branch", "dataset"),
    "call": (),
    "event": ("event",),
}
"""What each kind of trigger has to say beside what all do."""


class Schedule(Section):
    """What becomes of a run that is due while one of the same dataset works."""

    overlap: Literal["queue", "skip"]


class Trigger(Section):
    """A change that starts a deployment of prefect.yaml, once."""

    kind: Literal["files", "git", "dvc", "call", "event"]
    deployment: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    every: Annotated[float, Field(ge=0.1)]
    """Seconds between two looks."""
    quiet: Annotated[float, Field(ge=0)]
    """Seconds without a further change before the run is started."""
    address: str | None = None
    """A folder or bucket (`files`), or the repository (`git`, `dvc`) if it is not this one."""
    branch: str | None = None
    dataset: str | None = None
    event: str | None = None
    """The name of a Prefect event, as `convoy.promotion`."""

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> "Trigger":
        needed = NEEDS[self.kind]
        for name in ("address", "branch", "dataset", "event"):
            given = getattr(self, name) is not None
            if name in needed and not given:
                raise ValueError(f"a trigger of kind {self.kind!r} needs {name!r}.")
            if (
                given
                and name not in needed
                and (name, self.kind)
                not in {
                    ("address", "git"),
                    ("address", "dvc"),
                }
            ):
                raise ValueError(f"a trigger of kind {self.kind!r} has no {name!r}.")
        return self
