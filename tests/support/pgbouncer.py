"""PgBouncer before the tests' PostgreSQL, in transaction mode: a session of the server is lent for one transaction."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.missing import missing
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.postgres import PASSWORD, USER, Postgres, answers, free_port, unprivileged


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
            until(lambda: answers(url), process, (folder / "log").read_text)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
