"""`python -m convoy`, the same as `convoy`."""

from convoy.cli import main

main()
