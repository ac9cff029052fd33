"""The database as people give it, and as it answers: connection strings and refusals."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from jobs.artifacts import FolderArtifacts
from jobs.experiment.experiment import Experiment
from jobs.queue import export_import
from jobs.queue.compatibility import NotPrepared
from jobs.queue.connections import connect, exclusive
from jobs.queue.tables import SlotState, schema
from jobs.runtime import interrupt
from jobs.runtime.database_url import database_place
from jobs.runtime.errors import Failure, Refused
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from tests.support import reporting
from tests.support.databases import opened
from tests.support.place import Place
from tests.support.postgres import PASSWORD, USER, Postgres, free_port
from tests.support.reporting import Reporting

SECRET = "s3cret-pa55"
QUOTED = quote(PASSWORD, safe="")


def run_prepare(sweep: Experiment, settings: Settings) -> None:
    prepare.run(sweep, settings, FolderArtifacts(Path(settings.artifacts_url)))


def query(url: str, statement: str, timeout_seconds: float = 5) -> list[object]:
    engine = connect(url, timeout_seconds)
    try:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(statement)).one())
    finally:
        engine.dispose()


# What people write into DATABASE_URL.

FORMS: dict[str, Callable[[Postgres, str], str]] = {
    "URL": lambda server, name: server.url(name),
    "URL with parameters": lambda server, name: (
        f"{server.url(name)}?sslmode=prefer&connect_timeout=9&application_name=a%20b"
    ),
    "URL without encryption": lambda server, name: f"{server.url(name)}?sslmode=disable",
    "URL of the scheme postgres": lambda server, name: server.url(name).replace("postgresql:", "postgres:"),
    "URL of SQLAlchemy": lambda server, name: server.url(name).replace("postgresql:", "postgresql+psycopg2:"),
    "URL over the socket": lambda server, name: (
        f"postgresql://{USER}:{QUOTED}@/{name}?host={quote(str(server.folder), safe='')}&port={server.port}"
    ),
    "URL of two hosts, the first away": lambda server, name: (
        f"postgresql://{USER}:{QUOTED}@127.0.0.1:{free_port()},127.0.0.1:{server.port}/{name}"
    ),
    "keys over the socket": lambda server, name: server.socket_url(name),
    "keys over TCP": lambda server, name: server.socket_url(name).replace(f"host={server.folder}", "host=127.0.0.1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_study_can_be_made_and_worked_at_however_the_database_is_written(place: Place, form: str) -> None:
    settings = reporting.place(FORMS[form](place.server, place.database), place.folder)
    sweep = reporting.experiment(1, 1)
    reporting.prepare(sweep, settings.database_url)
    assert query(settings.database_url, "SELECT current_database()") == [place.database]
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(1, 0))
    place.check(sweep)
    assert PASSWORD not in database_place(settings.database_url)


def test_ordinary_role_that_owns_its_database_is_enough(place: Place) -> None:
    owner = f"owner_{place.database}"
    place.server.execute(f"CREATE ROLE {owner} LOGIN PASSWORD '{SECRET}'")
    place.server.execute(f"ALTER DATABASE {place.database} OWNER TO {owner}")
    settings = reporting.place(
        f"postgresql://{owner}:{SECRET}@127.0.0.1:{place.server.port}/{place.database}", place.folder
    )
    sweep = reporting.experiment(2, 1)
    run_prepare(sweep, settings)
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(1, 0))
    place.check(sweep)


@pytest.mark.parametrize("stopping", ["halving", "hyperband", "median"])
def test_early_stopping_is_decided_and_kept(place: Place, stopping: str) -> None:
    """What it answers is not always of a type that the database's driver knows."""
    overrides = f"sweep.earlyStopping={{name: {stopping}, startupTrials: 1, reductionFactor: 2}}"
    sweep, settings = reporting.experiment(8, 4, overrides), reporting.place(place.url(), place.folder)
    reporting.prepare(sweep, place.url())
    Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(Reporting(4, 0))
    place.check(sweep)
    assert {row.state for row in place.rows(sweep)} == {SlotState.COMPLETE, SlotState.STOPPED_EARLY}


def test_study_is_made_once_when_several_prepare_it_at_once(place: Place) -> None:
    sweep, settings = reporting.experiment(5, 1), reporting.place(place.url(), place.folder, lease_seconds=30)
    together = threading.Barrier(5)

    def prepare_together() -> None:
        together.wait()
        run_prepare(sweep, settings)

    with ThreadPoolExecutor(5) as pool:  # each with sessions of its own, as processes have
        for done in [pool.submit(prepare_together) for _ in range(5)]:
            done.result()
    assert place.server.execute("SELECT study_name FROM studies", place.database) == [(sweep.study_name,)]
    assert [row.slot for row in place.rows(sweep)] == list(range(5))
    assert FolderArtifacts(place.folder).listing("datasets") == sorted(
        part["key"] for part in _dataset_parts(place.folder / sweep.study_name)
    )


def test_lock_is_made_by_several_at_once(place: Place) -> None:
    """PostgreSQL has three errors for a table that another session has just made."""
    engines = [connect(place.url(), 10) for _ in range(8)]
    together = threading.Barrier(len(engines))

    def lock(engine: sa.Engine) -> None:
        together.wait()
        with exclusive(engine):
            pass

    with ThreadPoolExecutor(len(engines)) as pool:
        for _ in range(200):
            list(pool.map(lock, engines))
            place.server.execute(f"DROP TABLE {schema.name}", place.database)
    for engine in engines:
        engine.dispose()


def _dataset_parts(study: Path) -> list[dict[str, str]]:
    stored = FolderArtifacts(study).read_json("dataset.json")
    return [stored["train"], stored["test"]]


def test_study_is_carried_through_a_file_while_it_runs_and_goes_on_elsewhere(place: Place) -> None:
    stopping = "sweep.earlyStopping={name: median, startupTrials: 3, minEpochs: 1}"
    sweep, settings = reporting.experiment(4, 3, stopping), reporting.place(place.url(), place.folder)
    reporting.prepare(sweep, place.url())
    file = place.folder / "study"

    def body(run: RunningTrial) -> None:
        if run.slot == 2:
            Reporting(1, 0)(run)
            export_import.export_study(place.url(), sweep.study_name, file)
            raise interrupt.Interrupted
        Reporting(3, 0)(run)

    with pytest.raises(interrupt.Interrupted):
        Worker(sweep, settings, reporting.artifacts(settings, sweep)).work(body)
    elsewhere = Place(place.server, place.server.new_database(), place.folder)
    refusing = wrong_password(elsewhere)
    with pytest.raises(Refused, match="password authentication failed") as raised:
        opened(refusing).run(lambda: export_import.import_study(file, refusing))
    assert not has_secret(str(raised.value))
    assert export_import.import_study(file, elsewhere.url()) == sweep.study_name
    there = reporting.place(elsewhere.url(), place.folder)
    assert [row.state.settled for row in elsewhere.rows(sweep)] == [True, True, False, False]
    Worker(sweep, there, reporting.artifacts(there, sweep)).work(Reporting(3, 0))
    elsewhere.check(sweep)
    with pytest.raises(export_import.TransferRefused, match=r"in database test_.* already"):
        export_import.import_study(file, elsewhere.url())
    elsewhere.engine.dispose()


def wrong_password(place: Place) -> str:
    return f"postgresql://{USER}:{SECRET}@127.0.0.1:{place.server.port}/{place.database}"


def unknown_database(place: Place) -> str:
    return place.server.url("nowhere")


def unknown_role(place: Place) -> str:
    return wrong_password(place).replace(USER, "nobody", 1)


def no_password(place: Place) -> str:
    return f"postgresql://{USER}@127.0.0.1:{place.server.port}/{place.database}"


def no_encryption(place: Place) -> str:
    return f"{place.server.url(place.database)}?sslmode=require"


def misspelt_parameter(place: Place) -> str:
    return f"{place.server.url(place.database)}?sslmode=requre"


def no_right_to_connect(place: Place) -> str:
    return _as_stranger(place, f"REVOKE CONNECT ON DATABASE {place.database} FROM public")


def no_right_to_create(place: Place) -> str:
    return _as_stranger(place, "REVOKE CREATE ON SCHEMA public FROM public")  # as it is since PostgreSQL 15


def no_encoding(place: Place) -> str:
    place.server.execute(f"DROP DATABASE {place.database}")
    place.server.execute(f"CREATE DATABASE {place.database} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    return place.server.url(place.database)


def _as_stranger(place: Place, statement: str) -> str:
    place.server.execute(f"CREATE ROLE stranger_{place.database} LOGIN PASSWORD '{SECRET}'")
    place.server.execute(statement, place.database)
    return wrong_password(place).replace(USER, f"stranger_{place.database}", 1)


REFUSED = [
    (wrong_password, f'password authentication failed for user "{USER}"'),
    (unknown_database, 'database "nowhere" does not exist'),
    (unknown_role, 'password authentication failed for user "nobody"'),
    (no_password, "no password supplied"),
    (no_encryption, "server does not support SSL, but SSL was required"),
    (misspelt_parameter, 'invalid sslmode value: "requre"'),
    (no_right_to_connect, "permission denied for database"),
    (no_right_to_create, "permission denied for schema public"),
    (no_encoding, "its encoding is SQL_ASCII; it has to be UTF8"),
]


@pytest.mark.parametrize(("write", "reason"), REFUSED, ids=[write.__name__ for write, _ in REFUSED])
def test_refusal_ends_prepare_at_once_and_names_the_place(
    place: Place, caplog: pytest.LogCaptureFixture, write: Callable[[Place], str], reason: str
) -> None:
    url = write(place)
    with pytest.raises(Refused) as raised:
        run_prepare(reporting.experiment(1, 1), reporting.place(url, place.folder))
    message = str(raised.value)
    assert "\n" not in message
    name = "nowhere" if write is unknown_database else place.database
    assert message.startswith(f"database {name} at 127.0.0.1:{place.server.port}: ")
    assert reason in message
    assert not [record for record in caplog.records if "cannot be reached" in record.getMessage()]
    assert not has_secret(message + caplog.text)


def has_secret(text: str) -> bool:
    return any(secret in text for secret in (SECRET, PASSWORD, QUOTED))


@pytest.mark.parametrize(
    ("command", "exit_code", "message"),
    [(["prepare"], 78, "prepare failed: {}"), (["status"], 1, "resnet-sweep: {}")],
    ids=["prepare", "status"],
)
def test_refused_command_says_so_in_one_line_without_the_password(
    place: Place, command: list[str], exit_code: int, message: str
) -> None:
    environment = {**os.environ, "DATABASE_URL": wrong_password(place), "ARTIFACTS_URL": str(place.folder / "runs")}
    process = subprocess.run(
        [sys.executable, "-m", "jobs", *command], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == exit_code, process.stderr
    (line,) = process.stderr.splitlines()
    told = f"database {place.database} at 127.0.0.1:{place.server.port}: FATAL: password authentication failed"
    assert message.format(told) in line
    assert not has_secret(process.stdout + process.stderr)
    assert not (place.folder / "runs").exists()


@pytest.mark.parametrize("others", [[], ["other"]])
def test_worker_says_that_nothing_is_prepared(place: Place, others: list[str]) -> None:
    for name in others:
        reporting.prepare(reporting.experiment(1, 1, f"study.name={name}"), place.url())
    sweep, settings = reporting.experiment(1, 1), reporting.place(place.url(), place.folder)
    words = f"study quick: not in {database_place(place.url())}; `resnet-sweep prepare` makes it"
    with pytest.raises(NotPrepared) as raised:
        Worker(sweep, settings, reporting.artifacts(settings, sweep))
    assert str(raised.value) == words
    assert isinstance(raised.value, Failure)  # so it is told in one line
