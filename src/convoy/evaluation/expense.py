"""What a trained network costs to ask, measured on the images that it is evaluated on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from convoy.evaluation.cost import multiply_adds, parameters
from convoy.evaluation.drawing import Drawing
from convoy.evaluation.energy import joules_per_image, meter_of
from convoy.evaluation.memory import prediction_bytes
from convoy.evaluation.timing import Latency, Throughput, latency, repeated, throughput
from convoy.graph import Graph


@dataclass(frozen=True)
class Expense:
    """Parameters, arithmetic, time, memory and energy of predictions by one graph."""

    parameters: int
    multiply_adds: int
    latency: Latency
    throughput: Throughput
    peak_bytes: int
    """At the best batch."""
    joules_per_image: float | None
    """At the best batch; None where it cannot be read."""

    def metrics(self) -> dict[str, float]:
        """Return the numbers by the names that a run has them under."""
        named = {
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "latency_p50_ms": 1e3 * self.latency.p50,
            "latency_p95_ms": 1e3 * self.latency.p95,
            "images_per_second": self.throughput.images_per_second,
            "best_batch": self.throughput.batch,
            "microseconds_per_image": 1e6 / self.throughput.images_per_second,
            "peak_mebibytes": self.peak_bytes / 2**20,
            "joules_per_image": self.joules_per_image,
        }
        return {f"cost/{name}": float(v) for name, v in named.items() if v is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Expense":
        """Return the expense that `to_json` wrote."""
        speed = record["throughput"]
        by_batch = {int(size): rate for size, rate in speed["by_batch"].items()}
        parts = {
            "latency": Latency(**record["latency"]),
            "throughput": Throughput(**{**speed, "by_batch": by_batch}),
        }
        return cls(**{**record, **parts})


def expense(graph: Graph, images: Tensor, drawing: Drawing) -> Expense:
    """Measure a graph on some images (N, H, W, C) uint8; a meter that is not there is missing."""
    with torch.inference_mode():
        alone, many = latency(graph, images[:1]), throughput(graph, images)
    batch = repeated(images, many.batch)
    joules: list[float] = []

    def measure() -> None:
        meter = meter_of(images.device)
        with torch.inference_mode():
            joules.append(joules_per_image(lambda: len(graph(batch)), meter))

    drawing.attempt("cost/joules_per_image", measure)
    return Expense(
        parameters=parameters(graph.network),
        multiply_adds=multiply_adds(graph.network, graph.preprocessing(images[:1])),
        latency=alone,
        throughput=many,
        peak_bytes=prediction_bytes(graph, batch),
        joules_per_image=joules[0] if joules else None,
    )
