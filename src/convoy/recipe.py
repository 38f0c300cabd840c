"""How an architecture is trained: a recipe of params.yaml.

The plain values have their one home in the file; what is absent of the others is off.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from convoy.augmentation.settings import Augment
from convoy.section import Section, Share

Precision = Literal["float32", "bfloat16"]


class Weights(Section):
    """The published weights that a network starts from, and how it is tuned from there."""

    model_config = ConfigDict(serialize_by_alias=True)

    origin: Annotated[str, Field(alias="from", min_length=1)]
    """A file of this machine or an http(s) address."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    frozen: Annotated[float, Field(ge=0, le=1)]
    """The share of the epochs in which the heads alone learn."""
    rate: Annotated[float, Field(gt=0, le=1)]
    """The earliest layers' learning rate as a share of the heads'."""


class Recipe(Section):
    """One architecture's training values."""

    optimizer: Literal["sgd", "adamw"]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "one_cycle", "cosine", "step"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    """Images of an optimizer step, of all devices together."""
    # What follows is off where it is absent.
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps in which the rate rises from nothing; `one_cycle` does so by itself."""
    milestones: Annotated[tuple[Share, ...], Field(strict=False)] = ()
    """Shares of the steps after which the schedule `step` takes a tenth of the rate."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Norm that the gradient may have."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Parts that a batch is taken in, one after another, where it does not fit the memory."""
    precision: Precision | None = None
    """What products are computed in: bfloat16 on a GPU that has it, else float32, if absent."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the moving average of the weights, which is what is validated and kept."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a lower validation loss after which the training ends."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Seconds after which the training ends, with the best epoch until then."""
    balance: Literal["weights", "sampling"] | None = None
    """Have rare classes count as much as frequent ones: in the loss, or by being drawn as often."""
    augment: Augment = Augment()
    """What is done to training images, see `convoy.augmentation`."""
    options: dict[str, bool | int | float | str | list[int]] = Field(default_factory=dict)
    """Choices that the architecture's paper leaves or argues about, see `convoy architectures`."""
    weights: Weights | None = None
    """Fresh ones where there are none."""

    def flat(self) -> dict[str, Any]:
        """Return what is on, by names with dots: {"epochs": 12, "augment.shift": 2}."""
        return dict(_flat(self.model_dump(exclude_defaults=True)))

    @model_validator(mode="after")
    def _goes_together(self) -> "Recipe":
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError("the schedule 'step' and its milestones go together.")
        if self.schedule == "one_cycle" and self.warmup:
            raise ValueError("the schedule 'one_cycle' rises by itself: leave warmup out.")
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} cannot be taken in {self.accumulate} parts."
            )
        return self


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
