"""The place a process runs in, read from the environment: nothing here changes a result."""

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.runtime.database_url import database_place
from jobs.runtime.errors import ConfigurationError
from resnet_core.validation import explain


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


class Settings(BaseSettings):
    """One field an environment variable, its name in capitals: `DATABASE_URL`, `LEASE_SECONDS`, …"""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, env_ignore_empty=True)

    database_url: str = Field(description="sqlite:///file, or a connection string as libpq takes it.")
    artifacts_url: str = Field(description="Folder or s3://bucket/prefix under which data sets and results lie.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threads: int | None = Field(
        None, ge=1, description="Threads of one process; default: its share of the cores it may use."
    )
    job_completion_index: int | None = Field(
        None, ge=0, description="Which worker, or which seed's final training this is; set by Kubernetes."
    )
    processes: int = Field(1, ge=1, description="Workers that one `sweep` runs at once, on one GPU.")
    ranks: int = Field(1, ge=1, description="Processes that share each batch of a `final-train`, one a GPU.")
    rank: int = Field(
        0, description="Which of them this is, where LAUNCHER_PID is set: by the process that starts them."
    )
    launcher_pid: int | None = Field(None, description="That process.")
    ranks_address: str = Field("", description="Where the ranks meet, as host:port; set by the same process.")
    gpu_processes: int = Field(
        1,
        ge=1,
        description="Processes on this one's GPU, itself included; set for those that `sweep` and `local` start.",
    )
    cuda_mps_pipe_directory: Path = Field(
        Path("/tmp/nvidia-mps"), description="Of NVIDIA's Multi-Process Service; CUDA reads the same variable."
    )
    heartbeat_dir: Path | None = Field(None, description="Where each process keeps a file young while it gets on.")
    log_format: Literal["text", "json"] = "text"

    lease_seconds: float = Field(60, gt=0, description="How long a slot is kept without a sign of life.")
    renewal_seconds: float = Field(15, gt=0, description="Time between two renewals of a lease.")
    hang_seconds: float = Field(600, gt=0, description="A training that makes no step for so long loses its lease.")
    database_timeout_seconds: float = Field(
        default_factory=lambda known: known.get("renewal_seconds", 15) * 2 / 3,
        gt=0,
        description="How long the database may keep silent; default: two thirds of RENEWAL_SECONDS.",
    )
    storage_timeout_seconds: float = Field(
        default_factory=lambda known: known.get("renewal_seconds", 15) / 3,
        gt=0,
        description="How long S3 may keep silent; default: a third of RENEWAL_SECONDS.",
    )
    outage_deadline_seconds: float = Field(
        3600, gt=0, description="How long a process waits for a database or a bucket that is away."
    )
    max_attempts: int = Field(3, ge=1, description="Exceptions after which a trial is settled as failed.")
    max_crashes: int = Field(
        3, ge=1, description="Processes lost within one epoch after which a trial is settled as crashed."
    )

    aws_endpoint_url: str | None = Field(None, description="Of an S3 that is not Amazon's.")
    aws_region: str | None = None
    aws_ca_bundle: str | None = Field(None, description="File of the authorities that vouch for the endpoint.")
    aws_access_key_id: str | None = Field(None, description="Default: as boto3 finds credentials.")
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    s3_addressing: Literal["auto", "path", "virtual"] = Field("auto", description="How the bucket is named in a URL.")

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        renewal = f"RENEWAL_SECONDS={self.renewal_seconds:g}"
        if self.lease_seconds < 3 * self.renewal_seconds:
            raise ValueError(f"LEASE_SECONDS={self.lease_seconds:g}: at least three times {renewal}")
        for name in ("database_timeout_seconds", "storage_timeout_seconds"):
            if getattr(self, name) >= self.renewal_seconds:
                raise ValueError(f"{name.upper()}={getattr(self, name):g}: less than {renewal}")
        return self

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        database_place(url)
        return url

    @property
    def own_rank(self) -> int:
        """Of this process; other launchers' RANK, in an environment that is not ours alone, says nothing to us."""
        return 0 if self.launcher_pid is None else self.rank

    def s3_options(self) -> S3Options:
        return S3Options(
            endpoint_url=self.aws_endpoint_url,
            region=self.aws_region,
            ca_bundle=self.aws_ca_bundle,
            access_key_id=self.aws_access_key_id,
            secret_access_key=_reveal(self.aws_secret_access_key),
            session_token=_reveal(self.aws_session_token),
            addressing=self.s3_addressing,
            timeout_seconds=self.storage_timeout_seconds,
        )


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def read_settings(**place: Any) -> Settings:
    """The settings of this process: its environment, and over it what `place` says.

    Raises:
        ConfigurationError: a variable is missing or has a value that is not allowed.

    """
    try:
        return Settings(**place)
    except ValidationError as error:
        lines = explain(error, Settings, spell=str.upper, missing="needed in the environment, but not set")
        raise ConfigurationError("\n".join(lines)) from None


def owner_identity() -> str:
    """A name for this process that no other has, not even one that gets its process number later."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
