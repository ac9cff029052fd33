"""What the pipeline asks of the Kubernetes API, in one namespace.

Objects are plain dictionaries, as `kubectl get -o json` shows them: the client's typed models refuse what the API
server allows, a quantity written as a number for one.
"""

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import kubernetes.client
import kubernetes.config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from jobs.runners.kubernetes import Object
from jobs.runtime.errors import Failure, Unreachable
from jobs.runtime.retry import Patience

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = (5, 20)  # to connect, to answer
WATCH_SECONDS = 300  # after which the API server ends a watch
SILENT_SECONDS = 90  # of a watch: it has a bookmark a minute
SHOWN = 200  # characters of an answer that is not understood
PAGE = 250  # objects in an answer: a thousand pods are 5 MB
OK, NOT_FOUND, CONFLICT = 200, 404, 409
# 401 and 403: a server that has just started may not know its roles and tokens yet, or a quota is used up.
PASSING = {401, 403, 408, 429}


class ApiUnreachable(Unreachable):
    """The API server does not answer, or not with what was asked for; the message says why."""


class ApiRefused(Failure):
    """The API server will not have this, however often it is sent."""


class Namespace:
    """One namespace, with the rights of the service account or of the kubeconfig.

    Every method raises ApiUnreachable or ApiRefused; of one that is `waiting`, OutageTooLong or ApiRefused.
    """

    def __init__(self, name: str, configuration: kubernetes.client.Configuration) -> None:
        self.name = name
        self.location = f"Kubernetes at {configuration.host}"
        self._client = kubernetes.client.ApiClient(configuration)
        self._patience: Patience | None = None
        self._core = f"/api/v1/namespaces/{name}"
        self.jobs_path = f"/apis/batch/v1/namespaces/{name}/jobs"
        self.pods_path = f"{self._core}/pods"

    def waiting(self, patience: Patience) -> Self:
        """The same namespace, which is asked again while the API server does not answer."""
        other = copy.copy(self)
        other._patience = patience
        return other

    def pods(self, selector: str) -> list[Object]:
        return self.listing(self.pods_path, selector)[0]

    def listing(self, path: str, selector: str) -> tuple[list[Object], str]:
        """The objects of the kind that the path names, and the version from which `changes` goes on."""
        found: list[Object] = []
        query = [("labelSelector", selector), ("limit", str(PAGE))]
        while True:
            page = self._ask("GET", path, query=query)
            found += page["items"]
            onward = page["metadata"].get("continue")
            if not onward:
                return found, page["metadata"].get("resourceVersion", "")
            query = [*query[:2], ("continue", onward)]

    def changes(self, path: str, selector: str, version: str) -> Iterator[Object]:
        """What changes after that version, as it comes, each with `type` and `object`, until the API server ends it."""
        query = [
            ("watch", "1"), ("labelSelector", selector), ("resourceVersion", version), ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        ]  # fmt: skip
        response = self._send("GET", path, None, query, (TIMEOUT_SECONDS[0], SILENT_SECONDS)).response
        rest = b""
        try:
            if response.status != OK:
                raise ApiUnreachable(_words(response.status, response.read(SHOWN)))
            while piece := response.read1(2**16):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    change = _json_object(line)
                    if change is None or "object" not in change:
                        raise ApiUnreachable(_words(response.status, line))
                    yield change
            if rest.strip():
                raise ApiUnreachable(_words(response.status, rest))
        except (HTTPError, OSError) as error:
            raise ApiUnreachable(f"{error}") from error
        finally:
            response.close()

    def events(self, name: str) -> list[Object]:
        """The events about the object of that name, the newest last."""
        query = [("fieldSelector", f"involvedObject.name={name}")]
        events: list[Object] = self._ask("GET", f"{self._core}/events", query=query)["items"]
        return sorted(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")

    def owner_reference(self, config_map: str) -> Object:
        """What makes an object vanish together with the ConfigMap."""
        found = self._ask("GET", f"{self._core}/configmaps/{config_map}")
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": config_map, "uid": found["metadata"]["uid"]}

    def create_job(self, manifest: Object) -> None:
        """One of that name may be there already: it is the same, made by a try whose reply was lost."""
        self._ask("POST", self.jobs_path, manifest, allowed=(CONFLICT,))

    def adopt_job(self, name: str, owner: Object) -> None:
        """From now on the Job vanishes with its owner, too."""
        patch = {"metadata": {"ownerReferences": [owner]}}
        self._ask("PATCH", f"{self.jobs_path}/{name}", patch, allowed=(NOT_FOUND,))

    def delete_job(self, name: str) -> None:
        """Its pods get SIGTERM; the Job is listed until the last of them is gone."""
        self._ask("DELETE", f"{self.jobs_path}/{name}", {"propagationPolicy": "Foreground"}, allowed=(NOT_FOUND,))

    def secret(self, name: str) -> Object | None:
        """None if there is none of that name."""
        answer = self._ask("GET", f"{self._core}/secrets/{name}", allowed=(NOT_FOUND,))
        return answer if answer["kind"] == "Secret" else None

    def create_secret(self, manifest: Object) -> Object | None:
        """The Secret as it was made; None if there is one of that name."""
        answer = self._ask("POST", f"{self._core}/secrets", manifest, allowed=(CONFLICT,))
        return answer if answer["kind"] == "Secret" else None

    def delete_pod(self, pod: Object) -> None:
        """What it belongs to makes another in its place."""
        options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        self._ask("DELETE", f"{self.pods_path}/{pod['metadata']['name']}", options, allowed=(NOT_FOUND, CONFLICT))

    def delete_lost_pod(self, pod: Object) -> None:
        """Marks a pod as failed and deletes it, since its node does not answer any more."""
        uid, path = pod["metadata"]["uid"], f"{self.pods_path}/{pod['metadata']['name']}"
        # A Job counts a pod only once it has ended, and the node that would say so is lost.
        lost = {"type": "DisruptionTarget", "status": "True", "reason": "NodeLost", "message": "its lease has run out"}
        self._patch_pod_status(pod, {"phase": "Failed", "conditions": [lost]})
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        self._ask("DELETE", path, options, allowed=(NOT_FOUND, CONFLICT))

    def add_condition(self, pod: Object, condition: Object) -> None:
        """One of the same type is replaced."""
        self._patch_pod_status(pod, {"conditions": [condition]})

    def annotate_pod(self, pod: Object, annotations: dict[str, str]) -> None:
        """Adds annotations, with the right to patch its status alone."""
        self._patch_pod_status(pod, {}, annotations)

    def _patch_pod_status(self, pod: Object, status: Object, annotations: dict[str, str] | None = None) -> None:
        """Nothing is changed where the pod is gone, or another has its name."""
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "annotations": annotations or {}}, "status": status}
        self._ask("PATCH", f"{self.pods_path}/{metadata['name']}/status", patch, allowed=(NOT_FOUND, CONFLICT))

    def _ask(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: list[tuple[str, str]] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> Object:
        """The answer, which is an error's where its status is one of the `allowed`."""

        def ask() -> Object:
            return self._ask_once(method, path, body, query or [], allowed)

        return ask() if self._patience is None else self._patience.get_through(ask, self.location)

    def _ask_once(
        self, method: str, path: str, body: Object | None, query: list[tuple[str, str]], allowed: tuple[int, ...]
    ) -> Object:
        response = self._send(method, path, body, query, TIMEOUT_SECONDS)
        try:
            status, text = response.status, response.read()
        except (HTTPError, OSError) as error:
            raise ApiUnreachable(f"{error}") from error
        answer = _kubernetes_object(text)
        if answer is None:  # from a proxy between here and the server
            raise ApiUnreachable(_words(status, text))
        if 200 <= status < 300 or status in allowed:
            return answer
        words = f"{status} {answer.get('message', '')}"
        if status in PASSING or status >= 500:
            raise ApiUnreachable(words)
        raise ApiRefused(f"{self.location}: {method} {path}: {words}")

    def _send(
        self, method: str, path: str, body: Object | None, query: list[tuple[str, str]], timeout: tuple[float, float]
    ) -> Any:
        """The response, of which nothing but the head has been read."""
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": kind}
        try:
            request = self._client.param_serialize(
                method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            return self._client.call_api(*request, _request_timeout=timeout)
        except ApiException as error:  # an error of TLS
            raise ApiUnreachable(" ".join(str(error.reason).split())) from error
        except (HTTPError, OSError) as error:
            raise ApiUnreachable(f"{error}") from error


def _kubernetes_object(text: bytes) -> Object | None:
    """What the API server answers, errors included, is an object with a kind; None if it is anything else."""
    answer = _json_object(text)
    return answer if answer is not None and "kind" in answer else None


def _words(status: int, text: bytes) -> str:
    return f"{status} {' '.join(text.decode(errors='replace').split())[:SHOWN]}".strip()


def _json_object(text: bytes) -> Object | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


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
