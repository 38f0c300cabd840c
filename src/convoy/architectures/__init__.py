"""Every network of Convoy by its name; the folder is the registry.

A new architecture is one new file here that ends in `VARIANTS = {"name": Architecture(...), ...}`.
The names are read from the source text, so that a command line can list and check them before torch
is loaded.
"""

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convoy.errors import ConvoyError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from convoy.architectures.architecture import Architecture

MOST_CHANNELS = 4


def names() -> tuple[str, ...]:
    """The name of every network, in the order of the files and of their tables."""
    return tuple(_modules())


def module_of(name: str) -> str:
    """The dotted name of the module that describes this network, without importing it."""
    try:
        return _modules()[name]
    except KeyError:
        raise UsageError(f"unknown architecture {name!r}: {nearest(name, names())}") from None


def describe(name: str) -> "Architecture":
    """The record of this network; imports its one module."""
    variants: dict[str, Architecture] = importlib.import_module(module_of(name)).VARIANTS
    return variants[name]


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
    options: "Mapping[str, Any] | None" = None,
    weights: "Path | str | None" = None,
) -> "nn.Module":
    """A network: images (N, C, H, W) as float to logits (N, classes).

    `options` are choices that its paper leaves or argues about, by name. Its weights are fresh, or
    those of the published state dict in the file `weights`, which expects images normalised as
    `describe(name).weights` says.
    Raises `UsageError` for what the network cannot be built with, and for weights that do not fit.
    """
    architecture = describe(name)
    if image_size < architecture.smallest:
        raise UsageError(
            f"{name} cannot take images of {image_size} pixels: "
            f"its smallest image_size is {architecture.smallest}."
        )
    if not 1 <= in_channels <= MOST_CHANNELS:
        raise UsageError(
            f"{name} cannot take images of {in_channels} channels: "
            f"in_channels is 1 (gray) to {MOST_CHANNELS} (CMYK)."
        )
    if num_classes < 1:
        raise UsageError(
            f"{name} cannot tell {num_classes} classes apart: num_classes is 1 or more."
        )
    network = architecture.network(
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        **check_options(name, options or {}),
    )
    if weights is not None:
        from convoy.architectures.weights import load

        load(network, name, Path(weights))
    return network


def check_options(name: str, chosen: "Mapping[str, Any]") -> dict[str, Any]:
    """Return `chosen` as the arguments of this network's class; torch loads if there are any.

    Raises `UsageError` for an option that the network does not have, with the nearest name, or a
    value that the option cannot have.
    """
    if not chosen:
        return {}
    from convoy.architectures import options

    return options.check(name, describe(name).network, chosen)


def variants_in(file: Path) -> tuple[str, ...]:
    """The keys of the `VARIANTS` literal in a source file, none if it has no such table."""
    for statement in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="VARIANTS")], value=table):
                return _keys(table, file)
            case ast.AnnAssign(target=ast.Name(id="VARIANTS"), value=table):
                return _keys(table, file)
    return ()


def _keys(table: ast.expr | None, file: Path) -> tuple[str, ...]:
    keys = table.keys if isinstance(table, ast.Dict) else [None]
    found = [
        key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    if len(found) != len(keys):
        raise ConvoyError(
            f"{file}: VARIANTS must be a dict literal whose keys are literal strings, "
            "because the names are read without running the file."
        )
    return tuple(found)


@cache
def _modules() -> dict[str, str]:
    modules: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        module = f"{__name__}.{file.stem}"
        for name in variants_in(file):
            if name in modules:
                raise ConvoyError(f"{file}: {name!r} is already the name of one in {modules[name]}")
            modules[name] = module
    return modules
