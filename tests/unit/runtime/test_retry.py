import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from jobs.artifacts import ArtifactsRefused, ArtifactsUnreachable
from jobs.runtime.errors import Refused
from jobs.runtime.interrupt import Interrupted
from jobs.runtime.retry import NotAcknowledged, OutageTooLong, is_outage, patiently, refusal


def postgres_error(text: str, kind: type[psycopg2.Error] = psycopg2.OperationalError) -> Exception:
    return sa.exc.DBAPIError.instance("SELECT 1", {}, kind(text), psycopg2.Error)  # type: ignore[return-value]


def wrapped(error: Exception) -> Exception:
    """As Optuna's storage raises it."""
    outer = StorageInternalError("An exception is raised during the commit.")
    outer.__cause__ = error
    return outer


@contextlib.contextmanager
def locked(file: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield f"sqlite:///{file}"


def sqlite_error(url: str, statement: str = "SELECT 1") -> Exception:
    """What the database says to a statement that does not wait for locks."""
    engine = sa.create_engine(url, connect_args={"timeout": 0})
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x INTEGER PRIMARY KEY)")
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        return error
    finally:
        engine.dispose()
    raise AssertionError("nothing went wrong")


@pytest.mark.parametrize(
    "text",
    [
        'connection to server at "10.0.0.1", port 5432 failed: Connection refused',
        'could not translate host name "postgres" to address: Name or service not known',
        "server closed the connection unexpectedly",
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        'FATAL:  too many connections for role "sweep"',
        "FATAL:  terminating connection due to administrator command",
        "canceling statement due to statement timeout",
        'connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory',
        "server is not in hot standby mode",
        "no answer within 10 s",
    ],
)
def test_postgres_that_is_away_or_busy_is_an_outage(text: str) -> None:
    for error in (postgres_error(text), wrapped(postgres_error(text))):
        assert is_outage(error)
        assert refusal(error) is None


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "sweep"',
        'FATAL:  database "sweeps" does not exist',
        'FATAL:  role "sweep" does not exist',
        'FATAL:  role "sweep" is not permitted to log in',
        'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "sweep", database "sweeps", no encryption',
        'FATAL:  pg_hba.conf rejects connection for host "10.0.0.2", user "sweep", database "sweeps", no encryption',
        "fe_sendauth: no password supplied",
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        'root certificate file "/etc/ca.pem" does not exist\nEither provide the file or change sslmode',
        'server certificate for "a" does not match host name "b"',
        'invalid sslmode value: "requre"',
        'invalid port number: "99999"',
    ],
)
def test_refusal_is_told_from_an_outage_in_one_line(text: str) -> None:
    assert refusal(postgres_error(text)) == refusal(wrapped(postgres_error(text))) == " ".join(text.split())


def test_statement_that_is_not_allowed_is_a_refusal(tmp_path: Path) -> None:
    class NotAllowed(psycopg2.ProgrammingError):
        pgcode = "42501"

    assert refusal(postgres_error("permission denied for schema public", NotAllowed)) is not None
    file = tmp_path / "study.db"
    file.write_text("this is no database, whatever its name says")
    assert refusal(sqlite_error(f"sqlite:///{file}")) == "file is not a database"


def test_sqlite_that_is_locked_or_away_is_an_outage(tmp_path: Path) -> None:
    with locked(tmp_path / "study.db") as url:
        assert is_outage(sqlite_error(url))
    assert is_outage(sqlite_error(f"sqlite:///{tmp_path}/nowhere/study.db"))


@pytest.mark.parametrize("statement", ["SELECT 1 FROM nowhere", "INSERT INTO t VALUES (1), (1)", "SELEKT"])
def test_statement_that_is_wrong_is_no_outage(statement: str) -> None:
    error = sqlite_error("sqlite://", statement)
    assert not is_outage(error)
    assert refusal(error) is None


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ArtifactsUnreachable("bucket"), True),
        (ArtifactsRefused("bucket"), False),
        (NotAcknowledged("slot 0"), True),
        (sa.exc.TimeoutError("QueuePool limit"), True),
        (sa.exc.PendingRollbackError("transaction has been rolled back"), True),
        (postgres_error("connection already closed", psycopg2.InterfaceError), True),
        (postgres_error("duplicate key", psycopg2.IntegrityError), False),
        (postgres_error("syntax error", psycopg2.ProgrammingError), False),
        (wrapped(KeyError("x")), False),
        (TimeoutError(), False),
    ],
)
def test_outages_are_known_by_their_kind(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage


class Failing:
    """An action that fails as it is told, then gets through."""

    def __init__(self, error: BaseException, times: int = 1_000) -> None:
        self._error, self._times, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "done"


def run(action: Callable[[], str], deadline_seconds: float = 60, beat: Callable[[], None] = lambda: None) -> str:
    return patiently(action, place="database x at y:1", deadline_seconds=deadline_seconds, beat=beat)


def test_action_is_tried_until_it_gets_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    action = Failing(postgres_error("Connection refused\nIs the server running?"), 3)
    assert run(action) == "done"
    assert action.calls == 4
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("database x at y:1 cannot be reached (Connection refused), waiting for it, 60 s at most")
    assert last.startswith("database x at y:1 is back after ")


def test_action_is_given_up_after_the_deadline() -> None:
    error = ArtifactsUnreachable("the disk is full")
    action, started = Failing(error), time.monotonic()
    with pytest.raises(OutageTooLong, match=r"^database x at y:1: not reached for .* s: the disk is full$") as raised:
        run(action, 0.3)
    assert time.monotonic() - started >= 0.3
    assert action.calls > 1
    assert raised.value.__cause__ is error


def test_refusal_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    action = Failing(wrapped(postgres_error('FATAL:  password authentication failed for user "a"\n')))
    with pytest.raises(Refused, match=r'^database x at y:1: FATAL: password authentication failed for user "a"$'):
        run(action)
    assert action.calls == 1
    assert not caplog.records


@pytest.mark.parametrize(
    "error", [KeyError("x"), ArtifactsRefused("no rights"), FileNotFoundError("gone"), KeyboardInterrupt()]
)
def test_other_errors_pass_at_once(error: BaseException) -> None:
    action = Failing(error)
    with pytest.raises(type(error)) as raised:
        run(action)
    assert raised.value is error
    assert action.calls == 1


def test_waiting_ends_with_what_the_beat_raises() -> None:
    beats = iter(range(100))

    def beat() -> None:
        if next(beats) == 4:
            raise Interrupted

    action = Failing(postgres_error("Connection refused"))
    with pytest.raises(Interrupted):
        run(action, beat=beat)
    assert 1 < action.calls <= 4


def test_beats_come_often_while_a_pause_is_long() -> None:
    beats: list[None] = []
    action = Failing(postgres_error("Connection refused"))
    with pytest.raises(OutageTooLong):
        run(action, 0.8, lambda: beats.append(None))
    assert len(beats) > 2 * (action.calls - 1)  # more than at the beginning and the end of each
