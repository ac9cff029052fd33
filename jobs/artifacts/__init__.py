"""The files of all studies, by key, in a folder or in a bucket. Nobody ever sees an object that is half written."""

from pathlib import Path

from jobs.artifacts.base import Artifacts, ArtifactsRefused, ArtifactsUnreachable
from jobs.artifacts.folder import FolderArtifacts
from jobs.artifacts.waiting import WaitingArtifacts
from jobs.runtime.settings import Settings

__all__ = [
    "Artifacts",
    "ArtifactsRefused",
    "ArtifactsUnreachable",
    "FolderArtifacts",
    "WaitingArtifacts",
    "open_artifacts",
]


def open_artifacts(settings: Settings) -> Artifacts:
    """The artifacts at ARTIFACTS_URL, `s3://bucket/prefix` or a folder, neither of which is accessed yet.

    Raises:
        ValueError: the URL names neither a folder nor a bucket.

    """
    url = settings.artifacts_url
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderArtifacts(Path(url))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"ARTIFACTS_URL={url}: either a folder or s3://bucket/prefix")
    from jobs.artifacts.s3 import S3Artifacts, make_client  # noqa: PLC0415 - boto3 takes a while to import

    return S3Artifacts(make_client(settings), bucket, prefix.strip("/"))
