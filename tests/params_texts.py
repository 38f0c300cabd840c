"""Pieces of a params.yaml, written to a file and read back."""

from pathlib import Path
from typing import Any

import yaml

from convoy import yaml_text

DIGITS = """\
datasets:
  digits:
    source: digits                  # what ships with a library
    model: 'digits'
    channels: gray
    test: 0.20
"""
PETS = """\
  # the second one
  pets:
    source: files
    from:                           # where they are
      - ../cats                     # many
      - "../dogs: large"

    model: pets   # this line ends the entry
"""
REST = """\

# A comment between sections.
checks:
  near: 0.98   # é, 日本, 🐈
"""
NEW: dict[str, yaml_text.Value] = {
    "source": "files",
    "from": ["../new"],
    "model": "new",
    "image_size": 32,
    "val": 0.15,
}


def parsed(text: str) -> Any:
    return yaml.safe_load(text)


def text_of(file: Path) -> str:
    return file.read_bytes().decode()


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode())
    return file
