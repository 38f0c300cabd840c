"""What `convoy lineage` prints: a tree for each chain."""

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from convoy.lineage import Chain, Lineage
from convoy.lineage_drawing import since


def show_lineage(console: Console, lineage: Lineage) -> None:
    """Print where an image is, then each chain from what served back to the data."""
    for sighting in lineage.sightings:
        line = (
            f"{lineage.target} is {sighting.path} of version {sighting.dataset_version[:12]}: "
            f"class {sighting.label}, split {sighting.split}."
        )
        console.print(Text(line), soft_wrap=True)
    for chain in lineage.chains:
        console.print(_tree(chain), soft_wrap=True)


def _tree(chain: Chain) -> Tree:
    aliases = f" ({', '.join(chain.aliases)})" if chain.aliases else ""
    head = f"{chain.model} version {chain.version}{aliases}" if chain.model else "not registered"
    tree = Tree(Text(head, style="bold"))
    for entry in chain.promotions:
        now = f"version {entry.version}" if entry.version else "none"
        state = "" if entry.state == "done" else f" ({entry.state})"
        tree.add(Text(f"{entry.at} {entry.action} {now}{state} by {entry.by}: {entry.reason}"))
    tree.add(Text(f"run {chain.run_id} {chain.run_name}, {chain.status}"))
    if chain.flow_run:
        tree.add(Text(f"flow run {chain.flow_run}"))
    settings = ", ".join(f"{name}={value}" for name, value in sorted(chain.settings.items()))
    tree.add(Text(f"settings {settings}"))
    dirty = ", with files changed since" if chain.dirty else ""
    tree.add(Text(f"commit {chain.commit}{dirty}"))
    data = tree.add(Text(f"data {chain.dataset} {chain.dataset_version}"))
    step = chain.since_champion
    unknown = f" ({step.unknown})" if step and step.unknown else ""
    data.add(Text(" ".join(since(step)) + unknown))
    return tree
