"""The figures of calibration: what confidence is worth, and what withholding answers buys."""

from convoy.evaluation.calibration import Bin, Calibration
from convoy.evaluation.chart import Chart, sides, ticks
from convoy.evaluation.colours import BLUE, VERMILION
from convoy.evaluation.contact_sheet import HEAD, Sheet

MARKED = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Thresholds of confidence that are named on the curve."""
FIFTHS = {tick / 5: f"{tick / 5:.0%}" for tick in range(6)}
WIDE = 4.2
"""Inches of a chart."""


def reliability_figure(calibration: Calibration, title: str) -> Sheet:
    """Draw accuracy by confidence before and after the temperature, and where the images are."""
    reading = "Accuracy by confidence: on the dashed line it is worth what it says."
    sheet = Sheet(5.4, 6.2, title, reading)
    chart = Chart(sheet, 0.85, HEAD + 0.3, WIDE, 3.3, (0, 1), (0, 1))
    chart.mark_y(FIFTHS)
    for step in range(0, 40, 2):
        chart.straight((step / 40, step / 40), ((step + 1) / 40, (step + 1) / 40))
    before, after = calibration.before, calibration.after
    as_it_is = f"as it is: error {before.expected_calibration_error:.1%}"
    tempered = (
        f"temperature {calibration.temperature:.2f}: error {after.expected_calibration_error:.1%}"
    )
    _draw_bins(chart, calibration.reliability, BLUE)
    _draw_bins(chart, calibration.reliability_after, VERMILION)
    sheet.write(as_it_is, 0.85, HEAD + 0.08, points=9, colour=BLUE)
    sheet.write(tempered, 0.85 + WIDE, HEAD + 0.08, points=9, colour=VERMILION, align="right")
    bins = calibration.reliability
    most = max(max(one.images for one in bins), 1)
    below = Chart(sheet, 0.85, HEAD + 3.75, WIDE, 0.85, (0, 1), (0, most))
    below.mark_y({0: "0", most: f"{most:,}"})
    for one in bins:
        air = 0.05 * (one.high - one.low)
        (left, top), (right, bottom) = below.at(one.low + air, one.images), below.at(one.high, 0)
        sheet.box(left, top, right, bottom, BLUE)
    below.mark_x(FIFTHS, "confidence: the highest probability, and how many images have it")
    return sheet


def coverage_figure(calibration: Calibration, title: str) -> Sheet:
    """Draw the accuracy of the answers that are given by the share of images that get one."""
    reading = "Without the answers below a confidence: fewer, and more of them right."
    sheet = Sheet(5.4, 4.6, title, reading)
    points = [
        (one.threshold, one.coverage, one.accuracy)
        for one in calibration.coverage
        if one.accuracy is not None
    ]
    shares, rights = [share for _, share, _ in points], [right for _, _, right in points]
    x, y = sides(shares), sides(rights)
    # The more answers, the further to the left.
    chart = Chart(sheet, 0.85, HEAD + 0.1, WIDE, 2.6, x[::-1], y)
    chart.mark_y(_percents(*y))
    chart.mark_x(_percents(*x), "images answered; upwards the accuracy of the answers")
    chart.curve([(share, right) for _, share, right in points], BLUE, dots=False)
    for number, (threshold, share, right) in enumerate(p for p in points if p[0] in MARKED):
        left, top = chart.at(share, right)
        sheet.dot((left, top), VERMILION, 5)
        aside = 0.16 if number % 2 else -0.13
        sheet.write(f"{threshold:.0%}", left + 0.05, top + aside, colour=VERMILION)
    return sheet


def _draw_bins(chart: Chart, bins: tuple[Bin, ...], colour: str) -> None:
    there = [
        (one.confidence, one.accuracy, one.images)
        for one in bins
        if one.confidence is not None and one.accuracy is not None
    ]
    most = max(images for _, _, images in there)
    chart.curve([(confidence, right) for confidence, right, _ in there], colour, dots=False)
    for confidence, right, images in there:
        # A bin of a few images may lie anywhere, so it is small.
        chart.sheet.dot(chart.at(confidence, right), colour, 2.5 + 8 * (images / most) ** 0.5)


def _percents(low: float, high: float) -> dict[float, str]:
    return {tick: f"{100 * tick:.4g}%" for tick in ticks(low, high) if 0 <= tick <= 1}
