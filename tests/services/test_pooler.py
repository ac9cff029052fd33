"""The chart's PgBouncer: what workers leave in the sessions that it lends them, and whom it lets in."""

import time
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from jobs.queue.create import create_tables
from tests.support import reporting
from tests.support.databases import opened
from tests.support.pgbouncer import pgbouncer
from tests.support.place import Place
from tests.support.reporting import Reporting

SESSIONS = 4  # of the server, for all of them
LEFT_BEHIND = """
SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), current_setting('statement_timeout'),
    current_setting('idle_in_transaction_session_timeout')
"""


def test_sweep_behind_a_pooler_leaves_nothing_in_its_sessions(place: Place) -> None:
    sweep = reporting.experiment(12, 2)
    with pgbouncer(place.server, place.database, SESSIONS) as url:
        database = opened(url)
        create_tables(database)
        assert reporting.extend(sweep, database, place.folder) == (12, 12)
        settings = reporting.place(url, place.folder)
        workers = [reporting.start(sweep, settings, Reporting(2, 0.05)) for _ in range(2)]
        seen, rounds = set(), 0
        while any(worker.is_alive() for worker in workers):
            seen |= look(url)
            rounds += 1
        assert [worker.exitcode for worker in workers] == [0, 0]
        assert rounds > 3
        assert seen == {(0, "0", "0")}
        wait_for_longer_than_the_limit_of_ours(url, settings.database_timeout_seconds)
        database.close()
    place.check(sweep)


def look(url: str) -> set[tuple[int, str, str]]:
    """What another program finds in every session that it is given, held at the same time so that they differ."""
    connections = [psycopg2.connect(url) for _ in range(SESSIONS - 1)]
    try:
        found = set()
        for connection in connections:
            with connection.cursor() as cursor:
                cursor.execute(LEFT_BEHIND)
                found.add(cursor.fetchone())
        return found
    finally:
        for connection in connections:
            connection.close()
        time.sleep(0.05)


def wait_for_longer_than_the_limit_of_ours(url: str, limit: float) -> None:
    for _ in range(SESSIONS):
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_sleep({limit + 0.1})")


def test_user_of_the_dashboard_is_known_to_the_pooler_by_what_the_server_knows(place: Place) -> None:
    reader = f"reader_{place.database}"
    place.server.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'first'")
    with pgbouncer(place.server, place.database, SESSIONS) as url:
        address = url.rpartition("@")[2]
        with closing(psycopg2.connect(f"postgresql://{reader}:first@{address}")) as connection:
            assert answer(connection, "SELECT current_user") == (reader,)
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            psycopg2.connect(f"postgresql://{reader}:other@{address}")
        place.server.execute(f"ALTER ROLE {reader} PASSWORD 'second'")
        with closing(psycopg2.connect(f"postgresql://{reader}:second@{address}")) as connection:
            assert answer(connection, "SELECT current_user") == (reader,)


def answer(connection: Connection, query: str) -> tuple[object, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()
