"""The pipeline's settings. Not all are known when it starts, as it makes the Secrets of the release's own services."""

import os
from pathlib import Path

from jobs.runners.kubernetes.api import open_namespace
from jobs.runners.kubernetes.manifests import read_stage_job
from jobs.runners.kubernetes.own_secrets import has_own_secrets, make_own_secrets
from jobs.runtime.errors import ConfigurationError, Failure
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings, read_settings


def first_settings(stages: Path) -> Settings:
    """The settings, in which the database may be none yet.

    Raises:
        Failure: a variable is missing or has a value that is not allowed. The exit code is not 78: its Secret may be
            created later.

    """
    unknown = has_own_secrets(stages) and not os.environ.get("DATABASE_URL")
    return _read(database_url="postgresql:") if unknown else _read()


def complete_settings(first: Settings, stages: Path) -> Settings:
    """The settings with what the release's own Secrets hold, after they are made if they are not there.

    Raises:
        Failure: as above, or the API server is away or will not have us.

    """
    if not has_own_secrets(stages):
        return first
    namespace = open_namespace().waiting(Patience(first.outage_deadline_seconds))
    found = make_own_secrets(namespace, stages, read_stage_job(stages, "prepare").release)
    return _read(**{name.lower(): value for name, value in found.items() if not os.environ.get(name)})


def _read(**known: str) -> Settings:
    try:
        return read_settings(**known)
    except ConfigurationError as error:
        secret = "the Secret that database.existingSecret names has to hold it, under database.secretKey"
        raise Failure(f"{error}; {secret}" if "DATABASE_URL" in str(error) else str(error)) from None
