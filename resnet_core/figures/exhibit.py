"""What every figure is returned as, and how all of them look.

They are as wide as a column, so that their text can be read on a phone. The colours are those of Okabe and Ito, which
colour-blind people can tell apart. Series also differ in dash, hatching or marker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_core.figures.fonts import use_fonts

BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#6b7280"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#e69f00", "#000000", GREY)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH = 4.2  # inches

Cell = str | int | float | None


@dataclass(frozen=True)
class Exhibit:
    """A figure with its caption and the numbers it shows.

    `hover` has the texts that appear under the mouse: for the gid of an artist, one text for each of its marks.
    """

    name: str
    caption: str
    figure: Figure
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    hover: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        use_fonts(self.figure)


def draw(height: float, panels: int = 1, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels below each other. Sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(panels, 1, squeeze=False)
    for axes in grid[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid[:, 0])


def style(index: int) -> tuple[str, str]:
    """Colour and dash of the series with this index. After eight series the colours repeat with other dashes."""
    return COLORS[index % len(COLORS)], DASHES[(index + index // len(COLORS)) % len(DASHES)]


def legend_below(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Puts the legend below the panels, where it covers nothing. Of a single series the caption says all."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def short(value: object) -> str:
    """A value in few characters, for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
