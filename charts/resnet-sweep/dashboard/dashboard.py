"""The dashboard's pod, in the image of optuna-dashboard: `reader` makes its database user, `serve OPTION…` starts it.

DATABASE_URL is that of a user who can read; OWNER_URL, for `reader` alone, that of the user whose tables these are.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

PAUSE_SECONDS = 2
ROLE_EXISTS = "SELECT FROM pg_roles WHERE rolname = %s"
# Tables that prepare makes later are readable, too.
GRANTS = """
ALTER ROLE {reader} LOGIN PASSWORD {password};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {reader};
"""


def make_reader() -> None:
    """Run again, it gives the user the password that the Secret has now."""
    wanted = parse_dsn(os.environ["DATABASE_URL"])
    reader, password = sql.Identifier(wanted["user"]), sql.Literal(wanted["password"])

    def grant() -> None:
        with psycopg2.connect(os.environ["OWNER_URL"]) as connection, connection.cursor() as cursor:
            cursor.execute(ROLE_EXISTS, [wanted["user"]])
            if not cursor.rowcount:
                cursor.execute(sql.SQL("CREATE ROLE {}").format(reader))
            cursor.execute(sql.SQL(GRANTS).format(reader=reader, password=password))

    wait_for(grant)


def serve() -> None:
    url = os.environ["DATABASE_URL"]
    wait_for(lambda: check_prepared(url))
    # As an argument of the process the URL, password and all, would stand in every process list. The driver is named
    # since SQLAlchemy's default is another one than the image has.
    address = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    sys.argv = ["optuna-dashboard", address, *sys.argv[2:]]
    (command,) = entry_points(group="console_scripts", name="optuna-dashboard")
    sys.exit(command.load()())


def check_prepared(url: str) -> None:
    """Of Optuna's tables this one is filled last. Before it is, optuna-dashboard would try to fill it itself."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM alembic_version")
            if not cursor.rowcount:
                raise psycopg2.ProgrammingError("the tables are not complete")
    finally:
        connection.close()


def wait_for(action: Callable[[], None]) -> None:
    """A pod that ended instead, for each time that the database is not ready, would be waited for ever longer."""
    said = ""
    while True:
        try:
            return action()
        except psycopg2.Error as error:
            reason = " ".join(str(error).split())
            if reason != said:
                said = reason
                print(f"waiting: {reason}", file=sys.stderr, flush=True)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    # A container's first process gets no signal that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    {"reader": make_reader, "serve": serve}[sys.argv[1]]()
