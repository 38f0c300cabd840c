"""`make bench`: every benchmark, one after another, each in a process of its own."""

import subprocess
import sys

BENCHMARKS = (
    "pipeline", "ingestion", "reading", "augmentation", "acceleration", "step", "mnist",
    "evaluation", "orchestration", "rollback", "engine", "growing", "gpu",
)  # fmt: skip

commands = ([sys.executable, "-m", f"benchmarks.{name}"] for name in BENCHMARKS)
sys.exit(max([subprocess.run(command, check=False).returncode for command in commands]))
