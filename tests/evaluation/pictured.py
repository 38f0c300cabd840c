"""Networks and images for tests of what is shown of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convoy.architectures import build
from convoy.decoding import COUNT, Channels
from convoy.evaluation.predictions import Scored
from convoy.evaluation.reading import SplitImages
from convoy.evaluation.subject import Subject
from convoy.graph import Graph
from convoy.preprocessing import Preprocessing
from convoy.readers import Resident
from tests.evaluation.scorings import contents, names

CPU = torch.device("cpu")


def shapes(count: int = 12, side: int = 32, channels: int = 1) -> Tensor:
    """Images (N, side, side, C) uint8: a bright box somewhere on a darker slope."""
    random = np.random.default_rng(3)
    slope = np.linspace(0, 90, side)[:, None, None] * np.ones((1, side, channels))
    images = np.repeat(slope[None], count, axis=0)
    for image in images:
        top, left = random.integers(0, side // 2, 2)
        image[top : top + side // 2, left : left + side // 2] = random.integers(120, 256, channels)
    return torch.from_numpy(images.astype(np.uint8))


def split_of(images: Tensor, labels: NDArray[np.int64]) -> SplitImages:
    return SplitImages(labels, contents(len(images)), Resident(images))


def subject(
    architecture: str = "lenet5",
    channels: Channels = "gray",
    side: int = 32,
    classes: int = 3,
    count: int = 12,
) -> Subject:
    """A network fresh from its initialisation, on images with labels at random."""
    torch.manual_seed(0)
    depth = COUNT[channels]
    # Narrow where it can be, so that the deepest ones are built in a moment.
    options = {} if architecture == "mlp" else {"width": 0.125}
    network = build(
        architecture, num_classes=classes, in_channels=depth, image_size=side, options=options
    )
    preprocessing = Preprocessing(side, channels, [100.0] * depth, [60.0] * depth)
    graph = Graph(preprocessing, network).eval()
    images = shapes(count, side, depth)
    labels = np.random.default_rng(0).integers(0, classes, count)
    with torch.inference_mode():
        shares = graph(images).numpy()
    scored = Scored(shares, labels, contents(count), names(classes))
    return Subject(graph, channels, split_of(images, labels), scored, CPU, f"{architecture} on it")
