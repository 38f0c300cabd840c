"""What a run is going to do is checked as a whole, before anything heavy or slow begins."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from convoy.errors import UsageError
from convoy.plan import Plan, make_plan
from convoy.project import Project

WEIGHTS = {"from": "resnet18.pth", "sha256": "0" * 64, "frozen": 0.2, "rate": 0.1}


def plan(
    root: Path,
    repository: Path,
    *overrides: str,
    recipes: dict[str, dict[str, Any]] | None = None,
    **dataset: Any,
) -> Plan:
    """The repository's own settings with other recipes and another dataset, written to `root`."""
    values = yaml.safe_load((repository / "params.yaml").read_text())
    default = values["recipes"]["default"]
    for name, recipe in (recipes or {}).items():
        values["recipes"][name] = {**default, **recipe}
    values["datasets"]["digits"] |= dataset
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    return make_plan(Project(root), None, list(recipes or {"mlp": {}}), overrides)


def refused(planned: Plan) -> str:
    with pytest.raises(UsageError) as caught:
        planned.check_recipes()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_repositorys_own_recipes_are_fine(repository: Path) -> None:
    make_plan(Project(repository), None, ["all"]).check_recipes()


def test_an_option_is_one_of_its_network(tmp_path: Path, repository: Path) -> None:
    chosen = {"lenet5": {"options": {"pool": "max", "width": 2}}}
    plan(tmp_path, repository, recipes=chosen).check_recipes()
    wrong = {"lenet5": {"options": {"pol": "max"}}}
    said = refused(plan(tmp_path, repository, recipes=wrong))
    assert said == "lenet5 has no option 'pol': did you mean 'pool'?"


def test_an_option_can_be_chosen_for_one_run(tmp_path: Path, repository: Path) -> None:
    planned = plan(tmp_path, repository, "recipes.mlp.options.hidden=[300, 100]")
    assert planned.settings.recipe("mlp").options == {"hidden": [300, 100]}
    planned.check_recipes()
    said = refused(plan(tmp_path, repository, "recipes.mlp.options.hiden=[300]"))
    assert said == "mlp has no option 'hiden': did you mean 'hidden'?"


def test_only_the_chosen_networks_are_looked_at(tmp_path: Path, repository: Path) -> None:
    wrong = {"lenet5": {"options": {"pol": "max"}}, "mlp": {}}
    planned = plan(tmp_path, repository, recipes=wrong)
    Plan(planned.project, planned.settings, planned.dataset, ("mlp",)).check_recipes()


def test_published_weights_want_rgb_images_of_64_pixels(tmp_path: Path, repository: Path) -> None:
    chosen = {"resnet18": {"weights": WEIGHTS}}
    good: dict[str, Any] = {"channels": "rgb", "image_size": 64}
    plan(tmp_path, repository, recipes=chosen, **good).check_recipes()
    assert "are for RGB images, not gray" in refused(plan(tmp_path, repository, recipes=chosen))
    small = plan(tmp_path, repository, recipes=chosen, channels="rgb", image_size=32)
    assert "are for images of 64 pixels or more, not 32" in refused(small)


def test_a_network_without_published_weights_cannot_start_from_any(
    tmp_path: Path, repository: Path
) -> None:
    said = refused(plan(tmp_path, repository, recipes={"lenet5": {"weights": WEIGHTS}}))
    assert said.startswith("no weights are published for lenet5: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "abc"}, "'recipes.resnet18.weights.sha256' is 'abc', but string should match"),
        ({"rate": 0}, "'recipes.resnet18.weights.rate' is 0, but input should be greater than 0"),
        ({"frozen": 1.5}, "'recipes.resnet18.weights.frozen' is 1.5, but input should be less"),
        ({"frosen": 1}, "key 'recipes.resnet18.weights.frosen': did you mean 'frozen'?"),
        ({"origin": "x"}, "key 'recipes.resnet18.weights.origin': "),
        ({"from": ""}, "'recipes.resnet18.weights.from' is '', but string should have at least 1"),
    ],
)
def test_weights_are_told_completely_and_rightly(
    change: dict[str, Any], said: str, tmp_path: Path, repository: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        plan(tmp_path, repository, recipes={"resnet18": {"weights": WEIGHTS | change}})
    assert said in str(caught.value)


def test_weights_lack_nothing(tmp_path: Path, repository: Path) -> None:
    for key in WEIGHTS:
        fewer = {name: value for name, value in WEIGHTS.items() if name != key}
        with pytest.raises(UsageError, match=rf"'recipes\.resnet18\.weights\.{key}' is missing"):
            plan(tmp_path, repository, recipes={"resnet18": {"weights": fewer}})


def test_a_recipe_with_weights_goes_to_another_process_and_comes_back(
    tmp_path: Path, repository: Path
) -> None:
    planned = plan(tmp_path, repository, recipes={"resnet18": {"weights": WEIGHTS}})
    recipe = planned.settings.recipe("resnet18")
    assert recipe.model_dump()["weights"] == WEIGHTS
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe
