"""`python -m benchmarks.gpu`: measure, print a table, keep it; code 1 where a bound is missed."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets import CIFAR10
from benchmarks.gpu import loading, steps, throughput, training
from benchmarks.gpu.case import Case, Skipped, Wanted
from benchmarks.rows import Row, keep
from benchmarks.step import in_half
from convoy.architectures import module_of
from convoy.errors import UsageError

CASES: dict[str, Case] = {
    "throughput": throughput.rows,
    "step": steps.rows,
    "reading": loading.rows,
    "speed94": training.speed94,
    "accuracy": training.accuracy,
}
WITH_DATA = ("reading", "speed94", "accuracy")


def main(arguments: Sequence[str]) -> int:
    """Return 0, 1 where a bound is missed; wrong usage ends with 2."""
    parser = _parser()
    told = parser.parse_args(arguments)
    places = [Path(word) for word in told.words if word.endswith(".json")]
    cases = [word for word in told.words if not word.endswith(".json")]
    if unknown := [word for word in cases if word not in CASES]:
        parser.error(f"unknown case {unknown[0]}: the cases are {', '.join(CASES)}")
    names = tuple(filter(None, told.architectures.split(",")))
    try:
        for name in names:
            module_of(name)
    except UsageError as error:
        parser.error(str(error))
    if told.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU here: --device cpu measures what there is")
    if told.device is None and not torch.cuda.is_available():
        print("gpu: skipped, needs a GPU (--device cpu measures the processor)")
        return 0
    device = torch.device(told.device or "cuda")
    wanted = Wanted(device, told.quick, told.compiled, names, told.data.resolve())
    rows, skipped = _measured(wanted, cases or list(CASES))
    for place in places[:1]:
        said = ("RESULT.json" if word == str(place) else Path(word).name for word in arguments)
        command = " ".join(("python -m benchmarks.gpu", *said))
        keep(place, command, rows, device=_facts(device), skipped=skipped)
    return int(not all(row.holds for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu")
    parser.add_argument("words", nargs="*", metavar="RESULT.json | CASE", help=", ".join(CASES))
    parser.add_argument("--device", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    parser.add_argument("--compiled", action="store_true", help="throughput with torch.compile too")
    parser.add_argument("--architectures", default="", metavar="A,B", help="measure only these")
    parser.add_argument(
        "--data",
        type=Path,
        default=CIFAR10,
        help="train/<class>/*.jpg and test/, in a folder or .tar.gz",
    )
    return parser


def _measured(wanted: Wanted, cases: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    if wanted.device.type == "cuda":
        # Kernels are chosen by trying them, and what is left in float32 is multiplied in TF32.
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        for name in cases:
            if name in WITH_DATA and not wanted.data.exists():
                reason = f"needs {wanted.data.name} in shared/data beside the repository, or --data"
                found: Iterator[Row | Skipped] = iter([Skipped(name, reason)])
            else:
                (folder := Path(scratch, name)).mkdir()
                found = CASES[name](wanted, folder)
            for one in found:
                if isinstance(one, Skipped):
                    skipped[one.name] = one.reason
                    print(f"{one.name}: skipped, {one.reason}", flush=True)
                else:
                    rows.append(one)
                    one.show()
    return rows, skipped


def _facts(device: torch.device) -> dict[str, Any]:
    """Return what a figure depends on, beside the machine."""
    told: dict[str, Any] = {
        "name": "processor",
        "precision": "bfloat16" if in_half(device) else "float32",
        "float32 products": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        told |= {
            "name": properties.name,
            "memory, GiB": round(properties.total_memory / 2**30),
            "multiprocessors": properties.multi_processor_count,
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "cuDNN TF32": torch.backends.cudnn.allow_tf32,
            "cuDNN benchmark": torch.backends.cudnn.benchmark,
        }
    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
