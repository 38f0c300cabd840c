"""Mixup and CutMix: shares from the Beta distribution, targets by what was really mixed."""

import numpy as np
import pytest
import torch

from convoy.augmentation import mixing
from tests.augmentation.pictures import noise, seeded

CPU = torch.device("cpu")
CLASSES = 64


def marked(count: int, height: int = 16, width: int = 16, channels: int = 3) -> torch.Tensor:
    """Image n is of level 3 * n throughout, so that its pixels are known wherever they go."""
    levels = 3 * torch.arange(count, dtype=torch.uint8)
    return levels[:, None, None, None].expand(count, channels, height, width)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 2.0, 20.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    shares = mixing.beta(alpha, 20_000, seeded(), CPU).double().numpy()
    expected = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    grid = np.linspace(0.001, 0.999, 999)
    ours, theirs = (np.searchsorted(np.sort(one), grid) / len(one) for one in (shares, expected))
    # Kolmogorov and Smirnov's distance, of which 0.0145 is exceeded once in 1000 times.
    assert np.abs(ours - theirs).max() < 0.0145


@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 1e6])
def test_extreme_alphas_give_numbers(alpha: float) -> None:
    shares = mixing.beta(alpha, 10_000, seeded(), CPU)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.3, 0.0), (0.0, 1.0), (0.3, 1.0)])
def test_targets_are_the_shares_that_images_really_have(mixup: float, cutmix: float) -> None:
    for count, height, width in ((64, 16, 16), (63, 9, 14), (1, 8, 8)):
        images = marked(count, height, width)
        labels = torch.arange(count)
        found, targets = mixing.mixed(images, labels, CLASSES, mixup, cutmix, seeded())
        assert found.dtype == torch.uint8
        assert targets.shape == (count, CLASSES)
        assert (targets.sum(1) - 1).abs().max() < 1e-6
        assert (targets >= 0).all()
        assert ((targets > 0).sum(1) <= 2).all()
        # The mean level of an image is what its targets weigh the levels by.
        weighed = targets @ (3.0 * torch.arange(CLASSES))
        assert (found.float().mean((1, 2, 3)) - weighed).abs().max() <= 0.5 + 1e-3


def test_cutmix_pastes_one_rectangle_of_the_other_image() -> None:
    images = marked(64)
    found, targets = mixing.mixed(images, torch.arange(64), CLASSES, 0.0, 1.0, seeded())
    partners = set()
    for number in range(64):
        pixels = found[number, 0]
        assert (found[number] == pixels).all()
        foreign = pixels != 3 * number
        assert targets[number, number].item() == pytest.approx(1 - foreign.float().mean().item())
        if foreign.any():
            rows, columns = foreign.any(1).nonzero(), foreign.any(0).nonzero()
            box = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (box == box[0, 0]).all()
            partners.add(int(box[0, 0]) // 3)
    assert len(partners) > 40  # most have one, each another


def test_a_box_over_the_border_counts_for_what_is_left_of_it() -> None:
    images = marked(2000, 10, 20)
    boxes = mixing.draw(images, 1.0, torch.ones(2000, dtype=torch.bool), seeded())
    assert (boxes.top >= 0).all()
    assert (boxes.left >= 0).all()
    assert (boxes.bottom <= 10).all()
    assert (boxes.right <= 20).all()
    high, wide = boxes.bottom - boxes.top, boxes.right - boxes.left
    whole = 2 * high == wide  # of the image's shape wherever nothing was cut off, rounding aside
    at_border = (boxes.top == 0) | (boxes.bottom == 10) | (boxes.left == 0) | (boxes.right == 20)
    assert (~whole & at_border).sum() > 400
    own = 1 - boxes.area() / 200
    assert own.mean() > 0.55  # half of the area would be lost if nothing were cut off


def test_with_both_each_image_has_one_of_the_two() -> None:
    images = marked(64)
    by_cutmix = by_mixup = 0
    for seed in range(10):
        found, _ = mixing.mixed(images, torch.arange(64), CLASSES, 1.0, 1.0, seeded(seed))
        for number, pixels in enumerate(found[:, 0]):
            changed = pixels != 3 * number
            if changed.all() and (pixels == pixels[0, 0]).all():
                by_mixup += 1
            elif changed.any():
                by_cutmix += 1
                levels = set(pixels.flatten().tolist())
                assert len(levels) == 2
                assert {level % 3 for level in levels} == {0}  # not blended as well
    assert 240 < by_mixup < 380
    assert 200 < by_cutmix < 340


def test_mixup_is_linear_in_both_images() -> None:
    images, labels = noise(31, 1, 5, 7), torch.arange(31)
    found, targets = mixing.mixed(images, labels, 31, 1.0, 0.0, seeded())
    expected = (targets.double() @ images.double().flatten(1)).view(images.shape)
    assert (found - expected).abs().max() < 0.51
    own = targets.diagonal()
    assert len(set(own.tolist())) > 25  # a share of its own for each


def test_two_of_a_class_stay_of_that_class() -> None:
    _, targets = mixing.mixed(noise(8, 3, 6, 6), torch.full((8,), 2), 5, 0.5, 0.5, seeded())
    assert torch.allclose(targets, torch.eye(5)[2].expand(8, 5))
