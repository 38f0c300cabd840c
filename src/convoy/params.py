"""Writing datasets into params.yaml, which belongs to people: nothing else of it changes a byte."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from convoy.errors import UsageError
from convoy.files import write_atomically
from convoy.yaml_text import Scalar, Value, dumped, end_of, in_a_line, line_end, with_lines


def add_dataset(file: Path, name: str, values: Mapping[str, Value]) -> None:
    """Write a new entry below the others."""
    text = _read(file)
    datasets = _datasets(file, text)
    if datasets.flow_style or not datasets.value:
        raise UsageError(f"{file}: write `datasets` with one entry a line, as in the README.")
    if any(key.value == name for key, _ in datasets.value):
        raise UsageError(f"{file} has a dataset {name!r} already.")
    indent = " " * datasets.start_mark.column
    lines = [f"{indent}{dumped(name)}:"]
    lines += [f"{indent}  {key}: {dumped(value)}" for key, value in values.items()]
    entry = {key: v if isinstance(v, Scalar) else list(v) for key, v in values.items()}
    _write(file, text, with_lines(text, end_of(datasets), lines), name, entry)


def set_value(file: Path, dataset: str, key: str, value: Scalar) -> None:
    """Set one value of a dataset, in its place where it is there already."""
    text = _read(file)
    entry = _entry(file, text, dataset)
    values = {**_values(text, dataset), key: value}
    found = _value(entry, key)
    if found is None:
        after = with_lines(text, end_of(entry), [_line(entry, f"{key}: {dumped(value)}")])
    else:
        start, end = found.start_mark.index, len(text[: end_of(found)].rstrip("\r\n"))
        space = " " * (text[start - 1] == ":")  # there was no value
        after = f"{text[:start]}{space}{dumped(value)}{text[max(start, end) :]}"
    _write(file, text, after, dataset, values)


def append(file: Path, dataset: str, key: str, items: Sequence[str]) -> None:
    """Add items to a list of a dataset, in the form that the list has."""
    text = _read(file)
    entry = _entry(file, text, dataset)
    before = _values(text, dataset)
    values = {**before, key: [*(before.get(key) or []), *items]}
    found = _value(entry, key)
    if found is None:
        after = with_lines(text, end_of(entry), [_line(entry, f"{key}: {dumped(items)}")])
    elif isinstance(found, yaml.SequenceNode) and found.value and not found.flow_style:
        indent = " " * found.start_mark.column
        after = with_lines(text, end_of(found), [f"{indent}- {dumped(item)}" for item in items])
    elif isinstance(found, yaml.SequenceNode):
        last = found.value[-1].end_mark.index if found.value else found.start_mark.index + 1
        more = f"{', ' if found.value else ''}{', '.join(map(dumped, items))}"
        after = f"{text[:last]}{more}{text[last:]}"
    else:
        raise UsageError(f"{file}: `{key}` of {dataset!r} is no list: write it as one.")
    _write(file, text, after, dataset, values)


def remove_value(file: Path, dataset: str, key: str) -> bool:
    """Remove the lines of one value of a dataset. Return whether there was one."""
    text = _read(file)
    for at, found in _entry(file, text, dataset).value:
        if at.value == key:
            start = text.rfind("\n", 0, at.start_mark.index) + 1
            end = line_end(text, end_of(found))
            values = {k: v for k, v in _values(text, dataset).items() if k != key}
            _write(file, text, text[:start] + text[end:], dataset, values)
            return True
    return False


def _read(file: Path) -> str:
    try:
        text = file.read_bytes().decode()  # as it is: Windows' line ends stay
        yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file} is not valid YAML ({in_a_line(error)}): mend it first.") from None
    return text


def _datasets(file: Path, text: str) -> yaml.MappingNode:
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in top.value if isinstance(top, yaml.MappingNode) else ():
        if key.value == "datasets" and isinstance(value, yaml.MappingNode):
            return value
    raise UsageError(f"{file} has no section `datasets`: add one, as in the README.")


def _entry(file: Path, text: str, dataset: str) -> yaml.MappingNode:
    for key, value in _datasets(file, text).value:
        if key.value == dataset and isinstance(value, yaml.MappingNode):
            return value
    raise UsageError(f"{file} has no dataset {dataset!r}.")


def _value(entry: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((found for at, found in entry.value if at.value == key), None)


def _values(text: str, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)["datasets"][dataset]
    return found


def _line(entry: yaml.MappingNode, text: str) -> str:
    return f"{' ' * entry.value[0][0].start_mark.column}{text}"


def _write(file: Path, before: str, after: str, dataset: str, values: Mapping[str, Any]) -> None:
    """Write the text if it says what is meant: anchors and flow style can make it say more."""
    meant = yaml.load(before, Loader=yaml.CSafeLoader)
    meant["datasets"] = {**meant["datasets"], dataset: dict(values)}
    try:
        said = yaml.load(after, Loader=yaml.CSafeLoader)
        content = after.encode()
    except (yaml.YAMLError, ValueError):
        said = None
    if said != meant:
        raise UsageError(
            f"{file} cannot be changed without touching more than dataset {dataset!r}: write its "
            f"values one a line and without anchors, as in the README."
        )
    write_atomically(file, content)
