"""What a figure is handed on as, and how figures look.

They are as wide as a column, so that their text can be read on a phone. Colours are those of Okabe and Ito, which the
colour-blind tell apart; series also differ in dash, hatching or marker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#6b7280"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#e69f00", "#000000", GREY)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH = 4.2  # inches

Cell = str | int | float | None


@dataclass(frozen=True)
class Exhibit:
    """A figure with its caption and the numbers behind it.

    `hover` holds for artists, by their gid, a text for each of their marks.
    """

    name: str
    caption: str
    figure: Figure
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    hover: Mapping[str, Sequence[str]] = field(default_factory=dict)


def draw(height: float, panels: int = 1, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels below each other; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(panels, 1, squeeze=False)
    for axes in grid[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid[:, 0])


def style(index: int) -> tuple[str, str]:
    """Colour and dash of a series: eight colours, then the same with another dash."""
    return COLORS[index % len(COLORS)], DASHES[(index + index // len(COLORS)) % len(DASHES)]


def legend_below(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """The legend outside, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def plain(text: str) -> str:
    """Text in which a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def short(value: object) -> str:
    """A value as a person reads it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
