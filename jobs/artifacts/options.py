"""How an S3-compatible service is reached."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class S3Options:
    """What is None is found as boto3 finds it: its configuration files, the instance's role.

    `addressing` says how a bucket is named in a URL: as a part of the host name (virtual) or of the path.
    `timeout_seconds` is how long the service may keep silent.
    """

    endpoint_url: str | None = None
    region: str | None = None
    ca_bundle: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    timeout_seconds: float = 5.0
