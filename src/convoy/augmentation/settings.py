"""What is done to training images, as a recipe's section `augment`; what is absent is off.

No torch here: `params.yaml` is read before anything heavy is imported.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from convoy.errors import UsageError
from convoy.section import Section

if TYPE_CHECKING:
    from convoy.decoding import Channels


class Jitter(Section):
    """How far colours are changed: each factor is drawn from 1 - value to 1 + value."""

    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the circle that it may turn each way."""


class Policy(Section):
    """Operations that are drawn an image: RandAugment, or TrivialAugment in its wide space."""

    name: Literal["randaugment", "trivial"]
    operations: Annotated[int, Field(ge=1, le=14)] | None = None
    """How many, one after another; `randaugment` alone."""
    magnitude: Annotated[float, Field(ge=0, le=10)] | None = None
    """On the paper's scale, where 10 is AutoAugment's largest; `randaugment` alone."""

    @model_validator(mode="after")
    def _has_what_its_name_needs(self) -> "Policy":
        values = (self.operations, self.magnitude)
        if self.name == "randaugment" and None in values:
            raise ValueError("the policy randaugment needs operations and magnitude.")
        if self.name == "trivial" and values != (None, None):
            raise ValueError("the policy trivial draws operation and magnitude: name it alone.")
        return self


class Augment(Section):
    """Everything that may be done, in this order, with a draw of its own for each image."""

    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels that an image may move each way."""
    flip: bool = False
    """Mirror half of the images left to right."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees that an image may turn each way."""
    jitter: Jitter = Jitter()
    policy: Policy | None = None
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the images that lose a rectangle to noise."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of the Beta distribution that two images' shares are drawn from."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of the same for a rectangle's share; with `mixup`, each image has one of the two."""
    fill: Annotated[int, Field(ge=0, le=255)] = 0
    """Level of what moves in at a border: 0 is black (but no ink, so white, in `cmyk`)."""

    def check(self, channels: "Channels") -> None:
        """Raise `UsageError` for what makes no sense in a dataset's colour.

        Gray has neither saturation nor hue. In CMYK a level is ink, whose factors would not be
        those of brightness and contrast. `hsv` is stored as RGB and changed as such.
        """
        coloured = [f"jitter.{name}" for name, value in self.jitter if value]
        if self.policy:
            coloured.append("policy")
        if channels == "gray":
            coloured = [one for one in coloured if one in ("jitter.saturation", "jitter.hue")]
        if channels in ("gray", "cmyk") and coloured:
            raise UsageError(
                f"augment.{coloured[0]} makes no sense for {channels} images: "
                f"leave it out of the recipe."
            )
