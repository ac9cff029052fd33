"""The pipeline: creates each stage's Job when the one before it has truly succeeded, and says what goes on.

It keeps nothing: what is done is asked of the database and the artifacts, what runs of the API server. So it may be
ended and started again at any time, and a new revision of the release takes over what runs.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from optuna.storages import BaseStorage, get_storage
from rich.filesize import decimal

from jobs import interrupt
from jobs.artifacts import Artifacts
from jobs.best_trial import best_trial
from jobs.cluster import Object
from jobs.cluster.api import Namespace, open_namespace
from jobs.cluster.lookout import Lookout
from jobs.cluster.stage_job import (
    REVISION,
    SPEC,
    StageJob,
    failure_reason,
    is_live,
    job_state,
    read_stage_job,
    round_of,
)
from jobs.database import connect, database_place
from jobs.experiment import Experiment
from jobs.experiment_file import parse_experiment
from jobs.failure import Failure
from jobs.manifest import MANIFEST, read_manifest, verify
from jobs.outage import patiently
from jobs.prepared import check_result, check_study, stored_experiment
from jobs.progress import Display
from jobs.result import EPOCHS, EXPERIMENT, read_epochs, trained_trial
from jobs.settings import Settings
from jobs.slot_rows import read_slots
from jobs.slots import claimable
from jobs.status import SweepStatus, sweep_status
from jobs.storage import FencedStorage
from jobs.stored_dataset import dataset_is_stored

T = TypeVar("T")

log = logging.getLogger(__name__)

STAGES = ("prepare", "sweep", "final-train", "evaluate")
POLL_SECONDS = 1.0
PROGRESS_SECONDS = 15  # between two looks at how far the final training is
LEAVE_SECONDS = 30  # what workers get to leave by themselves when no trial is left
FRUITLESS_ROUNDS = 3  # sweep Jobs in a row that settle no trial
FINAL_REASONS = ("PodFailurePolicy", "DeadlineExceeded")  # why a sweep Job fails that another would not change


class StageFailed(Failure):
    """A stage has failed for good."""


def run(
    experiment: Experiment, settings: Settings, root: Artifacts, *, stages: Path, owner: str, revision: int
) -> None:
    """Sees the release's stages through to a verified result.

    Args:
        experiment: as the release has it.
        settings: of this process; the stages' own come with their Jobs.
        root: all artifacts.
        stages: folder with the stages' manifests.
        owner: name of the ConfigMap with which the Jobs vanish.
        revision: of the release.

    Raises:
        StageFailed: a stage's Job has failed, or the result does not verify.
        ConfigurationError: the study belongs to another experiment.
        TooFewCompleted: the sweep has come to too little.
        Interrupted: the process was asked to end; what runs goes on.
        Failure: the database, the artifacts or the API server were away too long, or will not have us.

    """
    jobs = {stage: read_stage_job(stages, stage) for stage in STAGES}
    namespace = open_namespace()
    lookout = Lookout(namespace, jobs["prepare"].release, settings.lease_seconds)
    with Display(settings.log_format, live=False) as display:
        pipeline = _Pipeline(experiment, settings, root, namespace, lookout, display, jobs, revision)
        pipeline.take_over(owner)
        try:
            pipeline.to_the_end()
        finally:
            pipeline.close()


class _Pipeline:
    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        root: Artifacts,
        namespace: Namespace,
        lookout: Lookout,
        display: Display,
        jobs: dict[str, StageJob],
        revision: int,
    ) -> None:
        self._experiment, self._settings = experiment, settings
        self._root, self._study = root, root.under(experiment.study_name)
        self._namespace, self._lookout, self._display = namespace, lookout, display
        self._jobs, self._revision = jobs, revision
        self._engine = connect(settings.database_url, settings.database_timeout_seconds)
        self._storage: FencedStorage | None = None  # not before there are tables
        self._cached: BaseStorage | None = None
        self._looked_at_epochs = 0.0
        self._idle_since: float | None = None

    def close(self) -> None:
        self._engine.dispose()
        if self._storage is not None:
            self._storage.engine.dispose()

    def take_over(self, owner: str) -> None:
        """The owner gets this revision's pipeline, too: after a refused upgrade Helm's newest manifest names another
        one, and an uninstall would leave it.
        """
        self._owner = self._with_api(lambda: self._namespace.owner_reference(owner))
        self._with_api(self._lookout.look)
        for job in self._lookout.jobs("pipeline"):
            name = job["metadata"]["name"]
            if name.endswith(f"-{self._revision}") and "ownerReferences" not in job["metadata"]:
                self._with_api(lambda name=name: self._namespace.adopt_job(name, self._owner))  # type: ignore[misc]

    def to_the_end(self) -> None:
        self._finish("prepare", self._is_prepared)
        self._sweep()
        best = best_trial(self._experiment, self._ask(self._status))
        self._looked_at_epochs = time.monotonic()  # what a former training left is removed first
        self._finish("final-train", lambda: trained_trial(self._study) == best.number, self._show_final_training)
        self._finish("evaluate", lambda: self._study.exists(MANIFEST))
        self._verify()
        self._display.result(self._study)

    # One stage.

    def _finish(self, stage: str, is_done: Callable[[], bool], show: Callable[[], None] = lambda: None) -> None:
        """Runs the stage's Job unless what it is to bring about is there."""
        if self._ask(is_done):
            log.info("stage %s is done", stage)
            return
        self._clear_way(stage)
        job, created = self._jobs[stage], False
        log.info("stage %s: job %s", stage, job.name())
        started = time.monotonic()
        while True:
            self._with_api(self._lookout.look)
            found = self._find(job)
            state = None if found is None else job_state(found)
            if found is None:
                if created and self._ask(is_done):  # it has ended and been removed meanwhile
                    break
                self._create(job)
                created = True
            elif state in ("complete", "failed"):
                if self._ask(is_done):
                    break
                if state == "failed":
                    raise StageFailed(self._why(stage, found))
                raise StageFailed(f"job {job.name()} is complete, but the study is not as it would have left it")
            elif "Succeeded" in self._lookout.phases(found) and self._ask(is_done):
                break  # the Job will say so in a moment
            else:
                show()
            _pause()
        log.info("stage %s: done in %.0f s", stage, time.monotonic() - started)

    def _clear_way(self, stage: str) -> None:
        """Removes the Jobs that stand in this stage's way, and those that work on a result which it is going to
        change. Workers are left to go on: trials that are added are theirs, too.
        """
        former = [job for job in self._lookout.jobs(stage) if self._is_in_the_way(stage, job)]
        for later in STAGES[STAGES.index(stage) + 1 :]:
            if later != "sweep":
                former += filter(is_live, self._lookout.jobs(later))
        names = {job["metadata"]["name"] for job in former}
        for name in names:
            log.info("job %s is removed, since the release has changed or what it did is gone", name)
            self._with_api(lambda name=name: self._namespace.delete_job(name))  # type: ignore[misc]
        while names & {job["metadata"]["name"] for some in STAGES for job in self._lookout.jobs(some)}:
            _pause()
            self._with_api(self._lookout.look)

    def _is_in_the_way(self, stage: str, job: Object) -> bool:
        """Whether a former Job of the stage is another than is wanted now, or has ended in vain."""
        if stage == "sweep" and not is_live(job):
            return False  # what it did is in the slots
        if job["metadata"]["labels"].get(SPEC) != self._jobs[stage].spec_hash:
            return True
        stands = job_state(job) == "failed" and self._is_of_now(job)  # its failure is this revision's
        return not (is_live(job) or stands)

    def _is_of_now(self, job: Object) -> bool:
        return bool(job["metadata"].get("annotations", {}).get(REVISION) == str(self._revision))

    def _create(self, job: StageJob, round_: int = 1, workers: int | None = None) -> None:
        manifest = job.build(self._owner, self._revision, round_, workers)
        self._with_api(lambda: self._namespace.create_job(manifest))

    def _find(self, job: StageJob) -> Object | None:
        return next((found for found in self._lookout.jobs(job.stage) if found["metadata"]["name"] == job.name()), None)

    def _why(self, stage: str, job: Object) -> str:
        """Why a Job has failed, in the words of the container if it had any."""
        name, (reason, message) = job["metadata"]["name"], failure_reason(job)
        words = self._lookout.last_words(job)
        if reason == "DeadlineExceeded":
            return f"stage {stage}: job {name} ran longer than it may (activeDeadlineSeconds)"
        if words is None:
            return f"stage {stage}: job {name} failed: {message or reason}"
        code, said = words
        return f"stage {stage}: job {name} failed with exit code {code}: {said or message}"

    # Prepare.

    def _is_prepared(self) -> bool:
        """Whether database and artifacts hold all that `prepare` leaves for this very experiment.

        Raises ConfigurationError where they hold another one.
        """
        check_study(self._experiment, self._settings)
        check_result(self._experiment, self._study)
        if stored_experiment(self._engine, self._experiment.study_name) != self._experiment:
            return False
        if not self._study.exists(EXPERIMENT) or not dataset_is_stored(self._root, self._experiment.study_name):
            return False
        if parse_experiment(self._study.read_text(EXPERIMENT)) != self._experiment:
            return False
        with self._engine.connect() as connection:
            return len(read_slots(connection, self._experiment.study_name)) >= self._experiment.sweep.trials

    # Sweep.

    def _sweep(self) -> None:
        """Keeps workers at it until every trial is settled."""
        status = self._ask(self._status)
        if not status.unsettled:
            log.info("stage sweep is done: %s", status.line())
            return
        self._clear_way("sweep")
        log.info("stage sweep: %s", status.line())
        settled_before, fruitless = -1, 0
        while True:
            status = self._ask(self._status)
            self._display.sweep(status, self._experiment.sweep.epochs)
            if not status.unsettled:
                break
            self._with_api(self._lookout.look)
            jobs = self._lookout.jobs("sweep")
            if not any(is_live(job) for job in jobs) or self._nobody_works(jobs, status):
                self._check_failed(jobs)
                free = self._ask(lambda: claimable(self._engine, self._experiment.study_name))
                if free:  # else a lease has to run out first
                    fruitless = fruitless + 1 if status.settled == settled_before else 0
                    if fruitless >= FRUITLESS_ROUNDS:
                        why = f"; {self._why('sweep', jobs[-1])}" if jobs and job_state(jobs[-1]) == "failed" else ""
                        raise StageFailed(f"{fruitless} sweep Jobs in a row settled no trial ({status.line()}){why}")
                    settled_before = status.settled
                    self._top_up(free, 1 + max((round_of(job) for job in jobs), default=0))
            _pause()
        log.info("%s", status.line())
        self._let_workers_leave()

    def _top_up(self, free: int, round_: int) -> None:
        job = self._jobs["sweep"]
        workers = min(job.workers, -(-free // job.processes))
        log.info("job %s: %d workers for %d trials", job.name(round_), workers, free)
        self._create(job, round_, workers)

    def _nobody_works(self, jobs: list[Object], status: SweepStatus) -> bool:
        """Whether workers run and none has held a trial for two leases: they hang, and those that could have taken
        over had left before the leases ran out.
        """
        phases = [phase for job in jobs if is_live(job) for phase in self._lookout.phases(job)]
        held = any(trial.lease_left is not None and trial.lease_left > 0 for trial in status.running)
        if held or "Running" not in phases or "Pending" in phases:
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or time.monotonic()
        idle = time.monotonic() - self._idle_since
        if idle < 2 * self._settings.lease_seconds:
            return False
        log.warning("workers run, but none has held a trial for %.0f s: others are to take over", idle)
        self._idle_since = None
        return True

    def _check_failed(self, jobs: list[Object]) -> None:
        """Raises StageFailed if a Job of this revision failed in a way that another would fail in, too."""
        for job in jobs:
            if self._is_of_now(job) and job_state(job) == "failed" and failure_reason(job)[0] in FINAL_REASONS:
                raise StageFailed(self._why("sweep", job))

    def _let_workers_leave(self) -> None:
        """Workers leave by themselves. Those that never got a place, or hang, are not needed any more."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while staying := [job for job in self._lookout.jobs("sweep") if is_live(job) and self._has_workers(job)]:
            if time.monotonic() > deadline:
                for job in staying:
                    name = job["metadata"]["name"]
                    log.info("job %s is removed: no trial is left for its workers", name)
                    self._with_api(lambda name=name: self._namespace.delete_job(name))  # type: ignore[misc]
                return
            _pause()
            self._with_api(self._lookout.look)

    def _has_workers(self, job: Object) -> bool:
        return not {"Succeeded", "Failed"}.issuperset(self._lookout.phases(job))

    def _status(self) -> SweepStatus:
        if self._storage is None or self._cached is None:
            self._storage = FencedStorage(self._settings.database_url, self._settings.database_timeout_seconds)
            self._cached = get_storage(self._storage)
        return sweep_status(self._engine, self._cached, self._experiment.study_name)

    # Final training and evaluation.

    def _show_final_training(self) -> None:
        if time.monotonic() - self._looked_at_epochs < PROGRESS_SECONDS:
            return
        self._looked_at_epochs = time.monotonic()
        epochs = self._ask(lambda: read_epochs(self._study) if self._study.exists(EPOCHS) else [])
        if epochs:
            last = epochs[-1]
            self._display.final_training(last.epoch, self._experiment.final_train.epochs, last.validation_accuracy)

    def _verify(self) -> None:
        manifest = self._ask(lambda: read_manifest(self._study))
        faults = verify(self._study, manifest, self._ask, self._beat)
        if faults:
            raise StageFailed(
                f"{self._study.location}: {len(faults)} objects are not as the manifest says: {faults[0]}"
            )
        size = decimal(sum(entry.size for entry in manifest.objects.values()))
        log.info("verified: %d objects, %s, all as the manifest says", len(manifest.objects), size)

    # Services that may be away.

    def _ask(self, action: Callable[[], T], /) -> T:
        """Of the database or the artifacts."""
        place = f"{database_place(self._settings.database_url)} or {self._root.location}"
        return patiently(action, place=place, deadline_seconds=self._settings.outage_deadline_seconds, beat=self._beat)

    def _with_api(self, action: Callable[[], T]) -> T:
        return patiently(
            action, place=self._namespace.location, deadline_seconds=self._settings.outage_deadline_seconds
        )

    def _beat(self) -> None:
        """While a service is waited for, its own pod may be what is wrong."""
        interrupt.check()
        self._lookout.look_now_and_then()


def _pause() -> None:
    until = time.monotonic() + POLL_SECONDS
    while (left := until - time.monotonic()) > 0:
        interrupt.check()
        time.sleep(min(left, 0.2))
