"""What `convoy find` shows: the rates that stand out, the batch sizes, and the lines to use."""

from rich.console import Console
from rich.text import Text

from convoy.recipe import Recipe
from convoy.tables import new_table
from convoy.training.suggestion import GAIN, Rates, Sizes, Suggestion

_RATES_ENDED = {
    "loss": "the loss had grown to four times its lowest, or was no number: the test ended",
    "rates": "the largest rate that is tried",
}
_SIZES_ENDED = {
    "memory": "a larger one does not fit the memory",
    "images": "a larger one has more images than there are to train on",
    "seconds": "larger ones take too long to be tried",
}


def show_suggestion(console: Console, name: str, recipe: Recipe, found: Suggestion) -> None:
    """Print what was found for the network called `name`, and how to take it over."""
    _show_rates(console, name, recipe, found.rates)
    _show_sizes(console, recipe, found.sizes, found.device)
    lines = settings(name, found)
    if not lines:
        console.print(
            "No rate made the loss fall: is the batch too small, or are the labels wrong?",
            style="yellow",
        )
        return
    console.print("To use it, once or in params.yaml:")
    _show_command(console, f"convoy run --architectures {name} --set {lines[0]}")
    if note := scaling(recipe, found):
        console.print(f"{note} To look for it:")
        batch = f"recipes.{name}.batch_size={found.sizes.fastest}"
        _show_command(console, f"convoy find {name} --set {batch}")


def settings(name: str, found: Suggestion) -> list[str]:
    """Return what `--set` takes over the suggestion; nothing where no rate could be suggested."""
    if found.rates.steepest is None:
        return []
    return [f"recipes.{name}.learning_rate={found.rates.steepest:g}"]


def scaling(recipe: Recipe, found: Suggestion) -> str:
    """Return how rate and batch go together; nothing where the recipe's batch is the fastest.

    Goyal et al., "Accurate, large minibatch SGD" (2017), https://arxiv.org/abs/1706.02677.
    """
    fastest, rate = found.sizes.fastest, found.rates.steepest
    if fastest == recipe.batch_size or rate is None:
        return ""
    known = f"The rate is for batches of {recipe.batch_size}."
    if recipe.optimizer != "sgd":
        return f"{known} Those of {fastest} want another, which no rule foretells."
    times = fastest / recipe.batch_size
    return (
        f"{known} For those of {fastest}, with which an epoch has {1 / times:.2g} times as many "
        f"steps, take {times:.3g} times the rate ({rate * times:.2g}) and a warm-up (linear "
        f"scaling: Goyal et al., arXiv 1706.02677)."
    )


def _show_command(console: Console, command: str) -> None:
    console.print(Text(f"  {command}", style="bold cyan"), soft_wrap=True)


def _show_rates(console: Console, name: str, recipe: Recipe, rates: Rates) -> None:
    table = new_table(f"{name}: learning rate, with batches of {recipe.batch_size}")
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column("the smoothed loss there", overflow="fold")
    rows = [(rates.points[-1].rate, _RATES_ENDED[rates.ended], "")] if rates.points else []
    if rates.steepest and rates.tenth and rates.lowest:
        side = "the upper end" if rates.tenth >= rates.steepest else "the careful choice"
        rows += [
            (rates.steepest, "falls fastest: the suggestion", "bold"),
            (rates.tenth, f"a tenth of where it is lowest: {side}", ""),
            (rates.lowest, "is lowest: too large for a whole training", ""),
        ]
    for rate, said, style in sorted(rows):
        table.add_row(f"{rate:.2g} ", said, style=style)
    console.print(table)


def _show_sizes(console: Console, recipe: Recipe, sizes: Sizes, device: str) -> None:
    table = new_table(f"batch size, on {device}")
    for head in ("images\na batch", "images\na second", "memory\nMB"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    for size in sizes.tried:
        notes = {
            "the recipe's": size.batch_size == recipe.batch_size,
            f"none is faster by more than {GAIN:.0%}": size.batch_size == sizes.fastest,
            _SIZES_ENDED[sizes.ended]: size.batch_size == sizes.largest,
        }
        table.add_row(
            f"{size.batch_size:,}",
            f"{size.images_per_second:,.0f}",
            f"{size.memory / 1e6:,.0f} ",
            "; ".join(note for note, holds in notes.items() if holds),
            style="bold" if size.batch_size == sizes.fastest else "",
        )
    console.print(table)
