"""A dataset version by its hash alone, from DVC's cache or its remote, wherever it was made.

A worker on another machine has the commit, not the dvc.lock of whoever ordered a training. So DVC
works in a repository of its own, with the remotes of this one, that knows the one hash.
"""

import configparser
import shutil
import tempfile
from pathlib import Path

import yaml

from convoy.errors import ConvoyError, NotReproducible
from convoy.project import Project
from convoy.versions import Version, stored
from convoy.versions.program import broken, dvc
from convoy.versions.workspace import exclusive

_TARGET = "version.dvc"


def fetched(project: Project, dataset: str, wanted: str) -> Version:
    """Return a version with its bytes verified, brought from the remote where they are not here.

    Nothing changes of the checkout but DVC's cache. Raises `NotReproducible` where the bytes are
    neither here nor in the remote.
    """
    with exclusive(project):
        reason = ""
        for _ in range(2):  # a listing, then what it lists
            if not (damaged := broken(project, wanted)):
                return stored(project, dataset, wanted)
            for path in damaged:  # DVC would hand them out
                path.unlink(missing_ok=True)
            reason = _fetch(project, wanted)
        if not (damaged := broken(project, wanted)):
            return stored(project, dataset, wanted)
        raise NotReproducible(
            f"{dataset} {wanted}: {damaged[0].name} is neither in DVC's cache of {project.root} "
            f"nor in its remote{f' ({reason})' if reason else ''}: name a remote that workers "
            f"reach too (`dvc remote add --default team s3://bucket/convoy`, committed), and push "
            f"the version from where it was made (`convoy data push {dataset}`)."
        )


def _fetch(project: Project, wanted: str) -> str:
    """Have DVC bring a version into the cache. Return why it could not, in its own words."""
    with tempfile.TemporaryDirectory(dir=project.scratch) as folder:
        place = Project(Path(folder))
        (place.root / ".dvc").mkdir()
        place.state.mkdir()
        for name in ("config", "config.local"):  # the latter has the credentials of remotes
            source = project.root / ".dvc" / name
            if source.is_file():
                _copy(source, place.root / ".dvc" / name)
        (place.root / _TARGET).write_text(
            yaml.safe_dump({"outs": [{"md5": wanted, "hash": "md5", "path": "version"}]})
        )
        try:
            dvc(place, "fetch", _TARGET)
        except ConvoyError as error:
            return str(error).removesuffix(".")
        finally:
            shutil.rmtree(place.root / ".dvc" / "tmp", ignore_errors=True)
    return ""


def _copy(source: Path, target: Path) -> None:
    """Copy one of DVC's configurations; paths in it are relative to the file."""
    config = configparser.RawConfigParser(strict=False)
    config.read(source, encoding="utf-8")
    for section in config.sections():
        for key in ("url", "dir"):
            value = config.get(section, key, fallback="")
            if value and "://" not in value and not Path(value).expanduser().is_absolute():
                config.set(section, key, str((source.parent / value).resolve()))
    if target.name == "config":
        if not config.has_section("core"):
            config.add_section("core")
        config.set("core", "no_scm", "true")
    with target.open("w", encoding="utf-8") as stream:
        config.write(stream)
    target.chmod(0o600)
