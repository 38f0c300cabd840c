"""`params.yaml` is typed, frozen and complete; what is wrong in it gets one helpful sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from convoy import architectures
from convoy.errors import UsageError
from convoy.settings import Settings, load

NAMES = ("mlp", "lenet5", "resnet20")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


@pytest.fixture
def values(repository: Path) -> dict[str, Any]:
    """The repository's own values with one recipe, to change."""
    values: dict[str, Any] = yaml.safe_load((repository / "params.yaml").read_text())
    values["run"]["architectures"] = ["mlp"]
    values["recipes"] = {"default": values["recipes"]["default"]}
    del values["recipes_for"]
    return values


@pytest.fixture
def read(file: Path, values: dict[str, Any]) -> Callable[..., Settings]:
    """Write `values` and load them."""

    def read(*overrides: str) -> Settings:
        file.write_text(yaml.safe_dump(values))
        return load(file, NAMES, overrides)

    return read


Read = Callable[..., Settings]


def test_the_repositorys_own_settings_are_whole(repository: Path) -> None:
    settings = load(repository / "params.yaml", architectures.names())
    assert settings.dataset(settings.run.dataset)
    for name in settings.run.architectures:
        assert settings.recipe(name).epochs >= 1
    for dataset, recipes in settings.recipes_for.items():
        own = load(repository / "params.yaml", architectures.names(), dataset=dataset)
        for name, recipe in recipes.items():
            architectures.check_options(name, recipe.options)
            assert own.recipe(name) == recipe != settings.recipe(name)


def test_settings_are_frozen(read: Read) -> None:
    settings = read()
    with pytest.raises(ValidationError, match="frozen"):
        settings.run.seed = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.recipes["default"].epochs = 2  # type: ignore[misc]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere.yaml: No such file"):
        load(tmp_path / "nowhere.yaml", NAMES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"run: [", r"params.yaml, line 2: not valid YAML"),
        (b"\xff\xfe\xfa", r"params.yaml: not valid YAML"),
        (b"run: 2020-13-45", r"params.yaml: not valid YAML \(month must be in 1..12\)"),
        (
            b"",
            r"expected sections \(run, .*, recipes, .*, sweeps, .*, gate, registry, gc, triggers\)",
        ),
        (b"- run", r"params.yaml: expected sections"),
        (b"{}", r"params.yaml: 'run' is missing"),
    ],
)
def test_a_file_that_is_not_settings_is_one_sentence(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        load(file, NAMES)
    assert "\n" not in str(caught.value).rstrip()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("gates", {}, r"unknown key 'gates': did you mean 'gate'\?$"),
        ("run.sede", 1, r"unknown key 'run.sede': did you mean 'seed'\?$"),
        ("recipes.default.learning_rat", 1, r"recipes.default.learning_rat.*'learning_rate'\?$"),
        ("datasets.digits.chanels", "gray", r"datasets.digits.chanels.*'channels'\?$"),
        ("run.seed", "one", r"'run.seed' is 'one', but input should be a valid integer\.$"),
        ("run.seed", -1, r"'run.seed' is -1, but .*greater than or equal to 0\.$"),
        ("run.seed", 2**32, r"'run.seed' is 4294967296, but"),
        ("run.seed", True, r"'run.seed' is True, but"),
        ("run.architectures", [], r"'run.architectures' is \[\], but .*at least 1 item"),
        ("run.architectures", ["lenet"], r"unknown architecture 'lenet': .*'lenet5'\?$"),
        ("run.dataset", "../digits", r"'run.dataset' is '../digits', but"),
        ("datasets.digits.channels", "grey", r"is 'grey', but .*'gray', 'rgb', 'hsv' or 'cmyk'\.$"),
        ("datasets.digits.image_size", 7, r"'datasets.digits.image_size' is 7, but"),
        ("datasets.digits.form", ["photos"], r"datasets.digits.form.*'from'\?$"),
        ("datasets.digits.origins", ["photos"], r"unknown key 'datasets.digits.origins'"),
        ("datasets.digits.from", "photos", r"digits.from' is 'photos', but .* be a list\.$"),
        ("datasets.digits.from", [1], r"'datasets.digits.from.0' is 1, but .*valid string\.$"),
        ("datasets.digits.nested", "merge", r"is 'merge', but .*'flatten' or 'join'\.$"),
        ("datasets.digits.version", 12, r"'datasets.digits.version' is 12, but .*valid string"),
        ("datasets.digits.val", 0, r"'datasets.digits.val' is 0, but"),
        ("datasets.digits.val", 0.9, r"'datasets.digits': val 0.9 and test 0.2 leave nothing"),
        ("recipes.default.epochs", 1.5, r"'recipes.default.epochs' is 1.5, but"),
        ("recipes.default.learning_rate", "5e-4x", r"learning_rate' is '5e-4x', but"),
        ("recipes.default.learning_rate", float("inf"), r"learning_rate' is inf, but"),
        ("recipes.default.learning_rate", float("nan"), r"learning_rate' is nan, but"),
        ("recipes.default.optimizer", "adam", r"is 'adam', but .*'sgd' or 'adamw'"),
        ("gate", None, r"'gate' is None, but"),
        ("checks", None, r"'checks' is None, but"),
        ("checks.quarantine", 0.1, r"unknown key 'checks.quarantine': .*'quarantined'\?$"),
        ("checks.quarantined", "1%", r"'checks.quarantined' is '1%', but .*valid number\.$"),
        ("checks.quarantined", True, r"'checks.quarantined' is True, but"),
        ("checks.quarantined", 1.1, r"'checks.quarantined' is 1.1, but .*less than or equal to 1"),
        ("checks.quarantined_per_class", -0.1, r"per_class' is -0.1, but .*equal to 0\.$"),
        ("checks.smallest", 0, r"'checks.smallest' is 0, but .*greater than or equal to 1\.$"),
        ("checks.smallest", 8.5, r"'checks.smallest' is 8.5, but .*valid integer\.$"),
        ("checks.largest", 50_000_001, r"'checks.largest' is 50000001, but .*to 50000000\.$"),
        ("checks.near", 0.9, r"'checks.near' is 0.9, but .*greater than 0.9\.$"),
        ("checks.near", 1.01, r"'checks.near' is 1.01, but .*less than or equal to 1\.$"),
        ("checks.leakage", float("nan"), r"'checks.leakage' is nan, but"),
        ("checks.rarest", 0, r"'checks.rarest' is 0, but .*greater than or equal to 1\.$"),
        ("checks.imbalance", 0.5, r"'checks.imbalance' is 0.5, but .*or equal to 1\.$"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_and_key(
    read: Read, values: dict[str, Any], file: Path, path: str, value: Any, said: str
) -> None:
    *sections, key = path.split(".")
    section = values
    for name in sections:
        section = section[name]
    section[key] = value
    with pytest.raises(UsageError, match=said) as caught:
        read()
    assert str(caught.value).startswith(f"{file}: ")


def test_each_value_has_its_home_in_the_file_and_no_default(
    read: Read, values: dict[str, Any]
) -> None:
    sections = {
        "run": values["run"],
        "schedule": values["schedule"],
        "datasets.digits": values["datasets"]["digits"],
        "checks": values["checks"],
        "recipes.default": values["recipes"]["default"],
        "evaluation": values["evaluation"],
        "gate": values["gate"],
        "registry": values["registry"],
        "gc": values["gc"],
    }
    for path, section in sections.items():
        for key in set(section) - {"augment"}:  # which is off where it is absent
            kept = section.pop(key)
            with pytest.raises(UsageError, match=f"'{path}.{key}' is missing"):
                read()
            section[key] = kept


def test_a_recipe_for_a_misspelt_architecture_is_refused(
    read: Read, values: dict[str, Any]
) -> None:
    values["recipes"]["lenet"] = values["recipes"]["default"]
    with pytest.raises(UsageError, match=r"params.yaml: unknown architecture 'lenet': .*'lenet5'"):
        read()


def test_recipes_without_a_default_are_refused(read: Read, values: dict[str, Any]) -> None:
    values["recipes"]["mlp"] = values["recipes"].pop("default")
    with pytest.raises(UsageError, match=r"recipes has no 'default'.*\.$"):
        read()


def test_an_architecture_has_its_own_recipe_or_the_default(
    read: Read, values: dict[str, Any]
) -> None:
    values["recipes"]["mlp"] = {**values["recipes"]["default"], "epochs": 77}
    settings = read()
    assert settings.recipe("mlp").epochs == 77
    assert settings.recipe("lenet5") == settings.recipes["default"]


def test_a_dataset_may_say_where_its_images_are_and_at_which_version_it_stays(
    read: Read, values: dict[str, Any]
) -> None:
    plain = read().dataset("digits")
    assert (plain.origins, plain.nested, plain.version) == ((), None, None)
    values["datasets"]["digits"] |= {
        "from": ["photos", "s3://bucket/more.zip"],
        "nested": "join",
        "version": "f08be26e50152853315cb8cc5531edc5",
    }
    found = read().dataset("digits")
    assert found.origins == ("photos", "s3://bucket/more.zip")
    assert found.nested == "join"
    assert found.version == "f08be26e50152853315cb8cc5531edc5"


def test_what_is_no_key_of_a_dataset_is_never_suggested_for_one(
    read: Read, values: dict[str, Any]
) -> None:
    # `origins` is what the code calls it; the file knows it as `from`.
    values["datasets"]["digits"]["origins"] = ["photos"]
    with pytest.raises(UsageError, match=r"known are .*\bfrom\b") as caught:
        read()
    assert "origins" not in str(caught.value).partition("origins'")[2]


def test_an_unknown_dataset_is_refused_with_the_nearest(read: Read) -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'digit'.*did you mean 'digits'\?$"):
        read().dataset("digit")


def test_an_override_is_typed_like_the_file(read: Read) -> None:
    settings = read("run.seed=7", "gate.alpha=1e-2", "run.architectures=[lenet5, mlp]")
    assert settings.run.seed == 7
    assert settings.gate.alpha == 0.01
    assert settings.run.architectures == ["lenet5", "mlp"]


def test_an_override_of_one_recipe_starts_from_the_default_and_leaves_the_others(
    read: Read,
) -> None:
    settings = read("recipes.lenet5.learning_rate=5e-4", "recipes.lenet5.epochs=3")
    assert settings.recipe("lenet5").learning_rate == 5e-4
    assert settings.recipe("lenet5").epochs == 3
    assert settings.recipe("mlp") == settings.recipes["default"] == read().recipes["default"]
    assert settings.recipe("lenet5").momentum == settings.recipe("mlp").momentum


@pytest.fixture
def two_datasets(values: dict[str, Any]) -> dict[str, Any]:
    """Settings with a second dataset, which has a recipe of its own for one architecture."""
    values["datasets"]["signs"] = dict(values["datasets"]["digits"])
    values["recipes_for"] = {"signs": {"mlp": {**values["recipes"]["default"], "epochs": 77}}}
    return values


@pytest.mark.usefixtures("two_datasets")
def test_the_recipe_of_a_dataset_comes_before_that_for_all(file: Path, read: Read) -> None:
    common = read()
    own = load(file, NAMES, dataset="signs")
    assert own.recipe("mlp").epochs == 77 != common.recipe("mlp").epochs
    assert own.recipe("lenet5") == common.recipe("lenet5") == common.recipe("mlp")
    assert load(file, NAMES, ["run.dataset=signs"]).recipe("mlp") == own.recipe("mlp")
    assert load(file, NAMES, ["run.dataset=signs"], "digits").recipe("mlp") == common.recipe("mlp")


@pytest.mark.usefixtures("two_datasets")
@pytest.mark.parametrize(
    "override", ["recipes.mlp.momentum=0.8", "recipes_for.signs.mlp.momentum=0.8"]
)
def test_an_override_alters_the_recipe_that_is_trained_by(
    file: Path, read: Read, override: str
) -> None:
    read()
    recipe = load(file, NAMES, [override], "signs").recipe("mlp")
    assert (recipe.epochs, recipe.momentum) == (77, 0.8)


def test_a_recipe_of_a_dataset_is_checked_like_any(
    two_datasets: dict[str, Any], read: Read
) -> None:
    told = two_datasets["recipes_for"]["signs"]
    told["lenet"] = told["mlp"]
    with pytest.raises(UsageError, match=r"unknown architecture 'lenet': .*'lenet5'"):
        read()
    del told["lenet"]
    told["mlp"] = {**told["mlp"], "epoch": 1}
    with pytest.raises(UsageError, match=r"unknown key 'recipes_for.signs.mlp.epoch': .*'epochs'"):
        read()


@pytest.mark.parametrize("malformed", [None, [], {"digits": None}, {"digits": {"mlp": None}}])
def test_malformed_recipes_of_datasets_are_one_sentence(
    values: dict[str, Any], read: Read, malformed: Any
) -> None:
    values["recipes_for"] = malformed
    with pytest.raises(UsageError, match=r"params.yaml: '?rec"):
        read()


def test_an_override_of_one_recipe_leaves_a_shared_yaml_anchor_alone(
    file: Path, read: Read
) -> None:
    read()
    text = file.read_text().replace("  default:", "  default: &shared")
    file.write_text(text.replace("registry:\n", "  mlp: *shared\nregistry:\n", 1))
    settings = load(file, NAMES, ["recipes.mlp.epochs=3"])
    assert settings.recipe("mlp").epochs == 3
    assert settings.recipe("lenet5").epochs != 3


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("recipes.mlp.clip=1", {"clip": 1.0}),
        ("recipes.mlp.augment.flip=true", {"augment.shift": 2, "augment.flip": True}),
        ("recipes.mlp.augment.jitter.hue=0.1", {"augment.shift": 2, "augment.jitter.hue": 0.1}),
        ("recipes.mlp.augment={}", {}),
        ("recipes.mlp.options.hidden=[64, 32]", {"options.hidden": [64, 32]}),
        ("recipes.mlp.options={dropout: 0.2}", {"options.dropout": 0.2}),
    ],
)
def test_an_override_turns_on_what_was_off(
    read: Read, override: str, found: dict[str, Any]
) -> None:
    told = read(override)
    assert told.recipe("lenet5").flat()["augment.shift"] == 2
    optional = {name: value for name, value in told.recipe("mlp").flat().items() if name in found}
    assert optional == found
    assert ("augment.shift" in told.recipe("mlp").flat()) == ("augment={}" not in override)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipes.mlp.clop=1", r"unknown key 'clop': did you mean 'clip'"),
        ("recipes.mlp.augment.flop=1", r"unknown key 'flop': did you mean 'flip'"),
        ("recipes.mlp.augment.jitter.hew=1", r"unknown key 'hew': did you mean 'hue'"),
        ("recipes.mlp.policy.name=x", r"unknown key 'policy'"),
        ("seed", r"--set 'seed' is not KEY=VALUE"),
        ("=3", r"--set '=3' is not KEY=VALUE"),
        ("run..seed=3", r"--set 'run..seed=3' is not KEY=VALUE"),
        ("runs.seed=3", r"--set runs.seed: unknown key 'runs': did you mean 'run'\?"),
        ("run.sed=3", r"--set run.sed: unknown key 'sed': did you mean 'seed'\?"),
        ("run.seed.deep=3", r"--set run.seed.deep: 'run.seed' is 1\.$"),
        ("nothing=3", r"--set nothing: unknown key 'nothing'"),
        ("run.seed=[", r"--set run.seed: '\[' is not a YAML value"),
        ("run.seed=2020-13-45", r"--set run.seed: '2020-13-45' is not a YAML value"),
        ("run.seed=", r"params.yaml: 'run.seed' is None, but"),
        ("run.seed=many", r"params.yaml: 'run.seed' is 'many', but"),
        ("recipes.lenet.epochs=3", r"unknown key 'lenet': did you mean 'lenet5'\?"),
        ("recipes.lenet5.epoch=3", r"unknown key 'epoch': did you mean 'epochs'\?"),
        ("recipes.lenet5.epochs=inf", r"'recipes.lenet5.epochs' is inf, but"),
        ("recipes.default.learning_rate=inf", r"'recipes.default.learning_rate' is inf, but"),
        ("datasets.digits.val=0.3", r"DVC reads a dataset's values from params.yaml itself"),
        ("datasets=3", r"DVC reads a dataset's values"),
        ("run=3", r"params.yaml: 'run' is 3, but"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(read: Read, override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(override)


@pytest.mark.parametrize("default", [None, 3, "text", [1]])
def test_an_override_over_a_broken_file_is_still_a_sentence(
    read: Read, values: dict[str, Any], default: Any
) -> None:
    values["recipes"]["default"] = default
    with pytest.raises(UsageError):
        read("recipes.lenet5.epochs=3")
