"""What a network looks at: its first filters, its maps by depth, where it sees a class.

For every architecture by hooks alone (`tracing`). A perceptron's first weights are images too, but
it has no maps: what each pixel moves stands in for Grad-CAM there, under its own name.
"""

from collections.abc import Iterable

import numpy as np
import torch

from convoy.evaluation.attribution import grad_cam, input_gradients
from convoy.evaluation.contact_sheet import Sheet
from convoy.evaluation.explanation_figures import (
    Depth,
    Example,
    attribution_figure,
    depth_figure,
    filters_figure,
)
from convoy.evaluation.filters import first_filters
from convoy.evaluation.mistakes import confidence, worst_mistakes
from convoy.evaluation.pictures import NAMES
from convoy.evaluation.predictions import Scored
from convoy.evaluation.subject import Subject
from convoy.evaluation.tracing import Layer, by_depth, deepest, layers, outputs

MOST = 6
"""Images that are explained, of those that are right and of the mistaken ones."""


def filters(subject: Subject) -> Sheet:
    """Draw the first filters; `ValueError` where they are no images."""
    found = first_filters(subject.network, subject.normalised([0]))
    if found is None:
        raise ValueError("the first weights of this network have not the form of images")
    return filters_figure(found, NAMES[subject.channels], subject.title)


def depths(subject: Subject) -> Sheet:
    """Draw the maps of one image by depth; `ValueError` for a network that has none."""
    number = examples(subject.scored)[0]
    images = subject.normalised([number])
    chosen = by_depth(_layers(subject))
    found = outputs(subject.network, images, [layer.call for layer in chosen])
    return depth_figure(
        [Depth(layer, found[layer.call][0]) for layer in chosen],
        subject.look([number])[0],
        subject.classes[subject.scored.labels[number]],
        subject.title,
    )


def cam(subject: Subject) -> Sheet:
    """Draw where the classes of some images are seen; `ValueError` for a network without maps."""
    layer = deepest(_layers(subject))
    assert layer is not None
    size = f"{layer.name}, {layer.width} x {layer.height}"
    reading = f"What in the maps of {size}, speaks for a class: Grad-CAM, Selvaraju et al. 2017."
    return _attribution(subject, f"{subject.title}: where it sees a class", reading, layer)


def gradients(subject: Subject) -> Sheet:
    """Draw which pixels move the classes of some images."""
    reading = "How much each pixel moves the logit of a class: Simonyan et al. 2013."
    return _attribution(subject, f"{subject.title}: which pixels move a class", reading, None)


def has_maps(subject: Subject) -> bool:
    """Tell whether any layer of the network gives maps."""
    return bool(layers(subject.network, subject.normalised([0])))


def examples(scored: Scored, most: int = MOST) -> list[int]:
    """Choose images to explain, first `most` that are right, then as many that are mistaken.

    Right ones are each of another class, and of middling confidence; mistakes are the surest, each
    of another pair of classes as far as there are such.
    """
    sure, right = confidence(scored), []
    there = np.unique(scored.labels[scored.correct])
    spread = np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int)
    for label in there[spread]:
        of_class = np.flatnonzero(scored.correct & (scored.labels == label))
        by_confidence = of_class[np.argsort(sure[of_class], kind="stable")]
        right.append(int(by_confidence[len(by_confidence) // 2]))
    return right + _distinct(scored, worst_mistakes(scored).tolist(), most)


def _distinct(scored: Scored, numbers: Iterable[int], most: int) -> list[int]:
    first: dict[tuple[int, int], int] = {}
    others = []
    for number in numbers:
        pair = int(scored.labels[number]), int(scored.predicted[number])
        if first.setdefault(pair, number) != number:
            others.append(number)
    return [*first.values(), *others][:most]


def _layers(subject: Subject) -> list[Layer]:
    found = layers(subject.network, subject.normalised([0]))
    if not found:
        raise ValueError("no layer of this network gives maps: it has no convolution")
    return found


def _attribution(subject: Subject, title: str, reading: str, layer: Layer | None) -> Sheet:
    scored, numbers = subject.scored, examples(subject.scored)
    images = subject.normalised(numbers)
    predicted, labels = (
        torch.from_numpy(classes[numbers]).to(subject.device)
        for classes in (scored.predicted, scored.labels)
    )
    if layer is None:
        heat, heat_of_true = (
            input_gradients(subject.network, images, classes) for classes in (predicted, labels)
        )
    else:
        heat, heat_of_true = (
            grad_cam(subject.network, images, classes, layer) for classes in (predicted, labels)
        )
    sure = confidence(scored)
    found = [
        Example(
            picture,
            scored.classes[scored.labels[number]],
            scored.classes[scored.predicted[number]],
            float(sure[number]),
            heat[place],
            None if scored.correct[number] else heat_of_true[place],
        )
        for place, (number, picture) in enumerate(zip(numbers, subject.look(numbers), strict=True))
    ]
    return attribution_figure(found, title, reading)
