from matplotlib.figure import Figure

from resnet_core import figures
from resnet_core.config import ModelConfig, ScheduleConfig
from resnet_core.count import count_layers
from resnet_core.epoch import EpochResult
from resnet_core.model import NetworkConfig
from resnet_core.pruning import pruned_config

BEFORE = NetworkConfig.from_model(ModelConfig(), classes=10)
AFTER = pruned_config(BEFORE, (0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3))
LAYERS = count_layers(BEFORE), count_layers(AFTER)


def heights(figure: Figure) -> list[list[float]]:
    return [[bar.get_height() for bar in container] for container in figure.axes[0].containers]


def test_bars_show_the_filters_of_both_networks() -> None:
    before, after = heights(figures.filters_per_layer(*LAYERS))
    assert before[:3] == [64, 64, 64]
    assert after[:3] == [53, 58, 53]
    assert len(before) == len(after) == 20


def test_bars_show_all_parameters_of_both_networks() -> None:
    before, after = heights(figures.parameters_per_layer(*LAYERS))
    assert round(sum(before) * 1000) == 11_173_962
    assert round(sum(after) * 1000) == 4_493_525


def test_curves_hold_every_epoch_and_leave_out_missing_validation() -> None:
    epochs = [EpochResult(n, 0.1, 2 / n, n / 10, None, None, 1.0) for n in range(1, 5)]
    losses, accuracies = figures.training_curves(epochs).axes
    assert len(losses.lines) == len(accuracies.lines) == 1
    assert list(accuracies.lines[0].get_ydata()) == [10, 20, 30, 40]
    validated = [EpochResult(n, 0.1, 2 / n, n / 10, 1.0, 0.5, 1.0) for n in range(1, 5)]
    assert len(figures.training_curves(validated).axes[0].lines) == 2


def test_schedules_are_drawn_with_their_rates() -> None:
    names = ("cosine", "linear", "step", "cyclic", "constant")
    figure = figures.learning_rate_schedules({name: (ScheduleConfig(name=name), 0.2) for name in names}, epochs=50)
    lines = figure.axes[0].lines
    assert len(lines) == 5
    assert max(lines[0].get_ydata()) == 0.2
    assert lines[0].get_xdata()[-1] < 50


def test_confusion_matrix_shows_counts_and_class_names() -> None:
    axes = figures.confusion_matrix([[8, 2], [0, 5]], ["cat", "dog"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["8", "2", "5"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
