"""That the errors that are shown are the right ones, and every gallery can be drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray

from convoy.evaluation.error_figures import Listed, mistakes_figure, pairs_figure, suspects_figure
from convoy.evaluation.label_errors import Suspect
from convoy.evaluation.mistakes import confused_pairs, worst_mistakes
from convoy.evaluation.predictions import Scored
from convoy.evaluation.subject import Numbers
from tests.evaluation.scorings import contents, names, scored
from tests.evaluation.test_figures import drawn, texts


def look(numbers: Numbers) -> NDArray[np.uint8]:
    return np.full((len(numbers), 16, 16, 3), 90, np.uint8)


def given(rows: list[list[float]], labels: list[int], classes: tuple[str, ...] = ()) -> Scored:
    shares = np.array(rows, np.float32)
    named = classes or names(shares.shape[1])
    return Scored(shares, np.array(labels), contents(len(labels)), named)


def test_the_surest_mistake_comes_first_and_what_is_right_not_at_all() -> None:
    one = given([[0.6, 0.4], [0.1, 0.9], [0.99, 0.01], [0.2, 0.8]], [1, 0, 0, 0])
    assert worst_mistakes(one).tolist() == [1, 3, 0]


def test_pairs_are_counted_by_direction_and_the_most_frequent_comes_first() -> None:
    rows = [[0.1, 0.8, 0.1]] * 3 + [[0.9, 0.1, 0.0]] * 2 + [[0.1, 0.1, 0.8]]
    one = given([*rows, [0.2, 0.7, 0.1]], [0, 0, 0, 1, 1, 2, 0])
    first, second = confused_pairs(one)
    assert (first.true, first.predicted, first.support) == (0, 1, 4)
    assert first.numbers.tolist() == [0, 1, 2, 6]
    assert (second.true, second.predicted, len(second.numbers)) == (1, 0, 2)


def test_without_mistakes_the_figures_say_why_they_are_missing() -> None:
    one = given([[0.9, 0.1], [0.2, 0.8]], [0, 1])
    assert confused_pairs(one) == []
    with pytest.raises(ValueError, match="none of 2 test images is mistaken"):
        mistakes_figure(one, look, "a title")
    with pytest.raises(ValueError, match="no class is mistaken"):
        pairs_figure([], one.classes, look, "a title")
    with pytest.raises(ValueError, match="none of 4 labels"):
        suspects_figure([], 0, 4, one.classes, "a title")


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("name", ["{}", "a very long name of a class, with $ and a tail {}"])
@pytest.mark.parametrize("images", [1, 400])
def test_few_or_many_classes_of_any_name_are_drawn_within_the_sheet(
    classes: int, name: str, images: int
) -> None:
    found = scored(images, classes, seed=4, skill=-20.0)
    named = tuple(name.format(number) for number in range(classes))
    one = Scored(found.probabilities, found.labels, found.images, named)
    suspects = [
        Listed(
            Suspect("val", n, "ab" * 32, 0, classes - 1, 0.001, 0.99), look([n])[0], "a/b.png" * 20
        )
        for n in range(15)
    ]
    for figure in (
        mistakes_figure(one, look, "a title"),
        pairs_figure(confused_pairs(one), named, look, "a title"),
        suspects_figure(suspects, 99, 1000, named, "a title"),
    ):
        pixels = np.asarray(drawn(figure).convert("L"))
        border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((side == 255).all() for side in border)
        assert max(pixels.shape) < 2600


def test_the_gallery_says_what_was_answered_and_what_is_right() -> None:
    one = given([[0.0004, 0.9996], [0.9, 0.1]], [0, 0], ("cat", "dog"))
    words = texts(mistakes_figure(one, look, "a network on pets"))
    assert {"dog", "99.96%", "is cat"} <= words
    words = texts(pairs_figure(confused_pairs(one), one.classes, look, "a network on pets"))
    assert {"cat", "taken for dog", "1 of 2 (50.0%)"} <= words
