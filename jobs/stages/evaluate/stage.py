"""The stage `evaluate`: tests the final networks, then writes the folder `model/`, the report and the manifest."""

import logging
from contextlib import closing

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.checkpoints import remove_settled
from jobs.artifacts.documents import MetricsDocument, ModelDocument, read_document, write_document
from jobs.artifacts.final_training import read_epochs, trained_model
from jobs.artifacts.guarded import GuardedArtifacts
from jobs.artifacts.keys import MANIFEST, METRICS, model_key
from jobs.artifacts.manifest import write_manifest
from jobs.experiment.experiment import Experiment
from jobs.queue.best_trial import best_trial
from jobs.queue.compatibility import check_prepared
from jobs.queue.database import Database
from jobs.queue.exclusive import RESULT, exclusively
from jobs.queue.status import TrialStatus
from jobs.queue.status_reader import read_trials, sweep_status
from jobs.report.model_folder import publish_model
from jobs.report.study.report_page import write_report
from jobs.report.study_results import StudyResults
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.evaluate.scoring import run_final_test
from resnet_core.shown_accuracy import percent

log = logging.getLogger(__name__)


class NotTrained(Failure):
    """There is no network to evaluate yet."""


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Tests the final network of each seed unless that is done, and writes the report. The manifest comes last.

    Raises:
        NotPrepared, ConfigurationError: there is no such study, or it belongs to another experiment.
        SweepNotOver, TooFewCompleted: there is no best trial yet.
        NotTrained: a final training of the best trial is not done.
        LeaseLost: another process has begun to evaluate or to add trials.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    with closing(Database.of(settings)) as database:
        check_prepared(experiment, database, root.under(experiment.study_name))
        with exclusively(database, settings, experiment.study_name, RESULT) as hold:
            artifacts = GuardedArtifacts(root.under(experiment.study_name), hold.check)
            _evaluate(experiment, settings, root, artifacts, database)


def _evaluate(
    experiment: Experiment, settings: Settings, root: Artifacts, artifacts: Artifacts, database: Database
) -> None:
    status = sweep_status(database, experiment.study_name)
    models = _read_models(artifacts, best_trial(experiment, status), experiment.final_train.seeds)
    if artifacts.exists(MANIFEST):
        log.info("the evaluation is done")
        return
    if artifacts.exists(METRICS):
        metrics = read_document(artifacts, METRICS, MetricsDocument)
        log.info("the test images have been looked at before; their metrics stay as they are")
    else:
        metrics = run_final_test(experiment, settings, root, artifacts, models)
        write_document(artifacts, METRICS, metrics)
    for tested in metrics.seeds:
        name = "" if len(models) == 1 else f" with seed {tested.seed}"
        accuracy = percent(tested.test.accuracy, tested.test.images)
        log.info("test accuracy%s %s on %d images", name, accuracy, tested.test.images)

    publish_model(artifacts, experiment, metrics, status.winner)
    trials = read_trials(database, experiment.study_name)
    epochs = [read_epochs(artifacts, model.seed) for model in models]
    write_report(artifacts, StudyResults(experiment, metrics, models, epochs, status, trials))
    remove_settled(artifacts, trials)
    write_manifest(artifacts)


def _read_models(artifacts: Artifacts, best: TrialStatus, seeds: int) -> list[ModelDocument]:
    models = []
    for seed in range(seeds):
        model, key = trained_model(artifacts, seed), f"{artifacts.location}: {model_key(seed)}"
        if model is None:
            raise NotTrained(f"{key} is not there; the final training writes it when it is done")
        if model.trial.number != best.number:
            raise NotTrained(f"{key} is of trial {model.trial.number}, but trial {best.number} is the best now")
        models.append(model)
    return models
