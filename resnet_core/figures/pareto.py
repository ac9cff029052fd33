"""Trials that differ in their network: accuracy against size."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from resnet_core.figures.exhibit import BLUE, GREY, ORANGE, Exhibit, draw, legend_below
from resnet_core.figures.trials import COMPLETE, TrialPoint

NAMES = {"parameters": "parameters", "macs": "multiply-accumulates"}
UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def pareto_front(trials: Sequence[TrialPoint], sizes: Sequence[str], final: int) -> Exhibit:
    """Accuracy against the size of the network, a panel for each size. No smaller trial is as good as one on the front.

    Args:
        trials: all of the sweep; only the complete ones are drawn, which have all these sizes.
        sizes: what is counted, `parameters` or `macs`.
        final: the number of the trial that was chosen for the final training.

    """
    complete = [trial for trial in trials if trial.state == COMPLETE]
    figure, panels = draw(0.6 + 2.8 * len(sizes), len(sizes))
    hover: dict[str, list[str]] = {}
    fronts = {size: pareto(complete, size) for size in sizes}
    for axes, (size, front) in zip(panels, fronts.items(), strict=True):
        hover |= _panel(axes, complete, front, size, final)
    legend_below(figure, panels[0])
    on_fronts = [f"on the front of {size}" for size in sizes]
    rows = [
        (trial.number, *(trial.sizes[size] for size in sizes), trial.percent, *_on(fronts.values(), trial))
        for trial in complete
    ]
    against = " and against ".join(NAMES[size] for size in sizes)
    caption = f"Validation accuracy against {against}; no trial is both smaller and better than one on the front."
    header = ("trial", *sizes, "validation accuracy (%)", *on_fronts)
    return Exhibit("pareto-front", caption, figure, header, rows, hover)


def _on(fronts: Iterable[Sequence[TrialPoint]], trial: TrialPoint) -> list[str]:
    return ["yes" if trial in front else "no" for front in fronts]


def _panel(
    axes: Axes, complete: Sequence[TrialPoint], front: Sequence[TrialPoint], size: str, final: int
) -> dict[str, list[str]]:
    """Draws the trials; returns the texts under the mouse."""
    hover = {}
    others = [trial for trial in complete if trial not in front]
    for kind, group, marker, color in (("dominated", others, "o", GREY), ("Pareto front", front, "D", BLUE)):
        if group:
            gid = f"{kind.split()[-1]}-{size}"
            hover[gid] = [f"{trial.describe()}; {trial.sizes[size]:,.0f} {size}" for trial in group]
            axes.plot(*_places(group, size), marker, color=color, ms=5, mec="white", mew=0.3, label=kind, gid=gid)
    axes.step(*_places(front, size), where="post", color=BLUE, lw=1)
    chosen = _places([trial for trial in complete if trial.number == final], size)
    axes.plot(*chosen, "o", color=ORANGE, ms=12, mfc="none", mew=1.5, label="taken for the final training")
    largest = max(trial.sizes[size] for trial in complete)
    unit, of = next(((unit, f" ({name})") for unit, name in UNITS if largest >= unit), (1, ""))
    axes.set_xlabel(f"{NAMES[size]}{of}")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:,.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("validation accuracy (%)")
    return hover


def pareto(trials: Sequence[TrialPoint], size: str) -> list[TrialPoint]:
    """The trials, sorted by size, to which no other one is superior: smaller and as good, or better and as small."""
    front: list[TrialPoint] = []
    for trial in sorted(trials, key=lambda trial: (trial.sizes[size], -(trial.accuracy or 0.0))):
        if not front or (trial.accuracy or 0.0) > (front[-1].accuracy or 0.0):
            front.append(trial)
    return front


def _places(trials: Sequence[TrialPoint], size: str) -> tuple[list[float], list[float]]:
    return [trial.sizes[size] for trial in trials], [100 * (trial.accuracy or 0.0) for trial in trials]
