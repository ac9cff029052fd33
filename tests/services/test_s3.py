"""Artifacts in a real bucket, of each server that a release can bring."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from jobs.artifacts import ArtifactsRefused, ArtifactsUnreachable
from jobs.artifacts.s3 import TRANSFER, S3Artifacts, make_client
from jobs.runtime.settings import read_settings
from tests.support.bucket_server import PASSWORD, USER, Bucket, BucketServer, new_bucket

LARGE = 3 * TRANSFER.multipart_threshold + 12_345  # bytes: four parts


@pytest.fixture(params=["minio", "versity_gateway"])
def server(request: pytest.FixtureRequest) -> BucketServer:
    found: BucketServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(server: BucketServer) -> Iterator[Bucket]:
    yield from new_bucket(server)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        block = hashlib.sha256(b"seed").digest() * 2**15
        for _ in range(LARGE // len(block)):
            file.write(block)
        file.write(block[: LARGE % len(block)])
    return path


def test_keys_are_counted_from_the_prefix(bucket: Bucket) -> None:
    artifacts = bucket.artifacts()
    study = artifacts.under("study")
    for key in ("b/c.txt", "a.txt", "b/d.txt", "bc.txt"):
        study.write_text(key, key)
    assert study.listing() == ["a.txt", "b/c.txt", "b/d.txt", "bc.txt"]
    assert study.listing("b") == ["b/c.txt", "b/d.txt"]
    assert artifacts.listing("study/b") == ["study/b/c.txt", "study/b/d.txt"]
    assert artifacts.under("stud").listing() == []
    assert study.exists("a.txt")
    assert not study.exists("b")
    assert bucket.keys() == [f"some/prefix/study/{key}" for key in study.listing()]


def test_object_is_read_as_it_was_written_and_replaced_whole(bucket: Bucket) -> None:
    artifacts = bucket.artifacts()
    artifacts.write_json("a/b.json", {"accuracy": 0.5, "name": "Zürich"})
    assert artifacts.read_json("a/b.json") == {"accuracy": 0.5, "name": "Zürich"}
    artifacts.write_text("a/b.json", "")
    assert artifacts.read_text("a/b.json") == ""
    artifacts.remove("a/b.json")
    artifacts.remove("a/b.json")
    with pytest.raises(FileNotFoundError, match=r"s3://.*/a/b.json: not there"):
        artifacts.read_text("a/b.json")


def test_listing_goes_on_after_a_thousand_keys_and_leaves_out_folders(bucket: Bucket) -> None:
    artifacts, client = bucket.artifacts(), bucket.server.client()
    for number in range(1003):
        client.put_object(Bucket=bucket.name, Key=f"some/prefix/many/{number:04}", Body=b"")
    client.put_object(Bucket=bucket.name, Key="some/prefix/many/folder/", Body=b"")
    assert artifacts.listing("many") == [f"many/{number:04}" for number in range(1003)]


def test_large_object_goes_in_parts_and_comes_back_the_same(bucket: Bucket, large: Path) -> None:
    artifacts = bucket.artifacts()
    artifacts.write("large", large.replace)
    parts = bucket.server.client().head_object(Bucket=bucket.name, Key="some/prefix/large", PartNumber=1)
    assert parts["PartsCount"] == 4
    assert artifacts.read("large", lambda path: path.stat().st_size) == LARGE
    head = bucket.server.client().head_object(Bucket=bucket.name, Key="some/prefix/large", ChecksumMode="ENABLED")
    assert any(name.startswith("Checksum") for name in head), "sent without a checksum"


def test_large_object_is_never_whole_in_memory(bucket: Bucket, tmp_path: Path) -> None:
    """Peak memory of a process that moves 400 MiB there and back, beside one that moves 1 MiB."""

    def peak(mebibytes: int) -> int:
        run = subprocess.run(
            [sys.executable, "-m", "tests.support.move", bucket.url, str(mebibytes)],
            env={"TMPDIR": str(tmp_path), **{name.upper(): value for name, value in bucket.settings().items()}},
            check=True,
            capture_output=True,
            text=True,
        )
        return int(run.stdout)

    assert peak(400) - peak(1) < 200 * 2**20


def test_block_that_fails_writes_nothing(bucket: Bucket) -> None:
    artifacts = bucket.artifacts()
    artifacts.write_text("a.txt", "old")

    def fail(path: Path) -> None:
        path.write_text("new")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        artifacts.write("a.txt", fail)
    assert artifacts.read_text("a.txt") == "old"


def test_upload_that_is_cut_off_leaves_the_old_object(bucket: Bucket, large: Path) -> None:
    artifacts = bucket.artifacts(timeout_seconds=0.5)
    artifacts.write_text("large", "old")

    def upload() -> None:
        def write(path: Path) -> None:
            large.replace(path)
            bucket.server.stop()

        artifacts.write("large", write)

    with pytest.raises(ArtifactsUnreachable):
        upload()
    bucket.server.start()
    assert artifacts.read_text("large") == "old"


def test_silent_service_is_unreachable_after_the_timeout(bucket: Bucket) -> None:
    artifacts = bucket.artifacts(timeout_seconds=0.3)
    with bucket.server.frozen(), pytest.raises(ArtifactsUnreachable, match=r"s3://.*/a.txt: "):
        artifacts.read_text("a.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, "InvalidAccessKeyId|XAdminUserNotFound"),  # Amazon's word, VersityGW's
        ({"session_token": "nonsense"}, "s3://.*: "),
    ],
)
def test_wrong_credentials_are_final_and_not_in_the_message(
    bucket: Bucket, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ArtifactsRefused, match=message) as refused:
        bucket.artifacts(**options).write_text("a.txt", "")
    assert "wrong" not in str(refused.value)


def test_no_right_to_look_is_told_from_nothing_there(bucket: Bucket) -> None:
    for look in (S3Artifacts.exists, S3Artifacts.read_text):
        with pytest.raises(ArtifactsRefused, match=r"s3://.*/a.txt: SignatureDoesNotMatch: "):
            look(bucket.artifacts(secret_access_key="wrong"), "a.txt")


def test_object_without_a_byte_is_there(bucket: Bucket) -> None:
    artifacts = bucket.artifacts()
    artifacts.write_text("empty", "")
    assert artifacts.exists("empty")
    assert artifacts.read_text("empty") == ""


def test_bucket_that_is_not_there_is_final(server: BucketServer) -> None:
    with pytest.raises(ArtifactsRefused, match=r"s3://no-such-bucket/.*: NoSuchBucket: "):
        Bucket(server, "no-such-bucket").artifacts().write_text("a.txt", "")


def test_temporary_credentials_are_used(minio: BucketServer) -> None:
    """MinIO's own security token service gives them out."""
    import boto3  # noqa: PLC0415

    bucket = minio.new_bucket()
    options = minio.options()
    service = boto3.client(
        "sts",
        endpoint_url=options.aws_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=USER,
        aws_secret_access_key=PASSWORD,
    )
    keys = service.assume_role(RoleArn="arn:x:ignored:by:minio:1", RoleSessionName="test")["Credentials"]
    artifacts = bucket.artifacts(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )
    artifacts.write_text("a.txt", "here")
    assert artifacts.read_text("a.txt") == "here"


@pytest.mark.parametrize(
    ("addressing", "url"),
    [("virtual", "http://bucket.s3.example:9000/key"), ("path", "http://s3.example:9000/bucket/key")],
)
def test_bucket_is_named_in_the_host_or_in_the_path(addressing: Literal["virtual", "path"], url: str) -> None:
    client = make_client(
        read_settings(
            database_url="sqlite:///",
            artifacts_url="s3://bucket",
            aws_endpoint_url="http://s3.example:9000",
            aws_access_key_id="id",
            aws_secret_access_key="key",
            s3_addressing=addressing,
        )
    )
    assert client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"}).split("?")[0] == url
