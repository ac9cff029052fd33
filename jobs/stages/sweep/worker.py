"""A worker: claims slot after slot and runs their trials."""

import logging
import time

from sqlalchemy import Connection

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.checkpoints import remove_settled
from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.compatibility import check_prepared
from jobs.queue.connections import connect
from jobs.queue.database import Database
from jobs.queue.lease import Lease
from jobs.queue.ledger import read_usage
from jobs.queue.status import read_trials
from jobs.runtime import interrupt, logs
from jobs.runtime.errors import Failure
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import OutageTooLong, Patience
from jobs.runtime.settings import Settings
from jobs.stages.sweep.attempt import Attempt, Train, Workplace

log = logging.getLogger(__name__)

TIDY_SECONDS = 30
FAILED_IN_A_ROW = 3  # different trials, none settled meanwhile, after which the fault is taken to be the worker's
NOW = Patience(0)
GIVING_BACK = Patience(5, lambda: None)  # a process that was asked to end does not wait longer


class WorkerBroken(Failure):
    """Nothing that this worker claims can be run here."""


class Worker:
    """Runs trials until no slot is left to claim, through every outage shorter than the deadline.

    It has two connections to the database: one that Optuna shares with the slots, one that renews the lease.
    """

    def __init__(self, experiment: Experiment, settings: Settings, artifacts: Artifacts, gpus: float = 0) -> None:
        self.owner = owner_identity(settings.job_completion_index)
        logs.add_context(worker=self.owner)
        self._tidied = time.monotonic()
        self._failed: set[int] = set()  # slots whose trials have failed here since one was settled here
        self._settings, self._gpus = settings, gpus
        self._sweep, self._study_name = experiment.sweep, experiment.study_name
        self._artifacts = WaitingArtifacts(artifacts, Patience(settings.outage_deadline_seconds))
        self._database = Database.of(settings)
        check_prepared(experiment, self._database, self._artifacts)
        self._lease_engine = connect(settings.database_url, settings.database_timeout_seconds)
        self._place = Workplace(experiment, settings, self._artifacts, self._database)

    def work(self, train: Train) -> None:
        """Claims and runs until nothing is left.

        Raises:
            Interrupted: the process was asked to end; the slot it held is free again.
            DeviceFailed, WorkerBroken: nothing can be run here; the slots are free for others.
            Failure: a service was away for longer than OUTAGE_DEADLINE_SECONDS, or will not have this process.

        """
        while True:
            interrupt.check()
            self._end_at_ceiling()
            claimed = self._claim()
            if claimed is None:
                log.info("no slot left to claim")
                self._tidy()
                return
            self.run(*claimed, train)

    def close(self) -> None:
        """Ends the connections."""
        self._lease_engine.dispose()
        self._database.close()

    @logs.context()
    def run(self, held: Claim, claimed_at: float, train: Train) -> None:
        """Runs the trial of a claimed slot until it is settled, given back or lost."""
        with Lease(self._lease_engine, held, self._settings, claimed_at) as lease:
            try:
                settled = Attempt(self._place, held, lease).to_the_end(train)
                self._failed = set() if settled else self._failed | {held.slot}
            except LeaseLost as lost:
                log.warning("%s; the trial is dropped", lost)
            except (interrupt.Interrupted, Failure):
                self._give_back(held)
                raise
        if len(self._failed) >= FAILED_IN_A_ROW:
            slots = ", ".join(map(str, sorted(self._failed)))
            raise WorkerBroken(
                f"{len(self._failed)} different trials failed here in a row and none was settled (slots {slots}), so "
                "that the fault is taken to be this worker's or its node's; the errors are above"
            )
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidy()

    def _claim(self) -> tuple[Claim, float] | None:
        """A claim, and the time by this process's clock at which it was asked for."""

        def claim(connection: Connection) -> tuple[Claim, float] | None:
            asked = time.monotonic()
            held = claims.claim(connection, self._study_name, self.owner, self._settings.lease_seconds, self._gpus)
            return None if held is None else (held, asked)

        return self._database.write(claim)

    def _give_back(self, held: Claim) -> None:
        try:
            self._database.waiting(GIVING_BACK).write(lambda connection: claims.give_back(connection, held))
        except Failure as error:
            log.warning("slot %d is not given back, its lease will run out: %s", held.slot, error)

    def _end_at_ceiling(self) -> None:
        """Begins no more trials once the sweep has had its hours."""
        if self._sweep.max_hours is None and self._sweep.max_gpu_hours is None:
            return
        usage = self._database.read(lambda connection: read_usage(connection, self._study_name))
        for key, limit, used in (
            ("sweep.maxHours", self._sweep.max_hours, usage.hours),
            ("sweep.maxGpuHours", self._sweep.max_gpu_hours, usage.gpu_hours),
        ):
            if limit is not None and used >= limit:
                self._cancel_unbegun(f"{key}={limit:g} reached")

    def _cancel_unbegun(self, reason: str) -> None:
        cancelled = self._database.write(
            lambda connection: claims.cancel_unbegun(connection, self._study_name, self.owner, reason)
        )
        if cancelled:
            log.warning("%s: %d trials are not begun any more", reason, cancelled)

    def _tidy(self) -> None:
        """Removes checkpoints that nobody needs any more; during an outage they are left for the next time."""
        self._tidied = time.monotonic()
        try:
            remove_settled(self._artifacts.waiting(NOW), read_trials(self._database.waiting(NOW), self._study_name))
        except OutageTooLong as error:
            log.warning("checkpoints of settled trials are left for later: %s", error)
