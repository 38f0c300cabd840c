"""From origins to prepared datasets, against plain loops that only decode, resize and save.

    python -m benchmarks.ingestion [RESULT.json] [CASE ...]

Every measurement runs in a process of its own, so that its time and its memory are its own.
"""

import gzip
import io
import json
import os
import shutil
import statistics
import struct
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets import CIFAR10, MNIST, ROOT, SIGNS, dataset_of
from benchmarks.processes import measure
from benchmarks.rows import Row, keep
from convoy import architectures
from convoy.ingestion.fetch import fetch, is_stale
from convoy.settings import Dataset, load
from convoy.sources.source import Encoded, LabelledImage

REPEATS = 2
ROUNDS = 7
PHOTOGRAPHS = 1_800
MANY, FEW = 60_000, 15_000


def main(result: Path | None, cases: tuple[str, ...] = ()) -> int:
    """Measure, print a table, keep it; return 1 where a bound is missed."""
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="convoy-bench-") as scratch:
        for name in cases or tuple(CASES):
            case = CASES[name]
            if missing := [needed.name for needed in case.needs if not needed.exists()]:
                skipped[name] = f"needs {', '.join(missing)} in shared/data beside the repository"
                print(f"{name}: skipped, {skipped[name]}")
                continue
            for row in case.rows(Path(scratch)):
                rows.append(row)
                row.show()
    if result:
        command = " ".join(("python -m benchmarks.ingestion RESULT.json", *cases))
        keep(result, command, rows, skipped=skipped)
    return int(not all(row.holds for row in rows))


# The cases. Each yields its rows; data that is made in `folder` may serve another case.


def _mnist(folder: Path) -> Iterator[Row]:
    for side in (28, 32):
        runs, peers = [], []
        for repeat in range(REPEATS):
            dataset = dataset_of("mnist", MNIST, channels="gray", image_size=side)
            runs.append(_ingest(dataset, folder / f"{side}-{repeat}"))
            peers.append(_step("plain-idx", str(side), str(folder / "plain.npy")))
        yield _against(f"mnist, 70,000 images to {side}, s", runs, peers, 30)


def _cifar10(folder: Path) -> Iterator[Row]:
    peers = [_step("plain-tar", "32", str(folder / "plain.npy")) for _ in range(REPEATS)]
    for source in ("cifar10", "files"):
        origin = CIFAR10.parent if source == "cifar10" else CIFAR10
        dataset = dataset_of(source, origin, channels="rgb", image_size=32)
        runs = [_ingest(dataset, folder / f"{source}-{n}") for n in range(REPEATS)]
        yield _against(f"cifar-10, 60,000 JPEGs, source {source}, s", runs, peers, 60)


def _photographs(folder: Path) -> Iterator[Row]:
    _large_photographs(folder / "large")
    for side in (64, 128, 224):
        rates: dict[str, list[float]] = _step("decode", str(folder / "large"), str(side))["rates"]
        name = f"400x533 photographs to {side}"
        one = rates["convoy, 1 core"]
        detail = {
            "images a second": {key: statistics.median(found) for key, found in rates.items()},
            "rounds": rates,
        }
        value = _by_round(one, rates["Pillow"])
        yield Row(f"{name}, times a plain Pillow loop", value, 2, True, detail)
        # The filter that Convoy has too, which Pillow takes only where one asks for it.
        value = _by_round(one, rates["Pillow, bilinear"])
        yield Row(f"{name}, times Pillow (bilinear)", value)
        if two := rates.get("convoy, 2 cores"):
            yield Row(f"{name}, two cores against one", _by_round(two, one), 1.7, True)


def _by_round(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the rounds' ratios: a slow minute slows both sides of its round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _growth(folder: Path) -> Iterator[Row]:
    _small_photographs(folder / "photographs")
    _idx_files(folder / "digits")
    for kind, source, channels in (("photographs", "files", "rgb"), ("digits", "idx", "gray")):
        runs: dict[int, list[dict[str, Any]]] = {FEW: [], MANY: []}
        for repeat in range(REPEATS):
            for count, found in runs.items():
                origin = folder / kind / str(count)
                dataset = dataset_of(source, origin, channels=channels, image_size=32)
                found.append(_ingest(dataset, folder / "work" / f"{kind}-{count}-{repeat}"))
        few, many = ({key: _median(runs[n], key) for key in runs[n][0]} for n in (FEW, MANY))
        detail = {f"{FEW:,}": few, f"{MANY:,}": many}
        memory = many["peak, MiB"] / few["peak, MiB"]
        yield Row(f"{kind}, memory of 4 n / n", memory, 1.1, False, detail)
        yield Row(f"{kind}, time of 4 n / n", many["seconds"] / few["seconds"], 4.4)
        for stage in ("fetch", "prepare"):
            yield Row(f"{kind}, 4 n, {stage}, s", many[f"{stage}, s"])


def _unchanged(folder: Path) -> Iterator[Row]:
    _small_photographs(folder / "photographs")
    origin = folder / "photographs" / str(MANY)
    dataset = dataset_of("files", origin, channels="rgb", image_size=32)
    spec = folder / "spec.json"
    spec.write_text(json.dumps(dataset), encoding="utf-8")
    work = folder / "work"
    _step("fetch", str(spec), str(work))
    runs = [_step("stale", str(spec), str(work)) for _ in range(REPEATS)]
    assert not any(run["stale"] for run in runs)
    detail = {"with the start of Python, s": _median(runs, "wall, s")}
    seconds = _median(runs, "seconds")
    yield Row(f"{MANY:,} unchanged files recognised, s", seconds, 5, False, detail)
    again = _step("fetch", str(spec), str(work))
    yield Row(f"{MANY:,} unchanged files fetched again, s", again["seconds"])


class Case(NamedTuple):
    """What is measured, and the data sets that it takes."""

    rows: Callable[[Path], Iterator[Row]]
    needs: tuple[Path, ...]


CASES = {
    "mnist": Case(_mnist, (MNIST,)),
    "cifar10": Case(_cifar10, (CIFAR10,)),
    "photographs": Case(_photographs, (SIGNS,)),
    "growth": Case(_growth, (CIFAR10, MNIST)),
    "unchanged": Case(_unchanged, (CIFAR10,)),
}


def _ingest(dataset: dict[str, Any], work: Path) -> dict[str, Any]:
    """Fetch and prepare as `convoy data` does, a process each. `work` is removed."""
    steps = stages(dataset, work)
    shutil.rmtree(work)
    return {
        "seconds": sum(step["wall, s"] for step in steps.values()),
        "peak, MiB": max(step["peak, MiB"] for step in steps.values()),
        **{f"{stage}, s": step["wall, s"] for stage, step in steps.items()},
        **{f"{stage}, MiB": step["peak, MiB"] for stage, step in steps.items()},
    }


def stages(dataset: dict[str, Any], work: Path) -> dict[str, dict[str, Any]]:
    """Have `work/prepared` hold the dataset; return what each stage took."""
    work.mkdir(parents=True)
    spec = work / "spec.json"
    spec.write_text(json.dumps(dataset), encoding="utf-8")
    return {stage: _step(stage, str(spec), str(work)) for stage in ("fetch", "prepare")}


def _against(
    name: str, runs: list[dict[str, Any]], peers: list[dict[str, Any]], bound: float
) -> Row:
    detail = {
        **{key: _median(runs, key) for key in runs[0]},
        "best, s": min(run["seconds"] for run in runs),
        "plain loop, s": _median(peers, "wall, s"),
        "times the plain loop": _median(runs, "seconds") / _median(peers, "wall, s"),
    }
    return Row(name, detail["seconds"], bound, False, detail)


def _median(runs: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(run[key] for run in runs))


def _step(name: str, *arguments: str) -> dict[str, Any]:
    """Run a step in a process of its own; return what it told, its time and its peak memory."""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.ingestion", "--step", name, *arguments]
    run = measure(command, ROOT, environ)
    return {"wall, s": run.seconds, **json.loads(run.output.splitlines()[-1])}


# The steps, each in a process of its own.


def _fetch(spec: str, work: str) -> dict[str, Any]:
    dataset, folder = _read(spec), Path(work)
    return _timed(fetch, dataset, dataset.origins, folder / "raw", folder / "memory")


def _prepare(spec: str, work: str) -> dict[str, Any]:
    from convoy.ingestion.prepare import prepare  # takes PyTorch, which the other steps spare

    checks = load(ROOT / "params.yaml", architectures.names()).checks
    folder = Path(work)
    places = (folder / "raw", folder / "prepared", folder / "reports")
    return _timed(prepare, "measured", _read(spec), checks, *places)


def _stale(spec: str, work: str) -> dict[str, Any]:
    dataset, found = _read(spec), list[bool]()
    told = _timed(
        lambda: found.append(is_stale(dataset, dataset.origins, Path(work) / "memory")),
    )
    return {**told, "stale": found[0]}


def _plain_idx(side: str, target: str) -> dict[str, Any]:
    def loop() -> None:
        images = []
        for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
            content = gzip.decompress((MNIST / name).read_bytes())
            _, count, height, width = struct.unpack(">4i", content[:16])
            for image in np.frombuffer(content, np.uint8, offset=16).reshape(count, height, width):
                size = (int(side), int(side))
                images.append(np.asarray(Image.fromarray(image).resize(size)))
        np.save(target, np.stack(images))

    return _timed(loop)


def _plain_tar(side: str, target: str) -> dict[str, Any]:
    def loop() -> None:
        size = (int(side), int(side))
        images = []
        with tarfile.open(CIFAR10) as archive:
            for member in archive:
                if stream := archive.extractfile(member):
                    image = Image.open(io.BytesIO(stream.read())).convert("RGB")
                    images.append(np.asarray(image.resize(size)))
        np.save(target, np.stack(images))

    return _timed(loop)


def _decode(folder: str, side: str) -> dict[str, Any]:
    """Return images a second of each way, a value a round; all ways take their turn in a round."""
    from convoy.ingestion.decoded import decoded

    paths = sorted(Path(folder).glob("*.jpg"))
    size = (int(side), int(side))
    dataset = Dataset(**dataset_of("files", Path(folder), channels="rgb", image_size=int(side)))
    cores = sorted(os.sched_getaffinity(0))

    def pillow(some: list[Path], resampling: Image.Resampling | None = None) -> int:
        some = some[: len(paths) // 3]  # as many as make a rate
        for path in some:
            np.asarray(Image.open(path).convert("RGB").resize(size, resampling))
        return len(some)

    def convoy(some: list[Path]) -> int:
        entries = (LabelledImage(p.name, Encoded(b"", p.read_bytes), "0") for p in some)
        return sum(1 for _ in decoded(entries, dataset, lambda _: False))

    ways: dict[str, tuple[Callable[[list[Path]], int], int]] = {
        "Pillow": (pillow, 1),
        "Pillow, bilinear": (partial(pillow, resampling=Image.Resampling.BILINEAR), 1),
        "convoy, 1 core": (convoy, 1),
    }
    if len(cores) > 1:
        ways["convoy, 2 cores"] = (convoy, 2)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for each in range(ROUNDS + 1):
        for name, (loop, allowed) in ways.items():
            os.sched_setaffinity(0, cores[:allowed])
            began = time.monotonic()
            done = loop(paths[:64] if not each else paths)
            if each:  # the round before the first one warms up
                rates[name].append(done / (time.monotonic() - began))
    return {"rates": rates}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "fetch": _fetch,
    "prepare": _prepare,
    "stale": _stale,
    "plain-idx": _plain_idx,
    "plain-tar": _plain_tar,
    "decode": _decode,
}


def _read(spec: str) -> Dataset:
    return Dataset(**json.loads(Path(spec).read_text(encoding="utf-8")))


def _timed(function: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    began = time.monotonic()
    function(*arguments)
    seconds = time.monotonic() - began
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    # Of this program alone: what getrusage tells begins with the parent's, before exec.
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"seconds": seconds, "peak, MiB": peak / 2**10}


# The data that is made for the measurements.


def _jpegs(archive: Path) -> Iterator[tuple[str, Image.Image]]:
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.lower().endswith(".jpg") and (stream := members.extractfile(member)):
                yield member.name, Image.open(io.BytesIO(stream.read())).convert("RGB")


def _noisy(image: Image.Image, size: tuple[int, int], draws: np.random.Generator) -> Image.Image:
    """Return an image enlarged, with the grain of a camera's sensor."""
    pixels: NDArray[np.float32] = np.asarray(image.resize(size), dtype=np.float32)
    grain = draws.standard_normal(pixels.shape, dtype=np.float32) * 6
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def _large_photographs(folder: Path) -> None:
    draws = np.random.default_rng(0)
    folder.mkdir()
    for number, (_, image) in enumerate(islice(_jpegs(SIGNS), PHOTOGRAPHS)):
        _noisy(image, (400, 533), draws).save(folder / f"{number:04}.jpg", quality=90)


def _small_photographs(folder: Path) -> None:
    """Write 60,000 different photographs of 100x100, and links to a quarter of each class."""
    if folder.exists():
        return
    draws = np.random.default_rng(0)
    for number, (name, image) in enumerate(_jpegs(CIFAR10)):
        label = name.split("/")[1]
        path = folder / str(MANY) / label / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _noisy(image, (100, 100), draws).save(path, quality=85)
        if number % (MANY // FEW) == 0:
            fewer = folder / str(FEW) / label / path.name
            fewer.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, fewer)


def _idx_files(folder: Path) -> None:
    """Write MNIST's 60,000 training images as one pair of files, and the first quarter of them."""
    for kind, offset, size in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)):
        content = gzip.decompress((MNIST / f"train-{kind}-ubyte.gz").read_bytes())
        for count in (FEW, MANY):
            path = folder / str(count) / f"all-{kind}-ubyte"
            path.parent.mkdir(parents=True, exist_ok=True)
            head = content[:4] + struct.pack(">i", count) + content[8:offset]
            path.write_bytes(head + content[offset : offset + count * size])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(STEPS[sys.argv[2]](*sys.argv[3:])))
        sys.exit()
    files = [argument for argument in sys.argv[1:] if argument.endswith(".json")]
    names = tuple(argument for argument in sys.argv[1:] if argument not in files)
    sys.exit(main(Path(files[0]) if files else None, names))
