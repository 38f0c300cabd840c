"""A branch's newest commit, or the version of a dataset that its dvc.lock has.

A version counts once it is committed: what a run here ingests itself is no change to react to.
"""

import subprocess
from pathlib import Path

import yaml

from convoy.errors import ConvoyError

TIMEOUT = 60.0


def commit(root: Path, branch: str, address: str | None) -> str:
    """Return the commit of a branch, here or in the repository at `address`.

    Raises `ConvoyError` where there is no such branch, or nobody answers.
    """
    if address is None:
        return _git(root, branch, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
    said = _git(root, branch, "ls-remote", "--exit-code", address, f"refs/heads/{branch}")
    return said.split()[0]


def version(root: Path, branch: str, address: str | None, dataset: str) -> str | None:
    """Return the hash of a dataset that a branch's dvc.lock has; None where it has none yet."""
    revision = f"refs/heads/{branch}"
    if address is not None:
        _git(root, branch, "fetch", "--quiet", "--no-tags", address, revision)
        revision = "FETCH_HEAD"
    listed = _git(root, branch, "ls-tree", "--name-only", revision, "dvc.lock")
    if not listed:
        return None
    text = _git(root, branch, "show", f"{revision}:dvc.lock")
    try:
        stages = yaml.load(text, Loader=yaml.CSafeLoader)["stages"]
        return str(stages[f"prepare@{dataset}"]["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, TypeError, IndexError):
        return None


def _git(root: Path, branch: str, *arguments: str) -> str:
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise ConvoyError(f"`{' '.join(command)}` gave no answer: is the server away?") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ConvoyError(
            f"the branch {branch!r} cannot be read ({said[-1] if said else 'there is none'}): mend "
            f"`branch` or `address` of the trigger in params.yaml."
        )
    return done.stdout.strip()
