"""Which figures the report of a study has."""

from collections.abc import Sequence
from itertools import combinations

from jobs.experiment.values import Value
from jobs.queue.status import TrialStatus
from jobs.report.study.confirmation import confirmed_points
from jobs.report.study.importance import parameter_importances
from jobs.report.study.layers import layer_counts
from jobs.report.study.published import published_by_choice, sole_choice
from jobs.report.study.trial_table import parameter_axes, sizes_that_differ, trial_points
from jobs.report.study_results import StudyResults
from resnet_core.config import ScheduleConfig
from resnet_core.figures.choice import accuracy_by_choice, curves_by_choice
from resnet_core.figures.confirmation import confirmed_accuracies
from resnet_core.figures.confusion import confusion_matrix
from resnet_core.figures.exhibit import Exhibit
from resnet_core.figures.network import filters_per_layer, parameters_per_layer
from resnet_core.figures.parameters import contour, parallel_coordinates
from resnet_core.figures.pareto import pareto_front
from resnet_core.figures.sweep import history, importances
from resnet_core.figures.training import learning_rate, training_curves
from resnet_core.figures.trials import COMPLETE, STOPPED_EARLY, Axis, TrialPoint, varied

CONTOUR_PARAMETERS = 3  # the most important ones, of which every pair has a contour


def study_figures(results: StudyResults, shown: Sequence[TrialStatus]) -> dict[str, list[Exhibit]]:
    """The figures by the section of the report that they belong to; of the trials those that are shown."""
    return {
        "sweep": _of_sweep(results, trial_points(results, shown)),
        "confirmation": _of_confirmations(results),
        "network": [filters_per_layer(*layer_counts(results)), parameters_per_layer(*layer_counts(results))],
        "training": training_curves(results.epochs, results.metrics.chosen, results.status.validation_images),
        "errors": [confusion_matrix(results.metrics.test.confusion, results.model.classes)],
    }


def _of_sweep(results: StudyResults, trials: list[TrialPoint]) -> list[Exhibit]:
    experiment = results.experiment
    shown = [history(trials)]
    choice = sole_choice(experiment)
    if choice is not None:
        name, choices = choice
        shown.append(accuracy_by_choice(trials, name, choices, published_by_choice(experiment, name)))
        shown.append(curves_by_choice(trials, name, choices))
        if name == "schedule.name":
            shown.append(_learning_rates(results, choices))
    sizes = sizes_that_differ(trials)
    if sizes:
        shown.append(pareto_front(trials, sizes, results.model.trial.number))
    measured = [t for t in trials if t.state in (COMPLETE, STOPPED_EARLY) and t.accuracy is not None]
    axes = varied(parameter_axes(experiment), measured)
    if choice is None and axes:
        shown += _of_parameters(results, trials, axes)
    has_less_to_say = len(shown) % 2 and shown[-1].name.startswith("contour-")  # the contour that matters least
    return shown[:-1] if has_less_to_say else shown


def _of_confirmations(results: StudyResults) -> list[Exhibit]:
    points = confirmed_points(results.status)
    return [confirmed_accuracies(points, results.model.trial.number)] if points else []


def _of_parameters(results: StudyResults, trials: list[TrialPoint], axes: list[Axis]) -> list[Exhibit]:
    shown = []
    found = parameter_importances(results.trials, results.experiment.seed)
    ranked = [axis.name for axis in axes]
    if found is not None:
        shown.append(importances(found.shares, found.intervals, found.trials, found.complete, found.left_out))
        ranked = list(found.shares)
    shown.append(parallel_coordinates(trials, axes, results.model.trial.number))
    by_name = {axis.name: axis for axis in axes}
    for index, (x, y) in enumerate(combinations(ranked[:CONTOUR_PARAMETERS], 2), 1):
        shown.append(contour(trials, by_name[x], by_name[y], "contour" if index == 1 else f"contour-{index}"))
    return shown


def _learning_rates(results: StudyResults, schedules: Sequence[Value]) -> Exhibit:
    """The learning rates of a final training by each of the schedules that were compared."""
    found: dict[str, tuple[ScheduleConfig, float]] = {}
    for name in schedules:
        recipe = results.experiment.with_parameters({"schedule.name": name}).training
        found[recipe.schedule.name] = (recipe.schedule, recipe.lr)
    return learning_rate(found, results.experiment.final_train.epochs)
