"""A sweep over one list of choices: the accuracy of each choice, at the end and over the epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from resnet_core.figures.exhibit import BLUE, ORANGE, Exhibit, draw, legend_below, style
from resnet_core.figures.trials import COMPLETE, TrialPoint
from resnet_core.shown_accuracy import in_percent, percent


def accuracy_by_choice(
    trials: Sequence[TrialPoint], name: str, choices: Sequence[Any], published: Mapping[Any, float]
) -> Exhibit:
    """The accuracy of every complete trial by its choice, beside what was published for these choices."""
    figure, (axes,) = draw(0.42 * len(choices) + 1.2)
    published = {choice: published[choice] for choice in choices if choice in published}
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.accuracy is not None]
    values = [100 * (trial.accuracy or 0.0) for trial in complete]
    rows = [choices.index(trial.parameters[name]) for trial in complete]
    hover = {"ours": [trial.describe() for trial in complete]} if complete else {}
    axes.plot(values, rows, "o", color=BLUE, ms=7, label="ours, validation", gid="ours")
    if published:
        x, y = [100 * value for value in published.values()], [choices.index(choice) for choice in published]
        axes.plot(x, y, "D", color=ORANGE, mfc="none", ms=8, mew=1.5, label="published", gid="published")
        hover["published"] = [f"published for {choice}: {percent(value, None)}" for choice, value in published.items()]
    axes.set_yticks(np.arange(len(choices)), [str(choice) for choice in choices])
    axes.set_ylim(len(choices) - 0.5, -0.5)
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)
    axes.set_xlabel("accuracy (%)")
    axes.set_ylabel(name)
    legend_below(figure, axes)
    caption = f"Accuracy by {name}: ours on the validation images{', and as published' if published else ''}."
    table = [
        (str(choice), trial.number, trial.state, trial.percent, in_percent(published.get(choice), None))
        for choice in choices
        for trial in trials
        if trial.parameters.get(name) == choice
    ]
    header = (name, "trial", "state", "validation accuracy (%)", "published (%)")
    return Exhibit("accuracy-by-choice", caption, figure, header, table, hover)


def curves_by_choice(trials: Sequence[TrialPoint], name: str, choices: Sequence[Any]) -> Exhibit:
    """The validation accuracy of every trial by epoch."""
    figure, (axes,) = draw(3.6)
    hover = {}
    shown = set()
    for trial in (trial for trial in trials if trial.by_epoch and name in trial.parameters):
        choice = trial.parameters[name]
        color, dash = style(choices.index(choice))
        gid = f"trial-{trial.number}"
        label = None if choice in shown else str(choice)
        marker = "o" if len(trial.by_epoch) == 1 else None
        values = [100 * value for value in trial.by_epoch.values()]
        axes.plot([*trial.by_epoch], values, dash, marker=marker, color=color, lw=1.5, label=label, gid=gid)
        hover[gid] = [trial.describe()]
        shown.add(choice)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes, 3)
    rows = [
        (trial.number, str(trial.parameters[name]), epoch, in_percent(value, trial.images))
        for trial in trials
        if name in trial.parameters
        for epoch, value in trial.by_epoch.items()
    ]
    caption = f"Validation accuracy by epoch, for each {name}."
    header = ("trial", name, "epoch", "validation accuracy (%)")
    return Exhibit("curves-by-choice", caption, figure, header, rows, hover)
