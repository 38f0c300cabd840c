"""All of a recipe's augmentation, one after another."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convoy.augmentation.erasing import erased
from convoy.augmentation.geometry import flipped, rotated, shifted
from convoy.augmentation.jitter import jittered
from convoy.augmentation.layout import channels_last, planes
from convoy.augmentation.mixing import mixed
from convoy.augmentation.policy import applied
from convoy.augmentation.settings import Augment, Jitter

if TYPE_CHECKING:
    from convoy.decoding import Channels


class Augmentation:
    """Training images and labels as a recipe's `augment` changes them.

    Raises `UsageError` for what makes no sense in the dataset's colour.
    """

    def __init__(self, settings: Augment, channels: "Channels" = "rgb") -> None:
        settings.check(channels)
        self.settings = settings

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Return a batch's images (N, C, H, W) uint8, channels last in memory, and its targets.

        Images stay uint8 and of their shape whatever is on. Targets are the labels (N,) themselves,
        or with mixup or cutmix the probabilities (N, num_classes) float32. All draws come from the
        generator, which is on the images' device; neither argument is written to, and where nothing
        is on both are returned as they are. The device is never waited for.
        """
        on = self.settings
        if on.shift:
            images = shifted(images, on.shift, generator, on.fill)
        if on.flip:
            images = flipped(images, generator)
        coloured = on.jitter != Jitter()
        if on.rotate or coloured or on.policy:
            images = planes(images)
            if on.rotate:
                images = rotated(images, on.rotate, generator, on.fill)
            if coloured:
                images = jittered(images, on.jitter, generator)
            if on.policy:
                images = applied(images, on.policy, generator, on.fill)
            images = channels_last(images)
        if on.erase:
            images = erased(images, on.erase, generator)
        if on.mixup or on.cutmix:
            return mixed(images, labels, num_classes, on.mixup, on.cutmix, generator)
        return images, labels
