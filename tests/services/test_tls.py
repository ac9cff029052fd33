"""Servers with certificates of an authority of one's own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from sqlalchemy import Connection

from jobs.artifacts import ArtifactsRefused
from jobs.queue.database import Database
from jobs.runtime.errors import Refused
from jobs.runtime.retry import Patience
from tests.support.bucket_server import Minio
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def another_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("another") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def encrypted_postgres(authority: trustme.CA) -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.use_tls(authority.issue_cert("localhost"))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def encrypted_minio(
    authority: trustme.CA, authority_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Minio]:
    server = Minio(tmp_path_factory.mktemp("minio"))
    server.use_tls(authority.issue_cert("localhost"), authority_file)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def url(server: Postgres, host: str, mode: str, authority: Path) -> str:
    return f"{server.url('postgres').replace('127.0.0.1', host)}?sslmode={mode}&sslrootcert={authority}"


def reach(database_url: str) -> None:
    def ask(connection: Connection) -> None:
        encrypted = connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
        much = connection.exec_driver_sql("SELECT repeat('x', 3000000)").scalar_one()  # comes in many packets
        assert encrypted
        assert len(much) == 3_000_000

    database = Database(database_url, Patience(5))
    database.read(ask)
    database.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_database_is_reached_by_an_encrypted_connection(
    encrypted_postgres: Postgres, authority_file: Path, mode: str
) -> None:
    reach(url(encrypted_postgres, "localhost", mode, authority_file))


def test_database_that_cannot_prove_itself_is_refused_for_good(
    encrypted_postgres: Postgres, authority_file: Path, another_authority: Path
) -> None:
    for host, file, reason in (
        ("127.0.0.1", authority_file, "does not match host name"),
        ("localhost", another_authority, "certificate verify failed"),
        ("localhost", Path("/nowhere.pem"), "/nowhere.pem"),
    ):
        with pytest.raises(Refused, match=reason):
            reach(url(encrypted_postgres, host, "verify-full", file))


def test_database_without_encryption_is_refused_when_it_is_asked_for(postgres: Postgres, authority_file: Path) -> None:
    with pytest.raises(Refused, match="server does not support SSL"):
        reach(url(postgres, "127.0.0.1", "require", authority_file))


def test_bucket_is_reached_by_a_verified_connection(encrypted_minio: Minio) -> None:
    artifacts = encrypted_minio.new_bucket().artifacts()
    artifacts.write_text("a.txt", "here")
    assert artifacts.read_text("a.txt") == "here"


def test_bucket_of_another_authority_is_refused_for_good(encrypted_minio: Minio, another_authority: Path) -> None:
    bucket = encrypted_minio.new_bucket()
    with pytest.raises(ArtifactsRefused, match="CERTIFICATE_VERIFY_FAILED"):
        bucket.artifacts(ca_bundle=str(another_authority)).exists("a.txt")
    with pytest.raises(ArtifactsRefused, match=r"^AWS_CA_BUNDLE=/nowhere.pem: no such file$"):
        bucket.artifacts(ca_bundle="/nowhere.pem")
