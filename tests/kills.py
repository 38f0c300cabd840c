"""Work that is killed right before one of the changes that it makes to the disk.

At any moment means: before any of these. Moments by the clock would be others on a busy machine.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

# A program defines `run(*arguments)`. Imported once, it is forked for each time that it is killed.
_LOOP = """
import json, os, signal, sys
kinds = {"os.rename", "os.remove", "os.rmdir", "os.link", "os.mkdir", "os.truncate"}
changes = 0

def hook(event, given):
    global changes
    if event in kinds or event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        changes += 1
        if changes == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

for fatal, arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        sys.addaudithook(hook)
        run(*arguments)
        os.write(1, f"{changes}\\n".encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os.write(1, f"{os.waitstatus_to_exitcode(status)}\\n".encode())
"""


def changes(program: str, *arguments: Path) -> int:
    """Let the work come to its end; return how many changes it makes."""
    count, code = _run(program, [(0, arguments)])
    assert code == 0
    return count


def kill(program: str, moments: Mapping[int, Sequence[Path]]) -> None:
    """Do the work on the arguments of each moment; kill it before its change of that number."""
    ended = _run(program, [(moment, arguments) for moment, arguments in moments.items()])
    assert ended == [-signal.SIGKILL] * len(moments)


def spread(count: int, some: int) -> list[int]:
    """Return some of the numbers 1 to `count` at even distances, the first and the last too."""
    return sorted({1 + round(place * (count - 1) / (some - 1)) for place in range(some)})


def _run(program: str, jobs: Sequence[tuple[int, Sequence[Path]]]) -> list[int]:
    told = [(fatal, list(map(str, arguments))) for fatal, arguments in jobs]
    done = subprocess.run(
        [sys.executable, "-c", f"{program}{_LOOP}", json.dumps(told)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]
