"""Figures as functions from results to a matplotlib Figure; saving them is the caller's business.

Colours are those of Okabe and Ito, which the colour-blind tell apart; series also differ in dash or hatching.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_core.config import ScheduleConfig
from resnet_core.count import LayerCount
from resnet_core.epoch import EpochResult
from resnet_core.schedule import lr_factor

BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
STEPS_PER_EPOCH = 20  # how finely a schedule is drawn


def filters_per_layer(before: Sequence[LayerCount], after: Sequence[LayerCount]) -> Figure:
    """Output channels of every convolution, before and after pruning."""
    pairs = [([layer.filters for layer in layers[:-1]]) for layers in (before, after)]
    return _bars([layer.name for layer in before[:-1]], pairs[0], pairs[1], "filters")


def parameters_per_layer(before: Sequence[LayerCount], after: Sequence[LayerCount]) -> Figure:
    """Parameters of every layer, a convolution's with those of its batch norm."""
    pairs = [([layer.parameters / 1e3 for layer in layers]) for layers in (before, after)]
    return _bars([layer.name for layer in before], pairs[0], pairs[1], "parameters (thousands)")


def training_curves(epochs: Sequence[EpochResult]) -> Figure:
    """Loss and accuracy by epoch, of the augmented training images and of the clean validation images."""
    figure, (losses, accuracies) = _axes(2, width=9, height=3.6)
    numbers = [epoch.epoch for epoch in epochs]
    for axes, name in ((losses, "loss"), (accuracies, "accuracy")):
        scale = 100 if name == "accuracy" else 1
        train = [getattr(epoch, f"train_{name}") * scale for epoch in epochs]
        axes.plot(numbers, train, color=BLUE, label="training (augmented)")
        validation = [getattr(epoch, f"validation_{name}") for epoch in epochs]
        if None not in validation:
            values = [value * scale for value in validation]
            axes.plot(numbers, values, color=ORANGE, linestyle="--", label="validation")
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy (%)" if name == "accuracy" else "cross-entropy loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure


def learning_rate_schedules(schedules: Mapping[str, tuple[ScheduleConfig, float]], epochs: int) -> Figure:
    """The learning rate over the training, for each name's schedule and base rate."""
    figure, (axes,) = _axes(1, width=6, height=3.4)
    styles = zip((BLUE, ORANGE, GREEN, PURPLE, SKY) * 4, ("-", "--", "-.", ":") * 5, strict=True)
    steps = np.arange(epochs * STEPS_PER_EPOCH)
    for (name, (schedule, lr)), (color, dash) in zip(schedules.items(), styles, strict=False):
        rates = [lr * lr_factor(schedule, int(step), STEPS_PER_EPOCH, epochs) for step in steps]
        axes.plot(steps / STEPS_PER_EPOCH, rates, color=color, linestyle=dash, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    axes.legend(frameon=False)
    return figure


def confusion_matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Counts by true and predicted class, shaded by their share of the true class."""
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(0.42 * len(classes) + 1.5, 4), 14)
    figure, (axes,) = _axes(1, width=side + 1, height=side)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.046, label="share of the true class")
    if len(classes) <= 20:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                color = "white" if share[row, column] > 0.5 else "black"
                text = f"{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
        axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for spine in axes.spines.values():
        spine.set_visible(True)
    return figure


def _bars(names: list[str], before: Sequence[float], after: Sequence[float], label: str) -> Figure:
    figure, (axes,) = _axes(1, width=max(0.36 * len(names) + 1.5, 5), height=3.8)
    positions = np.arange(len(names))
    axes.bar(positions - 0.2, before, 0.4, color=SKY, hatch="///", edgecolor="white", label="before pruning")
    axes.bar(positions + 0.2, after, 0.4, color=BLUE, label="after pruning")
    axes.set_xticks(positions, names, rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("layer")
    axes.set_ylabel(label)
    axes.legend(frameon=False)
    return figure


def _axes(columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False)
    for axes in grid[0]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid[0])
