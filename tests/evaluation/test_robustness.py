"""That a curve and its area say what they should, on what a network really answers."""

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convoy.evaluation.contact_sheet import Sheet
from convoy.evaluation.corruptions import CORRUPTIONS
from convoy.evaluation.robustness import Robustness, measure, samples, summary
from convoy.evaluation.robustness_figure import robustness_figure
from convoy.graph import Graph
from convoy.preprocessing import Preprocessing
from tests.evaluation.pictured import CPU, shapes, split_of, subject
from tests.evaluation.test_figures import drawn

SHAPE = (7, 5)


class Brightness(nn.Module):
    """Class 1 for images that are bright on the whole, else class 0."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack((-mean, mean), dim=1)


def brightness(count: int = 60) -> tuple[Graph, Tensor, NDArray[np.int64]]:
    """A network that is always right, and images that are either dark or light."""
    labels = np.arange(count) % 2
    images = shapes(count) // 4 + torch.from_numpy(labels * 150)[:, None, None, None]
    graph = Graph(Preprocessing(32, "gray", [128.0], [60.0]), Brightness()).eval()
    return graph, images.to(torch.uint8), labels


def test_a_network_that_does_not_mind_keeps_the_whole_area() -> None:
    graph, images, labels = brightness()
    found = measure(graph, split_of(images, labels), 1000, CPU)
    assert found.images == 60
    assert found.clean == 1
    for name in ("noise", "blur", "contrast", "rotation", "jpeg"):
        assert found.relative[name] == 1, name
    assert found.all == pytest.approx(1, abs=0.01)


def test_the_area_is_that_of_the_trapezoids_by_the_clean_one() -> None:
    clean = np.array([True, True, True, True, False])
    harmed = np.zeros((*SHAPE, 5), dtype=bool)
    harmed[:, :, :2] = True  # 40 % at every strength
    found = summary(clean, harmed)
    assert found.clean == pytest.approx(0.8)
    # From 0.8 to 0.4 in the first of five steps, then level.
    expected = ((0.8 + 0.4) / 2 + 4 * 0.4) / 5 / 0.8
    assert all(area == pytest.approx(expected) for area in found.relative.values())
    assert found.all == pytest.approx(expected)
    assert found.low is not None and found.high is not None
    assert found.low <= expected <= found.high


def test_metrics_and_curves_have_the_names_that_group_them() -> None:
    found = summary(np.ones(9, bool), np.ones((*SHAPE, 9), bool))
    expected = {f"robust/{name}" for name in (*CORRUPTIONS, "all", "all_low", "all_high")}
    assert set(found.metrics()) == expected
    assert found.curves() == {f"robust/accuracy/{name}": [1.0] * 6 for name in CORRUPTIONS}


def test_where_nothing_is_right_there_is_no_area_and_still_a_figure() -> None:
    found = summary(np.zeros(9, bool), np.zeros((*SHAPE, 9), bool))
    assert found.all is None and found.low is None
    assert found.metrics() == {}
    drawn(figure_of(found))


def test_a_single_image_has_an_area_and_no_interval() -> None:
    found = summary(np.ones(1, bool), np.ones((*SHAPE, 1), bool))
    assert (found.all, found.low, found.high) == (1, None, None)
    with pytest.raises(ValueError, match="at least one image"):
        summary(np.ones(0, bool), np.ones((*SHAPE, 0), bool))


def test_the_same_images_are_harmed_in_the_same_way_each_time() -> None:
    one = subject()
    first, second = (measure(one.graph, one.images, 5, CPU) for _ in range(2))
    assert first == second
    assert first.images == 5


@pytest.mark.parametrize("channels", ["gray", "rgb", "hsv", "cmyk"])
@pytest.mark.parametrize("side", [8, 40])
def test_all_colours_and_small_images_are_measured_and_drawn(channels: str, side: int) -> None:
    one = subject("mlp", channels, side)  # type: ignore[arg-type]
    found = measure(one.graph, one.images, 12, CPU)
    assert found.accuracy.keys() == CORRUPTIONS.keys()
    shown = samples(one.images.read([0]))
    assert {tuple(images.shape) for images in shown.values()} == {
        (6, side, side, one.images.read([0]).shape[-1])
    }
    drawn(figure_of(found))


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    peaks = []
    for count in (256, 1024):
        graph, _, _ = brightness(2)
        images, labels = shapes(count), np.arange(count) % 2
        split = split_of(images, labels)
        tracemalloc.start()
        measure(graph, split, count, CPU, batch_size=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What is kept of an image: whether it was right in 36 forms, and its share of a bootstrap.
    assert peaks[1] - peaks[0] < 20 * 2**20


def figure_of(found: Robustness) -> Sheet:
    pictures = {name: np.zeros((6, 8, 8, 3), np.uint8) for name in CORRUPTIONS}
    return robustness_figure(found, pictures, "a network on a dataset")
