"""`python -m convoy.training spec.json`."""

from convoy.programs.entry import by_hand

by_hand("convoy.training.fit")
