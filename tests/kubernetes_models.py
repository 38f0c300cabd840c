"""What Kubernetes' API would not take of a manifest, by the models of its Python client.

They are generated from Kubernetes' OpenAPI description: every field with its type, and no others.
"""

import re
from collections.abc import Iterator
from typing import Any

from kubernetes_asyncio.client import models

PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
}


def faults(value: Any, kind: str, where: str = "") -> Iterator[str]:
    """Yield what is wrong with a manifest of a kind such as "V1Job", and where."""
    if inside := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        for place, one in enumerate(value):
            yield from faults(one, inside[1], f"{where}[{place}]")
    elif inside := re.fullmatch(r"dict[\[(](\w+), (.+)[\])]", kind):
        if not isinstance(value, dict):
            yield f"{where} is no mapping"
            return
        for name, one in value.items():
            yield from faults(one, inside[2], f"{where}.{name}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            yield f"{where} is {value!r} and not {kind}"
    else:
        yield from _of_model(value, getattr(models, kind), where)


def _of_model(value: Any, model: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no {model.__name__}"
        return
    fields = {written: name for name, written in model.attribute_map.items()}
    for key in value.keys() - fields.keys():
        yield f"{where}.{key} is no field of {model.__name__}"
    known = {fields[key]: one for key, one in value.items() if key in fields}
    for name, one in known.items():
        kind = model.openapi_types[name]
        yield from faults(one, kind, f"{where}.{model.attribute_map[name]}")
    try:
        model(**known)  # which refuses None where a value is required
    except ValueError as error:
        yield f"{where}: {error}"
