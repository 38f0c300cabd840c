"""What of a network may be chosen: the keyword arguments of its class that have a default.

The default is the paper's choice. The annotation says which others there are:
`pool: Pool = "max"` in a constructor is all that an option needs. What a `partial` in VARIANTS
fixes is what tells the variant from its kin, and no option. A recipe chooses with
`options: {pool: average}`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from convoy.errors import UsageError, nearest

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Norm = Literal["none", "response", "batch"]
"""Nothing, AlexNet's local response normalisation, or batch normalisation."""
Padding = Literal["same", "valid"]
Pool = Literal["max", "average"]
Share = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[float, Field(gt=0, le=8)]
"""What the channels and hidden units of the paper are multiplied by."""
Units = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, strict=False)]


class Option(NamedTuple):
    """One choice that a network leaves."""

    default: Any
    """None where the forms of a network have defaults of their own: for small images, say."""
    type: TypeAdapter[Any]

    def allowed(self) -> str:
        """Say what it may be: `max or average`, `0 to 8`."""
        return _allowed(self.type.json_schema())


def offered(network: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a network by name."""
    fixed = network.keywords if isinstance(network, partial) else {}
    return {
        name: Option(parameter.default, _type(parameter.annotation))
        for name, parameter in signature(network, eval_str=True).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
        and parameter.default is not Parameter.empty
        and name not in fixed
    }


def check(name: str, network: Callable[..., Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen as the arguments of `network`, which is called `name`.

    Raises `UsageError` for an option that it does not have, or a value that the option cannot have.
    """
    known = offered(network)
    arguments = {}
    for option, value in chosen.items():
        if option not in known:
            said = nearest(option, known) if known else "it has none."
            raise UsageError(f"{name} has no option {option!r}: {said}")
        try:
            arguments[option] = known[option].type.validate_python(value)
        except ValidationError:
            allowed = known[option].allowed()
            raise UsageError(f"{name}: option {option!r} is {value!r}: it may be {allowed}.") from (
                None
            )
    return arguments


def _type(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))


def _allowed(schema: dict[str, Any]) -> str:
    match schema:
        case {"enum": values}:
            return " or ".join(map(str, values))
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "array", "items": items}:
            return f"a list of numbers, each {_allowed(items)}"
        case {"anyOf": choices}:
            # None is how a form's own default is written down; nobody chooses it
            return " or ".join(_allowed(choice) for choice in choices if choice != {"type": "null"})
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    said = [f"{word} {schema[key]:g}" for key, word in bounds.items() if key in schema]
    return " and ".join(said) or "a number"
