"""The tables of a PostgreSQL database, whichever program or version has made them."""

from contextlib import closing
from pathlib import Path

import psycopg2.errors
import pytest

from jobs.queue.compatibility import stored_experiment
from jobs.queue.connections import connect
from jobs.queue.create import create_tables, make_tables
from jobs.queue.database import Database
from jobs.queue.database_errors import Unsuitable
from jobs.queue.tables import metadata, schema, sweeps
from jobs.runtime.errors import Refused
from jobs.runtime.retry import Patience
from tests.support import reporting
from tests.support.databases import opened
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.version_1 import carried_on, columns, postgresql_of_version_1


def make(url: str) -> None:
    engine = connect(url)
    try:
        make_tables(url, engine)
    finally:
        engine.dispose()


def test_sweep_of_version_1_goes_on_and_has_the_tables_of_a_new_one(postgres: Postgres, tmp_path: Path) -> None:
    name = postgres.new_database()
    old, new = postgres.url(name), postgres.url(postgres.new_database())
    postgresql_of_version_1(postgres, name)
    with pytest.raises(Refused, match=f"^database {name} at .*: tables of version 1,"):
        stored_experiment(opened(old), "quick")
    make(old)
    make(new)
    assert columns(old) == columns(new)
    carried_on(old, tmp_path)


def test_schema_of_one_s_own_keeps_another_program_s_tables_apart(postgres: Postgres) -> None:
    name = postgres.new_database()
    postgres.execute(f"CREATE TABLE alembic_version (theirs int); CREATE TABLE {sweeps.name} (theirs int)", name)
    with pytest.raises(Unsuitable, match=rf"^there is a table {sweeps.name} of another program"):
        make(postgres.url(name))
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(2,)]
    postgres.execute("CREATE SCHEMA ours", name)
    postgres.execute(f"ALTER DATABASE {name} SET search_path = ours")
    make(postgres.url(name))
    assert opened(postgres.url(name)).read(lambda connection: connection.execute(sweeps.select()).all()) == []


def test_reader_cannot_keep_studies_from_being_made(place: Place) -> None:
    """It takes whatever locks it may: every advisory lock that there ever was, and the tables as far as it reads them."""
    reporting.prepare(reporting.experiment(1, 1, "study.name=former"), place.url())
    reader = f"reader_{place.database}"
    place.server.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'r'; GRANT pg_read_all_data TO {reader}")
    with (
        closing(psycopg2.connect(place.server.url(place.database), user=reader, password="r")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_advisory_lock(%s)", [0x7265736E6574])  # which 0.1.0 took
        for table in metadata.tables:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        database = Database(place.url(), Patience(10), 2)
        create_tables(database)
        assert reporting.extend(reporting.experiment(2, 1), database, place.folder) == (2, 2)
        database.close()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"LOCK TABLE {schema.name} IN SHARE UPDATE EXCLUSIVE MODE")
    place.server.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}", place.database)
