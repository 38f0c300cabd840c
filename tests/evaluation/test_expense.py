"""Time, memory and energy of predictions against what is known of made-up ones."""

import json
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convoy.architectures import build
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.energy import NoMeter, joules_per_image, meter_of
from convoy.evaluation.expense import Expense, expense
from convoy.evaluation.memory import prediction_bytes
from convoy.evaluation.timing import latency, throughput
from convoy.graph import Graph
from convoy.preprocessing import Preprocessing

CPU = torch.device("cpu")


def test_the_latency_is_of_one_image_and_most_calls_stay_below_its_95th_percentile() -> None:
    seen: list[int] = []

    def predict(images: Tensor) -> Tensor:
        seen.append(len(images))
        sleep(0.02 if len(seen) % 8 == 0 else 0.004)
        return images

    found = latency(predict, torch.zeros(1, 8))
    assert set(seen) == {1}
    assert found.calls >= 20
    assert 0.004 <= found.p50 < 0.02 <= found.p95


def test_the_best_batch_is_where_more_at_once_gains_nothing() -> None:
    def predict(images: Tensor) -> Tensor:
        # A call costs as much as 16 images; beyond 64 of them each one costs more.
        sleep(1e-4 * (16 + len(images) * (1 if len(images) <= 64 else 3)))
        return images

    found = throughput(predict, torch.zeros(3, 8))
    assert found.batch == 64
    assert found.images_per_second == found.by_batch[64]
    assert list(found.by_batch) == [1, 4, 16, 64, 256]


def test_a_batch_that_memory_does_not_hold_ends_the_search() -> None:
    def predict(images: Tensor) -> Tensor:
        if len(images) > 16:
            raise torch.OutOfMemoryError
        sleep(0.001)
        return images

    assert throughput(predict, torch.zeros(3, 8)).batch == 16


def test_a_prediction_holds_the_weights_and_what_two_layers_pass_on() -> None:
    network = nn.Sequential(
        nn.Linear(100, 1000, bias=False),
        nn.Tanh(),
        nn.Linear(1000, 10, bias=False),
    )
    weights, images = 100 * 1000 + 1000 * 10, 32 * 100
    # At the peak the tanh of the maps is made while they are there.
    most = weights + images + 2 * 32 * 1000
    assert prediction_bytes(network, torch.zeros(32, 100)) == pytest.approx(4 * most, rel=0.001)


def test_memory_does_not_grow_with_what_is_freed_again() -> None:
    short, long = (nn.Sequential(*(nn.Tanh() for _ in range(depth))) for depth in (3, 30))
    images = torch.zeros(8, 1000)
    assert prediction_bytes(short, images) == prediction_bytes(long, images)


def powercap(folder: Path, microjoules: list[int]) -> Path:
    """What Linux shows of some processors, and of a part of the first."""
    for number, value in enumerate(microjoules):
        place = folder / f"intel-rapl:{number}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "energy_uj").write_text(f"{value}\n")
    part = folder / "intel-rapl:0:0"
    part.mkdir(exist_ok=True)
    (part / "energy_uj").write_text("999000000\n")
    return folder


def test_the_joules_are_those_of_all_processors_without_their_parts(tmp_path: Path) -> None:
    meter = meter_of(CPU, powercap(tmp_path, [1_000_000, 2_500_000]))
    assert meter() == pytest.approx(3.5)

    def act() -> int:
        powercap(tmp_path, [1_600_000, 2_900_000])
        return 50

    assert joules_per_image(act, meter, seconds=0) == pytest.approx(1.0 / 50)


def test_without_a_meter_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(NoMeter, match="shows no energy meter"):
        meter_of(CPU, tmp_path / "none")
    folder = powercap(tmp_path, [1, 2])
    (folder / "intel-rapl:1/energy_uj").write_text("")
    with pytest.raises(NoMeter, match="cannot read"):
        meter_of(CPU, folder)
    still = meter_of(CPU, powercap(tmp_path, [1, 2]))
    with pytest.raises(NoMeter, match="did not move"):
        joules_per_image(lambda: 1, still, seconds=0)


def test_an_expense_says_what_a_graph_costs_and_survives_json(tmp_path: Path) -> None:
    network = build("lenet5", num_classes=10, in_channels=1, image_size=32)
    graph = Graph(Preprocessing(32, "gray", [128.0], [64.0]), network).eval()
    random = np.random.default_rng(0)
    images = torch.tensor(random.integers(0, 256, (5, 32, 32, 1), dtype=np.uint8))
    drawing = Drawing(tmp_path)
    found = expense(graph, images, drawing)
    assert Expense.from_json(json.loads(json.dumps(found.to_json()))) == found
    named = found.metrics()
    assert (named["cost/parameters"], named["cost/multiply_adds"]) == (61_706, 416_520)
    assert 0 < named["cost/latency_p50_ms"] <= named["cost/latency_p95_ms"]
    assert named["cost/peak_mebibytes"] > 4 * 61_706 / 2**20
    assert ("cost/joules_per_image" in named) != ("cost/joules_per_image" in drawing.missing)
