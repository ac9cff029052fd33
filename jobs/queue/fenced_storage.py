"""Optuna's storage, tied to the slots."""

import contextlib
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event
from sqlalchemy.orm import ORMExecuteState, Session, scoped_session, sessionmaker

from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.claims import attach_trial, check_fence, forget_crashes, settle
from jobs.queue.connections import TIMEOUT_SECONDS, engine_options
from jobs.queue.optuna_internals import TrialRow, ValueRow, trial_id
from jobs.queue.outcomes import Outcome
from jobs.runtime.database_url import engine_url


class FencedStorage(RDBStorage):
    """Optuna's storage, in which every transaction that writes first checks that its claim still holds.

    What is written `under` a claim first locks the row of its slot, until the transaction ends: a transaction that
    comes after somebody else took the slot raises LeaseLost and leaves nothing behind. A trial's creation writes its id
    into the slot, and its end settles the slot, in the same transaction as Optuna's own write: there is no moment at
    which one is true and the other is not.
    """

    def __init__(
        self, url: str, engine: Engine, timeout_seconds: float = TIMEOUT_SECONDS, *, read_only: bool = False
    ) -> None:
        """`engine` connects to the database of the url, with the limits of `jobs.queue.connections`."""
        super().__init__(
            engine_url(url),
            engine_kwargs=engine_options(url, timeout_seconds, read_only=read_only),
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
        self.engine.dispose()  # Optuna opens a connection of its own, which lacks our limits
        self.engine = engine
        self.scoped_session = scoped_session(sessionmaker(bind=engine))
        self._claim: Claim | None = None
        self._outcome: Outcome | None = None
        event.listen(self.scoped_session, "do_orm_execute", self._on_execute)
        event.listen(self.scoped_session, "before_flush", self._before_flush)
        event.listen(self.scoped_session, "after_flush", self._after_flush)

    @contextlib.contextmanager
    def under(self, claim: Claim, outcome: Outcome | None = None) -> Iterator[None]:
        """All writes in the block are made under the claim; a trial that ends there has this outcome."""
        assert self._claim is None, "one claim at a time"
        self._claim, self._outcome = claim, outcome
        try:
            yield
        finally:
            self._claim = self._outcome = None

    def is_running(self, trial_id: int) -> bool:
        """Whether Optuna has a trial of this id that has not ended."""
        with self.engine.connect() as connection:
            query = sa.select(TrialRow.state).where(TrialRow.trial_id == trial_id)
            return connection.scalar(query) is TrialState.RUNNING

    def write_missing(self, trial: FrozenTrial) -> None:
        """Writes what the trial has and the database has not, which may have failed over and forgotten some of it."""
        key, stored = trial_id(trial), self.get_trial(trial_id(trial))
        for name in trial.distributions.keys() - stored.distributions.keys():
            space = trial.distributions[name]
            self.set_trial_param(key, name, space.to_internal_repr(trial.params[name]), space)
        for name in trial.user_attrs.keys() - stored.user_attrs.keys():
            self.set_trial_user_attr(key, name, trial.user_attrs[name])
        for step in sorted(trial.intermediate_values.keys() - stored.intermediate_values.keys()):
            self.set_trial_intermediate_value(key, step, trial.intermediate_values[step])

    def check_trial_is_updatable(self, trial_id: int, trial_state: TrialState) -> None:
        """Optuna asks this before it writes. Under a claim, a finished trial was finished by somebody else."""
        if self._claim is not None and trial_state.is_finished():
            raise LeaseLost(f"slot {self._claim.slot}: somebody else has ended its trial")
        super().check_trial_is_updatable(trial_id, trial_state)

    # Not `before_commit`: SQLAlchemy sends that event before the session's last flush.

    def _on_execute(self, state: ORMExecuteState) -> None:
        if self._claim is not None and not state.is_select:
            check_fence(state.session.connection(), self._claim)

    def _before_flush(self, session: Session, _context: Any, _instances: Any) -> None:
        if self._claim is not None:
            check_fence(session.connection(), self._claim)

    def _after_flush(self, session: Session, _context: Any) -> None:
        if self._claim is None:
            return
        for row in session.new:
            if isinstance(row, TrialRow):
                attach_trial(session.connection(), self._claim, int(row.trial_id))
            elif isinstance(row, ValueRow) and self._claim.crashes:
                forget_crashes(session.connection(), self._claim)
        for row in session.dirty:
            if isinstance(row, TrialRow) and row.state.is_finished():
                assert self._outcome is not None
                settle(session.connection(), self._claim, self._outcome)


def create_tables(url: str) -> None:
    """Creates Optuna's tables, for which Optuna needs two connections."""
    options = engine_options(url, TIMEOUT_SECONDS)
    storage = RDBStorage(engine_url(url), engine_kwargs=options | {"max_overflow": 1})
    storage.engine.dispose()


optuna.logging.set_verbosity(optuna.logging.WARNING)
