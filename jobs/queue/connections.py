"""Connections to the database: SQLite for one machine, PostgreSQL for a cluster."""

import contextlib
import select
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event

from jobs.runtime.database_url import engine_url, is_sqlite, libpq_parameters

SQLITE_BUSY_SECONDS = 60
TIMEOUT_SECONDS = 10.0  # for one statement, unless the settings say otherwise
LOCK = 0x7265736E6574  # "resnet" in ASCII: the advisory lock under which tables and sweeps are created


def connect(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Engine:
    """An engine of one connection.

    Args:
        url: `sqlite:///file`, or whatever libpq takes: `postgresql://user:password@host:port/database?sslmode=…`,
            or `host=… dbname=…`.
        timeout_seconds: after which an unanswered statement or connection counts as an outage.

    Raises:
        ValueError: neither of these.

    """
    engine = sa.create_engine(engine_url(url), **engine_options(url, timeout_seconds))
    configure(engine, timeout_seconds)
    return engine


def engine_options(url: str, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}  # no ping before use: whatever fails is tried again
    if is_sqlite(url):
        options["connect_args"] = {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
        options["poolclass"] = sa.pool.QueuePool
    else:
        options["connect_args"] = libpq_parameters(url) | {"connection_factory": _connection_class(timeout_seconds)}
        options["pool_timeout"] = timeout_seconds
        options["use_native_hstore"] = False  # else SQLAlchemy asks for it with a query
    return options


def configure(engine: Engine, timeout_seconds: float) -> None:
    """Sets time limits for every connection, so that neither a frozen server nor a frozen client blocks the others."""
    if engine.dialect.name == "sqlite":
        _use_immediate_transactions(engine)
        return
    limit = max(int(timeout_seconds * 1000), 1)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}")
        connection.commit()


@contextlib.contextmanager
def exclusive(engine: Engine) -> Iterator[None]:
    """Lets one process at a time create tables and sweeps. With SQLite only one process does."""
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.select(sa.func.pg_advisory_lock(LOCK)))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))


def _use_immediate_transactions(engine: Engine) -> None:
    """Makes every transaction take SQLite's write lock as it begins.

    A transaction that reads first and writes then would fail at once if another process had written in between.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else the driver begins deferred transactions of its own
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _connection_class(timeout_seconds: float) -> type[Any]:
    """A class of connections that give up on a server that is silent for so long; libpq would wait forever."""
    from psycopg2 import extensions  # noqa: PLC0415

    class TimedConnection(extensions.connection):
        silence_seconds = timeout_seconds

    extensions.set_wait_callback(_wait)
    return TimedConnection


def _wait(connection: Any) -> None:
    """psycopg2 calls this whenever it waits for the server."""
    from psycopg2 import OperationalError  # noqa: PLC0415
    from psycopg2.extensions import POLL_OK, POLL_READ  # noqa: PLC0415

    seconds = getattr(connection, "silence_seconds", TIMEOUT_SECONDS)
    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not poller.poll(seconds * 1000):
            raise OperationalError(f"no answer within {seconds:g} s")
