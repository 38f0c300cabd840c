"""What a run is going to do, checked before anything heavy is imported."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from convoy import architectures
from convoy.project import Project
from convoy.recipe import Recipe
from convoy.settings import Dataset, Settings, load
from convoy.sources import describe


@dataclass(frozen=True)
class Plan:
    """One dataset, some architectures, all settings."""

    project: Project
    settings: Settings
    dataset: str
    architectures: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    """What `--set` changed of the settings."""
    strict: bool = False
    """Whether a dataset version is refused that could not be had again elsewhere."""

    def check_recipes(self) -> None:
        """Refuse options that an architecture does not have, and weights that it cannot start from.

        Raises `UsageError` with the mend. Torch loads if a recipe has options or weights.
        """
        for name in self.architectures:
            self.check_recipe(name, self.settings.recipe(name))

    def check_recipe(self, name: str, recipe: Recipe) -> None:
        """Refuse what an architecture cannot do of a recipe, as `check_recipes` does."""
        recipe.augment.check(self.data.channels)
        architectures.check_options(name, recipe.options)
        if recipe.weights:
            from convoy import fine_tuning

            fine_tuning.check(name, self.data.channels, self.data.image_size)

    @property
    def data(self) -> Dataset:
        return self.settings.dataset(self.dataset)


def make_plan(
    project: Project,
    dataset: str | None = None,
    chosen: Sequence[str] = (),
    overrides: Collection[str] = (),
    strict: bool = False,
) -> Plan:
    """Return the plan for what was named, and what params.yaml says for what was not.

    Raises `UsageError` for an unknown name, with the nearest one.
    """
    settings = load(project.params, architectures.names(), overrides, dataset)
    named = dataset or settings.run.dataset
    describe(settings.dataset(named).source)
    if list(chosen) == ["all"]:
        chosen = architectures.names()
    selected = tuple(dict.fromkeys(chosen or settings.run.architectures))
    for name in selected:
        architectures.module_of(name)
    return Plan(project, settings, named, selected, tuple(overrides), strict)
