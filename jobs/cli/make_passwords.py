"""The command `passwords`, which the chart runs before its pipeline."""

from pathlib import Path

from jobs.runners.kubernetes.api import open_namespace
from jobs.runners.kubernetes.manifests import read_stage_job
from jobs.runners.kubernetes.own_secrets import make_own_secrets
from jobs.runtime import interrupt, logs
from jobs.runtime.retry import Patience
from jobs.runtime.settings import read_settings


def make_passwords(stages: Path) -> None:
    """Makes the Secrets of the release's own services that are not there yet, as `make_own_secrets` says.

    Raises:
        Interrupted: the process was asked to end.
        Failure: the API server was away too long, or will not have us.

    """
    settings = read_settings(database_url="postgresql:")  # that of the pipeline may not be known yet
    interrupt.listen()
    logs.configure(settings.log_format)
    namespace = open_namespace().waiting(Patience(settings.outage_deadline_seconds))
    make_own_secrets(namespace, stages, read_stage_job(stages, "prepare").release)
