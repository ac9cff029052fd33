"""The chart's throwaway database and bucket take the password that their Secret has, whatever they had before."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from jobs.artifacts import ArtifactsRefused
from tests.support import bucket_server
from tests.support.bucket_server import BucketServer, Minio, VersityGateway
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.postgres import binaries, free_port, unprivileged

REPOSITORY = Path(__file__).parents[2]
START = (REPOSITORY / "charts/resnet-sweep/postgresql/start.sh").read_text()
ENTRYPOINT = REPOSITORY / "tests/cluster/images/postgresql/entrypoint.sh"
NEW = """it's "new", $HOME \\ and 'quoted'"""


class Pod:
    """The container of the throwaway PostgreSQL, with its volume, as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._user = unprivileged(folder)
        shutil.copy(ENTRYPOINT, folder / "docker-entrypoint.sh").chmod(0o755)

    @contextmanager
    def running(self, password: str) -> Iterator[None]:
        environment = {
            "PATH": f"{self.folder}:{binaries()}:{os.environ['PATH']}",
            "PGDATA": str(self.folder / "pgdata"),
            "POSTGRES_USER": "sweep",
            "POSTGRES_DB": "sweeps",
            "POSTGRES_PASSWORD": password,
            "POSTGRES_INITDB_ARGS": "--no-sync",
        }
        options = ["-c", f"port={self.port}", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", START, "postgresql", *options],
                env=environment, user=self._user, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until_ready(self, process)
            yield
        finally:
            os.killpg(process.pid, signal.SIGQUIT)  # at once, as when it is killed
            process.wait(PATIENCE_SECONDS)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def connect(self, password: str) -> Connection:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="sweep", dbname="sweeps", password=password, connect_timeout=5
        )


def wait_until_ready(pod: Pod, process: subprocess.Popen[bytes]) -> None:
    until(lambda: "database system is ready to accept connections" in pod.log, process, lambda: pod.log)


@pytest.fixture
def pod() -> Iterator[Pod]:
    with tempfile.TemporaryDirectory(prefix="pod-") as folder:  # a socket's path may have 107 characters
        yield Pod(Path(folder))


def test_database_takes_the_password_of_its_secret_at_every_start(pod: Pod) -> None:
    with pod.running("first-password"), pod.connect("first-password") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (a int)")
    for password, former in ((NEW, "first-password"), (NEW, "first-password"), ("third-password", NEW)):
        with pod.running(password):
            with pod.connect(password) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT * FROM kept")
            with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
                pod.connect(former)
        assert password not in pod.log


@pytest.mark.parametrize("kind", [Minio, VersityGateway])
def test_bucket_takes_the_keys_of_its_secret_at_every_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BucketServer]
) -> None:
    server = kind(tmp_path)
    server.start()
    try:
        bucket = server.new_bucket()
        bucket.artifacts().write_text("a.txt", "kept")
        server.stop()
        monkeypatch.setattr(bucket_server, "USER", "other-user")
        monkeypatch.setattr(bucket_server, "PASSWORD", "other-password")
        server.start()
        assert bucket.artifacts().read_text("a.txt") == "kept"
        with pytest.raises(ArtifactsRefused):
            bucket.artifacts(access_key_id="sweep", secret_access_key="s3cret/with+signs=").read_text("a.txt")
    finally:
        server.stop()
