"""The trainings of a study as programs that track experiments have them: parameters, epochs, metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial

from jobs.artifacts import Artifacts
from jobs.artifacts.documents import MetricsDocument, read_document
from jobs.artifacts.final_training import read_epochs, trained_model
from jobs.artifacts.keys import METRICS, trial_epochs_key
from jobs.experiment.confirmation import CONFIRM, confirmation_name
from jobs.experiment.experiment import Experiment
from jobs.queue.database import Database
from jobs.queue.status import TrialStatus
from jobs.queue.status_reader import read_trials, sweep_status
from jobs.queue.tables import SlotState
from resnet_core.epoch import EpochResult
from resnet_core.validation import parse_json

Metrics = Mapping[str, float | int]
ACCURACY, TEST_ACCURACY = "validation_accuracy", "test_accuracy"
SIZES = ("parameters", "macs")


@dataclass(frozen=True)
class TrackedRun:
    """A training that has ended. Accuracies are shares from 0 to 1; times are local ones of the machine that trained.

    `epochs` has the metrics of each epoch by its number, and `metrics` what there is at the end.
    """

    name: str
    kind: str  # trial, confirmation or final training
    state: SlotState
    parameters: Mapping[str, object]
    epochs: Mapping[int, Metrics]
    metrics: Metrics
    message: str | None = None
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def failed(self) -> bool:
        return self.state in (SlotState.FAILED, SlotState.CRASHED, SlotState.DIVERGED)


def read_runs(experiment: Experiment, database: Database, study: Artifacts | None) -> Iterator[TrackedRun]:
    """The settled trials and confirmations that had begun, then the final trainings that are done.

    Args:
        experiment: what the study was prepared for.
        database: that has the study.
        study: its artifacts, which have losses and final trainings. Without them there are accuracies by epoch alone.

    """
    name = experiment.study_name
    status = sweep_status(database, name)
    beside = confirmation_name(name)
    for statuses, source, prefix in ((status.trials, name, ""), (status.confirmations, beside, f"{CONFIRM}/")):
        begun = [one for one in statuses if one.state.settled and one.number is not None]
        known = {trial.number: trial for trial in read_trials(database, source)} if begun else {}
        for one in begun:
            assert one.number is not None
            key = f"{prefix}{trial_epochs_key(one.number)}"
            text = study.read_text(key) if study is not None and study.exists(key) else ""
            yield _run(one, known[one.number], [EpochResult(**parse_json(line)) for line in text.splitlines()])
    if study is not None:
        yield from _final_trainings(experiment, study)


def _run(one: TrialStatus, trial: FrozenTrial, epochs: list[EpochResult]) -> TrackedRun:
    metrics: dict[str, float | int] = {size: trial.user_attrs[size] for size in SIZES if size in trial.user_attrs}
    if one.accuracy is not None:
        metrics[ACCURACY] = one.accuracy
    if one.seconds is not None:
        metrics["seconds"] = one.seconds
    return TrackedRun(
        name=one.name,
        kind=one.work,
        state=one.state,
        parameters=one.parameters,
        epochs={epoch: {ACCURACY: value} for epoch, value in trial.intermediate_values.items()} | _by_epoch(epochs),
        metrics=metrics,
        message=one.message,
        began=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def _final_trainings(experiment: Experiment, study: Artifacts) -> Iterator[TrackedRun]:
    tested = read_document(study, METRICS, MetricsDocument).seeds if study.exists(METRICS) else ()
    accuracies = {one.weights_sha256: one.test.accuracy for one in tested}
    for seed in range(experiment.final_train.seeds):
        model = trained_model(study, seed)
        if model is None:
            continue
        metrics: dict[str, float | int] = {size: getattr(model, size) for size in SIZES} | {"seconds": model.seconds}
        if model.validation_accuracy is not None:
            metrics[ACCURACY] = model.validation_accuracy
        if model.weights_sha256 in accuracies:
            metrics[TEST_ACCURACY] = accuracies[model.weights_sha256]
        yield TrackedRun(
            name=f"final training {seed} of trial {model.trial.number}",
            kind="final training",
            state=SlotState.COMPLETE,
            parameters=model.trial.parameters | {"seed": seed},
            epochs=_by_epoch(read_epochs(study, seed)),
            metrics=metrics,
        )


def _by_epoch(epochs: list[EpochResult]) -> dict[int, Metrics]:
    return {
        one.epoch: {name: value for name, value in vars(one).items() if name != "epoch" and value is not None}
        for one in epochs
    }
