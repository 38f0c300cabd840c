"""A sweep's section in params.yaml: what it may say, and the sentence for what it may not."""

from pathlib import Path

import pytest

from convoy import architectures
from convoy.errors import UsageError
from convoy.settings import load
from convoy.space import Values, value_of, with_values
from convoy.sweep_outcome import override
from tests.recipes import recipe

PLACE = "sweeps.lenet5"


def refusal(repository: Path, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        load(repository / "params.yaml", architectures.names(), overrides)
    return str(caught.value)


def space(text: str) -> str:
    return f"{PLACE}.space={{{text}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat: {low: 0.1, high: 1.0}", "'learning_rat': did you mean 'learning_rate'?"),
        ("augment.shft: {choices: [1]}", "'augment.shft': did you mean 'augment.shift'?"),
        ("augment: {choices: [1]}", "a recipe has no value 'augment'"),
        ("milestones: {choices: [0.5]}", "a recipe has no value 'milestones'"),
        ("learning_rate: {low: 0.1, hihg: 1.0}", "'sweeps.lenet5.space.learning_rate.hihg'"),
        ("learning_rate: {low: 0.1, hihg: 1.0}", "did you mean 'high'?"),
        ("learning_rate: {low: 0.1}", "give low and high, or choices."),
        ("learning_rate: {choices: []}", "give low and high, or choices."),
        ("learning_rate: {low: 0.1, high: 1.0, choices: [1.0]}", "give choices alone"),
        ("learning_rate: {log: true, choices: [1.0]}", "give choices alone"),
        ("learning_rate: {choices: [1.0, 1.0]}", "comes twice"),
        ("learning_rate: {low: 1.0, high: 0.1}", "low is 1.0, which is not below high, 0.1."),
        ("weight_decay: {low: 0.0, high: 0.1, log: true}", "with log it has to be above 0"),
        ("learning_rate: {low: 0, high: 1}", "space.learning_rate has 0, but"),
        ("label_smoothing: {low: 0.0, high: 1.0}", "space.label_smoothing has 1.0, but"),
        ("batch_size: {low: 8.5, high: 64}", "space.batch_size has 8.5, but"),
        ("schedule: {choices: [cosin]}", "space.schedule has 'cosin', but"),
        ("augment.flip: {low: 0, high: 1}", "space.augment.flip has 0, but"),
        ("optimizer: {choices: [null]}", "space.optimizer has None, but"),
        ("", "'sweeps.lenet5.space' is {}"),
    ],
)
def test_a_space_is_refused_with_its_place_and_the_mend(
    repository: Path, text: str, said: str
) -> None:
    sentence = refusal(repository, space(text))
    assert said in sentence and sentence.startswith(str(repository / "params.yaml"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"{PLACE}.trials=0", "'sweeps.lenet5.trials' is 0"),
        (f"{PLACE}.trials=2.5", "'sweeps.lenet5.trials' is 2.5"),
        (f"{PLACE}.parallel=0", "'sweeps.lenet5.parallel' is 0"),
        (f"{PLACE}.trails=3", "did you mean 'trials'?"),
        (f"{PLACE}.prune.epochs=0", "'sweeps.lenet5.prune.epochs' is 0"),
        (f"{PLACE}.prune={{trials: 3}}", "'sweeps.lenet5.prune.epochs' is missing"),
        ("sweeps.mlp={trials: 3}", "'sweeps.mlp.parallel' is missing"),
        (
            "sweeps.lenet={trials: 1, parallel: 1, space: {epochs: {choices: [1]}}}",
            "unknown architecture 'lenet': did you mean 'lenet5'?",
        ),
    ],
)
def test_a_sweeps_own_values_are_checked(repository: Path, change: str, said: str) -> None:
    assert said in refusal(repository, change)


def test_a_sweep_that_nobody_has_described_is_asked_for(repository: Path) -> None:
    settings = load(repository / "params.yaml", architectures.names())
    with pytest.raises(UsageError, match=r"a sweep of 'zfnet'; it has those of lenet5"):
        settings.sweep("zfnet")


def test_a_value_that_needs_another_is_not_refused_before_its_trial(repository: Path) -> None:
    """The schedule `cosine` may have a warm-up; the recipe's own, `one_cycle`, may not."""
    text = "schedule: {choices: [one_cycle, cosine]}, warmup: {low: 0.0, high: 0.2}"
    settings = load(repository / "params.yaml", architectures.names(), [space(text)])
    sweep, present = settings.sweep("lenet5"), settings.recipe("lenet5")
    assert {found.schedule for found in sweep.extremes(present)} == {"one_cycle", "cosine"}


def test_values_are_put_where_their_dotted_names_say() -> None:
    changed = with_values(
        recipe(), {"epochs": 9, "augment.jitter.contrast": 0.2, "clip": 1.0, "options.pool": "max"}
    )
    assert (changed.epochs, changed.clip, changed.options) == (9, 1.0, {"pool": "max"})
    assert changed.augment.jitter.contrast == 0.2
    assert changed.learning_rate == recipe().learning_rate
    assert value_of(changed, "augment.jitter.contrast") == 0.2
    assert value_of(changed, "augment.policy.name") is None


def test_a_range_holds_numbers_and_a_list_its_choices() -> None:
    between = Values(low=1, high=3)
    assert 1 in between and 2.5 in between and 4 not in between
    assert None not in between and True not in between
    among = Values(choices=(None, 1.0))
    assert None in among and 1.0 in among and 2.0 not in among


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 1e-05),
        ("learning_rate", 0.06161873841527706),
        ("batch_size", 128),
        ("augment.flip", True),
        ("clip", None),
        ("optimizer", "adamw"),
    ],
)
def test_what_was_found_is_read_back_as_it_was(
    repository: Path, name: str, value: bool | int | float | str | None
) -> None:
    found = override("lenet5", name, value)
    settings = load(repository / "params.yaml", architectures.names(), [found])
    read = value_of(settings.recipe("lenet5"), name)
    assert (read, type(read)) == (value, type(value))
