"""`python -m convoy.programs.guarded COMMAND ...`: a command that does not outlive its owner.

On Linux the kernel sends it SIGTERM when the thread that started it ends, however that one ends.
Elsewhere the command runs as it is, and its owner has to end it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Have the kernel send this process signal `number` when its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    owner = os.getppid()
    die_with_parent(signal.SIGTERM)
    if os.getppid() != owner:
        sys.exit("the owner ended before its command began")
    os.execvp(sys.argv[1], sys.argv[1:])
