"""That the figures say what they should, on what runs really give."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from convoy.evaluation.contact_sheet import Sheet
from convoy.evaluation.figures import confusion_figure, curves_figure
from convoy.evaluation.metrics import Evaluation, evaluate


def evaluation(classes: list[str], images: int = 500, without: int | None = None) -> Evaluation:
    random = np.random.default_rng(0)
    labels = random.integers(0, len(classes), images)
    labels = labels[labels != without]
    scores = random.random((len(labels), len(classes))) ** 4
    scores[np.arange(len(labels)), labels] += 0.7
    return evaluate(scores / scores.sum(axis=1, keepdims=True), labels, classes)


def drawn(figure: Figure | Sheet) -> Image.Image:
    file = BytesIO()
    if isinstance(figure, Sheet):
        figure.save(file)
    else:
        figure.savefig(file, format="png")
    return Image.open(file)


def texts(figure: Figure | Sheet) -> set[str]:
    if isinstance(figure, Sheet):
        return set(figure.words)
    return {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}


@pytest.mark.parametrize("classes", [1, 2, 10, 20, 21, 100, 250])
def test_any_number_of_classes_makes_a_figure_that_a_screen_can_show(classes: int) -> None:
    image = drawn(confusion_figure(evaluation([f"class {i}" for i in range(classes)])))
    assert min(image.size) > 400
    assert max(image.size) < 2600


@pytest.mark.parametrize("classes", [2, 10, 20, 40])
def test_nothing_is_drawn_over_the_edge(classes: int) -> None:
    figure = confusion_figure(evaluation([f"a rather long name {i}" for i in range(classes)]))
    pixels = np.asarray(drawn(figure).convert("L"))
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((side == 255).all() for side in border)


def test_up_to_twenty_classes_every_count_is_written() -> None:
    ours = evaluation([f"class {i}" for i in range(20)])
    counts = {str(count) for row in ours.confusion for count in row if count}
    assert counts <= texts(confusion_figure(ours))


def test_a_dollar_sign_in_a_name_starts_no_formula() -> None:
    figure = confusion_figure(evaluation(["costs $5", "$\\frac{$", "a_b^c"]))
    drawn(figure)
    assert {"costs $5", "$\\frac{$", "a_b^c"} <= texts(figure)
    drawn(curves_figure({}, "from $5 to $\\broken{$"))


def test_a_class_without_images_is_drawn() -> None:
    drawn(confusion_figure(evaluation(["a", "b", "c"], without=1)))


def test_a_long_name_is_cut() -> None:
    assert not any(
        "x" * 30 in text for text in texts(confusion_figure(evaluation(["x" * 99, "y"])))
    )


def test_the_best_epoch_is_named() -> None:
    history = {
        "train/loss": [(0, 2.0), (1, 1.0), (2, 0.5)],
        "val/loss": [(0, 2.1), (1, 1.2), (2, 1.3)],
        "val/accuracy": [(0, 0.3), (1, 0.625), (2, 0.6)],
    }
    figure = curves_figure(history, "lenet5 on digits")
    drawn(figure)
    assert {"lenet5 on digits", "train", "val"} <= texts(figure)
    assert "Accuracy, best 62.5% in epoch 1" in texts(figure)


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"train/loss": []},
        {"train/loss": [(0, 1.0)], "val/accuracy": [(0, 0.5)]},
        {"train/loss": [(0, 1.0), (1, float("nan")), (2, float("inf"))]},
        {"train/loss": [(0, 1e9), (1, 1.0), (2, 1e-3)]},
        {"train/loss": [(0, 0.0), (1, 0.0)], "lr": [(0, 0.1)]},
    ],
)
def test_a_run_that_broke_off_or_diverged_is_drawn(
    history: dict[str, list[tuple[int, float]]],
) -> None:
    drawn(curves_figure(history, "a run"))


def test_drawing_leaves_pyplot_alone() -> None:
    program = (
        "import sys; from convoy.evaluation.figures import curves_figure; "
        "curves_figure({}, '').save(sys.stdout.buffer); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
