"""Real servers of a bucket of the tests' own: MinIO, and the VersityGW that the chart brings."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs.artifacts.s3 import S3Artifacts, make_client
from jobs.runtime.settings import Settings, read_settings
from tests.support.missing import missing
from tests.support.patience import until
from tests.support.postgres import free_port

USER, PASSWORD = "sweep", "s3cret/with+signs="
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resnet-sweep/cluster"


class BucketServer:
    """A server from its one binary. A subclass says which, and how it is started on a folder and a port."""

    binary: str

    def __init__(self, folder: Path) -> None:
        self._binary = _find(self.binary)
        self.folder, self.port = folder, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._authority: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def use_tls(self, certificate: trustme.LeafCert, authority: Path) -> None:
        """Encrypted connections from the next start on; clients trust the file `authority`."""
        self.endpoint, self._authority = f"https://localhost:{self.port}", authority
        folder = self.folder / "certificates"
        folder.mkdir()
        certificate.cert_chain_pems[0].write_to_path(folder / "public.crt")
        certificate.private_key_pem.write_to_path(folder / "private.key")

    @property
    def running(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binary, *self._arguments(data)],
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment()},
                start_new_session=True,
            )
        client = self.client()

        def answers() -> bool:
            try:
                client.list_buckets()
            except Exception:
                return False
            return True

        until(answers, self._server, (self.folder / "log").read_text)

    def _arguments(self, data: Path) -> list[str | Path]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        raise NotImplementedError

    def stop(self) -> None:
        """At once, as when it is killed."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are accepted by the kernel, and nothing answers."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def options(self, **changes: object) -> Settings:
        """`changes` are fields of Settings without their `aws_`, `s3_` or `storage_`."""
        options = {"access_key_id": USER, "secret_access_key": PASSWORD, "endpoint_url": self.endpoint}
        options |= {"addressing": "path", "timeout_seconds": 2.0}
        options |= {"ca_bundle": None if self._authority is None else str(self._authority), **changes}
        prefixes = {"addressing": "s3_", "timeout_seconds": "storage_"}
        fields = {f"{prefixes.get(name, 'aws_')}{name}": value for name, value in options.items()}
        return read_settings(database_url="sqlite:///", artifacts_url="s3://tests", **fields)

    def client(self) -> Any:
        return make_client(self.options())

    def new_bucket(self) -> "Bucket":
        name = f"test-{secrets.token_hex(4)}"
        self.client().create_bucket(Bucket=name)
        return Bucket(self, name)


class Minio(BucketServer):
    binary = "minio"

    def _arguments(self, data: Path) -> list[str | Path]:
        return [
            "server", data, "--address", f"127.0.0.1:{self.port}", "--console-address", f"127.0.0.1:{free_port()}",
            "--quiet", "--certs-dir", self.folder / "certificates",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_BROWSER": "off"}


class VersityGateway(BucketServer):
    binary = "versitygw"

    def _arguments(self, data: Path) -> list[str | Path]:
        return ["--port", f"127.0.0.1:{self.port}", "--quiet", "posix", data]

    def _environment(self) -> dict[str, str]:
        return {"ROOT_ACCESS_KEY_ID": USER, "ROOT_SECRET_ACCESS_KEY": PASSWORD}


class Bucket:
    def __init__(self, server: BucketServer, name: str) -> None:
        self.server, self.name = server, name
        self.url = f"s3://{name}/some/prefix"

    def artifacts(self, **options: object) -> S3Artifacts:
        return S3Artifacts(make_client(self.server.options(**options)), self.name, "some/prefix")

    def settings(self) -> dict[str, str]:
        """The fields of Settings with which it is found."""
        keys = {"aws_access_key_id": USER, "aws_secret_access_key": PASSWORD, "s3_addressing": "path"}
        return {**keys, "artifacts_url": self.url, "aws_endpoint_url": self.server.endpoint}

    def keys(self) -> list[str]:
        """Every object of the bucket, whatever its prefix."""
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [row["Key"] for page in pages for row in page.get("Contents", ())]


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    yield from _served(Minio(tmp_path_factory.mktemp("minio")))


@pytest.fixture(scope="session")
def versity_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    yield from _served(VersityGateway(tmp_path_factory.mktemp("versitygw")))


@pytest.fixture
def bucket(minio: BucketServer) -> Iterator[Bucket]:
    yield from new_bucket(minio)


def new_bucket(server: BucketServer) -> Iterator[Bucket]:
    """On the server, which runs again afterwards, also when a test ends while it is down."""
    yield server.new_bucket()
    if not server.running:
        server.start()


def _served(server: BucketServer) -> Iterator[BucketServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _find(binary: str) -> Path:
    found = shutil.which(binary, path=f"{os.environ.get('PATH', '')}{os.pathsep}{CACHE}")
    if found is None:
        missing(f"no {binary} on PATH or in {CACHE}; tests/services/install.sh puts it there")
    return Path(found)
