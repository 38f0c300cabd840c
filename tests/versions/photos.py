"""A project with a folder of photographs that has been ingested twice, and what tests do to it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from convoy import versions
from convoy.project import Project
from convoy.versions import Version
from tests.terminal import environment, git

CLASSES = ("cat", "dog", "owl")
ENTRY = """  photos:
    source: files
    from: [../originals]
    model: photos
    channels: rgb
    image_size: 16                  # small, for tests
    val: 0.2
    test: 0.2
"""


@dataclass(frozen=True)
class Photos:
    """The project and its originals lie side by side in `home`."""

    home: Path
    first: str
    """The version of 60 images, committed and tagged v1."""
    second: str
    """10 more, 6 fewer, 3 with another label; committed."""

    @property
    def project(self) -> Project:
        return Project(self.home / "project")

    @property
    def originals(self) -> Path:
        return self.home / "originals"

    @property
    def remote(self) -> Path:
        return self.project.state / "dvc-remote"

    @property
    def cache(self) -> Path:
        return self.project.state / "dvc-cache"

    def ingest(self) -> Version:
        return versions.ingest(self.project, "photos")

    def commit(self) -> None:
        git(self.project.root, "commit", "--quiet", "--all", "--message", "Data")

    def data(self) -> dict[str, str]:
        """The digests of all files of data/raw and data/prepared."""
        return tree(self.project.root / "data")

    def hash(self, kind: str = "prepare", revision: str = "") -> str:
        """What dvc.lock records, here or in a commit, read without Convoy."""
        lock = self.project.lock.read_text()
        if revision:
            lock = git(self.project.root, "show", f"{revision}:dvc.lock")
        return str(yaml.safe_load(lock)["stages"][f"{kind}@photos"]["outs"][0]["md5"])

    def object(self, md5: str, folder: Path | None = None) -> Path:
        return (folder or self.cache) / "files" / "md5" / md5[:2] / md5[2:]

    def listed(self, md5: str) -> dict[str, str]:
        """The files of a folder that DVC keeps, by name, and their hashes."""
        found = json.loads(self.object(md5).read_bytes())
        return {entry["relpath"]: entry["md5"] for entry in found}

    def forget(self, *folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder)

    def edit(self, before: str, after: str) -> None:
        """Change params.yaml, in the dataset's entry."""
        text = self.project.params.read_text()
        start = text.index("  photos:")
        assert before in text[start:]
        self.project.params.write_text(text[:start] + text[start:].replace(before, after, 1))

    def start(self, *, more: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start an ingest as the head of a group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "convoy", "data", "check", "photos", "--json"],
            cwd=self.project.root,
            env=environment(self.project.root, more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def write_images(folder: Path, numbers: Sequence[int], side: int = 16) -> None:
    """Write PNG files of noise, each number always the same image in the same class."""
    for number in numbers:
        draw = np.random.default_rng(number)
        pixels = draw.integers(0, 256, (side, side, 3), dtype=np.uint8)
        path = folder / CLASSES[number % 3] / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def image(folder: Path, number: int) -> Path:
    return folder / CLASSES[number % 3] / f"{number:05}.png"


def relabel(folder: Path, number: int, label: str) -> None:
    path = image(folder, number)
    path.rename(folder / label / path.name)


def add_dataset(project: Project) -> None:
    text = project.params.read_text()
    text = text.replace("\nchecks:", f"{ENTRY}\nchecks:", 1)
    # Noise in threes: what the checks say of classes and shares is tested elsewhere.
    project.params.write_text(text.replace("rarest: 2 ", "rarest: 1 ", 1))


def dvc(project: Project, *arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project.root,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )


def tree(folder: Path) -> dict[str, str]:
    """The sha256 of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def flip(path: Path) -> None:
    """Change one byte in the middle, as a failing disk would: size, time and rights stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    _overwrite(path, bytes(content))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path: Path) -> None:
    _overwrite(path, path.read_bytes()[: path.stat().st_size // 2])


def delete(path: Path) -> None:
    path.unlink()


def _overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)  # DVC makes its objects read-only
    path.write_bytes(content)
