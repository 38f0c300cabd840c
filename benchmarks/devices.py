"""A device's clock and its memory, for what it does after it was told to.

A GPU computes while the program goes on: a clock that is read without waiting for it tells how long
the telling took.
"""

import time
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"
"""What Linux takes to start the peak of a process anew (man 5 proc, /proc/pid/clear_refs)."""


def clock(device: torch.device) -> float:
    """Return the seconds on a clock, once all that the device was told to do is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def forget_peak(device: torch.device) -> None:
    """Have `peak` tell of what comes now."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK, encoding="ascii")


def peak(device: torch.device) -> int:
    """Return the most bytes held at once since `forget_peak`.

    On a GPU those of tensors and of what its libraries take from PyTorch; on a processor those of
    the whole process.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
