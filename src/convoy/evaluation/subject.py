"""What is inspected: a network, the test images, and what it said of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convoy.decoding import Channels
from convoy.evaluation.pictures import pictures
from convoy.evaluation.predictions import Scored
from convoy.evaluation.reading import SplitImages
from convoy.graph import Graph

Numbers = Sequence[int] | NDArray[np.int64]
"""Which images of a split."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A network on the test split; only images that are asked for are read."""

    graph: Graph
    channels: Channels
    images: SplitImages
    scored: Scored
    device: torch.device
    title: str
    """Of its figures: which network on what."""

    @property
    def network(self) -> nn.Module:
        return self.graph.network

    @property
    def classes(self) -> tuple[str, ...]:
        return self.scored.classes

    def normalised(self, numbers: Numbers) -> Tensor:
        """Return test images as the network sees them, (N, C, H, W) float32 on its device."""
        planes = self.images.read(numbers).permute(0, 3, 1, 2).contiguous()
        return self.graph.preprocessing.normalise(planes.to(self.device))

    def look(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return test images as people see them, (N, H, W, 3)."""
        return pictures(self.images.read(numbers))
