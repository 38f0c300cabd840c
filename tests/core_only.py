"""A Python that has the core's packages and what these need, as a bare training machine has it."""

import re
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

CORE = (
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
    "Pillow",
    "safetensors",
    "pydantic",
    "PyYAML",
)


def python(folder: Path) -> Path:
    """Make an environment in `folder`, of links to what is installed here; return its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    for name in _with_their_needs(CORE):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():  # some packages share a folder
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return folder / "bin" / "python"


def _with_their_needs(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    coming = list(names)
    while coming:
        name = re.sub(r"[-_.]+", "-", coming.pop()).lower()
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # another platform's
            continue
        found.add(name)
        wanted = map(Requirement, needs)
        coming += [
            one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return found
