"""Pipeline runs as MLflow would hand them over, on classes with hostile names."""

import io

import numpy as np
from PIL import Image

from convoy.evaluation.metrics import evaluate
from convoy.evaluation.predictions import Predictions, Scored
from convoy.outcome import Outcome, Row
from convoy.report.record import Data, Network, Report

HOSTILE = ("<script>document.title='mine'</script>", '"><img src=x onerror=alert(1)>', "| `a` |")
"""Names of classes that would run, break out of an attribute, or end a table's cell."""
SKILLS = {"mlp": 0.80, "lenet5": 0.97, "resnet20": 0.98}


def predictions(skill: float, seed: int, images: int = 200) -> Predictions:
    """Return what a network says that is right about so many images."""
    draw = np.random.default_rng(seed)

    def scored(split: int) -> Scored:
        shared = np.random.default_rng(split)  # the same images for all networks
        labels = shared.integers(0, len(HOSTILE), images)
        wrong = draw.random(images) > skill
        said = np.where(wrong, (labels + 1) % len(HOSTILE), labels)
        found = np.full((images, len(HOSTILE)), 0.05, np.float32)
        found[np.arange(images), said] = 0.9
        names = np.array([f"{split}{number:015x}" for number in range(images)])
        return Scored(found, labels, names, HOSTILE)

    return Predictions(scored(1), scored(2))


def network(name: str, skill: float, seed: int) -> Network:
    """Return a network with all that a run may have."""
    said = predictions(skill, seed)
    found = evaluate(said.test.probabilities, said.test.labels, HOSTILE)
    costs = {"parameters": 1e5 * seed, "training_seconds": 10.0 / seed, "latency_p50_ms": 0.2}
    robust = {"robust/noise": 0.7, "robust/blur": 0.4, "robust/all": 0.55}
    strengths = [(strength, found.accuracy - 0.1 * strength) for strength in range(6)]
    return Network(
        architecture=name,
        run_id=f"run-of-{name}",
        metrics={
            **found.metrics("test"),
            **{f"cost/{cost}": value for cost, value in costs.items()},
            **robust,
            "val/best_accuracy": skill,
        },
        params={"seed": "1"},
        tags={"convoy.weights_sha256": "5a" * 32},
        evaluation=found,
        predictions=said,
        curves={
            "val/accuracy": [(1, 0.5), (2, skill)],
            "val/loss": [(1, 1.0), (2, 0.1)],
            "robust/accuracy/noise": strengths,
        },
        pictures={"worst_mistakes": png()},
    )


def png(side: int = 64) -> bytes:
    """Return a picture with some noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def data() -> Data:
    counts = {split: dict.fromkeys(HOSTILE, 40) for split in ("train", "val", "test")}
    digest = "d16e57" * 6
    return Data("signs", "ab" * 16, digest, "files", list(HOSTILE), counts, "rgb", 64)


def a_report(networks: list[Network] | None = None) -> Report:
    """Return a run whose most accurate network was registered."""
    found = networks or [
        network(name, skill, seed) for seed, (name, skill) in enumerate(SKILLS.items(), start=1)
    ]
    rows = [
        Row(
            architecture=one.architecture,
            run_id=one.run_id,
            kept=False,
            val_accuracy=one.metrics["val/best_accuracy"],
            test_accuracy=one.accuracy,
            test_accuracy_low=one.interval[0],
            test_accuracy_high=one.interval[1],
            parameters=1,
            multiply_adds=1,
            seconds=1.0,
            microseconds_per_image=1.0,
        )
        for one in found
    ]
    outcome = Outcome(
        dataset="signs",
        dataset_version="ab" * 16,
        experiment_id="1",
        run_id="pipeline",
        rows=rows,
        model="signs",
        version="3",
        alias="champion",
        champion="3",
        allowed=True,
        reasons=["test accuracy 98.0% against the floor of 95.0%"],
        seconds=9.0,
        fit_seconds=3.0,
        samples="samples",
    )
    return Report(
        run_id="pipeline",
        experiment_id="1",
        name="pipeline 2026-11-29 20:00:00",
        started="2026-11-29 20:00 UTC",
        outcome=outcome,
        data=data(),
        networks=found,
        commit="c0ffee",
        dirty=False,
        overrides=["recipes.mlp.epochs=3"],
        registered=found[-1].run_id,
    )
