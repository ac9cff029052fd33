"""How the accuracy of trials depends on the parameters that were searched."""

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resnet_core.figures.exhibit import GREY, Exhibit, draw
from resnet_core.figures.fonts import label
from resnet_core.figures.trials import ACCURACIES, COMPLETE, STOPPED_EARLY, Axis, TrialPoint, spread

MARGIN = 0.04
ABSENT = -0.13  # position at which a line crosses a parameter that its trial does not have
GRID = 40  # points on each side of the interpolated background
FEWEST = 8  # complete trials needed for a background
NEARBY = 2.5  # widths of the Gaussian: where no trial is nearer, there is no background
LETTERS, MOST_LINES = 74, 3  # room for labels below an axis: letters in a line, and lines
SHORTEST = 5  # letters of a label that has lost its middle
STOPPED_CANNOT_WIN = "Dashed: stopped early, at an accuracy of fewer epochs; a trial that was stopped cannot win."
FEW = 60  # with more lines than this, all but the best tenth are drawn faintly


def parallel_coordinates(trials: Sequence[TrialPoint], axes: Sequence[Axis], best: int) -> Exhibit:
    """A line for each trial that is complete or was stopped early, through its accuracy and its parameters.

    Args:
        trials: all that have begun.
        axes: the parameters.
        best: the number of the trial that was chosen.

    """
    drawn = sorted(_measured(trials), key=lambda t: (t.number == best, t.state == COMPLETE, t.accuracy or 0.0))
    complete = [trial for trial in drawn if trial.state == COMPLETE]
    norm = _norm(complete or drawn)
    low, high = _extremes(drawn)
    accuracy = Axis("validation accuracy (%)", 100 * low, 100 * high)
    figure, (plot,) = draw(0.62 * (len(axes) + 1) + 1.0)
    rows = range(len(axes) + 1)
    plot.hlines([*rows], 0, 1, color="#9aa1ab", lw=0.8, zorder=1)
    many = len(drawn) > FEW
    hover = {}
    for rank, trial in enumerate(drawn, 1):
        x = [accuracy.position(100 * (trial.accuracy or 0.0))]
        for axis in axes:
            there = axis.name in trial.parameters
            x.append(axis.position(trial.parameters[axis.name]) + spread(trial, axis) if there else ABSENT)
        gid = f"trial-{trial.number}"
        stopped = trial.state != COMPLETE
        faint = stopped or (many and rank < 0.9 * len(drawn))
        width = 2.6 if trial.number == best else 0.5 if many and faint else 1.1
        color = GREY if stopped else ACCURACIES(norm(100 * (trial.accuracy or 0.0)))
        dash, alpha = (0, (4, 2)) if stopped else "-", 0.5 if faint else 1
        plot.plot(x, [*rows], ls=dash, color=color, alpha=alpha, lw=width, gid=gid, zorder=2, clip_on=False)
        hover[gid] = [trial.describe()]
    _label_rows(plot, [accuracy, *axes], {a.name for a in axes if any(a.name not in t.parameters for t in drawn)})
    header = ("trial", "state", "validation accuracy (%)", *(axis.name for axis in axes))
    table = [(t.number, t.state, t.percent, *(t.parameters.get(axis.name) for axis in axes)) for t in drawn]
    if complete:
        _colorbar(figure, plot, norm, complete)
    caption = f"A line a trial, through its validation accuracy and its parameters; thick: trial {best}, the best."
    if len(complete) < len(drawn):
        caption += f" {STOPPED_CANNOT_WIN}"
    return Exhibit("parallel-coordinates", caption, figure, header, table, hover)


def _label_rows(plot: Axes, axes: Sequence[Axis], lacking: Collection[str]) -> None:
    """Writes names and values; values that do not fit beside each other take turns on lines below each other."""
    for row, axis in enumerate(axes):
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        plot.text(0, row - 0.13, axis.name, fontsize=9, weight="bold", va="bottom", bbox=white, zorder=3)
        ticks = axis.ticks()
        needed = len(ticks) * max(len(text) for _, text in ticks)
        lines = min(-(-needed // LETTERS), MOST_LINES) if axis.choices else 1
        for index, (position, text) in enumerate(ticks):
            ha = "center" if axis.choices or 0 < position < 1 else "left" if position == 0 else "right"
            shown = label(text, max(MOST_LINES * LETTERS // len(ticks), SHORTEST))
            y = row + 0.12 + 0.17 * (index % lines)
            plot.text(position, y, shown, fontsize=8, va="top", ha=ha, bbox=white, zorder=3)
        if axis.name in lacking:
            plot.text(ABSENT, row + 0.12, "none", fontsize=8, va="top", ha="center", bbox=white, zorder=3)
    plot.set_xlim(ABSENT - 0.03 if lacking else -MARGIN, 1 + MARGIN)
    plot.set_ylim(len(axes) - 0.5, -0.5)
    plot.set_axis_off()


def contour(trials: Sequence[TrialPoint], x: Axis, y: Axis, name: str) -> Exhibit:
    """Accuracy of complete trials over two parameters, and where trials were stopped early.

    If both parameters are ranges and there are enough complete trials, the background shows means over those nearby.
    """
    drawn = [trial for trial in _measured(trials) if x.name in trial.parameters and y.name in trial.parameters]
    complete = [trial for trial in drawn if trial.state == COMPLETE]
    norm = _norm(complete or drawn)
    figure, (plot,) = draw(3.9)
    places = {trial.number: (_place(trial, x), _place(trial, y)) for trial in drawn}
    smooth = x.choices is None and y.choices is None and len(complete) >= FEWEST
    if smooth:
        side = np.linspace(-MARGIN, 1 + MARGIN, GRID)
        points = np.array([places[trial.number] for trial in complete])
        values = np.array([100 * (trial.accuracy or 0.0) for trial in complete])
        surface = _smooth(points, values, side)
        plot.contourf(side, side, surface, levels=8, cmap=ACCURACIES, norm=norm, alpha=0.4)
    hover = {}
    for state, marker in ((STOPPED_EARLY, "v"), (COMPLETE, "o")):
        for trial in (trial for trial in drawn if trial.state == state):
            gid = f"point-{trial.number}"
            color = ACCURACIES(norm(100 * (trial.accuracy or 0.0))) if state == COMPLETE else "none"
            edge = ("white", 0.6) if state == COMPLETE else (GREY, 1.0)
            plot.plot(*places[trial.number], marker, color=color, ms=6, mec=edge[0], mew=edge[1], gid=gid)
            own = ", ".join(f"{axis.name}={trial.parameters[axis.name]}" for axis in (x, y))
            hover[gid] = [f"{trial.outcome()}; {own}"]
    _scale(plot, x, y)
    if complete:
        _colorbar(figure, plot, norm, complete)
    caption = f"Validation accuracy of complete trials over {x.name} and {y.name}."
    if len(complete) < len(drawn):
        caption += " Triangles: stopped early."
    if smooth:
        caption += " Behind them a mean over the trials nearby."
    header = ("trial", "state", x.name, y.name, "validation accuracy (%)")
    rows = [(t.number, t.state, t.parameters[x.name], t.parameters[y.name], t.percent) for t in drawn]
    return Exhibit(name, caption, figure, header, rows, hover)


def _smooth(points: NDArray[np.float64], values: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means weighted by a Gaussian of the distance, whose width is that of Scott's rule (1992) for uniform points.

    Not a number where no point is near.
    """
    width = 0.29 * len(points) ** (-1 / 6)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    squares = ((grid[:, :, None] - points) ** 2).sum(axis=-1) / (2 * width**2)
    weights = np.exp(squares.min(axis=-1, keepdims=True) - squares)
    surface: NDArray[np.float64] = (weights * values).sum(axis=-1) / weights.sum(axis=-1)
    surface[squares.min(axis=-1) > NEARBY**2 / 2] = np.nan
    return surface


def _scale(plot: Axes, x: Axis, y: Axis) -> None:
    plot.set_xlim(-MARGIN, 1 + MARGIN)
    plot.set_ylim(-MARGIN, 1 + MARGIN)
    plot.set_xticks(*zip(*x.ticks(), strict=True), fontsize=9)
    plot.set_yticks(*zip(*y.ticks(), strict=True), fontsize=9)
    if x.choices is not None and sum(len(str(choice)) for choice in x.choices) > 32:
        plot.tick_params(axis="x", rotation=45)
    for set_label, axis in ((plot.set_xlabel, x), (plot.set_ylabel, y)):
        set_label(f"{axis.name} (log)" if axis.log else axis.name)


def _colorbar(figure: Figure, plot: Axes, norm: Normalize, trials: Sequence[TrialPoint]) -> None:
    beyond = 100 * _extremes(trials)[0] < (norm.vmin or 0.0)
    bar = figure.colorbar(
        ScalarMappable(norm, ACCURACIES),
        ax=plot,
        location="bottom",
        shrink=0.8,
        aspect=30,
        extend="min" if beyond else "neither",
    )
    bar.set_label("validation accuracy (%)")


def _measured(trials: Sequence[TrialPoint]) -> list[TrialPoint]:
    return [trial for trial in trials if trial.state in (COMPLETE, STOPPED_EARLY) and trial.accuracy is not None]


def _extremes(trials: Sequence[TrialPoint]) -> tuple[float, float]:
    """The lowest and the highest accuracy. If they are equal, the second is a little higher."""
    values = [trial.accuracy or 0.0 for trial in trials]
    return min(values), max(*values, min(values) + 1e-4)


def _norm(trials: Sequence[TrialPoint]) -> Normalize:
    """Colours for percent, from the 10th percentile up: else few trials that learnt nothing would take most of them."""
    low = float(np.percentile([100 * (trial.accuracy or 0.0) for trial in trials], 10))
    return Normalize(low, max(100 * _extremes(trials)[1], low + 0.01), clip=True)


def _place(trial: TrialPoint, axis: Axis) -> float:
    return axis.position(trial.parameters[axis.name]) + spread(trial, axis)
