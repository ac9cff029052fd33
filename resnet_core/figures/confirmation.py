"""The best configurations of a sweep beside what came of them when they were trained again."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet_core.figures.exhibit import BLUE, ORANGE, Exhibit, draw, legend_below
from resnet_core.shown_accuracy import in_percent, percent


@dataclass(frozen=True)
class ConfirmedPoint:
    """A configuration: its rank, trial and validation accuracy in the sweep, and those of its confirmations."""

    rank: int
    trial: int
    accuracy: float
    confirmations: tuple[float, ...]
    images: int | None = None  # that accuracies are of, as far as it is known


def confirmed_accuracies(points: Sequence[ConfirmedPoint], winner: int) -> Exhibit:
    """A row for each configuration, the first place of the sweep on top; `winner` is the trial that was chosen."""
    figure, (axes,) = draw(0.36 * len(points) + 1.3)
    hover = {
        "sweep": [f"trial {point.trial}: {percent(point.accuracy, point.images)} in the sweep" for point in points]
    }
    hover |= {"confirmations": [], "means": []}
    dots: list[tuple[float, int]] = []
    means: list[float] = []
    for row, point in enumerate(points):
        dots += [(100 * accuracy, row) for accuracy in point.confirmations]
        mean = statistics.fmean(point.confirmations)
        means.append(100 * mean)
        hover["confirmations"] += [
            f"trial {point.trial} again: {percent(one, point.images)}" for one in point.confirmations
        ]
        hover["means"].append(f"trial {point.trial}: mean of its confirmations {percent(mean, point.images)}")
    rows = np.arange(len(points))
    x, y = [value for value, _ in dots], [row for _, row in dots]
    axes.plot(x, y, "o", color=BLUE, ms=6, alpha=0.75, mec="white", mew=0.5, label="confirmation", gid="confirmations")
    axes.plot(means, rows, "|", color="black", ms=16, mew=2, label="their mean", gid="means")
    in_sweep = [100 * point.accuracy for point in points]
    axes.plot(in_sweep, rows, "D", color=ORANGE, mfc="none", ms=7, mew=1.5, label="in the sweep", gid="sweep")
    labels = [f"{point.rank}: trial {point.trial}{' (taken)' if point.trial == winner else ''}" for point in points]
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)
    axes.set_xlabel("validation accuracy (%)")
    axes.set_ylabel("place in the sweep")
    legend_below(figure, axes, 3)
    caption = "The best configurations: their value in the sweep, and every confirmation, each with a seed of its own."
    header = ("rank", "trial", "in the sweep (%)", "confirmation (%)")
    table = [
        (point.rank, point.trial, *(in_percent(share, point.images) for share in (point.accuracy, one)))
        for point in points
        for one in point.confirmations
    ]
    return Exhibit("confirmation", caption, figure, header, table, hover)
