"""A sweep as a whole: its trials one after the other, and which parameters mattered."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from resnet_core.figures.exhibit import BLUE, GREEN, GREY, ORANGE, PURPLE, Exhibit, draw, legend_below
from resnet_core.figures.trials import COMPLETE, STOPPED_EARLY, TrialPoint
from resnet_core.shown_accuracy import in_percent

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


def history(trials: Sequence[TrialPoint]) -> Exhibit:
    """Validation accuracy of the trials in the order in which they began, and the best of the complete ones so far."""
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
    rows = [(t.number, t.state, t.percent, in_percent(value, t.images)) for t, value in zip(trials, best, strict=True)]
    caption = (
        "Validation accuracy of the trials in the order they began; of incomplete ones after the last epoch they had."
    )
    header = ("trial", "state", "validation accuracy (%)", "best so far (%)")
    return Exhibit("history", caption, figure, header, rows, hover)


def best_so_far(trials: Sequence[TrialPoint]) -> list[float | None]:
    """For each trial, the highest accuracy of the complete ones among it and those before."""
    values: list[float | None] = []
    best: float | None = None
    for trial in trials:
        if trial.state == COMPLETE and trial.accuracy is not None and (best is None or trial.accuracy > best):
            best = trial.accuracy
        values.append(best)
    return values


def importances(
    shares: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    trials: int,
    complete: int,
    left_out: Sequence[str] = (),
) -> Exhibit:
    """How much of the differences between trials each parameter explains, the most important first.

    Args:
        shares: of the variance, by parameter.
        intervals: of the shares over resamples of the trials, of 90 %.
        trials: that this is from.
        complete: trials of the sweep, of which these are all or some that were drawn.
        left_out: parameters that not all of them have.

    """
    figure, (axes,) = draw(0.32 * len(shares) + 0.9)
    names, values = list(shares), list(shares.values())
    positions = np.arange(len(names))
    bars = axes.barh(positions, values, 0.6, color=BLUE)
    for bar, name in zip(bars, names, strict=True):
        bar.set_gid(f"bar-{name}")
    ends = [max(intervals[name][1], shares[name]) for name in names]
    for row, (name, end) in enumerate(zip(names, ends, strict=True)):
        axes.plot(intervals[name], [row] * 2, color="black", lw=1.2, marker="|", ms=6)
        axes.text(end + 0.02, row, f"{shares[name]:.2f}", va="center", fontsize=9)
    axes.set_yticks(positions, names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(*ends, 0.01))
    axes.set_xlabel("share of the variance explained")
    hover = {
        f"bar-{name}": [f"{name}: {value:.3f}, {intervals[name][0]:.3f} to {intervals[name][1]:.3f}"]
        for name, value in shares.items()
    }
    of = f"the {trials} complete trials"
    if trials < complete:
        of = f"{trials} of the {complete:,} complete trials, drawn at random,"
    caption = (
        f"How much of the differences between {of} each parameter explains (fANOVA); lines: "
        "90 % of the values when trials are drawn from these anew."
    )
    if left_out:
        caption += f" Without {', '.join(left_out)}, which not every complete trial has."
    rows = [(name, share, *intervals[name]) for name, share in shares.items()]
    return Exhibit("importances", caption, figure, ("parameter", "share", "low", "high"), rows, hover)
