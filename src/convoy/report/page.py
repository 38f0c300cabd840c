"""A pipeline run as one page for people: no other file, no script, no address that is called.

Names of classes, settings and files are whatever somebody wrote: everything is escaped, and the
page forbids itself to load or run anything, because MLflow shows it inside its own pages.
"""

import base64
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from convoy.lineage_drawing import inside
from convoy.report import sections
from convoy.report.charts import percent, short
from convoy.report.record import Network, Report

BUDGET = 3_000_000
"""Bytes of pictures, so that a page stays below 5 MB; beyond them it says what was left out."""
WIDEST = 1000
"""Pixels of a picture's width."""
SCREEN = 96 / 150
"""A page's pixels for one of a figure: inches are then inches, and words as large as the page's."""
TEXT = 300
"""Characters of a name or a reason."""


def page(report: Report) -> str:
    """Return the HTML of a report."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (folder / "page.css").read_text(encoding="utf-8")
    missing = dict(report.missing)
    galleries = _galleries(report.networks, missing)
    found = sections.drawn(report, missing)
    return environment.get_template("page.html.j2").render(
        report=report,
        outcome=report.outcome,
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        galleries=galleries,
        heading=_heading,
        lineage=Markup(inside(report.lineage)) if report.lineage else None,
        missing=_together(missing, [one.architecture for one in report.networks]),
        percent=percent,
        short=short,
        **found,
    )


def _galleries(
    networks: Iterable[Network], missing: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the pictures of each network as `data:` addresses, as long as the budget lasts.

    Each kind of picture is taken of all networks before the next kind: the budget cuts kinds, not
    networks.
    """
    networks = list(networks)
    left = BUDGET
    shown: dict[str, list[dict[str, Any]]] = {}
    kinds = dict.fromkeys(name for one in networks for name in one.pictures)
    for kind in kinds:
        for one in networks:
            if kind not in one.pictures:
                continue
            picture = _encoded(one.pictures[kind])
            if picture is None or len(picture["address"]) > left:
                why = "the file is no image" if picture is None else "the page would be too large"
                missing[f"{one.architecture}: {_title(kind)}"] = f"{why}; the run has it in MLflow"
                continue
            left -= len(picture["address"])
            shown.setdefault(_title(kind), []).append({"network": one.architecture, **picture})
    return shown


def _title(kind: str) -> str:
    return kind.replace("_", " ").replace("-", " ")


def _heading(title: str) -> str:
    return {"grad cam": "Grad-CAM", "jpeg": "JPEG"}.get(title, title.capitalize())


def _together(missing: Mapping[str, str], networks: Collection[str]) -> dict[str, str]:
    """Return what is missing with the networks that lack the same for the same reason together."""
    lacking: dict[tuple[str, str], list[str]] = {}
    for what, reason in missing.items():
        name, colon, part = what.partition(": ")
        of_one = bool(colon) and name in networks
        lacking.setdefault((part if of_one else what, reason), []).extend([name] if of_one else [])
    return {
        f"{', '.join(names)}: {what}" if names else what: reason
        for (what, reason), names in lacking.items()
    }


def _encoded(content: bytes) -> dict[str, Any] | None:
    """Return a picture's address and size, smaller and with fewer colours than it was."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    shown = round(image.width * SCREEN), round(image.height * SCREEN)
    if image.width > WIDEST:
        size = (WIDEST, round(image.height * WIDEST / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=75, method=2)
    address = f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return {"address": address, "width": shown[0], "height": shown[1]}


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
