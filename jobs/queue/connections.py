"""Connections to the database: SQLite for one machine, PostgreSQL for a cluster.

Nothing is set for a whole session of PostgreSQL. Behind a pooler, such as PgBouncer in transaction mode, a session
belongs to whoever has the next transaction in it.
"""

import contextlib
import os
import select
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from jobs.queue.database_errors import READ_ONLY, Unsuitable, error_code
from jobs.queue.tables import schema
from jobs.runtime.database_url import engine_url, is_sqlite, libpq_parameters, sqlite_file

SQLITE_BUSY_SECONDS = 60
TIMEOUT_SECONDS = 10.0  # for one statement, unless the settings say otherwise
EXCLUSIVE_SECONDS = 600  # for which `exclusive` may be held, at most
ENCODING = "UTF8"


def connect(url: str, timeout_seconds: float = TIMEOUT_SECONDS, *, read_only: bool = False) -> Engine:
    """An engine of one connection.

    Args:
        url: `sqlite:///file`, or whatever libpq takes: `postgresql://user:password@host:port/database?sslmode=…`,
            or `host=… dbname=…`.
        timeout_seconds: after which an unanswered statement or connection counts as an outage.
        read_only: SQLite neither changes the file nor makes others beside it.

    Raises:
        ValueError: neither of these.

    """
    engine = sa.create_engine(engine_url(url), **engine_options(url, timeout_seconds, read_only=read_only))
    if is_sqlite(url):
        _use_own_transactions(engine, read_only=read_only)
    else:
        _limit_transactions(engine, timeout_seconds)
        event.listen(engine, "connect", _check_encoding)
        event.listen(engine, "handle_error", _give_up_read_only)
    return engine


def engine_options(url: str, timeout_seconds: float, *, read_only: bool = False) -> dict[str, Any]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}  # no ping before use: whatever fails is tried again
    if is_sqlite(url):
        file = sqlite_file(url).absolute()
        if read_only:
            return {"poolclass": sa.pool.NullPool, "creator": lambda: open_file(file, without_writing(file))}
        options["creator"] = lambda: open_file(file, "mode=rwc")
        options["poolclass"] = sa.pool.QueuePool
    else:
        parameters = libpq_parameters(url) | {"client_encoding": ENCODING}
        options["connect_args"] = parameters | {"connection_factory": _connection_class(timeout_seconds)}
        options["pool_timeout"] = timeout_seconds
        options["use_native_hstore"] = False  # else SQLAlchemy asks for it with a query
    return options


@contextlib.contextmanager
def exclusive(engine: Engine) -> Iterator[None]:
    """Lets one process at a time create tables and sweeps. With SQLite only one process does.

    Whoever may only read cannot take this lock, as it could an advisory lock.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    _make_lock(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{EXCLUSIVE_SECONDS}s'")
        connection.exec_driver_sql(f"LOCK TABLE {schema.name} IN SHARE UPDATE EXCLUSIVE MODE")
        yield


def _make_lock(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            schema.create(connection, checkfirst=True)
    except sa.exc.DBAPIError:  # PostgreSQL has several errors for what another process has made meanwhile
        if not sa.inspect(engine).has_table(schema.name):
            raise


def _limit_transactions(engine: Engine, timeout_seconds: float) -> None:
    """Sets time limits for every transaction, so that neither a frozen server nor a frozen client blocks the others."""
    limit = max(int(timeout_seconds * 1000), 1)
    limits = f"SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}"

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(limits)


def _check_encoding(connection: Any, _record: Any) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise Unsuitable(f"its encoding is {encoding}; it has to be {ENCODING}, see CREATE DATABASE … ENCODING")


def _give_up_read_only(context: ExceptionContext) -> None:
    """The next try connects anew and may find the primary that writes; this server may never be it again."""
    if context.original_exception is not None and error_code(context.original_exception) == READ_ONLY:
        context.is_disconnect = True


def _use_own_transactions(engine: Engine, *, read_only: bool) -> None:
    """Makes every transaction that may write take SQLite's write lock as it begins.

    A transaction that reads first and writes then would fail at once if another process had written in between.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else the driver begins deferred transactions of its own
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def open_file(file: Path, mode: str) -> sqlite3.Connection:
    connection: sqlite3.Connection = sqlite3.connect(
        f"file://{quote(os.fsencode(file))}?{mode}", uri=True, timeout=SQLITE_BUSY_SECONDS, check_same_thread=False
    )
    return connection


def without_writing(file: Path) -> str:
    """How SQLite opens the file so that it writes nothing.

    To read a file that is written to (WAL), SQLite needs others beside it, which it makes if they are missing. Where
    they are, nobody has the file open, and all there is stands in it.
    """
    log = Path(f"{file}-wal")
    in_use = log.exists() and log.stat().st_size > 0
    return "mode=ro" if in_use else "mode=ro&immutable=1"


def _connection_class(timeout_seconds: float) -> type[Any]:
    """A class of connections that give up on a server that is silent for so long; libpq would wait forever."""
    from psycopg2 import extensions  # noqa: PLC0415

    class TimedConnection(extensions.connection):
        silence_seconds = timeout_seconds

    extensions.set_wait_callback(_wait)
    return TimedConnection


def _wait(connection: Any) -> None:
    """psycopg2 calls this whenever it waits for the server, also for connections of others in this process."""
    from psycopg2 import OperationalError  # noqa: PLC0415
    from psycopg2.extensions import POLL_OK, POLL_READ  # noqa: PLC0415

    seconds = getattr(connection, "silence_seconds", None)
    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not poller.poll(None if seconds is None else seconds * 1000):
            raise OperationalError(f"no answer within {seconds:g} s")
