"""The card of a registered version: from its numbers, whatever its classes are called."""

from dataclasses import replace

from convoy.model_card import Card, limits, markdown
from tests.report.records import HOSTILE, a_report, data


def card() -> Card:
    report = a_report()
    return Card("signs", report.chosen, data(), "c0ffee", False, report.command)


def test_the_figures_are_those_of_the_run() -> None:
    text, network = markdown(card()), a_report().chosen
    low, high = network.interval
    assert f"| accuracy | {network.accuracy:.2%} | {low:.2%} to {high:.2%} |" in text
    assert "On the 200 test images" in text
    assert f"macro F1 | {network.metrics['test/macro_f1']:.4f}" in text
    assert "120 train, 120 val, 120 test" in text


def test_it_says_how_to_load_it_and_how_to_make_it_again() -> None:
    text = markdown(card())
    assert 'mlflow.pyfunc.load_model("models:/signs@champion")' in text
    assert "git checkout c0ffee" in text and "--set recipes.mlp.epochs=3" in text
    assert f"sha256 is `{'5a' * 32}`" in text
    assert "with changes that were not committed" in markdown(replace(card(), dirty=True))


def test_its_limits_are_the_weakest_class_and_the_worst_harm() -> None:
    one = card()
    said = limits(one)
    assert one.network.evaluation
    weakest = min(one.network.evaluation.per_class, key=lambda found: found.recall)
    assert f"{weakest.recall:.1%} of {weakest.support:,} images" in said[0]
    assert "least is left under blur (40%), noise (70%)" in said[1]


def test_without_a_measure_of_robustness_it_says_so() -> None:
    one = card()
    metrics = {k: v for k, v in one.network.metrics.items() if not k.startswith("robust/")}
    plain = replace(one, network=replace(one.network, metrics=metrics))
    assert "Its robustness to harmed images was not measured." in limits(plain)


def test_a_class_that_no_test_image_shows_is_a_limit() -> None:
    one = card()
    assert one.network.evaluation
    classes = one.network.evaluation.per_class
    empty = (*classes[:-1], replace(classes[-1], support=0, recall=0.0))
    evaluation = replace(one.network.evaluation, per_class=empty)
    said = limits(replace(one, network=replace(one.network, evaluation=evaluation)))
    assert any("No test image shows" in limit for limit in said)


def test_names_of_classes_are_code_in_which_nothing_means_anything() -> None:
    text = markdown(card())
    outside = "".join(text.split("`")[::2])
    assert "<script>" in text and "<script>" not in outside
    assert f"`` {HOSTILE[2]} ``" in text, "a name with backticks has a longer fence"
