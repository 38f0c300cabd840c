"""The sections of params.yaml on what is asked of a trained network, and kept of it."""

from typing import Annotated

from pydantic import Field

from convoy.section import Section, Share


class Evaluation(Section):
    """What is found out about each trained network beside its scores."""

    robustness: Annotated[int, Field(ge=0)]
    """Test images that are harmed at most, in 35 ways each; none if it is 0."""


class Gate(Section):
    """What a version must show before it serves."""

    floor: Annotated[float, Field(ge=0, le=1)]
    class_floor: Annotated[float, Field(ge=0, le=1)]
    calibration: Annotated[float, Field(gt=0, le=1)]
    latency: Annotated[float, Field(gt=0)]
    tolerance: Annotated[float, Field(ge=0, lt=1)]
    margin: Annotated[float, Field(ge=0, lt=1)]
    alpha: Share
    class_loss: Annotated[float, Field(ge=0, le=1)]
    saving: Share
    require_approval: bool
    """Whether what the gate allowed waits for a person before it serves."""


class Registry(Section):
    """What a registered version holds beside its graph."""

    onnx: bool


class Kept(Section):
    """What `convoy gc` keeps, beside all that an alias, a tag or a branch leads to."""

    champions: Annotated[int, Field(ge=1)]
    """Of each model: so many versions that served last."""
    days: Annotated[float, Field(ge=0)]
    """What is younger is kept, whatever it is."""
