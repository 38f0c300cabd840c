"""Seeds that follow from what is drawn, and from nothing that happened before.

A training that goes on after a kill draws what an unbroken one would have drawn.
"""

_FACTOR = 1_000_003
_RANGE = 2**63


def seed_of(*parts: int) -> int:
    """Return the seed for `parts`: a training's own seed, then epoch, batch and what else tells."""
    seed = 0
    for part in parts:
        seed = (seed * _FACTOR + part) % _RANGE
    return seed
