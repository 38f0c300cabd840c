"""That the figure of a range test can be drawn of whatever a test gives."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from convoy.evaluation.rates_figure import rates_figure


def drawn(figure: Figure) -> Image.Image:
    file = BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file)


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}


@pytest.mark.parametrize("points", [0, 1, 2, 200])
def test_any_number_of_steps_is_drawn(points: int) -> None:
    rates = [1e-6 * 1.08**step for step in range(points)]
    losses = [2.3 + 1.1**step for step in range(points)]
    image = drawn(rates_figure(rates, losses, losses, {}, "mlp on $digits"))
    assert min(image.size) > 400


def test_the_rates_that_stand_out_are_named_and_stay_inside() -> None:
    rates = [10.0 ** (step / 20 - 6) for step in range(140)]
    losses = [2.3 - step / 100 for step in range(140)]
    marks = {"falls fastest": 0.0039, "a tenth of the lowest": 0.028, "lowest": 0.28}
    figure = rates_figure(rates, losses, losses, marks, "lenet5 on digits")
    pixels = np.asarray(drawn(figure).convert("L"))
    assert all((side == 255).all() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    assert {"lenet5 on digits", "falls fastest: 0.0039", "lowest: 0.28"} <= texts(figure)
