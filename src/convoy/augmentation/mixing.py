"""Mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019): images of two, and targets of two.

Each image draws its partner's share by itself, where the papers' code draws one a batch.
"""

import math

import torch
from torch import Tensor

from convoy.augmentation.boxes import Boxes, pasted
from convoy.augmentation.layout import from_rows, rows


def mixed(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    mixup: float,
    cutmix: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return images (N, C, H, W) uint8 and targets (N, classes) float32 that sum to one.

    `mixup` and `cutmix` are alphas, 0 is off; where both are on, each image has one of the two by
    the toss of a coin. Partners are the batch in another
    order, drawn as well.
    """
    count = len(images)
    by_mixup = torch.full((count,), bool(mixup), device=images.device)
    if mixup and cutmix:
        by_mixup = torch.randint(2, (count,), generator=generator, device=images.device) > 0
    partner = torch.randperm(count, generator=generator, device=images.device)
    others = from_rows(rows(images).index_select(0, partner), images.shape[1])
    own = torch.ones(count, device=images.device)
    if mixup:
        own = torch.where(by_mixup, beta(mixup, count, generator, images.device), own)
        images = blended(images, others, own)
    if cutmix:
        boxes = draw(images, cutmix, ~by_mixup, generator)
        images = pasted(images, others, boxes)
        own = own * (1 - boxes.area() / (images.shape[2] * images.shape[3]))
    classes = torch.arange(num_classes, device=images.device)
    targets = (labels[:, None] == classes).to(torch.float32)
    return images, torch.lerp(targets.index_select(0, partner), targets, own[:, None])


def blended(images: Tensor, others: Tensor, own: Tensor) -> Tensor:
    """Return `own` (N,) of each of images (N, C, H, W) uint8 and the rest of others.

    Rounded to whole levels, a deviation of 0.3 of 255, so that batches are uint8 whatever is on.
    """
    levels = rows(others).to(torch.float32)
    levels.lerp_(rows(images).to(torch.float32), own[:, None, None])
    return from_rows(levels.round_().to(torch.uint8), images.shape[1])


def draw(images: Tensor, alpha: float, where: Tensor, generator: torch.Generator) -> Boxes:
    """Return what of images (N, C, H, W) is to be pasted over; empty but for those in `where` (N,).

    As in the authors' code: the sides have the root of the partner's share, the centre is uniform
    in the image, and what lies outside it is cut off.
    """
    count, _, height, width = images.shape
    side = (1 - beta(alpha, count, generator, images.device)).sqrt_() * where

    def along(length: int) -> tuple[Tensor, Tensor]:
        centre = torch.randint(length, (count,), generator=generator, device=images.device)
        half = (side * length).long() // 2
        return (centre - half).clamp_(min=0), (centre + half).clamp_(max=length)

    return Boxes(*along(height), *along(width))


def beta(alpha: float, count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Return draws (count,) from Beta(alpha, alpha), float32.

    Without rejection, so that every draw takes two numbers (Devroye, "Random variate generation in
    one line of code", 1996): Bailey's polar method for Student's t, mapped to the unit interval.
    """
    first, second = torch.rand(2, count, generator=generator, device=device)
    power = first.pow(1 / alpha)
    away = (2 * math.pi * second).cos_() * (1 - power).sqrt_()
    share: Tensor = 0.5 + 0.5 * away / (power + away * away).sqrt_()
    return share.clamp_(0, 1)
