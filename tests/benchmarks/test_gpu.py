"""The benchmark of a GPU in its form for a processor: real runs, with the core's packages alone."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.devices import clock, forget_peak, peak
from benchmarks.gpu import steps, throughput, training
from benchmarks.gpu.__main__ import CASES, main
from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.gpu.recipes import LEAST, guarded
from benchmarks.step import compared
from convoy.evaluation.cost import cost_on_paper
from tests import core_only

ROOT = Path(__file__).parents[2]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NOT_THE_CORES = ("prefect", "mlflow", "dvc", "httpx", "typer", "psutil", "sklearn", "pyarrow")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="says what is so without a GPU")


class Ran(NamedTuple):
    code: int
    told: dict[str, Any]

    def value(self, name: str) -> float:
        return float(self.row(name)["value"])

    def row(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.told["rows"] if row["name"] == name)
        return found


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [str(python), *arguments], env=environ, cwd=ROOT, capture_output=True, text=True
    )


def measure(python: Path, result: Path, *arguments: str) -> Ran:
    quick = ("-m", "benchmarks.gpu", str(result), *arguments, "--device", "cpu", "--quick")
    done = run(python, *quick)
    assert result.is_file(), done.stderr[-3000:]
    return Ran(done.returncode, json.loads(result.read_text()))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the core's packages alone."""
    return core_only.python(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 JPEG files of two classes that nothing tells apart."""
    root, draws = tmp_path_factory.mktemp("photographs"), np.random.default_rng(1)
    for split, count in (("train", 70), ("test", 30)):
        for label in ("heads", "tails"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:03}.jpg")
    return root


@pytest.fixture(scope="module")
def ran(core: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All that trains nothing to its end."""
    result = tmp_path_factory.mktemp("result") / "result.json"
    return measure(core, result, "throughput", "step", "reading", "--data", str(photographs))


def test_it_imports_where_only_the_core_is_installed(core: Path) -> None:
    program = "import importlib.util, sys\nfound = [n for n in sys.argv[1:] if {}]\nprint(found)"
    # A folder of the repository is a package without an origin to Python: mlflow/ is one.
    origin = "getattr(importlib.util.find_spec(n), 'origin', None)"
    assert run(core, "-c", program.format(origin), *NOT_THE_CORES).stdout.strip() == "[]"
    assert run(core, "-c", "import benchmarks.gpu.__main__").returncode == 0
    loaded = f"import benchmarks.gpu.__main__\n{program.format('n in sys.modules')}"
    assert run(Path(sys.executable), "-c", loaded, *NOT_THE_CORES).stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", throughput.QUICK)
@pytest.mark.parametrize("form", [throughput.SMALL, throughput.LARGE])
def test_throughput_tells_images_a_second_and_their_share_of_the_floor(
    ran: Ran, name: str, form: int
) -> None:
    title = f"{name} at {throughput.side_of(name, form)}"
    rate = ran.value(f"{title}, images a second")
    assert rate > 0 and math.isfinite(rate)
    operations = ran.row(f"{title}, images a second")["detail"]["FLOP an image"]
    product = ran.value("matrix product, float32, TFLOP/s")
    share = ran.value(f"{title}, of the FLOP floor")
    assert share == pytest.approx(rate * operations / (product * 1e12))
    assert 0 < share < math.inf


@pytest.mark.slow
def test_a_step_and_its_memory_are_told_against_the_bare_loop(ran: Ran) -> None:
    step = ran.row("mlp, batch 64, step to bare step")
    assert step["detail"]["convoy_ms"] > 0 < step["detail"]["bare_ms"]
    assert 0 < step["value"] < math.inf
    memory = ran.row("mlp, batch 64, peak memory to bare loop")
    held = memory["detail"]
    assert memory["value"] == held["convoy, MiB"] / held["bare, MiB"] > 0


@pytest.mark.slow
def test_reading_is_told_against_the_best_loader(ran: Ran) -> None:
    rates = ran.row("times the best DataLoader")["detail"]["images a second, medians"]
    ours = rates.pop("convoy")
    assert set(rates) == {"DataLoader, workers 0", "DataLoader, workers 1"}
    assert ran.value("times the best DataLoader") == ours / max(rates.values()) > 0


@pytest.mark.slow
def test_a_processor_has_no_bounds_of_a_gpu(ran: Ran) -> None:
    assert ran.code == 0
    assert {row["bound"] for row in ran.told["rows"]} == {None}
    assert ran.told["device"]["precision"] == "float32"
    assert ran.told["machine"]["torch"] == torch.__version__


@pytest.mark.soak
@pytest.mark.slow
def test_trainings_are_tested_and_timed_and_a_missed_accuracy_is_a_failure(
    core: Path, photographs: Path, tmp_path: Path
) -> None:
    chosen = ("speed94", "accuracy", "--architectures", "resnet20", "--data", str(photographs))
    ran = measure(core, tmp_path / "result.json", *chosen)
    assert ran.code == 1
    for title in ("resnet18, fast recipe, test accuracy, %", "resnet20, test accuracy, %"):
        row = ran.row(title)
        assert 0 < row["value"] < row["bound"]
        assert row["least"] and not row["holds"]
    ratio = ran.row("fast to standard recipe, seconds")
    assert ratio["value"] == ratio["detail"]["fast, s"] / ratio["detail"]["standard, s"]
    epoch = ran.value("an epoch of the standard recipe, s")
    assert ratio["detail"]["standard, s"] == pytest.approx(200 * epoch)
    assert epoch > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["thruput"], "the cases are throughput, step, reading, speed94, accuracy"),
        (["step", "--architectures", "resnet19"], "did you mean"),
        pytest.param(["step", "--device", "cuda"], "--device cpu", marks=no_gpu),
    ],
    ids=["case", "architecture", "device"],
)
def test_wrong_usage_says_what_is_right(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@no_gpu
def test_without_a_gpu_nothing_is_measured_unless_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    assert "skipped, needs a GPU" in capsys.readouterr().out


def test_data_that_is_missing_is_told(tmp_path: Path) -> None:
    place = tmp_path / "result.json"
    data = str(tmp_path / "none.tar.gz")
    assert main([str(place), "reading", "accuracy", "--device", "cpu", "--data", data]) == 0
    told = json.loads(place.read_text())
    assert told["rows"] == []
    assert set(told["skipped"]) == {"reading", "accuracy"}
    assert "none.tar.gz" in told["skipped"]["reading"]
    said = "reading accuracy --device cpu --data none.tar.gz"
    assert told["command"] == f"python -m benchmarks.gpu RESULT.json {said}"


def test_bounds_are_those_of_a_gpu_and_of_long_steps() -> None:
    wanted = Wanted(CUDA, False, False, (), Path())
    assert wanted.bound(1.05) == 1.05
    assert Wanted(CPU, False, False, (), Path()).bound(1.05) is None
    case = steps.CASES["resnet18"]
    assert not steps.is_long(case, [9.0, 0.0019 * case.steps, 0.0019 * case.steps])
    assert steps.is_long(case, [0.0, 0.002 * case.steps, 0.003 * case.steps])
    row = compared("resnet18", case, [9.0, 1.1, 1.1], [0.0, 1.0, 1.0], steps.BOUND)
    assert not row.holds


def test_only_the_architectures_asked_for_are_measured() -> None:
    wanted = Wanted(CPU, True, False, ("resnet20", "mlp"), Path())
    assert wanted.only(("mlp", "resnet18", "resnet20")) == ("mlp", "resnet20")


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [("mlp", 28, 224), ("lenet5", 32, 224), ("alexnet", 32, 227), ("resnet18", 32, 224)],
)
def test_a_form_has_the_size_of_its_paper_where_there_is_one(
    name: str, small: int, large: int
) -> None:
    assert throughput.side_of(name, throughput.SMALL) == small
    assert throughput.side_of(name, throughput.LARGE) == large


@pytest.mark.parametrize("name", ["mlp", "lenet5", "alexnet", "googlenet", "resnet20", "resnet50"])
def test_the_multiply_adds_are_those_of_the_paper_at_its_size(name: str) -> None:
    small, large = (throughput.multiply_adds_of(name, form) for form in throughput.CLASSES)
    assert cost_on_paper(name).multiply_adds in (small, large)
    assert small < large


def test_a_batch_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = throughput._step

    def small(name: str, form: int, batch: int, compiled: bool, device: torch.device) -> Any:
        if batch > most:
            raise torch.OutOfMemoryError("no memory is left")
        return whole(name, form, batch, compiled, device)

    monkeypatch.setattr(throughput, "_step", small)
    effort = throughput.QUICKLY
    for most in (8, 0):
        told = list(throughput._of("mlp", throughput.SMALL, False, effort, 1e9, CPU))
        if most:
            assert not isinstance(told[0], Skipped)
            assert told[0].detail and told[0].detail["batch"] == most
        else:
            assert told == [Skipped("mlp at 28", "not one image fits the memory")]


def test_a_processors_peak_is_that_since_it_was_forgotten() -> None:
    large = torch.ones(64, 2**20)
    assert peak(CPU) >= large.nbytes
    before = clock(CPU)
    del large
    forget_peak(CPU)
    base = peak(CPU)
    another = torch.ones(32, 2**20)
    assert peak(CPU) - base > another.nbytes / 2
    assert clock(CPU) > before


@pytest.mark.parametrize(
    ("ends", "seconds"),
    [([7.0], 7.0), ([7.0, 9.0], 7.0), ([7.0, 11.0, 12.0], 4.0), ([7.0, 11.0, 14.0, 15.0], 3.0)],
    ids=["one", "cut off", "whole", "several"],
)
def test_the_shortest_whole_epoch_counts(ends: list[float], seconds: float) -> None:
    assert training.shortest(ends) == seconds


def test_every_guard_has_a_recipe_of_its_own_and_every_case_a_name() -> None:
    assert set(LEAST) == {"resnet20", "vgg16_bn", "resnet18", "googlenet"}
    default = guarded("default")
    for name in LEAST:
        recipe = guarded(name)
        assert recipe != default
        assert (recipe.augment.shift, recipe.augment.flip) == (4, True)
    assert tuple(CASES) == ("throughput", "step", "reading", "speed94", "accuracy")
