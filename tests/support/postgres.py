"""A real PostgreSQL server of the tests' own."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import trustme

from tests.support.missing import missing
from tests.support.patience import until

USER, PASSWORD = "sweep", "p@ss:w/ör d%{x}"  # whatever a person may choose
SETTINGS = {"fsync": "off", "max_connections": "300", "listen_addresses": "127.0.0.1"}


class Postgres:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.port = folder, folder / "data", free_port()
        self._bin = binaries()
        self._user = unprivileged(folder)
        self._server: subprocess.Popen[bytes] | None = None
        self._settings = SETTINGS
        self.environment: dict[str, str] = {}  # of the server, beside that of the tests
        password = folder / "password"
        password.write_text(PASSWORD)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}",
            "--encoding=UTF8", "--no-sync", "--locale=C.UTF-8",
        )  # fmt: skip

    def set(self, name: str, value: str) -> None:
        """A setting of the server from the next start on."""
        self._settings = {**self._settings, name: value}

    def use_tls(self, certificate: trustme.LeafCert) -> None:
        """Encrypted connections from the next start on."""
        for name, pem in (("server.crt", certificate.cert_chain_pems[0]), ("server.key", certificate.private_key_pem)):
            file = self.data / name
            file.touch(mode=0o600)
            file.write_bytes(pem.bytes())
            os.chown(file, self.data.stat().st_uid, -1)
        self.set("ssl", "on")

    def start(self) -> None:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder, *options],
                stderr=log,
                user=self._user,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        until(lambda: answers(self.url("postgres")), self._server, (self.folder / "log").read_text)

    def stop(self) -> None:
        """At once, as when it is killed: connections end in the middle of a word."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
            self._server = None

    def restart(self, seconds_down: float = 0) -> None:
        self.stop()
        time.sleep(seconds_down)
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are accepted by the kernel, and nothing answers."""
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
        pids = [self._server.pid, *(int(pid) for pid in children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def url(self, database: str, port: int | None = None) -> str:
        quoted = "".join(f"%{byte:02X}" for byte in PASSWORD.encode())
        return f"postgresql://{USER}:{quoted}@127.0.0.1:{port or self.port}/{database}"

    def socket_url(self, database: str) -> str:
        return f"host={self.folder} port={self.port} user={USER} password='{PASSWORD}' dbname={database}"

    def new_database(self) -> str:
        name = f"test_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._bin / program, *arguments], check=True, capture_output=True, user=self._user)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:  # a socket's path may have 107 characters
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """The server, running; also when a test ends while it is down."""
    yield postgres_server
    if postgres_server._server is None:
        postgres_server.start()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    complete = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not complete:
        missing("no PostgreSQL server (initdb, postgres) on PATH or in /usr/lib/postgresql")
    return complete[0]


def unprivileged(folder: Path) -> str | None:
    """PostgreSQL does not run as root: then another user owns the folder."""
    if os.geteuid() != 0:
        return None
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = "postgres" if "postgres" in names else "nobody"
    os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    return user


def answers(url: str) -> bool:
    """Whether a server takes connections there."""
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True
