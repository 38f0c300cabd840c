"""What people read on a flow run's page, as Markdown: a table, a verdict, links to the rest."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convoy.addresses import artifact_address, compare_address, run_address
from convoy.outcome import Outcome
from convoy.report import REPORT

if TYPE_CHECKING:
    from convoy.pipeline.champion import Rescored
    from convoy.pipeline.scoring import Scored


def pipeline(result: Outcome, mlflow: str, unchanged: bool = False) -> str:
    """Tell of a pipeline's run; `mlflow` is the address of MLflow's pages."""
    verdict = "may serve" if result.allowed else "was refused"
    if result.waits:
        verdict = "may serve, and waits for a person"
    named = f"{result.model} version {result.version}"
    lines = [f"## {named} {verdict} (alias `{result.alias}`)", ""]
    if unchanged:
        lines += ["Nothing to do: code, settings and data are those of the last run.", ""]
    if result.sentence:
        lines += [result.sentence, ""]
    lines += [f"- {reason}" for reason in result.reasons]
    champion = f"version {result.champion}" if result.champion else "none yet"
    lines += ["", f"Champion: {champion}. Dataset: {result.dataset}, {result.dataset_version}.", ""]
    place = mlflow, result.experiment_id
    cells = [
        {
            "architecture": f"[{row.architecture}]({run_address(*place, row.run_id)})",
            "val. %": f"{row.val_accuracy:.2%}",
            "test %": f"{row.test_accuracy:.2%}",
            "95 %": f"{row.test_accuracy_low:.2%} to {row.test_accuracy_high:.2%}",
            "parameters": f"{row.parameters:,}",
            "train s": "kept" if row.kept else f"{row.seconds:.1f}",
            "µs an image": f"{row.microseconds_per_image:.0f}",
        }
        for row in result.rows
    ]
    lines += [table(cells), ""]
    runs = [row.run_id for row in result.rows]
    report = artifact_address(*place, result.run_id, REPORT)
    lines += [
        f"[Compare these runs]({compare_address(*place, runs)}), "
        f"[the report]({report}), "
        f"[the pipeline's run]({run_address(*place, result.run_id)}).",
    ]
    if result.flags:
        lines += ["", *(f"Note: {flag}." for flag in result.flags)]
    return "\n".join(lines)


def rescored(result: "Rescored", mlflow: str) -> str:
    """Tell of a version that was scored again: now, then, and the difference."""
    head = f"{result.model} version {result.version} (`{result.alias}`)"
    accuracy = result.metrics["test/accuracy"]
    lines = [f"## {head}: {accuracy:.2%} on {result.dataset} as it is now", ""]
    if result.kept:
        lines += ["It had been scored on this dataset version before; nothing was done again.", ""]
    same = result.dataset_version == result.registered_on
    then = "the same dataset version" if same else f"dataset version {result.registered_on}"
    lines += [f"Now: {result.dataset_version}. When it was registered: {then}.", ""]
    shown = [
        name
        for name in sorted(result.metrics)
        if name.count("/") == 1 and name.startswith("test/") and name in result.before
    ]
    rows = [
        {
            "metric": name,
            "now": f"{result.metrics[name]:.4f}",
            "then": f"{result.before[name]:.4f}",
            "difference": f"{result.metrics[name] - result.before[name]:+.4f}",
        }
        for name in shown
    ]
    page = run_address(mlflow, result.experiment_id, result.run_id)
    return "\n".join([*lines, table(rows), "", f"[The run]({page})."])


def scored(result: "Scored") -> str:
    """Tell of a batch of predictions: how many of each class, and where they are."""
    lines = [
        f"## {result.files:,} files by {result.model} version {result.version}",
        "",
        f"{result.predicted:,} predicted now, {result.kept:,} kept from before, "
        f"{result.refused:,} refused. The table: `{result.output}`.",
        "",
    ]
    rows = [
        {"class": name, "files": f"{count:,}", "mean probability": f"{mean:.3f}"}
        for name, (count, mean) in sorted(result.classes.items())
    ]
    lines.append(table(rows))
    if result.refusals:
        lines += ["", "Refused:", *(f"- {one}" for one in result.refusals)]
    return "\n".join(lines)


def collected(found: Sequence[Mapping[str, Any]], dry_run: bool) -> str:
    """Tell of what was removed, or would be."""
    size = sum(int(item["size"]) for item in found) / 2**20
    word = "would go" if dry_run else "removed"
    rows = [
        {
            "kind": item["kind"],
            "name": item["name"],
            "files": f"{item['files']:,}",
            "MiB": f"{item['size'] / 2**20:,.1f}",
            "why": item["why"],
        }
        for item in found
    ]
    return f"## {len(found):,} {word}, {size:,.1f} MiB\n\n{table(rows)}"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table, in the order of the first one's columns."""
    if not rows:
        return "Nothing."
    heads = list(rows[0])
    lines = [_line(heads), _line(["---"] * len(heads))]
    return "\n".join([*lines, *(_line([str(row[head]) for head in heads]) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
