"""Temperature, reliability and coverage against what is known of made-up networks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convoy.evaluation.calibration import (
    Calibration,
    at_temperature,
    calibrate,
    coverage,
    fit_temperature,
    reliability,
)
from convoy.evaluation.calibration_figure import coverage_figure, reliability_figure
from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import Predictions, Scored
from tests.evaluation.scorings import contents, names, predictions, scored
from tests.evaluation.test_figures import drawn, texts


def overconfident(images: int, seed: int, factor: float) -> Scored:
    """Labels that follow the probabilities exactly, whose logits then grow by a factor."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(images, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < random.random((images, 1))).sum(axis=1).clip(max=3)
    shares = torch.tensor(factor * logits).softmax(dim=1).numpy().astype(np.float32)
    return Scored(shares, labels, contents(images, seed * images), names(4))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_a_network_too_certain(factor: float) -> None:
    assert fit_temperature(overconfident(20_000, 1, factor)) == pytest.approx(factor, rel=0.05)


def test_the_temperature_is_where_the_likelihood_is_highest() -> None:
    one = overconfident(500, 2, 2.0)
    logits = torch.tensor(np.log(one.probabilities.astype(np.float64)))
    labels = torch.tensor(one.labels)

    def nats(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / temperature, labels))

    found = fit_temperature(one)
    assert nats(found) <= min(nats(found * 0.99), nats(found * 1.01))


def test_it_is_fitted_on_val_and_judged_on_test() -> None:
    both = Predictions(overconfident(2000, 3, 2.0), overconfident(2000, 4, 2.0))
    ours = calibrate(both)
    assert ours.temperature == fit_temperature(both.val)
    other_test = calibrate(replace(both, test=overconfident(500, 5, 0.5)))
    assert other_test.temperature == ours.temperature
    for scored_at, fit in (
        (both.test.probabilities, ours.before),
        (at_temperature(both.test.probabilities, ours.temperature), ours.after),
    ):
        whole = evaluate(scored_at, both.test.labels, both.classes)
        assert fit.negative_log_likelihood == pytest.approx(whole.negative_log_likelihood)
        assert fit.expected_calibration_error == pytest.approx(whole.expected_calibration_error)
    assert ours.after.negative_log_likelihood < ours.before.negative_log_likelihood
    assert ours.after.expected_calibration_error < ours.before.expected_calibration_error


def test_a_temperature_changes_no_answer_and_a_zero_stays_the_least() -> None:
    shares: NDArray[np.float32] = np.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]], np.float32)
    for temperature in (0.05, 1.0, 20.0):
        tempered = at_temperature(shares, temperature)
        assert np.isfinite(tempered).all()
        assert tempered.sum(axis=1) == pytest.approx(np.ones(2))
        assert tempered.argmax(axis=1).tolist() == [2, 0]
    assert at_temperature(shares, 1.0) == pytest.approx(shares, abs=1e-6)


def test_bins_add_up_to_the_expected_calibration_error() -> None:
    one = scored(images=700)
    bins = reliability(one.probabilities, one.labels)
    assert sum(part.images for part in bins) == 700
    error = sum(
        part.images * abs(part.accuracy - part.confidence) / 700
        for part in bins
        if part.accuracy is not None and part.confidence is not None
    )
    whole = evaluate(one.probabilities, one.labels, one.classes)
    assert error == pytest.approx(whole.expected_calibration_error)
    assert all(part.low <= part.confidence <= part.high for part in bins if part.confidence)


def test_coverage_is_what_a_loop_counts() -> None:
    one = scored(images=150)
    confidence = one.probabilities.max(axis=1)
    for found in coverage(one):
        answered = [i for i in range(150) if confidence[i] >= found.threshold]
        assert found.coverage == pytest.approx(len(answered) / 150)
        expected = np.mean([one.correct[i] for i in answered]) if answered else None
        assert found.accuracy == (None if expected is None else pytest.approx(expected))


def test_a_calibration_survives_json() -> None:
    ours = calibrate(predictions())
    assert Calibration.from_json(json.loads(json.dumps(ours.to_json()))) == ours
    assert set(ours.metrics()) == {
        "calibration/temperature",
        "calibration/negative_log_likelihood_after",
        "calibration/expected_calibration_error_after",
    }


@pytest.mark.parametrize("images", [1, 2, 300])
def test_any_number_of_images_can_be_calibrated_and_drawn(images: int) -> None:
    ours = calibrate(predictions(images))
    for make in (reliability_figure, coverage_figure):
        figure = make(ours, "from $5 to $\\broken{$")
        pixels = np.asarray(drawn(figure).convert("L"))
        edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
        assert all((edge == 255).all() for edge in edges), "something is drawn over the edge"
        assert "from $5 to $\\broken{$" in texts(figure)
