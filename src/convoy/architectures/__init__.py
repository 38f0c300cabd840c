"""Every network of Convoy by its name; the folder is the registry.

A new architecture is one new file here that ends in `VARIANTS = {"name": Architecture(...), ...}`.
The names are read from the source text, so that a command line can list and check them before torch
is loaded.
"""

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from convoy.errors import ConvoyError, UsageError, nearest

if TYPE_CHECKING:
    from torch import nn

    from convoy.architectures.architecture import Architecture


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


def build(name: str, *, num_classes: int, in_channels: int, image_size: int) -> "nn.Module":
    """A freshly initialised network: images (N, C, H, W) as float to logits (N, classes)."""
    architecture = describe(name)
    if image_size < architecture.smallest:
        raise UsageError(
            f"{name} cannot take images of {image_size} pixels: "
            f"its smallest image_size is {architecture.smallest}."
        )
    return architecture.network(
        num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


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
