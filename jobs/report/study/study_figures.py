"""Which exhibits a study allows."""

from itertools import combinations

from jobs.report.study.importance import parameter_importances
from jobs.report.study.layers import layer_counts
from jobs.report.study.published import published_by_choice, sole_choice
from jobs.report.study.trial_table import parameter_axes, trial_points
from jobs.report.study_results import Findings
from resnet_core.config import ScheduleConfig
from resnet_core.figures.choice import accuracy_by_choice, curves_by_choice
from resnet_core.figures.confusion import confusion_matrix
from resnet_core.figures.exhibit import Exhibit
from resnet_core.figures.network import filters_per_layer, parameters_per_layer
from resnet_core.figures.parameters import contour, parallel_coordinates
from resnet_core.figures.pareto import pareto_front
from resnet_core.figures.sweep import history, importances
from resnet_core.figures.training import learning_rate, training_curves
from resnet_core.figures.trials import COMPLETE, STOPPED_EARLY, Axis, Trial, varied

CONTOUR_PARAMETERS = 3  # every pair of the most important ones


def exhibits(findings: Findings) -> dict[str, list[Exhibit]]:
    """By the section of the report that they belong to."""
    return {
        "sweep": _of_sweep(findings),
        "network": [filters_per_layer(*layer_counts(findings)), parameters_per_layer(*layer_counts(findings))],
        "training": [training_curves(findings.epochs, findings.metrics["chosen"]), _learning_rate(findings)],
        "errors": [confusion_matrix(findings.metrics["test"]["confusion"], findings.model["classes"])],
    }


def _of_sweep(findings: Findings) -> list[Exhibit]:
    experiment, trials = findings.experiment, trial_points(findings)
    shown = [history(trials)]
    choice = sole_choice(experiment)
    if choice is not None:
        name, choices = choice
        shown.append(accuracy_by_choice(trials, name, choices, published_by_choice(experiment, name)))
        shown.append(curves_by_choice(trials, name, choices))
    if len(experiment.sweep.objectives) > 1:
        shown.append(pareto_front(trials, experiment.sweep.objectives[1], findings.model["trial"]["number"]))
    measured = [t for t in trials if t.state in (COMPLETE, STOPPED_EARLY) and t.accuracy is not None]
    axes = varied(parameter_axes(experiment), measured)
    if choice is None and axes:
        shown += _of_parameters(findings, trials, axes)
    return shown


def _of_parameters(findings: Findings, trials: list[Trial], axes: list[Axis]) -> list[Exhibit]:
    shown = []
    found = parameter_importances(findings.trials, findings.experiment.seed)
    ranked = [axis.name for axis in axes]
    if found is not None:
        shown.append(importances(found.shares, found.left_out))
        ranked = list(found.shares)
    shown.append(parallel_coordinates(trials, axes))
    by_name = {axis.name: axis for axis in axes}
    for index, (x, y) in enumerate(combinations(ranked[:CONTOUR_PARAMETERS], 2), 1):
        shown.append(contour(trials, by_name[x], by_name[y], "contour" if index == 1 else f"contour-{index}"))
    return shown


def _learning_rate(findings: Findings) -> Exhibit:
    """Of the final training; where schedules are what was searched, of all of them."""
    experiment, parameters = findings.experiment, findings.model["trial"]["parameters"]
    choice = sole_choice(experiment)
    chosen = [parameters] if choice is None or choice[0] != "schedule.name" else [{choice[0]: c} for c in choice[1]]
    schedules: dict[str, tuple[ScheduleConfig, float]] = {}
    for own in chosen:
        recipe, _ = experiment.with_parameters(own)
        schedules[recipe.schedule.name] = (recipe.schedule, recipe.lr)
    return learning_rate(schedules, experiment.final_train.epochs)
