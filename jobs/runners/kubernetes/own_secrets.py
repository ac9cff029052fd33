"""The Secrets of the release's own services, made where they are not there, with passwords that nobody has chosen.

A chart that made passwords up would render others each time. And whoever may make Jobs, as the pipeline may, could read
every Secret of the namespace anyway.
"""

import logging
import secrets
import string
from base64 import b64decode
from pathlib import Path

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.api import Namespace
from jobs.runners.kubernetes.manifests import COMPONENT, INSTANCE, read_yaml

log = logging.getLogger(__name__)

FILE = "secrets.yaml"
OF_OTHERS = {"dashboard"}  # components whose Secrets are not for processes of ours
SECRET_ANNOTATION = "resnet-sweep/secret"  # of a pod: the uid of the Secret that it may begin with
LETTERS, LENGTH = string.ascii_letters + string.digits, 32  # of a password; such letters need no quoting in a URL


def has_own_secrets(stages: Path) -> bool:
    """Whether the release brings services of its own."""
    return (stages / FILE).is_file()


def make_own_secrets(namespace: Namespace, stages: Path, release: str) -> dict[str, str]:
    """Makes the Secrets that the namespace lacks, with a password in the place of each `$password`.

    A pod of such a service that waits for its Secret is told that it is there, and one that runs with a former password
    is replaced.

    Args:
        namespace: of the release.
        stages: the folder of all that the pipeline makes; its `secrets.yaml` is a list of Secrets.
        release: whose pods they are.

    Returns:
        The environment variables that processes of ours have of these Secrets, once they are there.

    Raises:
        Failure: the file cannot be read, or the API server will not have us; of a namespace that is not waiting,
            ApiUnreachable as well.

    """
    variables: dict[str, str] = {}
    for manifest in read_yaml(stages / FILE):
        secret, component = _existing(namespace, manifest), manifest["metadata"]["labels"][COMPONENT]
        for pod in namespace.pods(f"{INSTANCE}={release},{COMPONENT}={component}"):
            _bring_up_to_date(namespace, pod, secret["metadata"])
        if component not in OF_OTHERS:
            variables |= {key: b64decode(value).decode().strip() for key, value in secret["data"].items()}
    return variables


def _bring_up_to_date(namespace: Namespace, pod: Object, secret: Object) -> None:
    """Has a pod use the Secret of this metadata, if it was made before it. A container reads it when it starts."""
    made = secret["creationTimestamp"]  # of the same format as all times, so that their texts compare
    if pod["metadata"]["creationTimestamp"] > made:
        return
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    running = [state["running"] for container in containers if "running" in (state := container.get("state", {}))]
    if any(state["startedAt"] < made for state in running):
        namespace.delete_pod(pod)
    else:  # a kubelet that has missed the Secret looks again after ten seconds or more, and at once when a pod changes
        namespace.annotate_pod(pod, {SECRET_ANNOTATION: secret["uid"]})


def _existing(namespace: Namespace, manifest: Object) -> Object:
    """The Secret as the cluster has it, and as it is made if there is none."""
    name = manifest["metadata"]["name"]
    found = namespace.secret(name)
    if found is not None:
        return found
    password = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    data = {key: string.Template(text).substitute(password=password) for key, text in manifest["stringData"].items()}
    made = namespace.create_secret({**manifest, "stringData": data})
    if made is None:  # another pipeline was faster, or the reply was lost
        return _existing(namespace, manifest)
    log.info("secret %s: made, with a password of its own", name)
    return made
