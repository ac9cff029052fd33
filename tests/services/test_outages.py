"""Databases that are away, full or silent, and the limits of a session."""

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg2 import OperationalError, extensions
from psycopg2 import connect as plain_connect

from jobs.artifacts import FolderArtifacts
from jobs.queue import claims
from jobs.queue.connections import connect
from jobs.queue.database import Database
from jobs.queue.database_errors import DatabaseUnreachable, database_errors
from jobs.runtime.retry import OutageTooLong, Patience
from jobs.stages import prepare
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.place import Place
from tests.support.postgres import PASSWORD, Postgres, free_port
from tests.support.reporting import Reporting

FEW = 8  # connections that the small server takes


class Warned(logging.Handler):
    """Does something, once, when a process says that it waits."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._act, self.messages = act, list[str]()
        self._thread = threading.Thread(target=act)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == 1:
            self._thread.start()

    def __enter__(self) -> "Warned":
        logging.getLogger("jobs.runtime.retry").addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("jobs.runtime.retry").removeHandler(self)
        if self._thread.ident is not None:
            self._thread.join()


def test_host_that_does_not_answer_is_waited_for_until_the_deadline(place: Place) -> None:
    port = free_port()
    settings = reporting.place(place.url(port), place.folder, outage_deadline_seconds=0.5)
    started = time.monotonic()
    with pytest.raises(OutageTooLong) as raised:
        prepare.run(reporting.experiment(1, 1), settings, FolderArtifacts(place.folder))
    assert time.monotonic() - started > 0.5
    assert str(raised.value).startswith(f"database {place.database} at 127.0.0.1:{port}: not reached for ")
    assert "Connection refused" in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_server_that_comes_up_meanwhile_is_used(place: Place) -> None:
    sweep = reporting.experiment(3, 1)
    place.server.stop()
    with Warned(place.server.start) as warned:
        prepare.run(sweep, reporting.place(place.url(), place.folder), FolderArtifacts(place.folder))
    assert warned.messages
    assert len(place.rows(sweep)) == 3


@pytest.fixture(scope="module")
def small_server() -> Iterator[Postgres]:
    """A server that takes few connections."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.set("max_connections", str(FEW))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def test_server_without_a_connection_to_spare_is_waited_for(
    small_server: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = small_server.url(small_server.new_database())
    sweep, settings = reporting.experiment(2, 1), reporting.place(url, tmp_path)
    reporting.prepare(sweep, url)
    others: list[extensions.connection] = []
    with contextlib.suppress(OperationalError):
        while len(others) <= FEW:
            others.append(plain_connect(small_server.url("postgres")))
    assert 0 < len(others) <= FEW

    def leave() -> None:
        for other in others:
            other.close()

    with Warned(leave) as warned:
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(1, 0))
    assert "too many clients already" in warned.messages[0]
    Place(small_server, url.rpartition("/")[2], tmp_path).check(sweep)


@pytest.mark.parametrize(
    "engine_of",
    [connect, lambda url, seconds: Database(url, Patience(30), seconds).storage.engine],
    ids=["slots", "Optuna's"],
)
def test_every_session_of_a_worker_has_its_limits(place: Place, engine_of: Callable[[str, float], sa.Engine]) -> None:
    reporting.prepare(reporting.experiment(1, 1), place.url())
    engine = engine_of(place.url(), 2.5)
    with engine.connect() as connection:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            assert connection.scalar(sa.text(f"SELECT setting FROM pg_settings WHERE name = '{name}'")) == "2500"
    engine.dispose()


def test_statement_that_takes_too_long_is_ended_by_the_server(place: Place) -> None:
    engine = connect(place.url(), 5)
    with engine.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = 100"))  # before this side would give up on it
        with pytest.raises(DatabaseUnreachable, match="statement timeout"), database_errors("here"):
            connection.execute(sa.text("SELECT pg_sleep(60)"))
    engine.dispose()


def test_holder_of_a_lock_that_freezes_is_thrown_out(place: Place) -> None:
    """And finds that the connection is gone, which is an outage like any other."""
    sweep = reporting.experiment(1, 1)
    reporting.prepare(sweep, place.url())
    frozen, other = connect(place.url(), 0.5), connect(place.url(), 20)
    with frozen.connect() as held:
        held.execute(sa.select(claims.slots.c.fence).with_for_update())
        with other.begin() as connection:  # waits for the lock
            connection.execute(sa.update(claims.slots).values(fence=7))
        with pytest.raises(DatabaseUnreachable), database_errors("here"):
            held.execute(sa.text("SELECT 1"))
    with frozen.connect() as again:
        assert again.scalar(sa.select(claims.slots.c.fence)) == 7
    for engine in (frozen, other):
        engine.dispose()


def test_server_that_falls_silent_is_given_up_after_the_same_time(place: Place) -> None:
    engine = connect(place.url(), 0.5)
    with engine.connect() as connection:
        silence = pytest.raises(DatabaseUnreachable, match=r"no answer within 0\.5 s")
        with place.server.frozen(), silence, database_errors("here"):
            connection.execute(sa.text("SELECT 1"))
    engine.dispose()
