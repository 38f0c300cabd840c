"""The colours of all figures: blue and vermilion, which colour-blind readers tell apart.

Source: Okabe and Ito, "Color universal design" (2008).
"""

from matplotlib.colors import LinearSegmentedColormap

BLUE, VERMILION, INK, FAINT, NO_IMAGES = "#0072B2", "#D55E00", "#262626", "#8c8c8c", "#e8e8e8"
RIGHT_OR_WRONG = LinearSegmentedColormap.from_list(
    "right_or_wrong",
    ["#7a2e00", VERMILION, "#f7c9a9", "white", "#a9d3ec", BLUE, "#003a5c"],
    N=257,  # odd, so that nothing is exactly white
)
