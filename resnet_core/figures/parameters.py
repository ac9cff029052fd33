"""Accuracy over the parameters that were searched."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resnet_core.figures.exhibit import GREY, Exhibit, draw
from resnet_core.figures.trials import ACCURACIES, COMPLETE, STOPPED_EARLY, Axis, Trial, spread

MARGIN = 0.04
ABSENT = -0.13  # where a line runs through a parameter that its trial does not have
GRID = 40  # points a side of the interpolated background
FEWEST = 4  # trials to interpolate between


def parallel_coordinates(trials: Sequence[Trial], axes: Sequence[Axis]) -> Exhibit:
    """A line a trial, through its accuracy and its parameters; complete trials and those stopped early."""
    drawn = sorted(_measured(trials), key=lambda trial: trial.accuracy or 0.0)
    norm = _norm(drawn)
    figure, (plot,) = draw(0.62 * (len(axes) + 1) + 1.0)
    rows = range(len(axes) + 1)
    plot.hlines([*rows], 0, 1, color="#9aa1ab", lw=0.8, zorder=1)
    width = 1.1 if len(drawn) <= 60 else 0.6
    hover = {}
    for rank, trial in enumerate(drawn, 1):
        x = [float(norm(100 * (trial.accuracy or 0.0)))]
        for axis in axes:
            there = axis.name in trial.parameters
            x.append(axis.position(trial.parameters[axis.name]) + spread(trial, axis) if there else ABSENT)
        gid = f"trial-{trial.number}"
        dash = "-" if trial.state == COMPLETE else (0, (4, 2))
        thick = 2.6 if rank == len(drawn) else width
        color = ACCURACIES(norm(100 * (trial.accuracy or 0.0)))
        plot.plot(x, [*rows], linestyle=dash, color=color, lw=thick, gid=gid, zorder=2, clip_on=False)
        hover[gid] = [trial.describe()]
    _label_rows(plot, norm, axes, lacking=any(a.name not in t.parameters for t in drawn for a in axes))
    header = ("trial", "state", "validation accuracy", *(axis.name for axis in axes))
    table = [(t.number, t.state, t.accuracy, *(t.parameters.get(axis.name) for axis in axes)) for t in drawn]
    caption = "Every trial as a line through its validation accuracy and its parameters, the thick one the best; dashed: stopped early."
    return Exhibit("parallel-coordinates", caption, figure, header, table, hover)


def _label_rows(plot: Axes, norm: Normalize, axes: Sequence[Axis], *, lacking: bool) -> None:
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    accuracy = Axis("validation accuracy (%)", low, high)
    for row, axis in enumerate((accuracy, *axes)):
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        plot.text(0, row - 0.13, axis.name, fontsize=9, weight="bold", va="bottom", bbox=white, zorder=3)
        ticks = axis.ticks()
        for position, text in ticks:
            ha = "center" if axis.choices or 0 < position < 1 else "left" if position == 0 else "right"
            plot.text(position, row + 0.12, text, fontsize=8, va="top", ha=ha, bbox=white, zorder=3)
    if lacking:
        plot.text(ABSENT, len(axes) + 0.42, "none", fontsize=8, color=GREY, ha="center", va="top")
    plot.set_xlim(ABSENT - 0.03 if lacking else -MARGIN, 1 + MARGIN)
    plot.set_ylim(len(axes) + 0.5, -0.5)
    plot.set_axis_off()


def contour(trials: Sequence[Trial], x: Axis, y: Axis, name: str) -> Exhibit:
    """Accuracy over two parameters; between complete trials it is interpolated where both are ranges."""
    drawn = [trial for trial in _measured(trials) if x.name in trial.parameters and y.name in trial.parameters]
    complete = [trial for trial in drawn if trial.state == COMPLETE]
    norm = _norm(drawn)
    figure, (plot,) = draw(3.9)
    places = {trial.number: (_place(trial, x), _place(trial, y)) for trial in drawn}
    interpolated = x.choices is None and y.choices is None and len(complete) >= FEWEST
    if interpolated:
        side = np.linspace(-MARGIN, 1 + MARGIN, GRID)
        points = np.array([places[trial.number] for trial in complete])
        values = np.array([100 * (trial.accuracy or 0.0) for trial in complete])
        surface = _interpolate(points, values, side)
        plot.contourf(side, side, surface, levels=8, cmap=ACCURACIES, norm=norm, alpha=0.35)
    hover = {}
    for state, marker in ((STOPPED_EARLY, "v"), (COMPLETE, "o")):
        for trial in (trial for trial in drawn if trial.state == state):
            gid = f"point-{trial.number}"
            color = ACCURACIES(norm(100 * (trial.accuracy or 0.0)))
            plot.plot(*places[trial.number], marker, color=color, ms=6, mec="white", mew=0.6, gid=gid)
            own = ", ".join(f"{axis.name}={trial.parameters[axis.name]}" for axis in (x, y))
            hover[gid] = [f"{trial.outcome()}; {own}"]
    _scale(plot, x, y)
    _colorbar(figure, plot, norm)
    between = ", interpolated between complete trials" if interpolated else ""
    caption = f"Validation accuracy over {x.name} and {y.name}{between}; triangles: stopped early."
    header = ("trial", "state", x.name, y.name, "validation accuracy")
    rows = [(t.number, t.state, t.parameters[x.name], t.parameters[y.name], t.accuracy) for t in drawn]
    return Exhibit(name, caption, figure, header, rows, hover)


def _interpolate(
    points: NDArray[np.float64], values: NDArray[np.float64], side: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means weighted by the inverse cube of the distance (Shepard 1968): for any points, and never beyond their values."""
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    distances = np.linalg.norm(grid[:, :, None] - points, axis=-1)
    weights = 1 / np.maximum(distances, 0.02) ** 3
    surface: NDArray[np.float64] = (weights * values).sum(axis=-1) / weights.sum(axis=-1)
    return surface


def _scale(plot: Axes, x: Axis, y: Axis) -> None:
    plot.set_xlim(-MARGIN, 1 + MARGIN)
    plot.set_ylim(-MARGIN, 1 + MARGIN)
    plot.set_xticks(*zip(*x.ticks(), strict=True), fontsize=9)
    plot.set_yticks(*zip(*y.ticks(), strict=True), fontsize=9)
    if x.choices is not None and sum(len(str(choice)) for choice in x.choices) > 32:
        plot.tick_params(axis="x", rotation=45)
    for label, axis in ((plot.set_xlabel, x), (plot.set_ylabel, y)):
        label(f"{axis.name} (log)" if axis.log else axis.name)


def _colorbar(figure: Figure, plot: Axes, norm: Normalize) -> None:
    bar = figure.colorbar(ScalarMappable(norm, ACCURACIES), ax=plot, location="bottom", shrink=0.8, aspect=30)
    bar.set_label("validation accuracy (%)")


def _measured(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state in (COMPLETE, STOPPED_EARLY) and trial.accuracy is not None]


def _norm(trials: Sequence[Trial]) -> Normalize:
    """From the worst to the best, in percent; where they are one, from it to a little more."""
    values = [100 * (trial.accuracy or 0.0) for trial in trials]
    return Normalize(min(values), max(*values, min(values) + 0.01))


def _place(trial: Trial, axis: Axis) -> float:
    return axis.position(trial.parameters[axis.name]) + spread(trial, axis)
