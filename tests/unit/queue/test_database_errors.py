import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from jobs.artifacts import ArtifactsUnreachable
from jobs.queue.database_errors import DatabaseUnreachable, database_errors
from jobs.runtime.errors import Refused


def raise_again(error: Exception, place: str = "database x at y:1") -> None:
    with database_errors(place):
        raise error


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


def sqlite_error(url: str, *statements: str) -> Exception:
    """What the database says to statements that do not wait for locks."""
    engine = sa.create_engine(url, connect_args={"timeout": 0})
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x INTEGER PRIMARY KEY)")
            for statement in statements:
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
        with pytest.raises(DatabaseUnreachable) as raised:
            raise_again(error)
        assert str(raised.value) == text


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
    for error in (postgres_error(text), wrapped(postgres_error(text))):
        with pytest.raises(Refused) as raised:
            raise_again(error)
        assert str(raised.value) == f"database x at y:1: {' '.join(text.split())}"


def test_statement_that_is_not_allowed_is_a_refusal(tmp_path: Path) -> None:
    class NotAllowed(psycopg2.ProgrammingError):
        pgcode = "42501"

    with pytest.raises(Refused, match="permission denied for schema public"):
        raise_again(postgres_error("permission denied for schema public", NotAllowed))
    file = tmp_path / "study.db"
    file.write_text("this is no database, whatever its name says")
    with pytest.raises(Refused, match=r": file is not a database$"):
        raise_again(sqlite_error(f"sqlite:///{file}"))


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ('could not translate host name "postgres" to address: Name or service not known', True),
        ("received invalid response to SSL negotiation: H", True),
        ('connection to server at "10.0.0.1", port 5432 failed: Connection refused', False),
        ("FATAL:  the database system is starting up", False),
    ],
)
def test_what_may_be_a_mistake_is_told_from_what_is_only_an_outage(text: str, doubtful: bool) -> None:
    with pytest.raises(DatabaseUnreachable) as raised:
        raise_again(postgres_error(text))
    assert raised.value.doubtful is doubtful


def test_full_disk_is_told_with_the_bytes_that_are_free(tmp_path: Path) -> None:
    full = "PRAGMA max_page_count = 2", "CREATE TABLE more AS SELECT zeroblob(100000)"
    with pytest.raises(DatabaseUnreachable, match=r"^database or disk is full, [0-9,]+ bytes free$") as raised:
        raise_again(sqlite_error(f"sqlite:///{tmp_path}/study.db", *full))
    assert raised.value.doubtful


def test_missing_folder_of_a_sqlite_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "nowhere/study.db"
    with pytest.raises(
        DatabaseUnreachable, match=rf"^unable to open database file: no folder {file.parent}$"
    ) as raised:
        raise_again(sqlite_error(f"sqlite:///{file}"), str(file))
    assert raised.value.doubtful


def test_sqlite_that_is_locked_or_away_is_an_outage(tmp_path: Path) -> None:
    with locked(tmp_path / "study.db") as url, pytest.raises(DatabaseUnreachable):
        raise_again(sqlite_error(url))
    with pytest.raises(DatabaseUnreachable):
        raise_again(sqlite_error(f"sqlite:///{tmp_path}/nowhere/study.db"))


@pytest.mark.parametrize("statement", ["SELECT 1 FROM nowhere", "INSERT INTO t VALUES (1), (1)", "SELEKT"])
def test_statement_that_is_wrong_is_no_outage(statement: str) -> None:
    error = sqlite_error("sqlite://", statement)
    with pytest.raises(sa.exc.DBAPIError) as raised:
        raise_again(error)
    assert raised.value is error


class ReadOnly(psycopg2.errors.ReadOnlySqlTransaction):
    pgcode = "25006"


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.TimeoutError("QueuePool limit"),
        sa.exc.PendingRollbackError("transaction has been rolled back"),
        postgres_error("connection already closed", psycopg2.InterfaceError),
        postgres_error("cannot execute UPDATE in a read-only transaction", ReadOnly),
    ],
)
def test_connection_that_cannot_be_used_now_is_an_outage(error: Exception) -> None:
    with pytest.raises(DatabaseUnreachable):
        raise_again(error)


@pytest.mark.parametrize(
    "error",
    [
        postgres_error("duplicate key", psycopg2.IntegrityError),
        postgres_error("syntax error", psycopg2.ProgrammingError),
        wrapped(KeyError("x")),
        TimeoutError(),
        ArtifactsUnreachable("bucket"),
    ],
)
def test_all_else_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        raise_again(error)
    assert raised.value is error
