"""Whole trainings by the training program: how soon, and how well, networks learn CIFAR-10.

The images are ingested as any folder's are. The test split is looked at once, after a training.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmarks.datasets import dataset_of, prepared
from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.gpu.recipes import FAST, LEAST, STANDARD, guarded
from benchmarks.rows import Row
from benchmarks.trainings import Trained, train
from convoy.recipe import Recipe

WANTED = 94.0
SHARE = 0.1
"""Of the standard recipe's time."""
BUDGET = 90.0
"""Seconds of the standard recipe, which knows of all its epochs: it is compiled if that pays."""
VAL = 0.02
"""Share of the training images that the best epoch is chosen by."""
QUICK_VAL = 0.2


def speed94(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield what the fast recipe reaches, and its time as a share of the standard one's.

    Its time is that of the whole program, with its start, its checkpoints and the validation. Of
    the standard recipe's only the epochs count, each as long as the shortest of some, in the same
    program and the same precision.
    """
    name = "resnet18"
    files = _files(wanted, scratch.parent)
    recipe = _short(FAST, wanted, 1)
    fast = train(name, recipe, files, scratch / "fast", wanted.device)
    yield _accuracy(f"{name}, fast recipe, test accuracy, %", fast, recipe, WANTED)
    recipe = STANDARD.model_copy(update={"budget": BUDGET})
    recipe = _short(recipe, wanted, 3)
    standard = train(name, recipe, files, scratch / "standard", wanted.device)
    epoch = shortest(standard.epochs)
    told = {"recipe": recipe.flat(), "epochs, s": standard.epochs, "compiled": standard.compiled}
    yield Row("an epoch of the standard recipe, s", epoch, detail=told)
    detail = {
        "fast, s": fast.seconds,
        "fast, epochs alone, s": fast.epochs[-1],
        "standard, s": epoch * STANDARD.epochs,
        "standard, epochs": STANDARD.epochs,
    }
    ratio = fast.seconds / (epoch * STANDARD.epochs)
    yield Row("fast to standard recipe, seconds", ratio, wanted.bound(SHARE), detail=detail)


def accuracy(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield what each guarded network reaches."""
    files = _files(wanted, scratch.parent)
    for name in wanted.only(tuple(LEAST)):
        recipe = _short(guarded(name), wanted, 1)
        done = train(name, recipe, files, scratch / name, wanted.device)
        yield _accuracy(f"{name}, test accuracy, %", done, recipe, LEAST[name])


def shortest(ends: list[float]) -> float:
    """Return the seconds of the shortest epoch, by the times at which they ended.

    The first one is left out where there are others, and the last, which a budget cuts off.
    """
    lengths = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    return min(lengths[1:-1] or lengths[:1])


@cache
def _files(wanted: Wanted, scratch: Path) -> dict[str, str]:
    """Return the version of the data, which both cases train on."""
    dataset = dataset_of("files", wanted.data, "rgb", 32, QUICK_VAL if wanted.quick else VAL)
    return prepared(dataset, scratch / "ingested")


def _short(recipe: Recipe, wanted: Wanted, epochs: int) -> Recipe:
    """Return a recipe of so few epochs and a narrow network where it is only to show that it works.

    Else return it as it is.
    """
    quick = {"epochs": epochs, "options": {"width": 0.25}}
    return recipe.model_copy(update=quick) if wanted.quick else recipe


def _accuracy(title: str, done: Trained, recipe: Recipe, least: float) -> Row:
    detail = {
        "recipe": recipe.flat(),
        "program, s": done.seconds,
        "epochs, s": done.epochs[-1],
        "compiled": done.compiled,
        "precision": done.precision,
    }
    return Row(title, 100 * done.accuracy, least, True, detail)
