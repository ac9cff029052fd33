"""Several studies in one figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import FuncFormatter, MaxNLocator

from resnet_core.figures.exhibit import COLORS, MARKERS, Exhibit, draw, legend_below, style
from resnet_core.figures.fonts import label
from resnet_core.figures.sweep import best_so_far
from resnet_core.figures.trials import TrialPoint
from resnet_core.shown_accuracy import in_percent

LONGEST_NAME = 48  # letters, of a legend as wide as the figure


@dataclass(frozen=True)
class Point:
    """The test accuracy of a network: measured by us, then with its interval, or published."""

    label: str
    parameters: int
    accuracy: float
    low: float | None = None
    high: float | None = None
    images: int | None = None  # that it was measured on
    published: bool = False


def accuracy_by_size(points: Sequence[Point]) -> Exhibit:
    """Test accuracy against parameters."""
    measured = sum(not point.published for point in points)
    figure, (axes,) = draw(3.2 + 0.2 * len(points))
    for index, point in enumerate(points):
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        percent = 100 * point.accuracy
        name = label(f"{point.label} (published)" if point.published else point.label, LONGEST_NAME)
        if point.low is None or point.high is None:
            fill = "none" if point.published else color
            axes.plot(point.parameters, percent, marker, color=color, mfc=fill, ms=8, ls="none", label=name)
        else:
            error = [[percent - 100 * point.low], [100 * point.high - percent]]
            axes.errorbar(point.parameters, percent, error, fmt=marker, color=color, ms=6, capsize=4, label=name)
    axes.margins(x=0.15)
    largest = max(point.parameters for point in points)
    unit, of = (1e6, "millions") if largest >= 1e6 else (1e3, "thousands")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:,.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"parameters ({of})")
    axes.set_ylabel("test accuracy (%)")
    legend_below(figure, axes, 1)
    header = ("network", "parameters", "accuracy (%)", "low (%)", "high (%)", "published")
    rows = [
        (
            point.label,
            point.parameters,
            *(in_percent(share, point.images) for share in (point.accuracy, point.low, point.high)),
            "yes" if point.published else "no",
        )
        for point in points
    ]
    hollow = "; hollow: published, not measured here" if measured < len(points) else ""
    caption = f"Test accuracy with its 95 % interval against the size of the network{hollow}."
    return Exhibit("accuracy-by-size", caption, figure, header, rows)


def best_over_trials(studies: Mapping[str, Sequence[TrialPoint]]) -> Exhibit:
    """The best validation accuracy that each study had after so many trials."""
    figure, (axes,) = draw(3.2 + 0.2 * len(studies))
    rows = []
    for index, (name, trials) in enumerate(studies.items()):
        color, dash = style(index)
        best = best_so_far(trials)
        known = [(n, 100 * value) for n, value in enumerate(best, 1) if value is not None]
        x, y = [n for n, _ in known], [value for _, value in known]
        marker, shown = MARKERS[index % len(MARKERS)], label(name, LONGEST_NAME)
        axes.step(x, y, dash, where="post", color=color, marker=marker, ms=4, markevery=[-1], label=shown)
        rows += [(name, one.number, in_percent(value, one.images)) for one, value in zip(trials, best, strict=True)]
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trials begun")
    axes.set_ylabel("best validation accuracy (%)")
    legend_below(figure, axes, 1)
    caption = "The best validation accuracy of a complete trial, over the trials in the order they began."
    return Exhibit("best-over-trials", caption, figure, ("study", "trial", "best so far (%)"), rows)
