"""`params.yaml` as frozen, typed settings.

No value has a default here: each has its one home in the file. Errors name the file, the key and
the nearest known one.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, model_validator

from convoy.errors import UsageError, nearest
from convoy.orchestration import Schedule, Trigger
from convoy.recipe import Recipe
from convoy.requirements import Evaluation, Gate, Kept, Registry
from convoy.section import Section, Share
from convoy.space import Sweep

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Run(Section):
    """What a run does when nothing is named."""

    dataset: Name
    architectures: list[str] = Field(min_length=1)
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # what the libraries' generators take
    deterministic: bool
    """Whether only operations are used that give the same bits each time; a CPU has no others."""


class Dataset(Section):
    """Where images come from and what training reads of them."""

    source: str
    origins: Annotated[tuple[str, ...], Field(alias="from", strict=False)] = ()
    """Where they are: folders, files, addresses; empty for a source that knows by itself."""
    nested: Literal["flatten", "join"] | None = None
    """Folders below a class: part of the class, or classes of their own named `a/b`."""
    model: Name
    channels: Literal["gray", "rgb", "hsv", "cmyk"]
    image_size: Annotated[int, Field(ge=8, le=1024)]
    val: Share
    test: Share
    version: str | None = None
    """The version that runs use, whatever came in since; `convoy data restore` writes it."""

    @model_validator(mode="after")
    def _leaves_training_images(self) -> "Dataset":
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing to train on.")
        return self


class Checks(Section):
    """What ingestion puts up with."""

    quarantined: Annotated[float, Field(ge=0, le=1)]
    quarantined_per_class: Annotated[float, Field(ge=0, le=1)]
    smallest: Annotated[int, Field(ge=1)]
    largest: Annotated[int, Field(ge=1, le=50_000_000)]
    near: Annotated[float, Field(gt=0.9, le=1)]
    leakage: Annotated[float, Field(ge=0, le=1)]
    rarest: Annotated[int, Field(ge=1)]
    imbalance: Annotated[float, Field(ge=1)]


class Settings(Section):
    """The whole file."""

    run: Run
    schedule: Schedule
    datasets: dict[Name, Dataset]
    checks: Checks
    recipes: dict[str, Recipe]
    recipes_for: dict[Name, dict[str, Recipe]] = Field(default_factory=dict)
    """Recipes of single datasets, which come before those for all."""
    sweeps: dict[str, Sweep] = Field(default_factory=dict)
    evaluation: Evaluation
    gate: Gate
    registry: Registry
    gc: Kept
    triggers: dict[Name, Trigger] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self, info: ValidationInfo) -> "Settings":
        known = (info.context or {})["architectures"]
        if "default" not in self.recipes:
            raise ValueError("recipes has no 'default', which serves whoever has no recipe.")
        told = (self.recipes, *self.recipes_for.values())
        own = (name for recipes in told for name in recipes if name != "default")
        for name in (*self.run.architectures, *own, *self.sweeps):
            if name not in known:
                raise ValueError(f"unknown architecture {name!r}: {nearest(name, known)}")
        for name, sweep in self.sweeps.items():
            try:
                sweep.check(self.recipe(name))
            except ValueError as error:
                raise ValueError(f"sweeps.{name}.{error}") from None
        return self

    def dataset(self, name: str) -> Dataset:
        """Return one dataset's settings. Raises `UsageError` with the nearest name."""
        if name not in self.datasets:
            raise UsageError(
                f"unknown dataset {name!r} in params.yaml: {nearest(name, self.datasets)}"
            )
        return self.datasets[name]

    def recipe(self, architecture: str) -> Recipe:
        return self.recipes.get(architecture, self.recipes["default"])

    def sweep(self, architecture: str) -> Sweep:
        """Return what a sweep of this architecture tries. Raises `UsageError` where nothing is."""
        if architecture not in self.sweeps:
            there = f"; it has those of {', '.join(self.sweeps)}" if self.sweeps else ""
            raise UsageError(
                f"params.yaml says nothing of a sweep of {architecture!r}{there}: write a section "
                f"sweeps.{architecture} with trials, parallel and space."
            )
        return self.sweeps[architecture]


def load(
    file: Path,
    architectures: Collection[str],
    overrides: Collection[str] = (),
    dataset: str | None = None,
) -> Settings:
    """Read `file`, apply `overrides` ("key.key=value") and check everything.

    `architectures` are the names that a recipe may have. The recipes that the file has for
    `dataset`, or for that of `run`, take the place of those for all, and the overrides are applied
    to these. Raises `UsageError` with one sentence for the first thing that is wrong.
    """
    values = _read(file)
    deciding = [told for told in overrides if told.startswith(("run.", "recipes_for."))]
    for override in deciding:  # which recipes there are
        _override(values, override, architectures)
    _choose_recipes(values, dataset)
    for override in overrides:
        if override not in deciding:
            _override(values, override, architectures)
    try:
        return Settings.model_validate(values, context={"architectures": architectures})
    except ValidationError as error:
        raise UsageError(_sentence(file, error)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        # PyYAML raises a bare ValueError for a date like 2020-13-45.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{file}{where}: not valid YAML ({problem}).") from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: expected sections ({', '.join(Settings.model_fields)}).")
    return values


def _choose_recipes(values: dict[str, Any], dataset: str | None) -> None:
    """Put the recipes of a dataset in the place of those for all; what is malformed stays."""
    run, common, of_all = (values.get(name) for name in ("run", "recipes", "recipes_for"))
    name = dataset or (run.get("dataset") if isinstance(run, dict) else None)
    own = of_all.get(name) if isinstance(of_all, dict) and isinstance(name, str) else None
    if isinstance(common, dict) and isinstance(own, dict):
        values["recipes"] = {**common, **own}


def _override(values: dict[str, Any], override: str, architectures: Collection[str]) -> None:
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UsageError(
            f"--set {override!r} is not KEY=VALUE, as in --set recipes.lenet5.epochs=3."
        )
    if path[0] == "datasets":
        raise UsageError(
            f"--set {key}: DVC reads a dataset's values from params.yaml itself, so change them "
            f"there."
        )
    section = values
    for depth, part in enumerate(path):
        _check_key(key, path[:depth], part, architectures)
        if depth == len(path) - 1:
            break
        own = section.get(part, {})
        if depth == 1 and path[0] == "recipes":
            own = section.get(part, section.get("default"))
        if not isinstance(own, dict):
            raise UsageError(f"--set {key}: {'.'.join(path[: depth + 1])!r} is {own!r}.")
        # A copy, so that the values of `default`, or of a shared anchor, stay their own.
        section[part] = section = dict(own)
    section[path[-1]] = _number(value_of(key, text))


def value_of(key: str, text: str) -> Any:
    """Return the value of `--set key=text`. Raises `UsageError` for what is not YAML."""
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        raise UsageError(f"--set {key}: {text!r} is not a YAML value.") from None


def _check_key(key: str, section: list[str], part: str, architectures: Collection[str]) -> None:
    known = ("default", *architectures) if section == ["recipes"] else _fields(section)
    if known is not None and part not in known:
        raise UsageError(f"--set {key}: unknown key {part!r}: {nearest(part, known)}")


def _number(value: Any) -> Any:
    """YAML 1.1 reads `5e-4` as text; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _sentence(file: Path, error: ValidationError) -> str:
    # A misspelt key is a missing one too; the misspelling says more.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            known = _fields(first["loc"][:-1])
            return f"{file}: unknown key {key!r}: {nearest(str(first['loc'][-1]), known or ())}"
        case "missing":
            return f"{file}: {key!r} is missing; every value has its one home there."
        case "value_error":
            where = f"{key!r}: " if key else ""
            return f"{file}: {where}{first['ctx']['error']}"
        case "tuple_type":
            return f"{file}: {key!r} is {first['input']!r}, but input should be a list."
    return f"{file}: {key!r} is {first['input']!r}, but {_lower(first['msg'])}."


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _fields(location: Sequence[int | str]) -> list[str] | None:
    """Return the keys that the section at `location` knows; None where any may stand."""
    section: Any = Settings
    for part in location:
        if _is_section(section):
            section = section.model_fields[str(part)].annotation
        else:
            section = get_args(section)[-1]  # a mapping's values
        if get_origin(section) in (Union, UnionType):
            section = next(choice for choice in get_args(section) if choice is not NoneType)
    if not _is_section(section):
        return None
    return [field.alias or name for name, field in section.model_fields.items()]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
