"""PgBouncer before the tests' PostgreSQL, in transaction mode: a session of the server is lent for one transaction."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from tests.support.missing import missing
from tests.support.postgres import PASSWORD, USER, Postgres, free_port, unprivileged


@contextmanager
def pgbouncer(server: Postgres, database: str, sessions: int) -> Iterator[str]:
    """URL of the database over a pooler that has so many sessions of the server."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        missing("no pgbouncer on PATH or in /usr/sbin; tests/services/install.sh brings it")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{database} = host=127.0.0.1 port={server.port} user={USER} password='{PASSWORD}'\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {sessions}\n"
        )
        user = unprivileged(folder)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, settings], stdout=log, stderr=subprocess.STDOUT, user=user)
        try:
            url = f"postgresql://{USER}@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"
            _wait_for(url, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
