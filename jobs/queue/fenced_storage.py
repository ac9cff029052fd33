"""Optuna's storage, tied to the slots."""

from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session

from jobs.queue.claims import Claim, LeaseLost, attach_trial, check_fence, forget_crashes, settle
from jobs.queue.connections import TIMEOUT_SECONDS, configure, engine_options
from jobs.queue.tables import SlotState
from jobs.runtime.database_url import engine_url


class FencedStorage(RDBStorage):
    """Optuna's storage, in which every transaction that writes also proves that the slot is still this process's.

    While a claim is held, the row of the slot is locked before anything is written, until the transaction ends: one
    that comes after somebody else took the slot raises LeaseLost and leaves nothing behind. A trial's creation writes
    its id into the slot, and its end settles the slot, in the very transaction that Optuna does it in: there is no
    moment at which one is true and the other is not.
    """

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__(
            _literal(engine_url(url)),
            engine_kwargs=engine_options(url, timeout_seconds),
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
        configure(self.engine, timeout_seconds)
        self.engine.dispose()  # Optuna has opened a connection, which was not configured
        self.held: Claim | None = None
        self.outcome: tuple[SlotState, str | None, str | None] | None = None  # state, message, traceback
        event.listen(self.scoped_session, "do_orm_execute", self._on_execute)
        event.listen(self.scoped_session, "before_flush", self._before_flush)
        event.listen(self.scoped_session, "after_flush", self._after_flush)

    def is_running(self, trial_id: int) -> bool:
        """Whether Optuna has a trial of this id, and has not seen it end."""
        with self.engine.connect() as connection:
            query = sa.select(models.TrialModel.state).where(models.TrialModel.trial_id == trial_id)
            return connection.scalar(query) is TrialState.RUNNING

    def check_trial_is_updatable(self, trial_id: int, trial_state: TrialState) -> None:
        """Optuna asks before it writes: a finished trial was finished by somebody else while a claim is held."""
        if self.held is not None and trial_state.is_finished():
            raise LeaseLost(f"slot {self.held.slot}: somebody else has ended its trial")
        super().check_trial_is_updatable(trial_id, trial_state)

    # Not `before_commit`: what a session has not flushed by then is written after that event.

    def _on_execute(self, state: ORMExecuteState) -> None:
        if self.held is not None and not state.is_select:
            check_fence(state.session.connection(), self.held)

    def _before_flush(self, session: Session, _context: Any, _instances: Any) -> None:
        if self.held is not None:
            check_fence(session.connection(), self.held)

    def _after_flush(self, session: Session, _context: Any) -> None:
        if self.held is None:
            return
        for row in session.new:
            if isinstance(row, models.TrialModel):
                attach_trial(session.connection(), self.held, int(row.trial_id))
            elif isinstance(row, models.TrialIntermediateValueModel) and self.held.crashes:
                forget_crashes(session.connection(), self.held)
        for row in session.dirty:
            if isinstance(row, models.TrialModel) and row.state.is_finished():
                assert self.outcome is not None
                settle(session.connection(), self.held, *self.outcome)


def create_tables(url: str) -> None:
    """Optuna's tables; it takes two connections for this."""
    options = engine_options(url, TIMEOUT_SECONDS)
    storage = RDBStorage(_literal(engine_url(url)), engine_kwargs=options | {"max_overflow": 1})
    storage.engine.dispose()


def _literal(url: str) -> str:
    """Optuna takes the URL for a format string."""
    return url.replace("{", "{{").replace("}", "}}")


optuna.logging.set_verbosity(optuna.logging.WARNING)
