"""What the pipeline does before all else: the passwords of the release's own services."""

from pathlib import Path

from jobs.runners.kubernetes.api import open_namespace
from jobs.runners.kubernetes.manifests import read_stage_job
from jobs.runners.kubernetes.own_secrets import has_own_secrets, make_own_secrets
from jobs.runtime import interrupt, logs
from jobs.runtime.env_file import write_env_file
from jobs.runtime.retry import Patience
from jobs.runtime.settings import read_settings


def make_passwords(stages: Path) -> None:
    """Makes the Secrets of the release's own services that are not there yet; the environment has then what they hold.

    Raises:
        Interrupted: the process was asked to end.
        Failure: the API server was away too long, or will not have us.

    """
    if not has_own_secrets(stages):
        return
    settings = read_settings(database_url="sqlite:///")  # the real one may not be known yet
    interrupt.listen()
    logs.configure(settings.log_format)
    namespace = open_namespace().waiting(Patience(settings.outage_deadline_seconds))
    found = make_own_secrets(namespace, stages, read_stage_job(stages, "prepare").release)
    write_env_file(settings.env_file, found)
