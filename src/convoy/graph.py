"""The whole way from raw uint8 images to class probabilities, as one graph.

Evaluation scores this graph and the registry holds it, so what is measured is what serves.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from convoy.architectures import build
from convoy.decoding import Channels
from convoy.preprocessing import Preprocessing

EXTRA = "extra_files"
"""Where a registered version has the files that are not MLflow's own: record and weights."""


@dataclass(frozen=True)
class ArchitectureRecord:
    """What turns a file of weights back into a network, without running anybody's code."""

    architecture: str
    classes: list[str]
    channels: Channels
    image_size: int
    mean: list[float]
    std: list[float]
    options: dict[str, Any] = field(default_factory=dict)
    """Those of the recipe; versions from before there were any have none."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


class Graph(nn.Module):
    """Raw uint8 images (N, H, W, C) of any size to class probabilities (N, classes)."""

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.preprocessing(images))
        return logits.softmax(dim=1)


def load_graph(record: ArchitectureRecord, weights: Path) -> Graph:
    """Build the network that `record` names, with the weights of a safetensors file."""
    network = build(
        record.architecture,
        num_classes=len(record.classes),
        in_channels=len(record.mean),
        image_size=record.image_size,
        options=record.options,
    )
    network.load_state_dict(load_file(weights))
    preprocessing = Preprocessing(record.image_size, record.channels, record.mean, record.std)
    return Graph(preprocessing, network).eval()


def load_exported(folder: Path) -> nn.Module:
    """Return the `pt2` graph of a registered version, whose files have been verified."""
    loaded: nn.Module = torch.export.load(folder / "data" / "model.pt2").module()
    return loaded


def probabilities(graph: nn.Module, images: Tensor, batch_size: int = 256) -> Tensor:
    """Return the graph's probabilities (N, classes) for uint8 images (N, H, W, C)."""
    return of_batches(graph, torch.split(images, batch_size), len(images))


def of_batches(graph: nn.Module, batches: Iterable[Tensor], count: int) -> Tensor:
    """Return the graph's probabilities (count, classes) for batches of together `count` images.

    They lie in one piece from the start: a small answer that is kept after each batch would keep
    the memory of large layers around it from being used again.
    """
    found, done = torch.empty(0), 0
    with torch.inference_mode():
        for batch in batches:
            answer = graph(batch)
            if not done:
                found = answer.new_empty(count, answer.shape[1])
            found[done : done + len(batch)] = answer
            done += len(batch)
    return found
