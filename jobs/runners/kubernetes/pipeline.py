"""The pipeline: creates each stage's Job when the one before it has done its work, and tells what goes on.

It keeps no state: the database and the artifacts say what is done, the API server says what runs. So it may be ended
and started again at any time, and the pipeline of a new revision of the release takes over what runs.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from rich.filesize import decimal

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.dataset_record import dataset_is_stored
from jobs.artifacts.final_training import is_trained
from jobs.artifacts.keys import EXPERIMENT, MANIFEST
from jobs.artifacts.manifest import read_manifest, verify
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.queue.best_trial import best_trial
from jobs.queue.compatibility import check_artifacts, check_result, check_study, stored_experiment
from jobs.queue.confirmations import count_claimable
from jobs.queue.database import Database
from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import StatusReader
from jobs.runners.display import Display
from jobs.runners.kubernetes.api import open_namespace
from jobs.runners.kubernetes.manifests import is_live, job_state, read_stage_job
from jobs.runners.kubernetes.stage_jobs import POLL_SECONDS, STAGES, StageFailed, Stages
from jobs.runners.kubernetes.sweep_jobs import Workers
from jobs.runners.kubernetes.watcher import Watcher
from jobs.runners.metrics import Metrics, served
from jobs.runtime import interrupt
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings
from jobs.runtime.webhook import Tell, told

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 15  # between two lines about the final training


def run(
    experiment: Experiment, settings: Settings, root: Artifacts, *, stages: Path, owner: str, revision: str
) -> None:
    """Sees the release's stages through to a verified result.

    Args:
        experiment: as the release has it.
        settings: of this process; the stages' own come with their Jobs.
        root: all artifacts.
        stages: folder with the stages' manifests.
        owner: name of the ConfigMap with which the Jobs vanish.
        revision: hash of the release's values.

    Raises:
        StageFailed: a stage's Job has failed, or the result does not verify.
        ConfigurationError: the study belongs to another experiment.
        TooFewCompleted: the sweep has come to too little.
        Interrupted: the process was asked to end; what runs goes on.
        Failure: the database, the artifacts or the API server were away too long, or will not have us.

    """
    with told(settings.notify_url, experiment.study_name) as tell:
        _run(experiment, settings, root, stages=stages, owner=owner, revision=revision, tell=tell)


def _run(
    experiment: Experiment, settings: Settings, root: Artifacts, *, stages: Path, owner: str, revision: str, tell: Tell
) -> None:
    jobs = {stage: read_stage_job(stages, stage) for stage in STAGES}
    namespace = open_namespace()
    watcher = Watcher(namespace, jobs["prepare"].release, settings.lease_seconds)
    in_cluster = Stages(namespace, watcher, jobs, revision, Patience(settings.outage_deadline_seconds))
    in_cluster.take_over(owner)
    with (
        Display(settings.log_format, live=False) as display,
        served(settings.metrics_port, experiment.study_name) as metrics,
    ):
        pipeline = _Pipeline(experiment, settings, root, in_cluster, display, metrics)
        try:
            tell(pipeline.to_the_end())
        finally:
            watcher.close()
            pipeline.close()


class _Pipeline:
    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        root: Artifacts,
        stages: Stages,
        display: Display,
        metrics: Metrics,
    ) -> None:
        self._experiment, self._settings = experiment, settings
        self._stages, self._display, self._metrics = stages, display, metrics
        patience = Patience(settings.outage_deadline_seconds, self._beat)
        self._root = WaitingArtifacts(root, patience)
        self._study = self._root.under(experiment.study_name)
        self._database = Database.of(settings, patience)
        self._reader = StatusReader(self._database, experiment.study_name)
        self._told_epochs = 0.0

    def close(self) -> None:
        self._database.close()

    def to_the_end(self) -> str:
        """Returns what has come of it, in a line."""
        self._finish("prepare", self._is_prepared)
        self._sweep()
        best = best_trial(self._experiment, self._status()).number
        assert best is not None  # of a complete trial
        self._told_epochs = time.monotonic()  # a while passes until a former training's epochs are removed
        seeds = self._experiment.final_train.seeds
        self._finish("final-train", lambda: is_trained(self._study, best, seeds), self._show_final_training)
        self._finish("evaluate", lambda: self._study.exists(MANIFEST))
        self._verify()
        return self._display.result(self._study)

    # One stage.

    def _finish(self, stage: str, is_done: Callable[[], bool], show: Callable[[], None] = lambda: None) -> None:
        """Runs the stage's Job unless `is_done` says that its work is done."""
        self._metrics.stage = stage
        if is_done():
            log.info("stage %s is done", stage)
            return
        self._stages.clear_way(stage)
        name, created = self._stages[stage].name(), False
        log.info("stage %s: job %s", stage, name)
        started = time.monotonic()
        while True:
            self._stages.refresh()
            found = self._stages.find(stage)
            if found is None:
                if created and is_done():  # it has ended and been removed meanwhile
                    break
                self._stages.create(stage)
                created = True
            elif not is_live(found):
                if is_done():
                    break
                if job_state(found) == "failed":
                    raise StageFailed(self._stages.why(stage, found))
                raise StageFailed(f"job {name} is complete, but the study is not as it would have left it")
            elif self._stages.watcher.has_ended_well(found) and is_done():
                break  # the Job will say so in a moment
            else:
                show()
            interrupt.pause(POLL_SECONDS)
        log.info("stage %s: done in %.0f s", stage, time.monotonic() - started)

    # Prepare.

    def _is_prepared(self) -> bool:
        """Whether database and artifacts hold all that `prepare` leaves for this very experiment.

        Raises ConfigurationError where they hold another one.
        """
        check_study(self._experiment, self._database)
        check_result(self._experiment, self._study)
        if check_artifacts(self._experiment, self._database, self._study) is None:
            return False
        if stored_experiment(self._database, self._experiment.study_name) != self._experiment:
            return False
        if not self._study.exists(EXPERIMENT) or not dataset_is_stored(self._root, self._experiment.study_name):
            return False
        if parse_experiment(self._study.read_text(EXPERIMENT)) != self._experiment:
            return False
        status, sweep = self._status(), self._experiment.sweep
        confirmations = 0 if sweep.confirm is None else sweep.confirm.trials * sweep.confirm.seeds
        return len(status.trials) >= sweep.trials and len(status.confirmations) >= confirmations

    # Sweep.

    def _sweep(self) -> None:
        """Keeps workers at it until every trial and every confirmation is settled."""
        self._metrics.stage = "sweep"
        status = self._status()
        if not status.unsettled:
            log.info("stage sweep is done: %s", status.line())
            return
        self._stages.clear_way("sweep")
        log.info("stage sweep: %s", status.line())
        workers = Workers(self._stages, self._settings.lease_seconds)
        while True:
            status = self._status()
            self._display.sweep(status, self._experiment.sweep.epochs)
            if not status.unsettled:
                break
            workers.see_to(status, self._count_claimable)
            interrupt.pause(POLL_SECONDS)
        log.info("%s", status.line())
        workers.let_leave()

    def _count_claimable(self) -> int:
        return self._database.read(lambda connection: count_claimable(connection, self._experiment.study_name))

    def _status(self) -> SweepStatus:
        self._metrics.status = self._reader.read()
        return self._metrics.status

    # Final training and evaluation.

    def _show_final_training(self) -> None:
        if time.monotonic() - self._told_epochs < PROGRESS_SECONDS:
            return
        self._told_epochs = time.monotonic()
        self._display.final_training(self._study, self._experiment.final_train)

    def _verify(self) -> None:
        manifest = read_manifest(self._study)
        faults = verify(self._study, manifest, self._beat)
        if faults:
            raise StageFailed(
                f"{self._study.location}: {len(faults)} objects are not as the manifest says: {faults[0]}"
            )
        size = decimal(sum(entry.size for entry in manifest.objects.values()))
        log.info("verified: %d objects, %s, all as the manifest says", len(manifest.objects), size)

    def _beat(self) -> None:
        """Called while a service is waited for: what is wrong may be the service's own pod."""
        interrupt.check()
        self._stages.watcher.refresh_now_and_then()
