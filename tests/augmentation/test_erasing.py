"""Random erasing: rectangles of the paper's areas and shapes, filled with noise."""

import pytest
import torch
from torch import Tensor

from convoy.augmentation.boxes import Boxes, pasted
from convoy.augmentation.erasing import AREA, ASPECT, draw, erased
from tests.augmentation.pictures import noise, seeded


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pasting_takes_each_box_from_the_other_image(channels: int) -> None:
    images, others = noise(5, channels, 6, 9), noise(5, channels, 6, 9, seed=1)
    boxes = Boxes(
        *torch.tensor([[0, 2, 5, 0, 3], [6, 4, 6, 1, 3], [0, 3, 8, 0, 2], [9, 5, 9, 1, 7]])
    )
    found = pasted(images, others, boxes)
    for number in range(5):
        top, bottom, left, right = (int(edge[number]) for edge in boxes)
        expected = images[number].clone()
        expected[:, top:bottom, left:right] = others[number, :, top:bottom, left:right]
        assert torch.equal(found[number], expected)
        assert boxes.area()[number] == (bottom - top) * (right - left)


def blank(count: int, height: int = 32, width: int = 32) -> Tensor:
    return torch.zeros(count, 3, height, width, dtype=torch.uint8)


def test_boxes_have_the_areas_and_shapes_of_the_paper() -> None:
    boxes = draw(blank(4000, 100, 100), 1.0, seeded())
    area = boxes.area() / 100**2
    aspect = (boxes.bottom - boxes.top) / (boxes.right - boxes.left)
    assert AREA[0] - 0.002 < area.min() < 0.025
    assert 0.38 < area.max() < AREA[1] + 0.01
    assert ASPECT[0] - 0.02 < aspect.min() < 0.33
    assert 3 < aspect.max() < ASPECT[1] + 0.2
    # All but the largest of the longest fit: areas below a tenth are as likely as of the paper.
    assert ((area < 0.1).sum() / 4000).item() == pytest.approx(0.08 / 0.38, abs=0.06)
    # Uniform from 0.3 to 3.3, half of them would be above 1.8, but the large ones among these.
    assert ((aspect > 1.8).sum() / 4000).item() == pytest.approx(0.47, abs=0.08)


def test_boxes_lie_within_and_touch_every_border() -> None:
    for height, width in ((32, 32), (10, 40), (40, 10)):
        boxes = draw(blank(3000, height, width), 1.0, seeded())
        assert boxes.top.min() == 0
        assert boxes.left.min() == 0
        assert boxes.bottom.max() == height
        assert boxes.right.max() == width
        assert (boxes.area() > 0).float().mean() > 0.95  # in a long image few shapes fit
        middle = (boxes.top + boxes.bottom).float().mean() / 2
        assert middle.item() == pytest.approx(height / 2, abs=height / 30)


def test_a_share_of_the_images_is_erased_and_the_others_stay() -> None:
    images = noise(4000, 1, 8, 8)
    found = erased(images, 0.25, seeded())
    changed = (found != images).flatten(1).any(1)
    assert 0.2 < changed.float().mean() < 0.28
    assert torch.equal(erased(images, 0.0, seeded()), images)
    assert (draw(images, 1.0, seeded()).area() > 0).all()


def test_what_is_erased_is_a_full_rectangle_of_noise_over_all_channels() -> None:
    images = blank(500)
    found = erased(images, 1.0, seeded(3))
    boxes = draw(images, 1.0, seeded(3))
    inside = pasted(images, torch.full_like(images, 1), boxes).bool()
    assert not found[~inside].any()
    levels = found[inside]
    counts = levels.long().bincount(minlength=256)
    expected = len(levels) / 256
    assert (counts - expected).abs().max() < 6 * expected**0.5
    first, second = (found[number][inside[number]][:50] for number in (0, 1))
    assert not torch.equal(first, second)
    red, green = found[:, 0][inside[:, 0]].float(), found[:, 1][inside[:, 1]].float()
    assert abs(torch.corrcoef(torch.stack((red, green)))[0, 1]) < 0.02
