"""What a benchmark tells: figures with their bounds, and the machine that they are of."""

import json
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One figure: `at most` its bound, or at least it where `least` is set."""

    name: str
    value: float
    bound: float | None = None
    least: bool = False
    detail: dict[str, Any] | None = None

    @property
    def holds(self) -> bool:
        if self.bound is None:
            return True
        return self.value >= self.bound if self.least else self.value <= self.bound

    def show(self) -> None:
        told = ""
        if self.bound is not None:
            told = f"at {'least' if self.least else 'most'} {self.bound:g}  "
            told += "ok" if self.holds else "MISSED"
        print(f"{self.name:<52} {self.value:>9.2f}   {told}", flush=True)


def keep(result: Path, command: str, rows: Sequence[Row], **more: Any) -> None:
    """Write what was measured, on which machine, and what else there is to tell."""
    listed = [{**row._asdict(), "holds": row.holds} for row in rows]
    told = {"command": command, "machine": machine(), "rows": listed, **more}
    result.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return what the figures depend on; the load is that of a minute before."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    told = {
        "cores": len(os.sched_getaffinity(0)),
        "memory, GiB": round(memory / 2**30),
        "processor": platform.machine(),
        "load when it ended": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    for name in ("numpy", "pillow", "simplejpeg", "torch"):
        with suppress(PackageNotFoundError):  # not all are the core's
            told[name] = version(name)
    return told
