"""The trials as a table, and as the points that figures are drawn from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.experiment.experiment import Experiment
from jobs.experiment.parameters import ENTRY, field_of
from jobs.experiment.search_space import Choices
from jobs.experiment.values import Value
from jobs.queue.claimed_trial import OVER_BUDGET
from jobs.queue.status import TrialStatus
from jobs.queue.tables import SlotState
from jobs.report.study_results import StudyResults
from resnet_core.figures.exhibit import Cell
from resnet_core.figures.trials import Axis, TrialPoint
from resnet_core.shown_accuracy import in_percent, percent

ACCURACY = "accuracy (%)"
SIZES = ("parameters", "macs")
COSTS = ("epochs", "seconds", *SIZES, "over budget")


@dataclass(frozen=True)
class TrialTable:
    """A row for each slot; `messages` and `is_best` have an entry for each row.

    `fixed` are the sizes that are the same in all trials of the study in which they are known, if it has several.
    """

    header: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    messages: list[str | None]
    is_best: list[bool]
    fixed: dict[str, Cell]
    images: int | None  # that accuracies are of

    def of(self, slots: Iterable[int]) -> "TrialTable":
        """The rows of some slots."""
        kept = sorted(slots)
        return replace(
            self,
            rows=[self.rows[slot] for slot in kept],
            messages=[self.messages[slot] for slot in kept],
            is_best=[self.is_best[slot] for slot in kept],
        )

    def for_people(self) -> "TrialTable":
        """The same without the fixed columns, and what was searched before what it cost."""
        kept = [name for name in self.header[3:] if name not in self.fixed]
        costs = [name for name in kept if name in COSTS]
        order = [*self.header[:3], *(name for name in kept if name not in COSTS), *costs]
        places = [self.header.index(name) for name in order]
        rows = [tuple(row[place] for place in places) for row in self.rows]
        written = [(*row[:2], self._written(row[2]), *row[3:]) for row in rows]
        return replace(self, header=("trial", "state", "accuracy", *order[3:]), rows=written)

    def best(self, count: int) -> list[tuple[Cell, ...]]:
        """The complete trials with the highest accuracy, as `for_people` has them."""
        complete = [index for index, row in enumerate(self.rows) if row[1] == SlotState.COMPLETE]
        ranked, shown = sorted(complete, key=lambda index: -float(self.rows[index][2] or 0.0)), self.for_people().rows
        return [shown[index] for index in ranked[:count]]

    def _written(self, accuracy: Cell) -> str:
        return percent(None if accuracy is None else float(accuracy) / 100, self.images)


def trial_table(results: StudyResults) -> TrialTable:
    """The columns: trial, state, accuracy, epochs, seconds, sizes, parameters over the budget, searched parameters.

    Sizes are those that are known of any trial, and there is no column of the excess where no trial is over the budget.
    """
    known = {trial.number: trial for trial in results.trials}
    sizes = [size for size in SIZES if any(size in trial.user_attrs for trial in results.trials)]
    names = list(results.experiment.searched)
    over = {"over budget": OVER_BUDGET} if any(OVER_BUDGET in trial.constraints for trial in results.trials) else {}
    rows: list[tuple[Cell, ...]] = []
    for trial in results.status.trials:
        attributes: dict[str, Any] = {}
        if trial.number is not None:
            excess = {name: round(value) for name, value in known[trial.number].constraints.items()}
            attributes = known[trial.number].user_attrs | excess
        seconds = None if trial.seconds is None else round(trial.seconds, 1)
        counts = [attributes.get(size) for size in (*sizes, *over.values())]
        own = counts + [trial.parameters.get(name) for name in names]
        accuracy = in_percent(trial.accuracy, results.status.validation_images)
        rows.append((trial.number, str(trial.state), accuracy, trial.epoch, seconds, *own))
    header = ("trial", "state", ACCURACY, "epochs", "seconds", *sizes, *over, *names)
    known_sizes = {size: {row[header.index(size)] for row in rows} - {None} for size in sizes}
    return TrialTable(
        header,
        rows,
        [trial.message for trial in results.status.trials],
        [trial.number == results.model.trial.number for trial in results.status.trials],
        {size: next(iter(values)) for size, values in known_sizes.items() if len(values) == 1 < len(rows)},
        results.status.validation_images,
    )


def given_values(experiment: Experiment, parameters: Mapping[str, Value]) -> dict[str, Cell]:
    """What the experiment has for the searched fields that a trial with these parameters has no own value of."""
    lacking = [name for name in experiment.searched if name not in parameters and not ENTRY.fullmatch(name)]
    if not parameters or not lacking:
        return {}
    own = experiment.with_parameters(parameters)
    values = {name: field_of(own, name) for name in lacking}
    return {name: str(list(value)) if isinstance(value, tuple) else value for name, value in values.items()}


def trial_points(results: StudyResults, trials: Sequence[TrialStatus]) -> list[TrialPoint]:
    """Those of the trials that have begun, by number."""
    known = {trial.number: trial for trial in results.trials}
    points = [
        TrialPoint(
            trial.number,
            str(trial.state),
            trial.accuracy,
            trial.parameters,
            known[trial.number].intermediate_values,
            {size: known[trial.number].user_attrs[size] for size in SIZES if size in known[trial.number].user_attrs},
            results.status.validation_images,
        )
        for trial in trials
        if trial.number is not None
    ]
    return sorted(points, key=lambda point: point.number)


def sizes_that_differ(trials: Sequence[TrialPoint]) -> list[str]:
    """Those of SIZES that all complete trials have, and in which they differ."""
    sizes = [[trial.sizes.get(size) for trial in trials if trial.state == SlotState.COMPLETE] for size in SIZES]
    return [size for size, known in zip(SIZES, sizes, strict=True) if None not in known and len(set(known)) > 1]


def parameter_axes(experiment: Experiment) -> list[Axis]:
    """The searched parameters, in the order of the experiment."""
    return [
        Axis.of_choices(name, parameter.choices)
        if isinstance(parameter, Choices)
        else Axis(name, parameter.low, parameter.high, parameter.log)
        for name, parameter in experiment.searched.items()
    ]
