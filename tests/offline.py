"""A command without a network: only its own loopback is there."""

import shutil
import subprocess
import sys
from collections.abc import Sequence

# `unshare -n` takes the loopback too, down until somebody brings it up: SIOCSIFFLAGS, UP | RUNNING.
LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network() -> Sequence[str]:
    """Return the command that starts another without a network; empty where that is forbidden."""
    if not shutil.which("unshare"):
        return ()
    for options in (("-n",), ("-r", "-n")):
        command = ("unshare", *options, sys.executable, "-c", LOOPBACK)
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    return ()
