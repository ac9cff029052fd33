"""A training over its epochs."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_core.config import ScheduleConfig
from resnet_core.epoch import EpochResult
from resnet_core.figures.exhibit import BLUE, ORANGE, Cell, Exhibit, draw, legend_below, style
from resnet_core.schedule import lr_factor
from resnet_core.shown_accuracy import in_percent

LABELS = {"train": "training (augmented)", "validation": "validation"}
STEPS_PER_EPOCH = 20  # points of a schedule's line for each epoch


def training_curves(
    seeds: Sequence[Sequence[EpochResult]], chosen: int = 0, validation_images: int | None = None
) -> list[Exhibit]:
    """The loss and the accuracy by epoch, of the augmented training images and of the clean validation images."""
    several = f"; thick: seed {chosen}, whose network is kept, thin: the other seeds" if len(seeds) > 1 else ""
    validated = all(e.validation_loss is not None for epochs in seeds for e in epochs)
    of = "Training (augmented) and validation" if validated else "Training (augmented)"
    losses = [
        (seed, e.epoch, e.lr, e.train_loss, *([e.validation_loss] if validated else []))
        for seed, epochs in enumerate(seeds)
        for e in epochs
    ]
    accuracies = [
        (
            *(seed, e.epoch, in_percent(e.train_accuracy, None)),
            *([in_percent(e.validation_accuracy, validation_images)] if validated else []),
        )
        for seed, epochs in enumerate(seeds)
        for e in epochs
    ]
    return [
        Exhibit(
            "training-loss",
            f"{of} loss{several}.",
            _curves(seeds, chosen, "loss", "cross-entropy loss"),
            ("seed", "epoch", "lr", "training loss", *(["validation loss"] if validated else [])),
            losses,
        ),
        Exhibit(
            "training-accuracy",
            f"{of} accuracy{several}.",
            _curves(seeds, chosen, "accuracy", "accuracy (%)", scale=100),
            ("seed", "epoch", "training accuracy (%)", *(["validation accuracy (%)"] if validated else [])),
            accuracies,
        ),
    ]


def _curves(seeds: Sequence[Sequence[EpochResult]], chosen: int, name: str, label: str, scale: float = 1) -> Figure:
    figure, (axes,) = draw(3.2)
    for seed, epochs in enumerate(seeds):
        width = 1.8 if seed == chosen else 0.8
        numbers = [epoch.epoch for epoch in epochs]
        for part, dash, color in (("train", "-", BLUE), ("validation", "--", ORANGE)):
            values = [getattr(epoch, f"{part}_{name}") for epoch in epochs]
            if None in values:
                continue
            scaled = [value * scale for value in values]
            shown = LABELS[part] if seed == chosen else None
            axes.plot(numbers, scaled, dash, color=color, lw=width, marker=_marker(numbers), ms=4, label=shown)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes)
    return figure


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
