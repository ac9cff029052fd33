"""Artifacts in a bucket of Amazon S3, or of another service with the same API. The only user of boto3.

S3 shows an object only when it has received all of it, in one request or in parts. boto3 sends and compares checksums.
Each request is tried twice; WaitingArtifacts tries again for longer.

Between here and the service there may be a proxy, and while the service is away the proxy answers in its place. So only
what an S3 server says is believed: its errors have a code, and what it returns has the fields below.
"""

import contextlib
import http.client
import mimetypes
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError
from s3transfer.exceptions import RetriesExceededError
from urllib3.exceptions import NameResolutionError

from jobs.artifacts.base import Artifacts, ArtifactsRefused, ArtifactsUnreachable, T, disk_errors
from jobs.runtime.settings import Settings

# Files are sent in parts of 16 MiB, four at a time, so that at most 64 MiB of a file are in memory.
TRANSFER = TransferConfig(
    multipart_threshold=16 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=4, num_download_attempts=2
)

PASSING = {  # errors that may pass although their HTTP status, 4xx, says that the request is wrong
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "OperationAborted",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentChecksumMismatch",
    "NoSuchUpload",
    "InvalidPart",
}
TOO_MANY_REQUESTS = 429
WITHOUT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # OpenSSL's words for an answer that is none of TLS
FIELDS = {  # without which no S3 server answers that all is well
    "GetObject": "ETag",
    "HeadObject": "ETag",
    "ListObjectsV2": "Name",
    "PutObject": "ETag",
    "CreateMultipartUpload": "UploadId",
    "UploadPart": "ETag",
    "CompleteMultipartUpload": "ETag",
}


class ForeignAnswer(Exception):
    """Something between here and the service has answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} {http.client.responses.get(status, '')}, which is no answer of an S3 server")
        # What stands before a service that is away says so by the others, 502 to 504 for example.
        self.doubtful = status <= http.HTTPStatus.NOT_IMPLEMENTED


def make_client(settings: Settings) -> Any:
    """A client for one service and one set of credentials; safe to use from several threads.

    Raises:
        ValueError: an endpoint that is no URL.
        ArtifactsRefused: the file of authorities is missing, or only one half of the credentials is given.

    """
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    session = boto3.Session(
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret and secret.get_secret_value(),
        aws_session_token=token and token.get_secret_value(),
        region_name=settings.aws_region,
    )
    if settings.aws_ca_bundle is not None and not Path(settings.aws_ca_bundle).is_file():
        raise ArtifactsRefused(f"AWS_CA_BUNDLE={settings.aws_ca_bundle}: no such file")
    try:
        client = session.client(
            "s3",
            endpoint_url=settings.aws_endpoint_url,
            region_name=session.region_name or "us-east-1",  # services other than Amazon's accept any region
            verify=settings.aws_ca_bundle,
            config=Config(
                connect_timeout=settings.storage_timeout_seconds,
                read_timeout=settings.storage_timeout_seconds,
                retries={"mode": "standard", "total_max_attempts": 2},
                s3={"addressing_style": settings.s3_addressing},
                tcp_keepalive=True,
            ),
        )
    except exceptions.PartialCredentialsError as error:
        raise ArtifactsRefused(str(error)) from None
    except ValueError:
        raise ValueError(f"AWS_ENDPOINT_URL={settings.aws_endpoint_url}: a URL such as https://host:9000") from None
    client.meta.events.register("response-received.s3", _check_answer)
    return client


class S3Artifacts(Artifacts):
    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    @property
    def location(self) -> str:
        endpoint = self._client.meta.endpoint_url
        at = "" if "amazonaws.com" in endpoint else f" at {endpoint}"
        return f"s3://{self._key('').rstrip('/')}{at}"

    def under(self, prefix: str) -> "S3Artifacts":
        return S3Artifacts(self._client, self._bucket, self._name(prefix))

    def exists(self, key: str) -> bool:
        try:
            with self._errors(key):
                self._read_a_byte(key)
        except FileNotFoundError:
            return False
        return True

    def listing(self, prefix: str = "") -> list[str]:
        folder = self._name(prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{folder}/" if folder else ""
        )
        start = len(self._prefix) + 1 if self._prefix else 0
        with self._errors(prefix):
            keys = [row["Key"][start:] for page in pages for row in page.get("Contents", ())]
        return sorted(key for key in keys if not key.endswith("/"))  # web consoles make such objects for empty folders

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        with _temporary_folder() as folder:
            path = folder / "object"
            with disk_errors(folder):
                write(path)
            media_type, _ = mimetypes.guess_type(key)
            extra = {"ContentType": media_type} if media_type else {}
            with self._errors(key), path.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, self._name(key), ExtraArgs=extra, Config=TRANSFER)

    def read(self, key: str, read: Callable[[Path], T]) -> T:
        with _temporary_folder() as folder:
            path = folder / "object"
            with disk_errors(folder), self._errors(key), path.open("wb") as file:
                try:
                    self._client.download_fileobj(self._bucket, self._name(key), file, Config=TRANSFER)
                except exceptions.ClientError as error:
                    if error.operation_name == "HeadObject":  # an answer without a body, which could be anybody's
                        self._read_a_byte(key)
                    raise
            with disk_errors(folder):
                return read(path)

    def remove(self, key: str) -> None:
        with self._errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def _read_a_byte(self, key: str) -> None:
        """Unlike HEAD, GET has an answer that says why it fails."""
        try:
            self._client.get_object(Bucket=self._bucket, Key=self._name(key), Range="bytes=0-0")["Body"].read()
        except exceptions.ClientError as error:
            if _code(error.response) != "InvalidRange":  # of an object without a first byte
                raise

    def _name(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, key) if part)

    def _key(self, key: str) -> str:
        return f"{self._bucket}/{self._name(key)}"

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        place = f"s3://{self._key(key)}"
        try:
            yield
        except exceptions.ClientError as error:
            raise _meaning(error, place) from error
        except (ForeignAnswer, ResponseParserError) as error:
            doubtful = not isinstance(error, ForeignAnswer) or error.doubtful
            raise ArtifactsUnreachable(f"{place}: {error}", doubtful=doubtful) from error
        except exceptions.NoCredentialsError as error:
            words = "no credentials; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY give them"
            raise ArtifactsRefused(f"{place}: {words}") from error
        except (exceptions.ParamValidationError, exceptions.PartialCredentialsError) as error:
            raise ArtifactsRefused(f"{place}: {' '.join(str(error).split())}") from error
        except exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ArtifactsRefused(f"{place}: {error}") from error
            plain = any(words in str(error) for words in WITHOUT_TLS)
            said = "an answer without TLS; AWS_ENDPOINT_URL would begin with http:// for it" if plain else error
            raise ArtifactsUnreachable(f"{place}: {said}", doubtful=plain) from error
        except RetriesExceededError as error:
            raise ArtifactsUnreachable(f"{place}: {error.last_exception}") from error
        except exceptions.EndpointConnectionError as error:
            if isinstance(error.kwargs["error"], NameResolutionError):
                host = urlsplit(error.kwargs["endpoint_url"]).hostname
                raise ArtifactsUnreachable(f"{place}: no host {host} is known here", doubtful=True) from error
            raise ArtifactsUnreachable(f"{place}: {error}") from error
        except exceptions.BotoCoreError as error:
            raise ArtifactsUnreachable(f"{place}: {error}") from error


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        with disk_errors(Path(tempfile.gettempdir())):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="resnet-sweep-"))
        yield Path(folder)


def _check_answer(
    response_dict: dict[str, Any] | None, parsed_response: dict[str, Any] | None, event_name: str, **_: Any
) -> None:
    """boto3 calls this with every answer.

    It would take whatever an answer of success holds, and asks after each redirection where the bucket is, which is
    redirected, too, without end.
    """
    if response_dict is None or parsed_response is None:
        return
    status, field = response_dict["status_code"], FIELDS.get(event_name.rpartition(".")[2])
    lacks = status < 300 and field is not None and field not in parsed_response
    moved = 300 <= status < 400 and not _code(parsed_response) and "x-amz-bucket-region" not in response_dict["headers"]
    if lacks or moved:
        raise ForeignAnswer(status)


def _code(response: dict[str, Any]) -> str:
    """As the S3 API's documentation has them; empty where the answer had none, for which boto3 puts the status."""
    code = str(response.get("Error", {}).get("Code", ""))
    return "" if code.isdigit() else code


def _meaning(error: exceptions.ClientError, place: str) -> Exception:
    """The exception for an error response."""
    code, status = _code(error.response), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = error.response.get("Error", {}).get("Message") or code
    if not code:
        foreign = ForeignAnswer(status)
        return ArtifactsUnreachable(f"{place}: {foreign}", doubtful=foreign.doubtful)
    if code == "NoSuchKey":
        return FileNotFoundError(f"{place}: not there")
    if status >= 500 or status == TOO_MANY_REQUESTS or code in PASSING:
        return ArtifactsUnreachable(f"{place}: {code}: {message}")
    if code == "AccessDenied":
        message = f"{message.rstrip('.')}; without a right to list the bucket, also where there is no such object"
    return ArtifactsRefused(f"{place}: {code}: {message}")
