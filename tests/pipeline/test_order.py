"""What an order says of a training, once it has travelled as JSON."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from convoy import architectures
from convoy.pipeline.order import Order
from convoy.settings import Settings, load
from convoy.training.spec import training_key

NAMES = architectures.names()
OVERRIDES = ("recipes.lenet5.augment={shift: 2, rotate: 10}", "recipes.lenet5.learning_rate=1")


def travelled(settings: Settings) -> Settings:
    text = json.dumps(settings.model_dump(mode="json", by_alias=True))
    return Settings.model_validate_json(text, context={"architectures": NAMES})


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
def test_a_worker_counts_the_same_keys_from_settings_that_have_travelled(
    repository: Path, dataset: str
) -> None:
    settings = load(repository / "params.yaml", NAMES, OVERRIDES, dataset)
    there = travelled(settings)
    assert there == settings
    for name in NAMES:
        here = training_key(name, settings.recipe(name), 1, "version")
        assert training_key(name, there.recipe(name), 1, "version") == here, name


def test_an_order_holds_what_it_is_to_hold_and_nothing_else() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Order.model_validate({"architecture": "mlp", "callback": "os.system"})
