"""Two forms of one network have to answer alike: what is served is what was measured."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convoy.errors import ParityFailed

TOLERANCE = 1e-5
"""How far two forms of one network may differ in a probability."""


def require_parity(
    what: str, found: NDArray[np.floating[Any]], expected: NDArray[np.floating[Any]]
) -> None:
    """Refuse `what` unless its probabilities (N, classes) are those of the network, `expected`.

    Raises `ParityFailed` where one image has another class, or a probability is more than
    `TOLERANCE` away.
    """
    if found.shape != expected.shape:
        raise ParityFailed(
            f"{what} answers in the shape {found.shape}, the network in {expected.shape}."
        )
    difference = float(np.abs(found.astype(np.float64) - expected).max())
    classes = int(np.count_nonzero(found.argmax(axis=1) != expected.argmax(axis=1)))
    if classes or not difference <= TOLERANCE:
        raise ParityFailed(
            f"{what} gives probabilities up to {difference:.2g} away from the network that was "
            f"evaluated (at most {TOLERANCE} is allowed), and another class for {classes} of "
            f"{len(found)} test images: it cannot serve in its place."
        )
