"""`python -m convoy.training spec.json`."""

import os
import signal

from convoy.programs.entry import by_hand
from convoy.programs.guarded import die_with_parent

if "LOCAL_RANK" in os.environ:  # PyTorch's launcher lets its processes outlive it
    die_with_parent(signal.SIGKILL)
by_hand("convoy.training.fit")
