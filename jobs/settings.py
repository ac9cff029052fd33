"""The place a process runs in, read from the environment: nothing here changes a result."""

import os
import secrets
import socket
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.experiment_file import ConfigurationError


class Settings(BaseSettings):
    """One field an environment variable, its name in capitals: `DATABASE_URL`, `LEASE_SECONDS`, …"""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, env_ignore_empty=True)

    database_url: str = Field(description="SQLAlchemy URL of the study and its slots.")
    artifacts_url: str = Field(description="Folder under which data sets and results lie.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threads: int | None = Field(None, ge=1, description="Threads of one process; default: torch's own choice.")
    job_completion_index: int = Field(0, ge=0, description="Which of the workers this is; set by Kubernetes.")
    log_format: Literal["text", "json"] = "text"
    lease_seconds: float = Field(60, gt=0, description="How long a slot is kept without a sign of life.")
    renewal_seconds: float = Field(15, gt=0, description="Time between two renewals of a lease.")
    hang_seconds: float = Field(600, gt=0, description="A training that makes no step for so long loses its lease.")
    max_attempts: int = Field(3, ge=1, description="Exceptions after which a trial is settled as failed.")
    max_crashes: int = Field(3, ge=1, description="Lost processes after which a trial is settled as crashed.")

    @model_validator(mode="after")
    def _check_lease(self) -> Self:
        if self.lease_seconds < 3 * self.renewal_seconds:
            raise ValueError(
                f"LEASE_SECONDS={self.lease_seconds:g}: at least three times RENEWAL_SECONDS={self.renewal_seconds:g}"
            )
        return self


def read_settings(**place: Any) -> Settings:
    """The settings of this process: its environment, and over it what `place` says.

    Raises:
        ConfigurationError: a variable is missing or has a value that is not allowed.

    """
    try:
        return Settings(**place)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"]).upper()
            if fault["type"] == "missing":
                lines.append(f"{name}: needed in the environment, but not set")
            elif fault["type"] == "value_error":
                lines.append(fault["msg"].removeprefix("Value error, "))
            else:
                lines.append(f"{name}={fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}")
        raise ConfigurationError("\n".join(lines)) from None


def owner_identity() -> str:
    """A name for this process that no other has, not even one that gets its process number later."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
