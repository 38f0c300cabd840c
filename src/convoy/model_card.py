"""The card of a registered version, in Markdown: what it is, how good, where it fails, how again.

After Mitchell et al., "Model cards for model reporting" (2019), from the numbers that its run holds
in MLflow; nothing in it is written by hand.
"""

import re
from dataclasses import dataclass

from convoy.report.record import Data, Network

FILE = "MODEL_CARD.md"
WEAK = 3
"""Classes and corruptions that are named as limits."""


@dataclass(frozen=True)
class Card:
    """All that a card says."""

    model: str
    network: Network
    data: Data
    commit: str
    dirty: bool
    command: str
    """What makes it again."""


def markdown(card: Card) -> str:
    """Return the card."""
    network, data = card.network, card.data
    parts = [
        f"# {_plain(card.model)}: {network.architecture}",
        f"Tells {len(data.classes)} classes of images apart: {_classes(data.classes)}. It takes "
        f"raw `uint8` images (N, H, W, {_channels(data)}) of any size and returns a probability a "
        f"class; resizing to {data.image_size} x {data.image_size} pixels and normalising are "
        f"inside its graph.",
        "## Results",
        _results(network),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits(card)),
        "## Data",
        _data(data),
        "## To load it",
        _loading(card),
        "## To make it again",
        _again(card),
    ]
    return "\n\n".join(parts) + "\n"


def _results(network: Network) -> str:
    low, high = network.interval
    images = network.evaluation.count if network.evaluation else None
    counted = f" {images:,}" if images else ""
    lines = [
        f"On the{counted} test images, which no training has seen:",
        "",
        "| metric | value | 95 % interval |",
        "|---|---|---|",
        f"| accuracy | {network.accuracy:.2%} | {low:.2%} to {high:.2%} |",
    ]
    for name, label in (
        ("balanced_accuracy", "balanced accuracy"),
        ("macro_f1", "macro F1"),
        ("roc_auc", "ROC-AUC, one against the rest"),
        ("negative_log_likelihood", "negative log-likelihood"),
        ("brier_score", "Brier score"),
        ("expected_calibration_error", "expected calibration error"),
    ):
        if (value := network.metric(f"test/{name}")) is not None:
            ends = network.evaluation.intervals.get(name) if network.evaluation else None
            shown = f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else "-"
            lines.append(f"| {label} | {value:.4f} | {shown} |")
    if (parameters := network.metric("cost/parameters")) is not None:
        lines += ["", f"It has {parameters:,.0f} parameters{_latency(network)}."]
    return "\n".join(lines)


def _latency(network: Network) -> str:
    found = network.latency
    return "" if found is None else f" and takes {found:.3g} ms an image where it was measured"


def limits(card: Card) -> list[str]:
    """Return what is known of where it fails, each in a sentence."""
    network, data = card.network, card.data
    found = []
    if network.evaluation:
        seen = [one for one in network.evaluation.per_class if one.support]
        weakest = sorted(seen, key=lambda one: one.recall)[:WEAK]
        if weakest and weakest[0].recall < 1:
            named = ", ".join(
                f"{_code(one.name)} ({one.recall:.1%} of {one.support:,} images)" for one in weakest
            )
            found.append(f"Recall is lowest for {named}.")
        elif weakest:
            found.append("It made no mistake on the test images, which are too few to find its.")
        for one in network.evaluation.per_class:
            if not one.support:
                found.append(f"No test image shows {_code(one.name)}: nothing is known of it.")
    harmed = {
        name.removeprefix("robust/"): value
        for name, value in network.metrics.items()
        if re.fullmatch(r"robust/(?!all)[a-z_]+", name)
    }
    if harmed:
        worst = sorted(harmed.items(), key=lambda one: one[1])[:WEAK]
        named = ", ".join(f"{name} ({value:.0%})" for name, value in worst)
        found.append(f"Of its accuracy least is left under {named}, as areas under the curves.")
    else:
        found.append("Its robustness to harmed images was not measured.")
    found.append(
        f"It was trained on `{data.name}` alone and always names one of its classes, also for an "
        f"image that shows none of them."
    )
    return found


def _data(data: Data) -> str:
    counts = ", ".join(f"{sum(of.values()):,} {split}" for split, of in data.counts.items())
    licence = data.licence or "not recorded; ask whoever gave you the images"
    return (
        f"`{data.name}` version `{data.version}` (digest `{data.digest[:12]}`), source "
        f"{_code(data.source)}: {counts}. Licence: {licence}."
    )


def _loading(card: Card) -> str:
    return (
        "```python\nimport mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("models:/{card.model}@champion")  # or /VERSION\n'
        "probabilities = model.predict(images)\n```\n\n"
        f"Or `convoy predict {card.model}@champion PICTURES`, which verifies its files first."
    )


def _again(card: Card) -> str:
    changed = " (with changes that were not committed)" if card.dirty else ""
    sha = card.network.tags.get("convoy.weights_sha256", "")
    weights = f"\n\nThe weights' sha256 is `{sha}`." if sha else ""
    return (
        f"Commit `{card.commit}`{changed}, MLflow run `{card.network.run_id}`:\n\n"
        f"```\ngit checkout {card.commit}\nconvoy data pull {card.data.name}\n{card.command}\n```"
        f"{weights}"
    )


def _channels(data: Data) -> int:
    return {"gray": 1, "cmyk": 4}.get(data.channels, 3)


def _classes(names: list[str]) -> str:
    shown = ", ".join(_code(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _code(text: str) -> str:
    """Return a name that somebody wrote as code, in which Markdown and HTML mean nothing."""
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    longest = max((len(ticks) for ticks in re.findall("`+", visible)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {visible} {fence}" if longest else f"`{visible}`"


def _plain(text: str) -> str:
    return re.sub(r"[^\w .@/-]", "_", text)
