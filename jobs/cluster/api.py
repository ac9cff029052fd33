"""What the pipeline asks of the Kubernetes API, in one namespace.

Objects are plain dictionaries, as `kubectl get -o json` shows them. Lists are asked for anew each time: a watch would
have to be picked up after each of its ends, and a list of some dozen objects costs a few milliseconds.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from jobs.failure import Failure, Unreachable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = (5, 20)  # to connect, to answer
NOT_FOUND, CONFLICT = 404, 409
# A server that has just started may not know its roles and tokens yet, and a quota that is used up may be freed.
PASSING = {0, 401, 403, 408, 429}

Object = dict[str, Any]


class ApiUnreachable(Unreachable):
    """The API server does not answer, or not with what was asked for; the message says why."""


class ApiRefused(Failure):
    """The API server will not have this object, however often it is sent."""


class Namespace:
    """One namespace, with the rights of the service account or of the kubeconfig."""

    def __init__(self, name: str, configuration: kubernetes.client.Configuration) -> None:
        self.name = name
        client = kubernetes.client.ApiClient(configuration)
        self._core, self._batch = kubernetes.client.CoreV1Api(client), kubernetes.client.BatchV1Api(client)
        self.location = f"Kubernetes at {configuration.host}"

    def jobs(self, selector: str) -> list[Object]:
        return self._list(self._batch.list_namespaced_job, label_selector=selector)

    def pods(self, selector: str) -> list[Object]:
        return self._list(self._core.list_namespaced_pod, label_selector=selector)

    def events(self, name: str) -> list[Object]:
        """The events about the object of that name, the newest last."""
        events = self._list(self._core.list_namespaced_event, field_selector=f"involvedObject.name={name}")
        return sorted(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")

    def owner_reference(self, config_map: str) -> Object:
        """What makes an object vanish together with the ConfigMap."""
        found = self._ask(lambda: self._core.read_namespaced_config_map(config_map, self.name, **RAW))
        assert found is not None
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": config_map, "uid": found["metadata"]["uid"]}

    def create_job(self, manifest: Object) -> None:
        """One of that name may be there already: it is the same, made by a try whose reply was lost."""
        self._ask(lambda: self._batch.create_namespaced_job(self.name, manifest, **RAW), CONFLICT)

    def delete_job(self, name: str) -> None:
        """Its pods get SIGTERM; the Job is listed until the last of them is gone."""
        options = {"propagationPolicy": "Foreground"}
        self._ask(lambda: self._batch.delete_namespaced_job(name, self.name, body=options, **RAW), NOT_FOUND)

    def delete_lost_pod(self, pod: Object) -> None:
        """Takes a pod out of the books whose node does not answer any more."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        lost = {"type": "DisruptionTarget", "status": "True", "reason": "NodeLost", "message": "its lease has run out"}
        failed = {"metadata": {"uid": uid}, "status": {"phase": "Failed", "conditions": [lost]}}
        # A Job counts a pod only once it has ended, and the node that would say so is gone.
        self._ask(lambda: self._core.patch_namespaced_pod_status(name, self.name, failed, **RAW), NOT_FOUND, CONFLICT)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        self._ask(lambda: self._core.delete_namespaced_pod(name, self.name, body=options, **RAW), NOT_FOUND, CONFLICT)

    def _list(self, method: Callable[..., Any], **selectors: str) -> list[Object]:
        found = self._ask(lambda: method(self.name, **selectors, **RAW))
        assert found is not None
        items: list[Object] = found["items"]
        return items

    def _ask(self, request: Callable[[], Any], *allowed: int) -> Object | None:
        """The answer; None for one of the `allowed` errors."""
        try:
            answer: Object = json.loads(request().data)
        except ApiException as error:
            if error.status in allowed:
                return None
            status, words = error.status or 0, _words(error)
            if status in PASSING or status >= 500:
                raise ApiUnreachable(f"{self.location}: {status} {words}") from error
            raise ApiRefused(f"{self.location}: {status} {words}") from error
        except (HTTPError, OSError, ValueError) as error:
            raise ApiUnreachable(f"{self.location}: {error}") from error
        return answer


RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": TIMEOUT_SECONDS}


def open_namespace() -> Namespace:
    """The namespace this process runs in; outside of a cluster, the kubeconfig's.

    Raises:
        Failure: there is neither.

    """
    configuration = kubernetes.client.Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            name = (SERVICE_ACCOUNT / "namespace").read_text()
        else:
            kubernetes.config.load_kube_config(client_configuration=configuration)
            _, context = kubernetes.config.list_kube_config_contexts()
            name = context["context"].get("namespace", "default")
    except (ConfigException, OSError) as error:
        raise Failure(f"no Kubernetes to work with: {error}") from None
    configuration.retries = False  # it is for the caller to wait and try again
    return Namespace(name, configuration)


def _words(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
