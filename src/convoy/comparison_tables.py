"""What `convoy compare` prints: the figures, what they cost, and who is better in words."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convoy.comparison import Comparison, Network
from convoy.evaluation.pairwise import Pair
from convoy.evaluation.pareto import Cost
from convoy.lookup import SHORT
from convoy.tables import digits, new_table

QUALITY = {
    "test/accuracy": ("test\n%", 100, 2, 1),
    "test/balanced_accuracy": ("balanced\n%", 100, 2, 1),
    "test/macro_f1": ("macro\nF1", 1, 4, 3),
    "test/negative_log_likelihood": ("log\nloss", 1, 4, 3),
    "test/expected_calibration_error": ("calib.\nerror", 1, 4, 3),
}
"""By metric: its head, its scale, its decimals and those of its interval."""


def show_comparison(console: Console, found: Comparison) -> None:
    """Print all but the pairs of networks that are neither the best nor the champion."""
    console.print(_quality(found))
    console.print(_costs(found.networks))
    for title, pairs in _told(found):
        console.print(Text(title, style="bold"), soft_wrap=True)
        for pair in pairs:
            _print(console, Text(pair.words, style="green" if pair.differs else ""), "-")
        console.print()
    for sentence in _remarks(found):
        _print(console, Text(sentence, style="dim"))
    console.print("Compared in the MLflow UI, while `make up` runs:")
    console.print(found.address, markup=False, soft_wrap=True)


def _print(console: Console, sentence: Text, mark: str = "") -> None:
    """Print a sentence: one line in a pipe, on a terminal wrapped behind its mark."""
    if not console.is_terminal:
        console.print(Text.assemble(f"{mark} " if mark else "", sentence), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(*([mark] if mark else []), sentence)
    console.print(grid)


def _quality(found: Comparison) -> Table:
    one = found.images == 1
    table = new_table(f"{found.dataset}, {found.images:,} test image{'' if one else 's'}")
    table.add_column("network", overflow="fold", min_width=12)
    for head, *_ in QUALITY.values():
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("run id", no_wrap=True)
    for network in found.networks:
        cells = [_cell(network, metric) for metric in QUALITY]
        ids = network.runs[0][:SHORT]
        more = f"+{len(network.runs) - 1} more" if len(network.runs) > 1 else ""
        table.add_row(_name(network), *cells, _two_lines(ids, more))
    table.caption = "below each figure its 95 % interval"
    if any(len(network.runs) > 1 for network in found.networks):
        table.caption += ", or ± between seeds"
    table.caption_justify = "left"
    return table


def _name(network: Network) -> Text:
    said = f"champion {network.champion}" if network.champion else ""
    if len(network.runs) > 1:
        said = f"{len(network.runs)} seeds{', ' if said else ''}{said}"
    return _two_lines(network.name, said)


def _cell(network: Network, metric: str) -> Text:
    _, scale, decimals, rough = QUALITY[metric]
    figure = network.metrics.get(metric)
    if figure is None:
        return Text("-")
    above = f"{figure.mean * scale:.{decimals}f}"
    if figure.deviation is not None:
        return _two_lines(above, f"±{figure.deviation * scale:.{decimals}f}")
    if figure.low is None or figure.high is None:
        return Text(above)
    return _two_lines(above, f"{figure.low * scale:.{rough}f}-{figure.high * scale:.{rough}f}")


def _two_lines(above: str, below: str) -> Text:
    return Text.assemble(above, (f"\n{below}", "dim")) if below else Text(above)


def _costs(networks: Sequence[Network]) -> Table:
    table = new_table()
    table.add_column("network", overflow="fold")
    heads = ("parameters", "mult-\nadds, M", "ms an\nimage", "training\ns")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for network in networks:
        adds = network.metrics.get("cost/multiply_adds")
        table.add_row(
            Text(network.name),
            _cost(network, "parameters"),
            digits(adds.mean / 1e6) + " " if adds else "- ",
            _cost(network, "latency"),
            _cost(network, "training"),
        )
    table.caption = "* none is as accurate for less"
    table.caption_justify = "left"
    return table


def _cost(network: Network, cost: Cost) -> Text:
    value = network.costs.get(cost)
    if value is None:
        return Text("- ")
    said = f"{value:,.0f}" if cost == "parameters" else digits(value)
    # Small latencies have their digits behind the point.
    said = f"{value:.3f}" if cost == "latency" and value < 1 else said
    return Text(f"{said} ") if cost in network.dominated else Text(f"{said}*", style="bold")


def _told(found: Comparison) -> list[tuple[str, list[Pair]]]:
    """Return what matters of the pairs: the best against each other, the champion against each."""
    if not found.pairs:
        return []
    best, champion = found.best, found.champion
    title = f"{best.name}, the most accurate, against each other:"
    told = [(title, found.against(best))]
    if champion and champion != best:
        pairs = [
            pair for pair in found.against(champion) if best.name not in (pair.first, pair.second)
        ]
        if pairs:
            told.append((f"{champion.name}, the champion, against the others:", pairs))
    return told


def _remarks(found: Comparison) -> list[str]:
    said = [f"Note: {note}" for note in found.notes]
    if found.rescored:
        sources = ", ".join(
            f"{run.network} from {found.rescored.sources[run.run_id]}" for run in found.runs
        )
        version = found.rescored.dataset_version.removesuffix(".dir")[:12]
        said.append(f"All were scored again on the test split of version {version}: {sources}.")
    if len(found.pairs) > 1:
        said.append(
            f"The {len(found.pairs)} pairs, all in --json, were tested so that noise is called a "
            f"difference anywhere among them in at most 5 of 100 such comparisons; each interval "
            f"is its pair's own."
        )
    if found.pairs and any(len(network.runs) == 1 for network in found.networks):
        said.append(
            "With one training each this is about these networks; what their recipes are worth, "
            "runs with other seeds show (`--set run.seed=2`)."
        )
    return said
