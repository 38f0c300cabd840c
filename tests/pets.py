"""A project beside a folder of pictures, some of them bad, and what `convoy data` did with them."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.terminal import Done, convoy, git

CLASSES = ("cat", "dog")
EACH = 60


@dataclass(frozen=True)
class Pets:
    """`project` and `pets` lie side by side in a folder; `done` is the last command."""

    home: Path
    done: Done

    @property
    def root(self) -> Path:
        return self.home / "project"

    @property
    def pictures(self) -> Path:
        return self.home / "pets"

    @property
    def reports(self) -> Path:
        return self.root / ".convoy" / "reports" / "pets"

    def run(self, *arguments: str) -> Done:
        return convoy(self.root, *arguments)

    def manifest(self) -> dict[str, Any]:
        file = self.root / "data/prepared/pets/manifest.json"
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def recorded(self) -> str:
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())
        return str(lock["stages"]["prepare@pets"]["outs"][0]["md5"])

    def copy(self, home: Path) -> "Pets":
        """Return a copy to change."""
        shutil.copytree(self.home, home, symlinks=True)
        return Pets(home, self.done)


def picture(seed: int) -> Image.Image:
    """Return coarse noise, so that no two are alike."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(cells).resize((48, 48), Image.Resampling.BICUBIC)


def draw(folder: Path) -> None:
    """Write two classes, and one of each thing that is found wrong but put up with."""
    for place, label in enumerate(CLASSES):
        (folder / label).mkdir(parents=True)
        for number in range(EACH):
            picture(place * 1000 + number).save(folder / label / f"{number:02}.png")
    shutil.copy(folder / "cat" / "03.png", folder / "cat" / "copy of 03.png")
    picture(1005).resize((40, 40)).save(folder / "dog" / "nearly 05.png")
    (folder / "dog" / "cut.png").write_bytes((folder / "dog" / "07.png").read_bytes()[:900])
    (folder / "cat" / ".DS_Store").write_bytes(b"\0")


def add_pets(clone: Path, home: Path) -> Pets:
    """Return a clone that has just been told of the pictures."""
    shutil.copytree(clone, home / "project")
    draw(home / "pets")
    params = home / "project" / "params.yaml"
    params.write_text(params.read_text().replace("rarest: 2 ", "rarest: 1 "))
    git(home / "project", "commit", "--quiet", "--all", "--message", "Fewer pictures")
    return Pets(home, convoy(home / "project", "data", "add", "pets", "../pets"))


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
