"""The trials of a sweep with two objectives: accuracy against size."""

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter, MaxNLocator

from resnet_core.figures.exhibit import BLUE, GREY, ORANGE, Exhibit, draw, legend_below
from resnet_core.figures.trials import COMPLETE, TrialPoint


def pareto_front(trials: Sequence[TrialPoint], size: str, final: int) -> Exhibit:
    """Accuracy against the size of the network. Of the trials on the front, no smaller one is as good.

    Args:
        trials: all of the sweep; only the complete ones are drawn.
        size: what their `size` counts, `parameters` or `macs`.
        final: the number of the trial that was chosen for the final training.

    """
    complete = [trial for trial in trials if trial.state == COMPLETE]
    front = pareto(complete)
    figure, (axes,) = draw(3.4)
    hover = {}
    others = [trial for trial in complete if trial not in front]
    for gid, group, marker, color in (("dominated", others, "o", GREY), ("front", front, "D", BLUE)):
        if group:
            hover[gid] = [f"{trial.describe()}; {trial.size:,.0f} {size}" for trial in group]
            x, y = _places(group)
            label = "Pareto front" if gid == "front" else "dominated"
            axes.plot(x, y, marker, color=color, ms=5, mec="white", mew=0.3, label=label, gid=gid)
            if gid == "front":
                axes.step(x, y, where="post", color=BLUE, lw=1)
    x, y = _places([trial for trial in complete if trial.number == final])
    axes.plot(x, y, "o", color=ORANGE, ms=12, mfc="none", mew=1.5, label="taken for the final training")
    axes.set_xlabel("multiply-accumulates (millions)" if size == "macs" else "parameters (thousands)")
    unit = 1e6 if size == "macs" else 1e3
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:,.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("validation accuracy (%)")
    legend_below(figure, axes)
    rows = [(t.number, t.size, t.accuracy, "yes" if t in front else "no") for t in complete]
    caption = f"Validation accuracy against {size}; no trial is both smaller and better than one on the front."
    return Exhibit("pareto-front", caption, figure, ("trial", size, "validation accuracy", "on the front"), rows, hover)


def pareto(trials: Sequence[TrialPoint]) -> list[TrialPoint]:
    """The trials, sorted by size, to which no other one is superior: smaller and as good, or better and as small."""
    front: list[TrialPoint] = []
    for trial in sorted(trials, key=lambda trial: (trial.size or 0.0, -(trial.accuracy or 0.0))):
        if not front or (trial.accuracy or 0.0) > (front[-1].accuracy or 0.0):
            front.append(trial)
    return front


def _places(trials: Sequence[TrialPoint]) -> tuple[list[float], list[float]]:
    return [trial.size or 0.0 for trial in trials], [100 * (trial.accuracy or 0.0) for trial in trials]
