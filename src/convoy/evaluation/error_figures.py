"""What a network mistakes as galleries, and labels that look wrong as a table with thumbnails."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convoy.evaluation.colours import BLUE, FAINT, VERMILION
from convoy.evaluation.contact_sheet import (
    HEAD,
    MARGIN,
    Sheet,
    cut,
    inches,
    percent,
    plural,
    rows_of,
)
from convoy.evaluation.label_errors import Suspect
from convoy.evaluation.mistakes import Pair, confidence, worst_mistakes
from convoy.evaluation.predictions import Scored
from convoy.evaluation.subject import Numbers

Look = Callable[[Numbers], NDArray[np.uint8]]
"""Numbers of images of a split to their pictures (N, H, W, 3) uint8."""

MISTAKES = 24
PAIRS, EACH = 6, 8
SUSPECTS = 15
TILE = 1.05
"""Inches of a picture's side."""


def mistakes_figure(scored: Scored, look: Look, title: str) -> Sheet:
    """Draw the mistakes that a network was surest of; `ValueError` where there are none."""
    wrong = worst_mistakes(scored)
    if not len(wrong):
        raise ValueError(f"none of {plural(len(scored), 'test image')} is mistaken")
    chosen = wrong[:MISTAKES]
    columns, cell, row = min(len(chosen), 8), TILE + 0.2, TILE + 0.56
    width = max(2 * MARGIN + columns * cell - 0.2, 6.5)
    shown = "all of them" if len(chosen) == len(wrong) else f"the {len(chosen)} surest"
    sheet = Sheet(
        *(width, HEAD + rows_of(len(chosen), columns) * row),
        f"{title}: the surest mistakes",
        f"{len(wrong):,} of {plural(len(scored), 'test image')} "
        f"{'is' if len(wrong) == 1 else 'are'} mistaken; {shown}. First what the network "
        "says, then the label.",
    )
    sure = confidence(scored)
    for place, (number, picture) in enumerate(zip(chosen, look(chosen), strict=True)):
        x = MARGIN + place % columns * cell
        y = HEAD + place // columns * row
        sheet.show(picture, x, y, TILE)
        sheet.pair(
            *(scored.classes[scored.predicted[number]], percent(float(sure[number]))),
            *(x, y + TILE + 0.14),
            within=TILE + 0.1,
            colour=VERMILION,
        )
        label = f"is {scored.classes[scored.labels[number]]}"
        sheet.write(label, x, y + TILE + 0.31, within=TILE + 0.1, colour=BLUE)
    return sheet


def pairs_figure(pairs: Sequence[Pair], classes: Sequence[str], look: Look, title: str) -> Sheet:
    """Draw the classes that are mistaken for each other most often; `ValueError` for no pairs."""
    if not pairs:
        raise ValueError("no class is mistaken for another")
    shown = pairs[:PAIRS]
    most = max(min(len(pair.numbers), EACH) for pair in shown)
    names = [
        f"taken for {classes[place]}" for pair in shown for place in (pair.true, pair.predicted)
    ]
    left = min(2.4, max(1.2, *(inches(name, 10) for name in names))) + 0.2
    cell, row = TILE + 0.12, TILE + 0.24
    width = max(MARGIN + left + most * cell - 0.12 + MARGIN, 6.5)
    mistakes = sum(len(pair.numbers) for pair in pairs)
    covered = sum(len(pair.numbers) for pair in shown)
    sheet = Sheet(
        *(width, HEAD + len(shown) * row + 0.05),
        f"{title}: what is taken for what",
        f"{plural(len(shown), 'pair')} of classes with {covered:,} of "
        f"{plural(mistakes, 'mistake')}; the surest of each to the left.",
    )
    for place, pair in enumerate(shown):
        y, words = HEAD + place * row, left - 0.2
        middle = y + TILE / 2
        sheet.write(classes[pair.true], MARGIN, middle - 0.24, points=10, within=words, colour=BLUE)
        taken = f"taken for {classes[pair.predicted]}"
        sheet.write(taken, MARGIN, middle, points=10, within=words, colour=VERMILION)
        share = (
            f"{len(pair.numbers):,} of {pair.support:,} ({len(pair.numbers) / pair.support:.1%})"
        )
        sheet.write(share, MARGIN, middle + 0.24, within=words, colour=FAINT)
        for column, picture in enumerate(look(pair.numbers[:EACH])):
            sheet.show(picture, MARGIN + left + column * cell, y, TILE)
    return sheet


class Listed(NamedTuple):
    """A suspect as the table shows it."""

    suspect: Suspect
    picture: NDArray[np.uint8]
    path: str
    """Of the file that the image came from."""


def suspects_figure(
    listed: Sequence[Listed], found: int, images: int, classes: Sequence[str], title: str
) -> Sheet:
    """Draw the first of `found` suspects among `images` as a table; `ValueError` for none."""
    if not listed:
        raise ValueError(f"none of {plural(images, 'label')} of val and test looks wrong")
    thumb, row, width = 0.52, 0.6, 10.0
    top = HEAD + 0.28
    shown = "all of them" if len(listed) == found else f"the {len(listed)} most suspicious"
    sheet = Sheet(
        *(width, top + len(listed) * row + 0.1),
        f"{title}: labels that look wrong",
        f"{found:,} of {plural(images, 'label')} of val and test, by confident learning; {shown}.",
    )
    columns = {"label": 1.05, "the network says": 3.25, "split": 5.6, "image": 6.2}
    for name, x in columns.items():
        sheet.write(name, x, top - 0.16, colour=FAINT)
    for place, one in enumerate(listed):
        y = top + place * row
        sheet.rule(y - 0.04, MARGIN, width - MARGIN)
        sheet.show(one.picture, MARGIN + 0.05, y, thumb)
        middle, suspect = y + thumb / 2, one.suspect
        for name, label, share, colour in (
            ("label", suspect.given, suspect.given_probability, VERMILION),
            ("the network says", suspect.suggested, suspect.suggested_probability, BLUE),
        ):
            sheet.pair(
                *(classes[label], percent(share), columns[name], middle),
                within=2.05,
                colour=colour,
                points=9,
            )
        sheet.write(suspect.split, columns["split"], middle, points=8)
        # The end of a path tells one image from the others.
        path = cut(one.path or suspect.image, 8, width - MARGIN - columns["image"], end=True)
        sheet.write(path, columns["image"], middle, points=8)
    return sheet
