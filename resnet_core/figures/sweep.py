"""A sweep as a whole: its course, what mattered in it, and what it found at which size."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from resnet_core.figures.exhibit import BLUE, GREEN, GREY, ORANGE, PURPLE, Exhibit, draw, legend_below
from resnet_core.figures.trials import COMPLETE, STOPPED_EARLY, Trial

LOOKS = {
    COMPLETE: ("o", BLUE),
    STOPPED_EARLY: ("v", ORANGE),
    "diverged": ("X", PURPLE),
    "infeasible": ("s", GREY),
    "failed": ("P", "#a40000"),
    "crashed": ("*", "#a40000"),
    "cancelled": ("|", "black"),
    "running": (".", GREEN),
}


def history(trials: Sequence[Trial]) -> Exhibit:
    """Validation accuracy of the trials in the order in which they began, and the best complete one so far."""
    figure, (axes,) = draw(3.4)
    hover = {}
    best = best_so_far(trials)
    known = [(trial.number, 100 * value) for trial, value in zip(trials, best, strict=True) if value is not None]
    if known:
        axes.step(*zip(*known, strict=True), where="post", color="black", lw=1, label="best so far")
    for state, (marker, color) in LOOKS.items():
        group = [trial for trial in trials if trial.state == state and trial.accuracy is not None]
        if group:
            hover[state] = [trial.describe() for trial in group]
            values = [100 * (trial.accuracy or 0.0) for trial in group]
            x = [trial.number for trial in group]
            axes.plot(x, values, marker, color=color, ms=5, mec="white", mew=0.3, label=state, gid=state)
    without = [trial for trial in trials if trial.accuracy is None]
    if without:
        hover["without"] = [trial.describe() for trial in without]
        numbers, foot = [trial.number for trial in without], [0.015] * len(without)
        label = "without accuracy"
        transform = axes.get_xaxis_transform()
        axes.plot(numbers, foot, "x", color=GREY, ms=5, transform=transform, clip_on=False, label=label, gid="without")
    axes.set_xlabel("trial")
    axes.set_ylabel("validation accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes)
    rows = [(t.number, t.state, t.accuracy, value) for t, value in zip(trials, best, strict=True)]
    caption = "Validation accuracy of the trials in the order they began: of complete ones after the last epoch, else after the last they had."
    return Exhibit("history", caption, figure, ("trial", "state", "validation accuracy", "best so far"), rows, hover)


def best_so_far(trials: Sequence[Trial]) -> list[float | None]:
    """After each trial the highest accuracy of those that are complete."""
    values: list[float | None] = []
    best: float | None = None
    for trial in trials:
        if trial.state == COMPLETE and trial.accuracy is not None and (best is None or trial.accuracy > best):
            best = trial.accuracy
        values.append(best)
    return values


def importances(shares: Mapping[str, float], left_out: Sequence[str] = ()) -> Exhibit:
    """How much of the differences between trials each parameter explains, the most important first."""
    figure, (axes,) = draw(0.32 * len(shares) + 0.9)
    names, values = list(shares), list(shares.values())
    positions = np.arange(len(names))
    bars = axes.barh(positions, values, 0.6, color=BLUE)
    for bar, name in zip(bars, names, strict=True):
        bar.set_gid(f"bar-{name}")
    axes.bar_label(bars, labels=[f"{value:.2f}" for value in values], padding=3, fontsize=9)
    axes.set_yticks(positions, names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(*values, 0.01))
    axes.set_xlabel("share of the variance explained")
    hover = {f"bar-{name}": [f"{name}: {value:.3f}"] for name, value in shares.items()}
    caption = "How much of the differences between complete trials each parameter explains (fANOVA)."
    if left_out:
        caption += f" Without {', '.join(left_out)}, which not every complete trial has."
    return Exhibit("importances", caption, figure, ("parameter", "share"), list(shares.items()), hover)


def pareto_front(trials: Sequence[Trial], size: str, final: int) -> Exhibit:
    """Accuracy against the size of the network; the front is what nothing smaller is better than.

    Args:
        trials: the complete ones count.
        size: what their `size` is.
        final: the number of the trial that the final training took.

    """
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.size is not None]
    front = pareto(complete)
    figure, (axes,) = draw(3.4)
    hover = {}
    others = [trial for trial in complete if trial not in front]
    for gid, group, marker, color in (("dominated", others, "o", GREY), ("front", front, "D", BLUE)):
        if group:
            hover[gid] = [f"{trial.describe()}; {trial.size:,.0f} {size}" for trial in group]
            x, y = [trial.size for trial in group], [100 * (trial.accuracy or 0.0) for trial in group]
            label = "Pareto front" if gid == "front" else "dominated"
            axes.plot(x, y, marker, color=color, ms=5, mec="white", mew=0.3, label=label, gid=gid)
            if gid == "front":
                axes.step(x, y, where="post", color=BLUE, lw=1)
    chosen = [trial for trial in complete if trial.number == final]
    where = [trial.size for trial in chosen], [100 * (trial.accuracy or 0.0) for trial in chosen]
    axes.plot(*where, "o", color=ORANGE, ms=12, mfc="none", mew=1.5, label="taken for the final training")
    axes.set_xlabel("multiply-accumulates (millions)" if size == "macs" else "parameters (thousands)")
    unit = 1e6 if size == "macs" else 1e3
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:,.4g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("validation accuracy (%)")
    legend_below(figure, axes)
    rows = [(t.number, t.size, t.accuracy, "yes" if t in front else "no") for t in complete]
    caption = f"Validation accuracy against {size}: on the front lie the trials than which none is both smaller and better."
    return Exhibit("pareto-front", caption, figure, ("trial", size, "validation accuracy", "on the front"), rows, hover)


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """The trials than which none is better and as small, or smaller and as good; by size."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.size or 0.0, -(trial.accuracy or 0.0))):
        if not front or (trial.accuracy or 0.0) > (front[-1].accuracy or 0.0):
            front.append(trial)
    return front
