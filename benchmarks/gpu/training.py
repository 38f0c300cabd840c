"""Whole trainings by the training program: how soon, and how well, networks learn CIFAR-10.

The images are ingested as any folder's are. The test split is looked at once, after a training.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmarks.datasets import dataset_of, prepared
from benchmarks.gpu.case import Skipped, Wanted
from benchmarks.gpu.recipes import FAST, GUARDS, LEAST, STANDARD
from benchmarks.rows import Row
from benchmarks.trainings import Trained, train
from convoy.recipe import Recipe

WANTED = 94.0
SHARE = 0.1
"""Of the standard recipe's time."""
EPOCHS = 5
"""Of the standard recipe, whose first is not counted."""
VAL = 0.02
"""Share of the training images that the best epoch is chosen by."""
QUICK_VAL = 0.2


def speed94(wanted: Wanted, scratch: Path) -> Iterator[Row | Skipped]:
    """Yield what the fast recipe reaches, and its time as a share of the standard one's.

    Its time is that of the whole program, with its start, its checkpoints and the validation. Of
    the standard recipe's only the epochs count, in the same program and the same precision.
    """
    name = "resnet18"
    files = _files(wanted, scratch.parent)
    recipe = _short(FAST, wanted, 1)
    fast = train(name, recipe, files, scratch / "fast", wanted.device)
    yield _accuracy(f"{name}, fast recipe, test accuracy, %", fast, recipe, WANTED)
    epochs = 2 if wanted.quick else EPOCHS
    recipe = _short(STANDARD.model_copy(update={"epochs": epochs}), wanted, epochs)
    standard = train(name, recipe, files, scratch / "standard", wanted.device)
    epoch = (standard.epochs[-1] - standard.epochs[0]) / (epochs - 1)
    yield Row("an epoch of the standard recipe, s", epoch, detail={"recipe": STANDARD.flat()})
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
    for name in wanted.only(tuple(GUARDS)):
        recipe = _short(GUARDS[name], wanted, 1)
        done = train(name, recipe, files, scratch / name, wanted.device)
        yield _accuracy(f"{name}, test accuracy, %", done, recipe, LEAST[name])


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
    detail = {"recipe": recipe.flat(), "program, s": done.seconds, "epochs, s": done.epochs[-1]}
    return Row(title, 100 * done.accuracy, least, True, detail)
