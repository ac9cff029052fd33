"""A worker: claims slot after slot and runs their trials."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.storages import get_storage
from sqlalchemy import Engine

from jobs.artifacts import Artifacts
from jobs.artifacts.checkpoints import remove_settled
from jobs.experiment.experiment import Experiment
from jobs.queue import claims
from jobs.queue.claims import Claim, LeaseLost
from jobs.queue.compatibility import check_prepared
from jobs.queue.connections import connect
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.lease import Lease
from jobs.queue.ledger import read_usage
from jobs.runtime import interrupt, logs
from jobs.runtime.database_url import database_place
from jobs.runtime.errors import Failure
from jobs.runtime.retry import is_outage, patiently
from jobs.runtime.settings import Settings, owner_identity
from jobs.stages.sweep.trial import TrialRun, Workplace

log = logging.getLogger(__name__)

T = TypeVar("T")

TIDY_SECONDS = 30
GIVE_BACK_SECONDS = 5  # how long an ending process tries to give its slot back


class Worker:
    """Runs trials until no slot is left to claim, through every outage shorter than the deadline.

    It has two connections to the database: one that Optuna shares with the slots, one that renews the lease.
    """

    def __init__(self, experiment: Experiment, settings: Settings, artifacts: Artifacts, gpus: float = 0) -> None:
        self.owner = owner_identity()
        logs.add_context(worker=self.owner)
        self._tidied = time.monotonic()
        self._settings, self._gpus = settings, gpus
        self._sweep, self._study_name = experiment.sweep, experiment.study_name
        self._lease_engine = connect(settings.database_url, settings.database_timeout_seconds)
        place = database_place(settings.database_url)
        self._with_database(lambda: check_prepared(self._lease_engine, experiment, place))
        self._storage = self._with_database(
            lambda: FencedStorage(settings.database_url, settings.database_timeout_seconds)
        )
        self._place = Workplace(experiment, settings, artifacts, self._storage, get_storage(self._storage))

    @property
    def engine(self) -> Engine:
        return self._storage.engine

    def work(self, body: Callable[[TrialRun], None]) -> None:
        """Claims and runs until nothing is left.

        Raises:
            Interrupted: the process was asked to end; the slot it held is free again.
            Failure: a service was away for longer than OUTAGE_DEADLINE_SECONDS, or will not have this process.

        """
        while True:
            interrupt.check()
            self._with_database(self._end_at_ceiling)
            claimed = self._with_database(self._claim)
            if claimed is None:
                log.info("no slot left to claim")
                self._tidy()
                return
            self.run(*claimed, body)

    def close(self) -> None:
        """Ends the connections."""
        for engine in (self._lease_engine, self._storage.engine):
            engine.dispose()

    @logs.context()
    def run(self, held: Claim, claimed_at: float, body: Callable[[TrialRun], None]) -> None:
        """Runs the trial of a claimed slot until it is settled, given back or lost."""
        self._storage.held = held
        try:
            with Lease(self._lease_engine, held, self._settings, claimed_at) as lease:
                try:
                    TrialRun(self._place, held, lease).to_the_end(body)
                except LeaseLost as lost:
                    log.warning("%s; the trial is dropped", lost)
                except (interrupt.Interrupted, Failure):
                    self._give_back(held)
                    raise
        finally:
            self._storage.held = None
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidy()

    def _claim(self) -> tuple[Claim, float] | None:
        claimed_at = time.monotonic()
        held = claims.claim(self.engine, self._study_name, self.owner, self._settings.lease_seconds, self._gpus)
        return None if held is None else (held, claimed_at)

    def _give_back(self, held: Claim) -> None:
        try:
            patiently(
                lambda: claims.give_back(self.engine, held),
                place=database_place(self._settings.database_url),
                deadline_seconds=GIVE_BACK_SECONDS,
                beat=lambda: None,
            )
        except Failure as error:
            log.warning("slot %d is not given back, its lease will run out: %s", held.slot, error)

    def _end_at_ceiling(self) -> None:
        """Begins no more trials once the sweep has had its hours."""
        if self._sweep.max_hours is None and self._sweep.max_gpu_hours is None:
            return
        with self.engine.connect() as connection:
            usage = read_usage(connection, self._study_name)
        for key, limit, used in (
            ("sweep.maxHours", self._sweep.max_hours, usage.hours),
            ("sweep.maxGpuHours", self._sweep.max_gpu_hours, usage.gpu_hours),
        ):
            if limit is not None and used >= limit:
                reason = f"{key}={limit:g} reached"
                cancelled = claims.cancel_unbegun(self.engine, self._study_name, self.owner, reason)
                if cancelled:
                    log.warning("%s: %d trials are not begun any more", reason, cancelled)

    def _tidy(self) -> None:
        """Removes checkpoints that nobody needs; what is not reached now is removed the next time."""
        self._tidied = time.monotonic()
        try:
            study_id = self._storage.get_study_id_from_name(self._study_name)
            remove_settled(self._place.artifacts, self._place.cached.get_all_trials(study_id, deepcopy=False))
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("checkpoints of settled trials are left for later: %s", error)

    def _with_database(self, action: Callable[[], T]) -> T:
        return patiently(
            action,
            place=database_place(self._settings.database_url),
            deadline_seconds=self._settings.outage_deadline_seconds,
        )
