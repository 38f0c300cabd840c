"""Evaluation of `lenet5` on MNIST's 10,000 test images, against a plain loop with scikit-learn.

    python -m benchmarks.evaluation [RESULT.json]

Convoy's side is the evaluation program as it is: predictions of test and val, every metric with
1,000 bootstrap replicates, calibration, cost, figures, files; and behind it inspection without
robustness: mistakes, label errors, explanation, their figures. The peer computes the same metrics
from the same network with scikit-learn and torchmetrics and resamples them in a loop, the way that
tutorials do; it reads the split as a whole, and neither calibrates, times, inspects nor draws. Some
of its replicates are measured and the rest is reckoned, as all of them are as long. Each side is a
process of its own, timed behind its imports. The network is fresh from its initialisation: that
changes no work.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from benchmarks.datasets import MNIST, ROOT, dataset_of, prepared
from benchmarks.rows import Row, keep
from convoy import shards
from convoy.architectures import build
from convoy.evaluation.intervals import REPLICATES
from convoy.files import read_json, write_json
from convoy.graph import ArchitectureRecord
from convoy.shards import Stored

MEASURED = 10
"""Replicates that the peer really makes."""
MEMORY = (10_000, 40_000)
"""Test images between which memory may grow by what is known of each, but not by its pixels."""


def main(result: Path | None) -> int:
    """Measure, print a table, keep it; return 1 where a bound is missed."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        for row in _rows(Path(scratch)):
            rows.append(row)
            row.show()
    if result:
        keep(result, "python -m benchmarks.evaluation RESULT.json", rows)
    return int(not all(row.holds for row in rows))


def _rows(scratch: Path) -> Iterator[Row]:
    if MNIST.exists():
        files = prepared(dataset_of("mnist", MNIST, "gray", 32), scratch / "mnist")
        yield from _times(spec_of(files, scratch / "timed"))
    else:
        print("evaluation: without times, needs mnist in shared/data beside the repository")
    found = []
    for images in MEMORY:
        files = made_up(scratch / f"made-up-{images}", images)
        found.append(_run("ours", spec_of(files, scratch / f"held-{images}"))["peak_mib"])
    pixels = (MEMORY[1] - MEMORY[0]) * 32 * 32 * 3 / 2**20
    more = f"{MEMORY[1] - MEMORY[0]:,} more images"
    yield Row(f"memory of {more}, MiB", found[1] - found[0], pixels, detail={"peaks": found})
    yield Row("their pixels, a byte each, MiB", pixels)


def _times(spec: Path) -> Iterator[Row]:
    ours, peer = _run("ours", spec), _run("peer", spec)
    told = {"accuracy": ours["accuracy"], "peak_mib": ours["peak_mib"], "cpu_s": ours["cpu"]}
    yield Row("evaluation program, s", ours["seconds"], 60, detail=told)
    both = ours["seconds"] + ours["inspection"]
    yield Row("with inspection, but for robustness, s", both, 60)
    whole = peer["once"] + REPLICATES * peer["replicate"]
    yield Row("plain loop with the same intervals, s (reckoned)", whole, detail=peer)
    yield Row("evaluation program to the plain loop", ours["seconds"] / whole, 0.5)


def _run(side: str, spec: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.evaluation", f"--{side}", str(spec)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def spec_of(files: dict[str, str], folder: Path) -> Path:
    """Write what the evaluation program is told of a fresh `lenet5`; return the file."""
    folder.mkdir(parents=True)
    manifest: Any = read_json(Path(files["manifest.json"]))
    names = ("classes", "channels", "image_size", "mean", "std")
    record = ArchitectureRecord("lenet5", *(manifest[name] for name in names))
    torch.manual_seed(0)
    network = build(
        "lenet5", num_classes=len(record.classes), in_channels=len(record.mean), image_size=32
    )
    save_file(network.state_dict(), folder / "model.safetensors")
    spec = {"folder": str(folder), "record": asdict(record), "files": files, "key": "measured"}
    write_json(folder / "spec.json", spec)
    return folder / "spec.json"


def made_up(folder: Path, images: int) -> dict[str, str]:
    """Write a dataset of `images` test images of noise, 32 x 32 RGB, and 500 for val."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(images)
    count, classes = images + 500, [str(digit) for digit in range(10)]
    contents = [random.bytes(32) for _ in range(count)]
    signatures = np.zeros((count, 64), np.int8)
    pixels = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    name = shards.write_pixels(folder / "shards", contents, pixels, signatures)
    stored = (
        Stored(
            content,
            shards.digest(image),
            b"",
            "",
            32,
            32,
            f"{number}.png",
            classes[number % 10],
            "test" if number < images else "val",
            None,
        )
        for number, (content, image) in enumerate(zip(contents, pixels, strict=True))
    )
    shards.write_table(folder / "shards" / f"{name}.csv", stored)
    told = {"classes": classes, "channels": "rgb", "image_size": 32}
    write_json(folder / "manifest.json", {**told, "mean": [128.0] * 3, "std": [74.0] * 3})
    names = ["manifest.json", *(f"shards/{name}{kind}" for kind in shards.KINDS)]
    return {name: str(folder / name) for name in names}


def ours(spec: dict[str, Any]) -> dict[str, Any]:
    """Run evaluation and inspection here; return their seconds and the peak of memory."""
    from convoy.evaluation import inspection, program

    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, done))
    watcher.start()
    began, cpu = time.perf_counter(), time.process_time()
    found = program.main(spec, lambda event: None)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    inspection.main({**spec, "dataset": "measured", "robustness": 0}, lambda event: None)
    inspected = time.perf_counter() - began
    done.set()
    watcher.join()
    accuracy = found["evaluation"]["accuracy"]
    times = {"seconds": seconds, "inspection": inspected, "cpu": cpu}
    return {**times, "peak_mib": peak[0], "accuracy": accuracy}


def _watch(peak: list[float], done: threading.Event) -> None:
    """Look at what the process holds itself: not at files that are mapped, which the system may
    forget at any time."""
    while not done.wait(0.02):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                peak[0] = max(peak[0], int(line.split()[1]) / 1024)


def peer(spec: dict[str, Any], replicates: int = MEASURED) -> dict[str, Any]:
    """Do it as tutorials do: the split as one tensor, scikit-learn's functions, a loop."""
    from convoy.datamodule import read_split
    from convoy.graph import load_graph

    began = time.perf_counter()
    record = ArchitectureRecord(**spec["record"])
    graph = load_graph(record, Path(spec["folder"]) / "model.safetensors")
    images, labels = read_split(spec["files"], "test")
    with torch.inference_mode():
        shares = torch.cat([graph(part) for part in torch.split(images, 256)]).double()
    shares = shares / shares.sum(dim=1, keepdim=True)
    once = metrics_of_the_peer(shares.numpy(), labels.numpy())
    first = time.perf_counter() - began
    random, began = np.random.default_rng(0), time.perf_counter()
    found = []
    for _ in range(replicates):
        drawn = random.integers(0, len(labels), len(labels))
        found.append(metrics_of_the_peer(shares.numpy()[drawn], labels.numpy()[drawn]))
    told = {"once": first, "replicate": (time.perf_counter() - began) / replicates}
    ends = {
        name: np.quantile([one[name] for one in found], [0.025, 0.975]).tolist() for name in once
    }
    return {**told, "metrics": once, "intervals": ends}


def metrics_of_the_peer(shares: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the metrics of probabilities (N, C) by scikit-learn and torchmetrics."""
    from sklearn import metrics as m
    from torchmetrics.functional.classification import multiclass_calibration_error

    predicted, classes = shares.argmax(axis=1), range(shares.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that a draw lacks
        m.precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
        f1 = {
            average: m.f1_score(labels, predicted, average=average, zero_division=0)
            for average in ("macro", "weighted")
        }
        error = multiclass_calibration_error(
            torch.from_numpy(shares), torch.from_numpy(labels), len(classes), n_bins=15
        )
        return {
            "accuracy": float(m.accuracy_score(labels, predicted)),
            "top5_accuracy": float(m.top_k_accuracy_score(labels, shares, k=5, labels=classes)),
            "balanced_accuracy": float(m.balanced_accuracy_score(labels, predicted)),
            "macro_f1": float(f1["macro"]),
            "weighted_f1": float(f1["weighted"]),
            "roc_auc": float(m.roc_auc_score(labels, shares, multi_class="ovr")),
            "negative_log_likelihood": float(m.log_loss(labels, shares, labels=classes)),
            "brier_score": float(
                m.brier_score_loss(labels, shares, labels=classes, scale_by_half=False)
            ),
            "expected_calibration_error": float(error),
        }


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in ("--ours", "--peer"):
        told: Any = read_json(Path(sys.argv[2]))
        print(json.dumps((ours if sys.argv[1] == "--ours" else peer)(told)))
        sys.exit()
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
