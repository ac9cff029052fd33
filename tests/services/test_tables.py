"""The tables of a PostgreSQL database, whichever program or version has made them."""

from pathlib import Path

import pytest

from jobs.queue.compatibility import stored_experiment
from jobs.queue.connections import connect
from jobs.queue.create import make_tables
from jobs.queue.database_errors import Unsuitable
from jobs.queue.tables import sweeps
from jobs.runtime.errors import Refused
from tests.support.databases import opened
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
    with pytest.raises(Unsuitable, match=r"^there is a table alembic_version of another program"):
        make(postgres.url(name))
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(2,)]
    postgres.execute("CREATE SCHEMA ours", name)
    postgres.execute(f"ALTER DATABASE {name} SET search_path = ours")
    make(postgres.url(name))
    assert opened(postgres.url(name)).read(lambda connection: connection.execute(sweeps.select()).all()) == []
