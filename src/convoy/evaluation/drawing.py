"""The figures of an evaluation as files: what cannot be drawn is missing with a reason.

A figure explains numbers that are there already, so nothing that goes wrong with it may cost them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convoy.evaluation.contact_sheet import COMPRESSION, Sheet
from convoy.files import draft, settle

if TYPE_CHECKING:  # matplotlib is not needed where a figure is a sheet
    from matplotlib.figure import Figure

FOLDER = "figures"
LONGEST = 300
"""Characters of a reason."""


@dataclass
class Drawing:
    """The figures that lie under `folder`, and what is missing of an evaluation.

    They are in `folder`/figures, unless a figure's name has another folder in it.
    """

    folder: Path
    figures: dict[str, str] = field(default_factory=dict)
    """The file of each, relative to `folder`."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a figure, or another part of the evaluation, is not there."""

    def draw(self, name: str, make: "Callable[[], Figure | Sheet]") -> None:
        """Make a figure and keep it as `name`.png, or list it as missing."""
        drawn = self.attempt(name, lambda: _save(self._place(name), make()))
        if drawn:
            self.figures[name] = self._place(name).relative_to(self.folder).as_posix()
        else:
            with suppress(OSError):
                self._place(name).unlink()  # one of an evaluation before

    def attempt(self, name: str, act: Callable[[], None]) -> bool:
        """Do something that the evaluation can be without; return whether it was done."""
        try:
            act()
        except Exception as error:
            self.lack(name, str(error) or type(error).__name__)
            return False
        self.missing.pop(name, None)
        return True

    def lack(self, name: str, reason: str) -> None:
        """List something as missing, with the first line of a reason."""
        self.missing[name] = reason.strip().splitlines()[0][:LONGEST] if reason.strip() else ""

    def _place(self, name: str) -> Path:
        return self.folder / ("" if "/" in name else FOLDER) / f"{name}.png"


def _save(place: Path, figure: "Figure | Sheet") -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with draft(place) as stream:
        if isinstance(figure, Sheet):
            figure.save(stream)
        else:
            figure.savefig(stream, format="png", pil_kwargs={"compress_level": COMPRESSION})
        settle(stream, place)
