import csv
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes as PlotAxes

from jobs.artifacts import FolderArtifacts
from jobs.report.pages.figure_files import save_figure
from resnet_core.config import ModelConfig, ScheduleConfig
from resnet_core.count import count_layers
from resnet_core.description import NetworkConfig
from resnet_core.epoch import EpochResult
from resnet_core.figures.choice import accuracy_by_choice, curves_by_choice
from resnet_core.figures.comparison import Point, accuracy_by_size, best_over_trials
from resnet_core.figures.confirmation import ConfirmedPoint, confirmed_accuracies
from resnet_core.figures.confusion import confusion_matrix
from resnet_core.figures.exhibit import GREY, Exhibit
from resnet_core.figures.network import filters_per_layer, parameters_per_layer
from resnet_core.figures.parameters import _smooth, contour, parallel_coordinates
from resnet_core.figures.pareto import pareto, pareto_front
from resnet_core.figures.sweep import best_so_far, history, importances
from resnet_core.figures.training import learning_rate, training_curves
from resnet_core.figures.trials import ACCURACIES, Axis, TrialPoint, varied
from resnet_core.pruning import pruned_config

BEFORE = NetworkConfig.from_model(ModelConfig(), classes=10)
AFTER = pruned_config(BEFORE, (0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3))
LAYERS = count_layers(BEFORE), count_layers(AFTER)

LR, OPTIMIZER = Axis("lr", 0.001, 0.1, log=True), Axis.of_choices("optimizer", ("sgd", "adam"))
TRIALS = [
    TrialPoint(0, "complete", 0.5, {"lr": 0.001, "optimizer": "sgd"}, {1: 0.3, 2: 0.5}, {"parameters": 10, "macs": 30}),
    TrialPoint(1, "infeasible", None, {"lr": 0.002, "optimizer": "adam"}, {}),
    TrialPoint(2, "stopped early", 0.2, {"lr": 0.1, "optimizer": "adam"}, {1: 0.2}),
    TrialPoint(3, "complete", 0.4, {"lr": 0.01, "optimizer": "adam"}, {1: 0.3, 2: 0.4}, {"parameters": 20, "macs": 20}),
    TrialPoint(4, "complete", 0.9, {"lr": 0.02, "optimizer": "sgd"}, {1: 0.5, 2: 0.9}, {"parameters": 30, "macs": 10}),
]


def panel(exhibit: Exhibit, index: int = 0) -> PlotAxes:
    return exhibit.figure.axes[index]


def widths(exhibit: Exhibit) -> list[list[float]]:
    return [[bar.get_width() for bar in container] for container in panel(exhibit).containers]


def test_bars_show_the_filters_of_both_networks() -> None:
    exhibit = filters_per_layer(*LAYERS)
    before, after = widths(exhibit)
    assert before[:3] == [64, 64, 64]
    assert after[:3] == [53, 58, 53]
    assert len(before) == len(after) == 20
    assert exhibit.rows[0] == ("stem", 64, 53)


def test_bars_show_all_parameters_of_both_networks() -> None:
    before, after = widths(parameters_per_layer(*LAYERS))
    assert (sum(before), sum(after)) == (11_173_962, 4_493_525)


def test_bars_of_a_network_that_was_not_pruned_stand_alone() -> None:
    full = LAYERS[0]
    exhibit = filters_per_layer(full, full)
    assert [len(bars) for bars in widths(exhibit)] == [20]
    assert (exhibit.header, exhibit.rows[0]) == (("layer", "filters"), ("stem", 64))
    assert "pruning" not in exhibit.caption


def test_curves_hold_every_epoch_of_every_seed_and_leave_out_missing_validation() -> None:
    epochs = [EpochResult(n, 0.1, 2 / n, n / 10, None, None, 1.0) for n in range(1, 5)]
    loss, accuracy = training_curves([epochs])
    assert len(panel(loss).lines) == len(panel(accuracy).lines) == 1
    assert list(panel(accuracy).lines[0].get_ydata()) == [10, 20, 30, 40]
    assert accuracy.rows[0] == (0, 1, 10)
    assert not loss.figure.legends  # the caption names the only line
    validated = [EpochResult(n, 0.1, 2 / n, n / 10, 1.0, 0.5, 1.0) for n in range(1, 5)]
    for exhibit in training_curves([validated, validated], chosen=1, validation_images=5_000):
        assert len(panel(exhibit).lines) == 4
        assert [row[:2] for row in exhibit.rows] == [(seed, epoch) for seed in range(2) for epoch in range(1, 5)]
        assert "seed 1" in exhibit.caption
        assert exhibit.figure.legends


def test_schedules_are_drawn_with_their_rates() -> None:
    names = ("cosine", "linear", "step", "cyclic", "constant")
    exhibit = learning_rate({name: (ScheduleConfig(name=name), 0.2) for name in names}, epochs=50)
    lines = panel(exhibit).lines
    assert len(lines) == 5
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 5
    assert max(lines[0].get_ydata()) == 0.2
    assert lines[0].get_xdata()[-1] < 50
    assert exhibit.header == ("epoch", *names)


def test_confusion_matrix_shows_counts_and_class_names() -> None:
    axes = panel(confusion_matrix([[8, 2], [0, 5]], ["cat", "dog"]))
    assert [text.get_text() for text in axes.texts] == ["8", "2", "5"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_class_with_dollars_is_no_formula(tmp_path: Path) -> None:
    exhibit = confusion_matrix([[8, 2], [0, 5]], ["$10 bill", "$ 50 % off $"])
    svg = save_figure(FolderArtifacts(tmp_path), "figures", exhibit).svg
    assert "$ 50 % off $" in svg


def test_confusion_matrix_of_many_classes_has_no_text_in_it() -> None:
    exhibit = confusion_matrix([[1] * 100] * 100, [f"class {index}" for index in range(100)])
    assert not panel(exhibit).texts
    assert len(exhibit.rows) == 100


def test_history_marks_every_state_and_the_best_of_the_complete() -> None:
    exhibit = history(TRIALS)
    labels = [line.get_label() for line in panel(exhibit).lines]
    assert labels == ["best so far", "complete", "stopped early", "without accuracy"]
    markers = [line.get_marker() for line in panel(exhibit).lines[1:]]
    assert len(set(markers)) == 3
    assert best_so_far(TRIALS) == [0.5, 0.5, 0.5, 0.5, 0.9]
    assert exhibit.hover["without"] == ["trial 1: infeasible; lr=0.002, optimizer=adam"]


def test_importances_say_what_they_leave_out() -> None:
    exhibit = importances(
        {"lr": 0.7, "optimizer": 0.3}, {"lr": (0.5, 0.8), "optimizer": (0.2, 0.5)}, 12, 12, ["momentum"]
    )
    assert widths(exhibit) == [[0.7, 0.3]]
    assert "between the 12 complete trials each" in exhibit.caption
    assert "Without momentum" in exhibit.caption
    assert exhibit.rows == [("lr", 0.7, 0.5, 0.8), ("optimizer", 0.3, 0.2, 0.5)]
    assert [list(line.get_xdata()) for line in panel(exhibit).lines] == [[0.5, 0.8], [0.2, 0.5]]


def test_importances_of_some_trials_say_so() -> None:
    exhibit = importances({"lr": 0.7}, {"lr": (0.5, 0.8)}, 500, 4400)
    assert "between 500 of the 4,400 complete trials, drawn at random, each" in exhibit.caption


def test_parallel_coordinates_have_a_line_for_every_measured_trial() -> None:
    lacking = TrialPoint(5, "complete", 0.6, {"lr": 0.05}, {})
    exhibit = parallel_coordinates([*TRIALS, lacking], [LR, OPTIMIZER], best=4)
    lines = {line.get_gid(): line for line in panel(exhibit).lines}
    assert set(lines) == {"trial-0", "trial-2", "trial-3", "trial-4", "trial-5"}
    assert lines["trial-5"].get_xdata()[2] < 0
    assert lines["trial-4"].get_linewidth() > lines["trial-0"].get_linewidth()
    assert "none" in [text.get_text() for text in panel(exhibit).texts]


def test_best_of_parallel_coordinates_is_the_trial_that_was_chosen_and_no_stopped_one() -> None:
    stopped = TrialPoint(5, "stopped early", 0.99, {"lr": 0.05, "optimizer": "sgd"}, {})
    exhibit = parallel_coordinates([*TRIALS, stopped], [LR, OPTIMIZER], best=0)
    lines = {line.get_gid(): line for line in panel(exhibit).lines}
    assert max(lines, key=lambda gid: lines[gid].get_linewidth()) == "trial-0"
    assert list(lines)[-1] == "trial-0"  # over all others
    assert lines["trial-5"].get_color() == GREY
    assert "thick: trial 0, the best." in exhibit.caption
    assert "a trial that was stopped cannot win" in exhibit.caption
    complete = [trial for trial in TRIALS if trial.state == "complete"]
    assert "stopped" not in parallel_coordinates(complete, [LR, OPTIMIZER], best=0).caption


def test_every_colour_of_accuracy_is_seen_on_white() -> None:
    def luminance(color: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    shades = [luminance(ACCURACIES(step / 20)) for step in range(21)]
    assert all(1.05 / (shade + 0.05) > 2.4 for shade in shades)
    assert shades == sorted(shades, reverse=True)


def test_contour_has_a_background_only_between_ranges() -> None:
    dropout = Axis("dropout", 0, 0.5)
    trials = [
        TrialPoint(n, "complete", n / 10, {"lr": 0.001 + n / 200, "dropout": n / 20, "optimizer": "sgd"}, {})
        for n in range(8)
    ]
    stopped = TrialPoint(9, "stopped early", 0.9, {"lr": 0.02, "dropout": 0.4, "optimizer": "sgd"}, {})
    assert panel(contour(trials, LR, dropout, "contour")).collections
    assert not panel(contour(trials, LR, OPTIMIZER, "contour")).collections
    assert panel(contour(trials[:1] * 8, LR, dropout, "contour")).collections
    exhibit = contour([*trials[:7], stopped], LR, dropout, "contour")
    assert not panel(exhibit).collections
    assert exhibit.caption == "Validation accuracy of complete trials over lr and dropout. Triangles: stopped early."


def test_contour_says_nothing_where_no_trial_is_near() -> None:
    points = np.array([[0.1, 0.1], [0.2, 0.1]] * 4)
    surface = _smooth(points, np.arange(8.0), np.linspace(0, 1, 11))
    assert not np.isnan(surface[1, 1])
    assert np.isnan(surface[10, 10])


def test_confirmations_stand_beside_the_sweep_with_their_mean() -> None:
    points = [ConfirmedPoint(1, 7, 0.9, (0.8, 0.84)), ConfirmedPoint(2, 3, 0.85, (0.86,))]
    exhibit = confirmed_accuracies(points, winner=3)
    lines = {line.get_label(): [round(x) for x in line.get_xdata()] for line in panel(exhibit).lines}
    assert lines == {"confirmation": [80, 84, 86], "their mean": [82, 86], "in the sweep": [90, 85]}
    assert [label.get_text() for label in panel(exhibit).get_yticklabels()] == ["1: trial 7", "2: trial 3 (taken)"]
    assert exhibit.rows == [(1, 7, 90, 80), (1, 7, 90, 84), (2, 3, 85, 86)]


def test_front_holds_what_nothing_smaller_beats() -> None:
    complete = [trial for trial in TRIALS if trial.state == "complete"]
    assert [trial.number for trial in pareto(complete, "parameters")] == [0, 4]
    assert [trial.number for trial in pareto(complete, "macs")] == [4]
    exhibit = pareto_front(TRIALS, ("parameters", "macs"), final=4)
    assert exhibit.header[1:3] == ("parameters", "macs")
    assert [row[1:3] for row in exhibit.rows] == [(10, 30), (20, 20), (30, 10)]
    assert [row[4:] for row in exhibit.rows] == [("yes", "no"), ("no", "no"), ("yes", "yes")]
    for index, (size, millions) in enumerate((("parameters", 30), ("macs", 10))):
        drawn = {line.get_gid() or line.get_label(): line for line in panel(exhibit, index).lines}
        assert list(drawn["taken for the final training"].get_xdata()) == [millions]
        assert len(drawn[f"front-{size}"].get_xdata()) == len(pareto(complete, size))
    assert set(exhibit.hover) == {"front-parameters", "dominated-parameters", "front-macs", "dominated-macs"}


def test_choices_stand_beside_what_was_published() -> None:
    exhibit = accuracy_by_choice(TRIALS, "optimizer", ("sgd", "adam", "asgd"), {"sgd": 0.95})
    ours, published = panel(exhibit).lines
    assert (ours.get_label(), published.get_label()) == ("ours, validation", "published")
    assert list(published.get_xdata()) == [95]
    assert ("sgd", 4, "complete", 90, 95) in exhibit.rows
    curves = curves_by_choice(TRIALS, "optimizer", ("sgd", "adam", "asgd"))
    assert [line.get_label() for line in panel(curves).lines if not line.get_label().startswith("_")] == ["sgd", "adam"]
    assert len(curves.rows) == 7


def test_what_was_published_for_another_choice_has_no_place() -> None:
    exhibit = accuracy_by_choice(TRIALS, "optimizer", ("sgd", "adam"), {"lion": 0.99, "sgd": 0.95})
    _, published = panel(exhibit).lines
    assert list(published.get_xdata()) == [95]


def test_numbers_among_choices_lie_where_their_size_puts_them() -> None:
    axis = Axis.of_choices("lr", (0.001, 0.1, 0.01))
    assert [axis.position(value) for value in (0.001, 0.01, 0.1)] == pytest.approx([0, 0.5, 1])
    assert Axis.of_choices("nesterov", (True, False)).choices == (True, False)
    assert varied([LR, OPTIMIZER], TRIALS[:1]) == []


def test_compared_studies_are_told_apart_from_published_values() -> None:
    points = [Point("a", 100, 0.9, 0.8, 0.95, published=False), Point("b", 200, 0.92, None, None, published=True)]
    labels = panel(accuracy_by_size(points)).get_legend_handles_labels()[1]
    assert set(labels) == {"a", "b (published)"}
    curves = panel(best_over_trials({"a": TRIALS, "b": TRIALS[1:3]})).lines
    assert [len(line.get_xdata()) for line in curves] == [5, 0]


@pytest.mark.parametrize(
    "exhibit", [history(TRIALS), history(TRIALS[:1]), history(TRIALS[1:2])], ids=["all", "one", "none"]
)
def test_exhibit_is_saved_with_its_numbers_and_stands_in_a_page(tmp_path: Path, exhibit: Exhibit) -> None:
    shown = save_figure(FolderArtifacts(tmp_path), "figures", exhibit)
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == [
        "history.csv",
        "history.png",
        "history.svg",
    ]
    with (tmp_path / "figures/history.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(exhibit.header)
    assert len(rows) == len(exhibit.rows) + 1
    texts = [text for texts in exhibit.hover.values() for text in texts]
    assert re.findall(r"<title>(.*?)</title>", shown.svg) == texts
    ids = re.findall(r' id="([^"]+)"', shown.svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("history-") for name in ids)
    assert {target.removeprefix("#") for target in re.findall(r'href="([^"]+)"', shown.svg)} <= set(ids)
