"""A chain of lineage as a picture: boxes from the data to what served, in SVG.

It stands alone as a document, or within a page whose style colours it.
"""

from collections.abc import Sequence
from html import escape

from convoy.lineage import Chain, Step

WIDTH, LINE, GAP, MARGIN = 232, 18, 36, 12
"""Pixels: of a box, of a line of text, between boxes, around all."""
LONGEST = 30
"""Characters that fit a line of a box."""
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-weight:600}"
    "rect{fill:#f6f8fa;stroke:#57606a}path{stroke:#57606a;fill:none}"
)


def draw(chain: Chain) -> str:
    """Return the SVG document of a chain; a pure function of it, referring to nothing."""
    return _drawn(chain, f"<style>{STYLE}</style>")


def inside(chain: Chain) -> str:
    """Return the same as an element of a page, without a style of its own."""
    return _drawn(chain, "")


def _drawn(chain: Chain, style: str) -> str:
    boxes = [box for box in (*_origins(chain), _run(chain), _version(chain), _served(chain)) if box]
    rows = max(len(lines) for _, lines in boxes)
    height = (rows + 1) * LINE + 2 * MARGIN
    width = len(boxes) * WIDTH + (len(boxes) - 1) * GAP + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 2 * MARGIN}" '
        f'width="{width}" height="{height + 2 * MARGIN}" class="lineage" role="img" '
        f'aria-labelledby="lineage-title lineage-words">',
        f'<title id="lineage-title">{escape(_title(chain))}</title>',
        f'<desc id="lineage-words">{escape(_words(boxes))}</desc>{style}',
    ]
    for place, (head, lines) in enumerate(boxes):
        x = MARGIN + place * (WIDTH + GAP)
        parts.append(f'<rect x="{x}" y="{MARGIN}" width="{WIDTH}" height="{height}" rx="6"/>')
        for row, line in enumerate((head, *lines)):
            kind = ' class="head"' if row == 0 else ""
            y = MARGIN + (row + 1) * LINE
            parts.append(f'<text{kind} x="{x + 10}" y="{y}">{escape(_short(line))}</text>')
        if place:
            middle = MARGIN + height // 2
            parts.append(f'<path d="M{x - GAP} {middle}h{GAP}m-7 -5l7 5l-7 5"/>')
    return "\n".join((*parts, "</svg>", ""))


def _words(boxes: Sequence[tuple[str, list[str]]]) -> str:
    """Say what the boxes show, for whoever does not see them."""
    return _shown("; ".join(f"{head}: {', '.join(filter(None, lines))}" for head, lines in boxes))


def _title(chain: Chain) -> str:
    what = f"{chain.model} version {chain.version}" if chain.model else f"run {chain.run_id}"
    return f"Lineage of {what}"


def _origins(chain: Chain) -> list[tuple[str, list[str]]]:
    data = [chain.dataset, chain.dataset_version[:16], *since(chain.since_champion)]
    code = [chain.commit[:12] + (" (changed files)" if chain.dirty else "")]
    settings = [f"{name} = {value}" for name, value in sorted(chain.settings.items())][:8]
    return [("data version", data), ("commit and settings", [*code, *settings])]


def _run(chain: Chain) -> tuple[str, list[str]]:
    flow = [f"flow run {chain.flow_run[:13]}"] if chain.flow_run else []
    return "run", [chain.run_name, chain.run_id[:12], chain.status, *flow]


def _version(chain: Chain) -> tuple[str, list[str]] | None:
    if chain.version is None:
        return None
    return "registered", [f"{chain.model} version {chain.version}", ", ".join(chain.aliases)]


def _served(chain: Chain) -> tuple[str, list[str]] | None:
    if not chain.promotions:
        return None
    lines = [
        f"{e.at[:10]} {e.action}: {e.previous or 'none'} to {e.version or 'none'}"
        for e in chain.promotions[-8:]
    ]
    return "promotions", lines


def since(step: Step | None) -> list[str]:
    """Say in short lines what changed in the data since the last champion's."""
    if step is None:
        return ["no champion before"]
    if step.unknown:
        return [f"other data than version {step.model_version}"]
    if not (step.added or step.removed or step.relabelled):
        return [f"the data of version {step.model_version}"]
    changes = f"+{step.added} -{step.removed}, {step.relabelled} relabelled"
    return [f"against version {step.model_version}:", changes]


def _shown(text: str) -> str:
    """Show what cannot be seen, or turns the writing around, as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _short(line: str) -> str:
    line = _shown(line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
