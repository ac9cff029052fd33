"""Where and how a process runs, read from environment variables. Nothing here changes a result."""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.runtime.database_url import database_place
from jobs.runtime.errors import ConfigurationError
from resnet_core.validation import explain

RENEWAL_SECONDS = 15.0  # by default
LOCAL_LEASE = {"lease_seconds": "15", "renewal_seconds": "5"}  # so that `local` notices a killed worker sooner


class Settings(BaseSettings):
    """Each field is an environment variable, whose name is that of the field in capitals: `DATABASE_URL`, …

    The chart's values lease.*, checkpoint.*, outageDeadlineSeconds, maxAttempts, maxCrashes and logFormat repeat the
    defaults of this class. A test holds them equal.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, env_ignore_empty=True)

    database_url: str = Field(description="sqlite:///file, or a connection string as libpq takes it.")
    artifacts_url: str = Field(description="Folder or s3://bucket/prefix under which data sets and results lie.")
    device: str = "auto"
    threads: int | None = Field(
        None, ge=1, description="Threads of one process; default: its share of the cores it may use."
    )
    job_completion_index: int | None = Field(
        None, ge=0, description="The number of this worker, or of this final training's seed; Kubernetes sets it."
    )
    processes: int = Field(1, ge=1, description="How many workers one `sweep` runs at once, on one GPU.")
    ranks: int = Field(1, ge=1, description="Processes that share each batch of a `final-train`, one on each GPU.")
    rank: int = Field(0, description="The number of this rank. It counts only if RANKS_ADDRESS is set.")
    ranks_address: str = Field(
        "", description="Where the ranks meet, as host:port; set, as RANK is, by the process that starts them."
    )
    launcher_pid: int | None = Field(
        None, description="The process of ours that has started this one, which ends when that has ended."
    )
    gpu_processes: int = Field(
        1, ge=1, description="How many processes use this process's GPU, itself included; set by `sweep` and `local`."
    )
    cuda_mps_pipe_directory: Path = Field(
        Path("/tmp/nvidia-mps"), description="Of NVIDIA's Multi-Process Service; CUDA reads the same variable."
    )
    heartbeat_dir: Path | None = Field(
        None, description="Folder in which `sweep` and `final-train` touch a file every second, unless they hang."
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="json: each line is an object with time, level, logger and message, after an error exception, and "
        "where they are known stage (the process's command), study, worker (as in the ledger), trial and epoch.",
    )

    notify_url: SecretStr | None = Field(
        None,
        description="Webhook of a chat, which `local` and `pipeline` tell of a run's end, its failure and warnings.",
    )

    env_file: Path | None = Field(
        None,
        description="File of `NAME=value` lines, more variables of each process; `pipeline` writes what it has made.",
    )

    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port at which `pipeline` serves the sweep's numbers as OpenMetrics."
    )

    lease_seconds: float = Field(60, gt=0, description="How long a worker keeps its slot without renewing the lease.")
    renewal_seconds: float = Field(RENEWAL_SECONDS, gt=0, description="Time between two renewals of a lease.")
    hang_seconds: float = Field(
        600, gt=0, description="A worker that makes no training step for so long loses its slot."
    )
    checkpoint_seconds: float = Field(
        20, ge=0, description="Time between two checkpoints of a training, most of what a killed process costs."
    )
    database_timeout_seconds: float = Field(
        default_factory=lambda known: known.get("renewal_seconds", RENEWAL_SECONDS) * 2 / 3,
        gt=0,
        description="How long the database may take to answer; default: two thirds of RENEWAL_SECONDS.",
    )
    storage_timeout_seconds: float = Field(
        default_factory=lambda known: known.get("renewal_seconds", RENEWAL_SECONDS) / 3,
        gt=0,
        description="How long S3 may take to answer; default: a third of RENEWAL_SECONDS.",
    )
    outage_deadline_seconds: float = Field(
        3600, gt=0, description="How long a process waits for a database or a bucket that is away."
    )
    max_attempts: int = Field(
        3, ge=1, description="Exceptions that settle a trial as failed, if several workers had them, or the only one."
    )
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

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"DEVICE={device}: auto, cpu, cuda or cuda:1 expected")
        return device

    @field_validator("notify_url")
    @classmethod
    def _check_notify_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"https?://[^/\s]", url.get_secret_value()):
            raise ValueError("NOTIFY_URL: an address that begins with https:// or http:// expected")  # it is a secret
        return url

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        database_place(url)
        return url

    @property
    def own_rank(self) -> int:
        """RANK if this is a rank. Without RANKS_ADDRESS, RANK is another program's and is ignored."""
        return self.rank if self.ranks_address else 0


def read_settings(**place: Any) -> Settings:
    """The settings of this process, from its environment. Those in `place` replace what the environment says.

    Raises:
        ConfigurationError: a variable is missing or has a value that is not allowed.

    """
    try:
        return Settings(**place)
    except ValidationError as error:
        lines = explain(error, Settings, spell=str.upper, missing="needed in the environment, but not set")
        raise ConfigurationError(*lines) from None
