"""`--plot FILE`: a figure beside what a command prints."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from convoy.errors import ConvoyError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")


def check(plot: Path) -> None:
    """Refuse a figure that could not be written, before anything is computed for it."""
    if plot.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {plot}: name a file that ends in {' or '.join(FORMATS)}.")
    if not plot.absolute().parent.is_dir():
        raise UsageError(f"--plot {plot}: there is no folder {plot.parent}; create it first.")


def write(plot: Path, figure: "Figure") -> None:
    """Write a figure, as a whole or not at all. Raises `ConvoyError` where that cannot be."""
    from convoy.files import write_atomically

    drawn = BytesIO()
    figure.savefig(drawn, format=plot.suffix.lower().removeprefix("."))
    try:
        write_atomically(plot.absolute(), drawn.getvalue())
    except OSError as error:
        raise ConvoyError(
            f"cannot write {plot} ({error.strerror}): give this user the right, or name another."
        ) from None
