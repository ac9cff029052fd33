"""The chart's PgBouncer before the tests' PostgreSQL, in transaction mode: a session is lent for one transaction."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.missing import missing
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.postgres import PASSWORD, USER, Postgres, answers, free_port, unprivileged

SCRIPT = Path(__file__).parents[2] / "charts/resnet-sweep/postgresql/pooler.sh"


@contextmanager
def pgbouncer(server: Postgres, database: str, sessions: int, clients: int = 100) -> Iterator[str]:
    """URL of the database over a pooler for so many clients, which has so many sessions of the server."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which("pgbouncer", path=path) is None:
        missing("no pgbouncer on PATH or in /usr/sbin; tests/services/install.sh brings it")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        user = unprivileged(folder)
        given = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD, "PGPORT": str(server.port), "TMPDIR": name}
        command = ["bash", "-c", SCRIPT.read_text(), "pooler", str(port), str(clients), str(sessions)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, user=user, env={**os.environ, **given, "PATH": path}
            )
        try:
            url = server.url(database, port)
            until(lambda: answers(url), process, (folder / "log").read_text)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
