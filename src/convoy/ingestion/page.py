"""A dataset's report as one page for people: no other file, no script, no address, no date.

What it shows was written by whoever made the files, so everything is escaped, characters that
cannot be seen are shown as escapes, and the page forbids itself to load or run anything.
"""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

SIDE = 96
"""The longest side of a picture, in pixels."""
BUDGET = 1_600_000
"""Bytes of pictures; beyond them a page says that there are more."""
CLASSES = 100
"""Classes that are shown with images; the table has all up to `ROWS`."""
SAMPLES = 240
"""Sample images in all."""
ROWS = 300
"""Rows of a table."""
TEXT = 600
"""Characters of a name or a reason."""
SPAN = 8
"""Half octaves that a chart of sizes has at least, so that its figures stay small."""

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_COLOURS = {
    "gray": ("gray",),
    "rgb": ("red", "green", "blue"),
    "hsv": ("hue", "saturation", "value"),
    "cmyk": ("cyan", "magenta", "yellow", "black"),
}


def page(
    report: Mapping[str, Any],
    image_of: Callable[[str], NDArray[np.uint8] | None],
    means: Mapping[str, NDArray[np.uint8]],
) -> str:
    """Return the HTML of a `report`, at most about 2 MB.

    `image_of` gives an image (H, W, C) by the hex of its content, in 1 (gray), 3 (RGB) or 4 (CMYK)
    channels, or None; `means` holds the mean image of each class, likewise, or nothing.
    """
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = _Pictures(BUDGET)
    style = (folder / "page.css").read_text(encoding="utf-8")
    shown = report["classes"][:CLASSES]
    each = max(1, SAMPLES // max(1, len(shown)))
    warnings = report["findings"]["warning"]["listed"]
    return environment.get_template("page.html.j2").render(
        report=report,
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        samples={
            label: [pictures.of(content, image_of) for content in report["samples"][label][:each]]
            for label in shown
        },
        means={label: pictures.encoded(means[label]) for label in shown if label in means},
        largest=max((_total(report, label) for label in report["classes"]), default=0),
        total=lambda label: _total(report, label),
        colours=_COLOURS[report["channels"]],
        sizes=_chart(report["sizes"]["cells"]),
        picture=lambda content: pictures.of(content, image_of),
        near={
            rule: [finding for finding in warnings if finding["rule"] == rule]
            for rule in ("near-leak", "near-two-labels", "near-duplicate")
        },
        other_warnings=[finding for finding in warnings if not finding["rule"].startswith("near-")],
        duplicates=[
            finding
            for finding in report["findings"]["duplicate"]["listed"]
            if finding.get("images")
        ],
        rows=ROWS,
    )


def _visible(value: Any) -> Any:
    """Show what cannot be seen, or turns the writing around, as an escape; cut what is too long."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if len(value) > TEXT and not value.startswith("data:image/"):
        value = f"{value[: TEXT // 2]} … {value[-TEXT // 2 :]}"
    if value.isprintable():
        return value
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in value
    )


class _Pictures:
    """Images as `data:` addresses, as long as the budget lasts; None for what is not shown."""

    def __init__(self, budget: int) -> None:
        self.left = budget

    def of(
        self, content: str, image_of: Callable[[str], NDArray[np.uint8] | None]
    ) -> dict[str, Any] | None:
        image = image_of(content) if self.left > 0 else None
        return None if image is None else self.encoded(image)

    def encoded(self, pixels: NDArray[np.uint8]) -> dict[str, Any] | None:
        """Return an image's address with its size on the page."""
        channels = pixels.shape[2]
        flat = pixels[..., 0] if channels == 1 else pixels
        image = Image.fromarray(np.ascontiguousarray(flat), _MODES[channels])
        image = image.convert("RGB") if channels == 4 else image
        small = max(image.size) <= SIDE // 2
        image.thumbnail((SIDE, SIDE))
        stream = io.BytesIO()
        if small:
            image.save(stream, "PNG", optimize=True)
        else:
            image.save(stream, "JPEG", quality=80)
        content = base64.b64encode(stream.getvalue()).decode()
        if len(content) > self.left:
            return None
        self.left -= len(content)
        kind = "png" if small else "jpeg"
        scale = SIDE / max(image.size)
        return {
            "address": f"data:image/{kind};base64,{content}",
            "width": max(1, round(image.width * scale)),
            "height": max(1, round(image.height * scale)),
        }


def _total(report: Mapping[str, Any], label: str) -> int:
    return sum(counts[label] for counts in report["counts"].values())


def _chart(cells: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return where the sizes' circles stand: half octaves of width to the right, of height up."""
    if len(cells) < 2:
        return {"circles": [], "ticks": [], "span": 1}
    low = min(min(width, height) for width, height, _ in cells) - 1
    high = max(low + SPAN, max(max(width, height) for width, height, _ in cells) + 1)
    most = max(count for _, _, count in cells)
    span = high - low
    return {
        "circles": [
            {
                "x": width - low,
                "y": span - (height - low),
                "radius": round(max(0.08, 0.48 * (count / most) ** 0.5), 3),
                "width": round(2 ** (width / 2)),
                "height": round(2 ** (height / 2)),
                "count": count,
            }
            for width, height, count in cells
        ],
        "ticks": [
            {"at": tick - low, "pixels": round(2 ** (tick / 2))}
            for tick in range(low + 1, high)
            if span == SPAN or tick % 2 == 0
        ],
        "span": span,
    }
