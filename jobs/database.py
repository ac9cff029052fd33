"""Connections to the database that holds the study and its slots."""

from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from jobs.slots import Claim, SlotState, attach_trial, check_fence, settle

SQLITE_BUSY_SECONDS = 60


def connect(url: str) -> Engine:
    """An engine of one connection."""
    engine = sa.create_engine(url, **_engine_options(url))
    _use_immediate_transactions(engine)
    return engine


def create_tables(url: str) -> None:
    """Optuna's tables; ours come with the slots. Optuna takes two connections for this."""
    storage = RDBStorage(_literal(url))
    storage.engine.dispose()


class FencedStorage(RDBStorage):
    """Optuna's storage, in which every transaction also proves that the slot is still this process's.

    While a claim is held, a transaction that would commit after somebody else took the slot raises LeaseLost and
    leaves nothing behind. A trial's creation writes its id into the slot, and its end settles the slot, in the very
    transaction that Optuna does it in: there is no moment at which one is true and the other is not.
    """

    def __init__(self, url: str) -> None:
        super().__init__(
            _literal(url),
            engine_kwargs=_engine_options(url),
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
        _use_immediate_transactions(self.engine)
        self.held: Claim | None = None
        self.outcome: tuple[SlotState, str | None] | None = None
        event.listen(self.scoped_session, "after_flush", self._after_flush)
        event.listen(self.scoped_session, "before_commit", self._before_commit)

    def _after_flush(self, session: Session, _context: Any) -> None:
        if self.held is None:
            return
        for row in session.new:
            if isinstance(row, models.TrialModel):
                attach_trial(session.connection(), self.held, int(row.trial_id))
        for row in session.dirty:
            if isinstance(row, models.TrialModel) and row.state.is_finished():
                assert self.outcome is not None
                settle(session.connection(), self.held, *self.outcome)

    def _before_commit(self, session: Session) -> None:
        if self.held is not None:
            check_fence(session.connection(), self.held)


def _literal(url: str) -> str:
    """Optuna takes the URL for a format string."""
    return url.replace("{", "{{").replace("}", "}}")


def _engine_options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_pre_ping": True}
    if sa.make_url(url).get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
        options["poolclass"] = sa.pool.QueuePool
    return options


def _use_immediate_transactions(engine: Engine) -> None:
    """On SQLite every transaction takes the write lock as it begins: one that starts by reading and then writes
    fails at once, without waiting, when another process has written in between.
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin its own, deferred transactions
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


optuna.logging.set_verbosity(optuna.logging.WARNING)
