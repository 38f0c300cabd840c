"""The deployments of prefect.yaml, typed and checked, and changes to when they run.

The file is Prefect's own, so that `prefect deploy` reads it too. It belongs to people: a change
touches the values that are meant, and no other byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import yaml
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from convoy.errors import CLOSE, UsageError, nearest
from convoy.files import write_atomically
from convoy.orchestration import Trigger
from convoy.project import Project
from convoy.yaml_text import dumped, end_of, in_a_line, with_lines

FILE = "prefect.yaml"
_SOMEDAY = datetime(2026, 1, 1, tzinfo=UTC)


class Timetable(BaseModel):
    """When a deployment runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str
    timezone: str = "UTC"
    active: bool = True

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, line: str) -> str:
        return check_cron(line)

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str) -> str:
        return check_timezone(name)


class Deployment(BaseModel):
    """A flow with its parameters, under a name; keys that Prefect alone reads are let through."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    entrypoint: Annotated[str, Field(pattern=r"^[\w/]+\.py:\w+$")]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    schedules: list[Timetable] = Field(default_factory=list)

    @property
    def flow(self) -> str:
        """The flow's name, which is its function's."""
        return self.entrypoint.partition(":")[2]

    @property
    def module(self) -> str:
        return self.entrypoint.partition(".py:")[0].replace("/", ".")

    @property
    def full_name(self) -> str:
        return f"{self.flow}/{self.name}"

    @property
    def schedule(self) -> str:
        """When it runs, for people."""
        told = [
            f"{one.cron}, {one.timezone}{'' if one.active else ', paused'}"
            for one in self.schedules
        ]
        return "; ".join(told) or "no schedule"


@dataclass(frozen=True)
class Deployments:
    """All of a project."""

    file: Path
    deployments: tuple[Deployment, ...]

    def named(self, name: str) -> Deployment:
        """Return one by FLOW/NAME, or by its name alone. Raises `UsageError` for an unknown one."""
        for one in self.deployments:
            if name in (one.full_name, one.name):
                return one
        known = [one.full_name for one in self.deployments]
        raise UsageError(f"{FILE} has no deployment {name!r}: {nearest(name, known)}")

    def check_triggers(self, triggers: Mapping[str, Trigger]) -> None:
        """Refuse triggers of params.yaml that start what there is not, as `UsageError`."""
        for name, trigger in triggers.items():
            try:
                self.named(trigger.deployment)
            except UsageError as error:
                raise UsageError(f"triggers.{name} of params.yaml: {error}") from None


def check_cron(line: str) -> str:
    """Return a cron line of five fields. Raises `ValueError` for what is none."""
    try:
        CronSim(line, _SOMEDAY)
    except CronSimError as error:
        raise ValueError(
            f"{line!r} is no cron line ({str(error).lower()}): it has five fields (minute, hour, "
            f"day, month, day of the week), as in '0 2 * * *'."
        ) from None
    return line


def check_timezone(name: str) -> str:
    """Return the name of a time zone. Raises `ValueError` for what is none, with the nearest."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), 1, CLOSE)
        mend = f"did you mean {near[0]!r}?" if near else "it is a name as 'Europe/Berlin'."
        raise ValueError(f"{name!r} is no time zone: {mend}") from None
    return name


def read_deployments(project: Project) -> Deployments:
    """Read prefect.yaml. Raises `UsageError` with one sentence for the first thing wrong."""
    file = project.root / FILE
    text = _read(file)
    found = yaml.load(text, Loader=yaml.CSafeLoader)
    listed = found.get("deployments") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise UsageError(f"{file} has no list `deployments`: add one, as in the README.")
    try:
        read = tuple(Deployment.model_validate(one) for one in listed)
    except ValidationError as error:
        raise UsageError(f"{file}: {_sentence(error)}") from None
    names = [one.full_name for one in read]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{file} has two deployments {name!r}: give one another name.")
    return Deployments(file, read)


def change(project: Project, name: str, values: Mapping[str, str | bool]) -> Deployment:
    """Change `cron`, `timezone` or `active` of a deployment's schedule, or give it one.

    Returns it as it is then. Raises `UsageError` for values that are none, and for one that has
    several schedules: which is meant, only a person can say in the file.
    """
    there = read_deployments(project)
    before = there.named(name)
    if len(before.schedules) > 1:
        raise UsageError(
            f"{there.file}: {before.full_name} has several schedules: edit them there."
        )
    if not before.schedules and "cron" not in values:
        raise UsageError(f"{before.full_name} has no schedule yet: give it one with --cron.")
    old = before.schedules[0].model_dump() if before.schedules else {}
    try:
        new = Timetable.model_validate({**old, **values})
    except ValidationError as error:
        raise UsageError(_sentence(error)) from None
    text = _read(there.file)
    after = _written(text, there.deployments.index(before), new, values if old else None)
    meant = yaml.load(text, Loader=yaml.CSafeLoader)
    place = meant["deployments"][there.deployments.index(before)]
    kept = {**place["schedules"][0], **values} if old else new.model_dump()
    place["schedules"] = [kept]
    try:
        said = yaml.load(after, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        said = None
    if said != meant:
        raise UsageError(
            f"{there.file} cannot be changed without touching more than {before.full_name}: write "
            f"its schedule one value a line and without anchors."
        )
    write_atomically(there.file, after.encode())
    return read_deployments(project).named(before.full_name)


def _written(text: str, place: int, new: Timetable, values: Mapping[str, Any] | None) -> str:
    """Return the text with `values` of a schedule set, or with a `new` one where it had none."""
    entry = _item(_node(yaml.compose(text, Loader=yaml.SafeLoader), "deployments"), place)
    if values is None:
        indent = " " * entry.value[0][0].start_mark.column
        lines = [f"{indent}schedules:", f"{indent}  - cron: {dumped(new.cron)}"]
        lines += [f"{indent}    timezone: {dumped(new.timezone)}"]
        lines += [f"{indent}    active: {dumped(new.active)}"]
        for key, node in entry.value:
            if key.value == "schedules":  # it is empty
                start, stop = key.start_mark.index, end_of(node)
                return text[:start] + "\n".join(lines).lstrip() + text[stop:]
        return with_lines(text, end_of(entry), lines)
    for key, value in values.items():
        schedule = _item(_node(_reread(text, place), "schedules"), 0)
        found = _node(schedule, key)
        if found is None:
            indent = " " * schedule.value[0][0].start_mark.column
            text = with_lines(text, end_of(schedule), [f"{indent}{key}: {dumped(value)}"])
        else:
            text = text[: found.start_mark.index] + dumped(value) + text[found.end_mark.index :]
    return text


def _reread(text: str, place: int) -> Any:
    return _item(_node(yaml.compose(text, Loader=yaml.SafeLoader), "deployments"), place)


def _node(mapping: Any, key: str) -> Any:
    return next((value for at, value in mapping.value if at.value == key), None)


def _item(sequence: Any, place: int) -> Any:
    return sequence.value[place]


def _read(file: Path) -> str:
    try:
        text = file.read_bytes().decode()
        yaml.load(text, Loader=yaml.CSafeLoader)
    except OSError as error:
        raise UsageError(
            f"cannot read {file} ({error.strerror}): bring it back, as with `git checkout`."
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file} is not valid YAML ({in_a_line(error)}): mend it first.") from None
    return text


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}"
    said = first["msg"]
    return f"{key!r} is {first['input']!r}, but {said[:1].lower()}{said[1:]}."
