"""The stage `evaluate`: tests the final networks, then writes the folder `model/`, the report and the manifest."""

import logging

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.checkpoints import remove_settled
from jobs.artifacts.documents import MetricsDocument, ModelDocument, read_document, write_document
from jobs.artifacts.final_training import read_epochs
from jobs.artifacts.keys import MANIFEST, METRICS, model_key
from jobs.artifacts.manifest import write_manifest
from jobs.experiment.experiment import Experiment
from jobs.queue.compatibility import check_prepared
from jobs.queue.database import Database
from jobs.queue.status import read_trials, sweep_status
from jobs.report.model_folder import publish_model
from jobs.report.study.report_page import write_report
from jobs.report.study_results import StudyResults
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.stages.evaluate.scoring import run_final_test

log = logging.getLogger(__name__)


class NotTrained(Failure):
    """There is no network to evaluate yet."""


def run(experiment: Experiment, settings: Settings, root: Artifacts) -> None:
    """Tests the final network of each seed unless that is done, and writes the report. The manifest comes last.

    Raises:
        NotPrepared, ConfigurationError: there is no such study, or it belongs to another experiment.
        NotTrained: a final training is not done.
        OutageTooLong, Refused: database or artifacts cannot be reached.

    """
    root = WaitingArtifacts(root, Patience(settings.outage_deadline_seconds))
    artifacts, database = root.under(experiment.study_name), Database.of(settings)
    if artifacts.exists(MANIFEST):
        log.info("the evaluation is done")
        return
    check_prepared(experiment, database)
    models = _read_models(artifacts, experiment.final_train.seeds)
    if artifacts.exists(METRICS):
        metrics = read_document(artifacts, METRICS, MetricsDocument)
        log.info("the test images have been looked at before; their metrics stay as they are")
    else:
        metrics = run_final_test(experiment, settings, root, models)
        write_document(artifacts, METRICS, metrics)
    for tested in metrics.seeds:
        name = "" if len(models) == 1 else f" with seed {tested.seed}"
        log.info("test accuracy%s %.4f on %d images", name, tested.test.accuracy, tested.test.images)

    publish_model(artifacts, experiment, metrics)
    status, trials = sweep_status(database, experiment.study_name), read_trials(database, experiment.study_name)
    database.close()
    epochs = [read_epochs(artifacts, model.seed) for model in models]
    write_report(artifacts, StudyResults(experiment, metrics, models, epochs, status, trials))
    remove_settled(artifacts, trials)
    write_manifest(artifacts)


def _read_models(artifacts: Artifacts, seeds: int) -> list[ModelDocument]:
    keys = [model_key(seed) for seed in range(seeds)]
    for key in keys:
        if not artifacts.exists(key):
            raise NotTrained(f"{artifacts.location}: no {key}; the final training writes it when it is done")
    models = [read_document(artifacts, key, ModelDocument) for key in keys]
    if len({model.trial.number for model in models}) > 1:
        raise NotTrained(f"{artifacts.location}: not all seeds are trained with the best trial's parameters yet")
    return models
