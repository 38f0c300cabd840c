"""Digests that keys are made of: values, files and the meaning of code.

A cache key tells the truth when it holds code, settings and data. Code counts by its syntax tree
without docstrings, so that a comment changes nothing, and only the modules that a computation
imports count, so that an unrelated file changes nothing either.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_OURS = ("convoy", "flows")


def values(*parts: Any) -> str:
    """Return the sha256 of JSON values, whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def code(*modules: str) -> str:
    """Return a digest of these modules and of every module of ours that they import."""
    return values(closure(*modules))


def closure(*modules: str) -> dict[str, str]:
    """Return a digest of each of these modules and of every module of ours that they import.

    Nothing is imported. A package's `__init__` counts with each of its modules.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _path(name)
        if path is None:
            continue
        found[name], imports = _read(path)
        waiting.extend(imports)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return found


@cache
def _path(module: str) -> Path | None:
    """Return a module's file, or None for a name that is not one (a function, say)."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        path = Path(folder).joinpath(*rest)
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
        if rest and path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
    return None


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    return _meaning(path.read_bytes())


@cache  # several keys hold the same modules
def _meaning(source: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the digest of what a module's source means, and what it imports."""
    tree = ast.parse(source)
    imports = [name for node in ast.walk(tree) for name in _imported(node)]
    for node in ast.walk(tree):
        _drop_docstrings(node)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports)


def _imported(node: ast.AST) -> Iterable[str]:
    match node:
        case ast.Import(names=names):
            found = [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), names=names):
            found = [module, *(f"{module}.{alias.name}" for alias in names)]
        case _:
            return []
    return [name for name in found if name.split(".")[0] in _OURS]


def _drop_docstrings(node: ast.AST) -> None:
    """Drop docstrings, those below an attribute too."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, documented):
        node.body = [statement for statement in node.body if not _is_text(statement)]


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that a training's numbers come from."""
    return {name: version(name) for name in ("torch", "pytorch-lightning", "numpy")}
