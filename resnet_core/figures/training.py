"""A training over its epochs."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from resnet_core.config import ScheduleConfig
from resnet_core.epoch import EpochResult
from resnet_core.figures.exhibit import BLUE, ORANGE, Cell, Exhibit, draw, legend_below, style
from resnet_core.schedule import lr_factor

STEPS_PER_EPOCH = 20  # points of a schedule's line for each epoch


def training_curves(seeds: Sequence[Sequence[EpochResult]], chosen: int = 0) -> Exhibit:
    """Loss and accuracy by epoch, of the augmented training images and of the clean validation images."""
    figure, panels = draw(5.2, 2)
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        scale = 100 if name == "accuracy" else 1
        for seed, epochs in enumerate(seeds):
            width = 1.8 if seed == chosen else 0.8
            numbers = [epoch.epoch for epoch in epochs]
            train = [getattr(epoch, f"train_{name}") * scale for epoch in epochs]
            label = "training (augmented)" if seed == chosen else None
            axes.plot(numbers, train, color=BLUE, lw=width, marker=_marker(numbers), ms=4, label=label)
            validation = [getattr(epoch, f"validation_{name}") for epoch in epochs]
            if None not in validation:
                values = [value * scale for value in validation]
                label = "validation" if seed == chosen else None
                axes.plot(numbers, values, "--", color=ORANGE, lw=width, marker=_marker(numbers), ms=4, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy (%)" if name == "accuracy" else "cross-entropy loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, panels[0])
    header = ("seed", "epoch", "lr", "training loss", "training accuracy", "validation loss", "validation accuracy")
    rows = [
        (seed, e.epoch, e.lr, e.train_loss, e.train_accuracy, e.validation_loss, e.validation_accuracy)
        for seed, epochs in enumerate(seeds)
        for e in epochs
    ]
    several = f"; thick: seed {chosen}, whose weights go out, thin: the other seeds" if len(seeds) > 1 else ""
    return Exhibit("training-curves", f"Loss and accuracy over the final training{several}.", figure, header, rows)


def learning_rate(schedules: Mapping[str, tuple[ScheduleConfig, float]], epochs: int) -> Exhibit:
    """The learning rate over a training, for each schedule and its base rate; both are given by name."""
    figure, (axes,) = draw(3.0)
    steps = range(epochs * STEPS_PER_EPOCH)
    columns: list[list[Cell]] = [[step / STEPS_PER_EPOCH for step in steps]]
    for index, (name, (schedule, lr)) in enumerate(schedules.items()):
        color, dash = style(index)
        rates = [lr * lr_factor(schedule, step, STEPS_PER_EPOCH, epochs) for step in steps]
        axes.plot([step / STEPS_PER_EPOCH for step in steps], rates, color=color, linestyle=dash, label=name)
        columns.append([*rates])
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    legend_below(figure, axes, 3)
    rows = list(zip(*columns, strict=True))
    caption = f"Learning rate over {epochs} epochs: {', '.join(schedules)}."
    return Exhibit("learning-rate", caption, figure, ("epoch", *schedules), rows)


def _marker(numbers: Sequence[int]) -> str | None:
    return "o" if len(numbers) == 1 else None  # a single point makes no line
