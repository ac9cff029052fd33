"""Published values beside ours, which are never mixed with ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.experiment.experiment import Experiment
from jobs.experiment.search_space import Choices
from jobs.experiment.values import Value
from jobs.queue.tables import SlotState
from jobs.report.study_results import StudyResults
from resnet_core.figures.exhibit import short

Ours = tuple[float | None, int | None, int | None, str]  # accuracy, parameters, images, kind


@dataclass(frozen=True)
class Beside:
    """A published value, and ours where it applies. `kind` says on which images ours was measured."""

    what: str
    where: str
    published: float
    published_parameters: int | None
    ours: float | None
    ours_parameters: int | None
    images: int | None  # that ours was measured on, as far as it is known
    kind: str


def beside_published(results: StudyResults) -> list[Beside]:
    """The published values in the order of the experiment."""
    rows = []
    for value in results.experiment.study.published:
        where = ", ".join(f"{name}={short(wanted)}" for name, wanted in value.where.items())
        ours = _of_trials(results, value.where) if value.where else _of_final_network(results)
        rows.append(Beside(value.what, where, value.accuracy, value.parameters, *ours))
    return rows


def sole_choice(experiment: Experiment) -> tuple[str, tuple[Value, ...]] | None:
    """The name and the choices of the searched parameter, if there is only one and it is a list of choices."""
    if len(experiment.searched) != 1:
        return None
    ((name, parameter),) = experiment.searched.items()
    return (name, parameter.choices) if isinstance(parameter, Choices) else None


def published_by_choice(experiment: Experiment, name: str) -> dict[Value, float]:
    """The published accuracies by the choice that they were published for."""
    return {value.where[name]: value.accuracy for value in experiment.study.published if set(value.where) == {name}}


def _of_final_network(results: StudyResults) -> Ours:
    seeds = len(results.metrics.seeds)
    kind = "test" if seeds == 1 else f"test, mean of {seeds} seeds"
    metrics = results.metrics
    return metrics.accuracy.mean, metrics.parameters, metrics.test.images, kind


def _of_trials(results: StudyResults, where: Mapping[str, Any]) -> Ours:
    matching = [
        trial
        for trial in results.status.trials
        if trial.state is SlotState.COMPLETE
        and all(trial.parameters.get(name) == wanted for name, wanted in where.items())
    ]
    if not matching:
        return None, None, None, "no complete trial"
    best = max(matching, key=lambda trial: trial.accuracy or 0.0)
    attributes = next(trial.user_attrs for trial in results.trials if trial.number == best.number)
    images = results.status.validation_images
    return best.accuracy, attributes.get("parameters"), images, f"validation, trial {best.number}"
