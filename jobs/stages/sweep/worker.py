"""A worker: claims slot after slot and runs their trials."""

import logging
import random
import time
from collections.abc import Callable

from sqlalchemy import Connection

from jobs.artifacts import Artifacts, WaitingArtifacts
from jobs.artifacts.checkpoints import remove_settled
from jobs.experiment.confirmation import CONFIRM, confirmation
from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.compatibility import check_prepared
from jobs.queue.confirmations import cancel_unbegun, open_confirmations
from jobs.queue.connections import connect
from jobs.queue.database import Database
from jobs.queue.lease import Lease
from jobs.queue.ledger import read_usage
from jobs.queue.slots import read_slots
from jobs.queue.standstill import trials_since_rise
from jobs.queue.status_reader import read_trials
from jobs.runtime import interrupt, logs
from jobs.runtime.errors import Failure
from jobs.runtime.identity import owner_identity
from jobs.runtime.retry import OutageTooLong, Patience
from jobs.runtime.settings import Settings
from jobs.stages.sweep.attempt import Attempt, Train, Workplace

log = logging.getLogger(__name__)

TIDY_SECONDS = 30
POLL_SECONDS = 1  # while it waits for others to finish the last trials
FAILED_IN_A_ROW = 3  # different trials, none settled meanwhile, after which the fault is taken to be the worker's
NOW = Patience(0)
GIVING_BACK = Patience(5, lambda: None)  # a process that was asked to end does not wait longer


class WorkerBroken(Failure):
    """Nothing that this worker claims can be run here."""


class Worker:
    """Runs trials, then confirmations, until no slot is left to claim, through every outage shorter than the deadline.

    It has two connections to the database: one that Optuna shares with the slots, one that renews the lease.
    """

    def __init__(self, experiment: Experiment, settings: Settings, artifacts: Artifacts, gpus: float = 0) -> None:
        self.owner = owner_identity(settings.job_completion_index)
        logs.add_context(worker=self.owner)
        self._tidied = time.monotonic()
        self._failed: set[tuple[str, int]] = set()  # study and slot of what has failed here since one was settled here
        self._settings, self._gpus, self._sweep = settings, gpus, experiment.sweep
        artifacts = WaitingArtifacts(artifacts, Patience(settings.outage_deadline_seconds))
        self._database = Database.of(settings)
        check_prepared(experiment, self._database, artifacts)
        self._lease_engine = connect(settings.database_url, settings.database_timeout_seconds)
        self._trials = Workplace(experiment, settings, artifacts, self._database)
        confirming, beside = confirmation(experiment), artifacts.under(CONFIRM)
        self._confirmations = Workplace(confirming, settings, beside, self._database, "confirmation")
        self._places = {place.study: place for place in (self._trials, self._confirmations)}
        self._waits = False

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
            self._end_at_standstill()
            claimed = self._claim()
            if claimed is not None:
                self.run(*claimed, train)
            elif not self._may_claim_soon():
                log.info("no slot left to claim")
                self._tidy_in_turn()
                return

    def close(self) -> None:
        """Ends the connections."""
        self._lease_engine.dispose()
        self._database.close()

    @logs.context()
    def run(self, held: Claim, claimed_at: float, train: Train) -> None:
        """Runs the trial or confirmation of a claimed slot until it is settled, given back or lost."""
        logs.add_context(study=held.study)
        with Lease(self._lease_engine, held, self._settings, claimed_at) as lease:
            try:
                settled = Attempt(self._places[held.study], held, lease).to_the_end(train)
                self._failed = set() if settled else self._failed | {(held.study, held.slot)}
            except LeaseLost as lost:
                log.warning("%s; the trial is dropped", lost)
            except (interrupt.Interrupted, Failure):
                self._give_back(held)
                raise
        if len(self._failed) >= FAILED_IN_A_ROW:
            slots = ", ".join(str(slot) for _study, slot in sorted(self._failed))
            raise WorkerBroken(
                f"{len(self._failed)} different trials failed here in a row and none was settled (slots {slots}), so "
                "that the fault is taken to be this worker's or its node's; the errors are above"
            )
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidy_in_turn()

    def _claim(self) -> tuple[Claim, float] | None:
        """A claim, and the time by this process's clock at which it was asked for."""

        def claim(connection: Connection) -> tuple[Claim, float] | None:
            asked = time.monotonic()
            for study in self._places:
                held = claims.claim(connection, study, self.owner, self._settings.lease_seconds, self._gpus)
                if held is not None:
                    return held, asked
            return None

        return self._database.write(claim)

    def _may_claim_soon(self) -> bool:
        """Waits a moment, or opens the confirmations; returns False where nothing will be left for this worker.

        While trials run, it is of use only if more confirmations wait than those who run them can begin.
        """

        def count(connection: Connection) -> tuple[int, int]:
            waiting = claims.count_unknown(connection, self._confirmations.study)
            return claims.count_unsettled(connection, self._trials.study) if waiting else 0, waiting

        unsettled, waiting = self._database.read(count)
        if waiting <= unsettled:
            return False
        if not unsettled:
            open_confirmations(self._database, self._trials.study, self.owner)
            return True
        if not self._waits:
            log.info("waiting for the last trials, which others run; the confirmations begin then")
            self._waits = True
        interrupt.pause(POLL_SECONDS)
        return True

    def _give_back(self, held: Claim) -> None:
        try:
            self._database.waiting(GIVING_BACK).write(lambda connection: claims.give_back(connection, held))
        except Failure as error:
            log.warning("slot %d is not given back, its lease will run out: %s", held.slot, error)

    def _end_at_ceiling(self) -> None:
        """Begins no more trials once the sweep has had its hours."""
        if self._sweep.max_hours is None and self._sweep.max_gpu_hours is None:
            return
        usage = self._database.read(lambda connection: read_usage(connection, self._trials.study))
        for key, limit, used in (
            ("sweep.maxHours", self._sweep.max_hours, usage.hours),
            ("sweep.maxGpuHours", self._sweep.max_gpu_hours, usage.gpu_hours),
        ):
            if limit is not None and used >= limit:
                self._cancel_unbegun(f"{key}={limit:g} reached")

    def _end_at_standstill(self) -> None:
        """Begins no more trials once nothing better is found; what is best by then is confirmed."""
        stop, study = self._sweep.stop, self._trials.study
        if stop is None:
            return
        since = trials_since_rise(read_trials(self._database, study), stop.min_delta)
        if since >= stop.patience:
            reason = f"sweep.stop.patience={stop.patience} reached: nothing better in the last {since} trials"
            self._cancel(lambda connection: claims.cancel_unbegun(connection, study, self.owner, reason), reason)

    def _cancel_unbegun(self, reason: str) -> None:
        study = self._trials.study
        self._cancel(lambda connection: cancel_unbegun(connection, study, self.owner, reason), reason)

    def _cancel(self, cancel: Callable[[Connection], int], reason: str) -> None:
        cancelled = self._database.write(cancel)
        if cancelled:
            log.warning("%s: %d trials are not begun any more", reason, cancelled)

    def _tidy_in_turn(self) -> None:
        """Tidies with one chance in as many workers as there are, since it reads the names of all that all have stored.

        The last one of all is sure to. During an outage all is left for the next time.
        """
        self._tidied, database = time.monotonic(), self._database.waiting(NOW)
        try:
            others = database.read(self._count_running)
            if random.random() * (1 + others) < 1:
                self._tidy(database)
        except OutageTooLong as error:
            log.warning("checkpoints of settled trials are left for later: %s", error)

    def _count_running(self, connection: Connection) -> int:
        return sum(claims.count_running(connection, study) for study in self._places)

    def _tidy(self, database: Database) -> None:
        """Removes checkpoints that nobody needs any more."""
        remove_settled(self._trials.artifacts.waiting(NOW), read_trials(database, self._trials.study))
        if database.read(lambda connection: read_slots(connection, self._confirmations.study)):
            confirmed = read_trials(database, self._confirmations.study)
            remove_settled(self._confirmations.artifacts.waiting(NOW), confirmed, keep_best=False)
