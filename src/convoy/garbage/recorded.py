"""The DVC hashes that Git and the checkout record: what tags, branches and the files here hold.

A hash counts wherever it stands in a dvc.lock or a .dvc file, a torn one too. Git's word is needed
for each: where it gives none, nothing can be called garbage.
"""

import re
import subprocess

from convoy.errors import ConvoyError
from convoy.project import Project

_HASH = re.compile(r"\bmd5:\s*['\"]?([0-9a-f]{32}(?:\.dir)?)")


def hashes(project: Project) -> set[str]:
    """Return the hashes that the checkout, the index of Git and the tips of all refs record.

    Also those that an ingest which was cut off had found. Raises `ConvoyError` where Git fails.
    """
    found = set()
    listed = _git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    here = {name for name in listed.split("\0") if _records(name)} | {"dvc.lock"}
    files = [project.root / name for name in here]
    for file in (*files, *project.state.glob("ingesting-*")):
        if file.is_file():
            found |= in_text(file.read_text(encoding="utf-8", errors="replace"))
    for tip in tips(project):
        listed = _git(project, "ls-tree", "-r", "-z", "--name-only", tip)
        for name in filter(_records, listed.split("\0")):
            found |= in_text(_git(project, "show", "--end-of-options", f"{tip}:{name}"))
    return found


def in_text(text: str) -> set[str]:
    """Return the hashes in the text of a dvc.lock or .dvc file."""
    return set(_HASH.findall(text))


def tips(project: Project) -> list[str]:
    """Return the commits that the checkout, branches, tags, remotes and other refs are at."""
    peeled = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
    refs = _git(project, "for-each-ref", f"--format={peeled} %(objecttype) %(*objecttype)")
    found = [line.split()[0] for line in refs.splitlines() if line.split()[-1] == "commit"]
    # Of every worktree of this repository: a head that is on no branch, too.
    listed = _git(project, "worktree", "list", "--porcelain")
    heads = re.findall(r"^HEAD ([0-9a-f]+)$", listed, re.M)
    found += [head for head in heads if int(head, 16)]  # all zeros before a first commit
    return list(dict.fromkeys(found))


def tagged(project: Project) -> set[str]:
    """Return the commits that tags are at."""
    peeled = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
    return set(_git(project, "for-each-ref", f"--format={peeled}", "refs/tags").split())


def _records(name: str) -> bool:
    return name == "dvc.lock" or name.endswith(("/dvc.lock", ".dvc"))


def _git(project: Project, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=project.root, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise ConvoyError("git is not on the PATH: install it.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise ConvoyError(
            f"`git {' '.join(arguments[:2])}` fails in {project.root} ({said[0]}), so what its "
            f"tags and branches lead to is not known: nothing was removed; mend that first."
        )
    return done.stdout.decode(errors="replace")
