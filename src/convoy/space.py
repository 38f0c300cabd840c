"""What a sweep tries: a section `sweeps` of params.yaml, one an architecture.

The values of a space have the dotted names of a recipe's: `learning_rate`, `augment.shift`.
"""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from convoy.errors import nearest
from convoy.recipe import Recipe
from convoy.section import Section

Number = int | float
Value = bool | int | float | str | None


class Values(Section):
    """The values that one name of a recipe may have: a range with both its ends, or a list."""

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    """Whether each order of magnitude is tried as often as the others."""
    choices: Annotated[tuple[Value, ...], Field(strict=False)] = ()
    """None is a value that is off."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Values":
        if self.choices:
            if (self.low, self.high, self.log) != (None, None, False):
                raise ValueError("give choices alone, or low and high.")
            if len(set(map(repr, self.choices))) < len(self.choices):
                raise ValueError(f"a choice of {list(self.choices)} comes twice.")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, or choices.")
        elif self.low >= self.high:
            raise ValueError(f"low is {self.low}, which is not below high, {self.high}.")
        elif self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, but with log it has to be above 0.")
        return self

    def extremes(self) -> tuple[Value, ...]:
        return self.choices or (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        if self.choices:
            return any(value == one and type(value) is type(one) for one in self.choices)
        assert self.low is not None and self.high is not None
        number = isinstance(value, Number) and not isinstance(value, bool)
        return number and self.low <= value <= self.high


class Prune(Section):
    """When a trial is given up; nothing is pruned where this is absent."""

    trials: Annotated[int, Field(ge=1)]
    """Trials that have to have ended before any is compared with their median."""
    epochs: Annotated[int, Field(ge=1)]
    """Epochs that each trial has before it may be given up."""


class Sweep(Section):
    """The search for one architecture's recipe."""

    trials: Annotated[int, Field(ge=1)]
    parallel: Annotated[int, Field(ge=1)]
    """Trials at the same time."""
    by_loss: bool = False
    """Look for the lowest validation loss, not for the highest accuracy as the pipeline does."""
    prune: Prune | None = None
    space: Annotated[dict[str, Values], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_a_recipes(self) -> "Sweep":
        for name in self.space:
            kind_of(name)
        return self

    def check(self, recipe: Recipe) -> None:
        """Raise `ValueError` for a value that `recipe` cannot have, whatever its others are."""
        for name, values in self.space.items():
            for value in values.extremes():
                try:
                    with_values(recipe, {name: value})
                except ValidationError as error:
                    alone = next((one for one in error.errors() if one["loc"]), None)
                    if alone:
                        reason = alone["msg"][:1].lower() + alone["msg"][1:]
                        raise ValueError(f"space.{name} has {value!r}, but {reason}.") from None

    def extremes(self, recipe: Recipe) -> Iterator[Recipe]:
        """Yield the recipe with each end and choice of the space, those that can be."""
        for name, values in self.space.items():
            for value in values.extremes():
                try:
                    yield with_values(recipe, {name: value})
                except ValidationError:
                    continue  # another value of the space may go together with it


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with other values by their dotted names. Raises pydantic's error."""
    content = recipe.model_dump()
    for name, value in values.items():
        *sections, last = name.split(".")
        section = content
        for part in sections:
            section[part] = section = dict(section[part] or {})
        section[last] = value
    return Recipe.model_validate(content)


def value_of(recipe: Recipe, name: str) -> Any:
    """Return a recipe's value by its dotted name; None where it is off."""
    value: Any = recipe.model_dump()
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def kind_of(name: str) -> Any:
    """Return the type of a recipe's value; None for an option, which has that of its values.

    Raises `ValueError` with the nearest name for one that no recipe has.
    """
    if name.startswith("options."):
        return None
    known = dict(_kinds(Recipe))
    if name not in known:
        raise ValueError(f"a recipe has no value {name!r}: {nearest(name, known)}")
    return known[name]


def _kinds(section: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and types of plain values."""
    for name, field in section.model_fields.items():
        kind: Any = field.annotation
        if get_origin(kind) in (Union, UnionType):
            kind = next(choice for choice in get_args(kind) if choice is not NoneType)
        named = f"{before}{field.alias or name}"
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _kinds(kind, f"{named}.")
        elif kind in (bool, int, float, str) or get_origin(kind) is Literal:
            yield named, kind
