"""Changing YAML that belongs to people as text: what is not meant does not change a byte."""

from collections.abc import Sequence

import yaml

Scalar = str | int | float
Value = Scalar | Sequence[str]


def end_of(node: yaml.Node) -> int:
    """Return the end of the last leaf: a block's own end lies behind comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def with_lines(text: str, index: int, lines: Sequence[str]) -> str:
    """Return the text with lines after the one that `index` is in."""
    newline = "\r\n" if "\r\n" in text else "\n"
    at = line_end(text, index)
    lead = "" if text[:at].endswith("\n") else newline
    return f"{text[:at]}{lead}{''.join(line + newline for line in lines)}{text[at:]}"


def line_end(text: str, index: int) -> int:
    """Return where the line of `index` ends, its newline included."""
    if text[:index].endswith("\n"):
        return index  # a block of text ends with its line
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def dumped(value: Value) -> str:
    """Return a value on one line, as YAML."""
    if not isinstance(value, Scalar):
        return f"[{', '.join(map(dumped, value))}]"
    quoted = isinstance(value, str) and (not value.isprintable() or _is_number(value))
    text: str = yaml.safe_dump(
        [value],
        default_flow_style=True,
        default_style='"' if quoted else None,
        width=2**16,
        allow_unicode=True,
    )
    return text.strip()[1:-1]


def _is_number(text: str) -> bool:
    """Tell whether some reader takes a text for a number: YAML 1.2, DVC's, does so with `1e3`."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_a_line(error: Exception) -> str:
    """Return what YAML says of a file, with the line."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return f"{where}{getattr(error, 'problem', None) or error}"
