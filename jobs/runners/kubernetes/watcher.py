"""Watches a release's Jobs and pods: tells each problem once, and removes pods whose node is lost."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.api import ApiUnreachable, Namespace
from jobs.runners.kubernetes.diagnosis import Problem, event_problems, pod_problems
from jobs.runners.kubernetes.manifests import COMPONENT, INSTANCE, VALUES, completions, is_live, job_state
from jobs.runners.kubernetes.reflection import Reflection

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5  # between two refreshes while something else is waited for
GRACE_SECONDS = 5  # a problem that passes sooner is not told
REPEAT_SECONDS = 300
EVENTS_SECONDS = 15  # a pod that has not started by then: the events may say why
JOB_NAME = "batch.kubernetes.io/job-name"


class Watcher:
    def __init__(self, namespace: Namespace, release: str, lease_seconds: float) -> None:
        self._namespace, self._lease_seconds = namespace, lease_seconds
        selector = f"{INSTANCE}={release}"
        self._reflected_jobs = Reflection(namespace, namespace.jobs_path, selector, _without_managers)
        self._reflected_pods = Reflection(namespace, namespace.pods_path, selector, _essentials)
        self._jobs: list[Object] = []
        self._pods: list[Object] = []
        self._refreshed = float("-inf")
        self._since: dict[str, float] = {}  # since when an object waits or a problem lasts
        self._told: dict[str, float] = {}
        self._asked: dict[str, float] = {}  # when the events about an object were read last
        self._asked_about: set[str] = set()  # the Jobs, in this look

    def refresh(self) -> None:
        """Looks anew. Raises ApiUnreachable when the API server does not answer; what was seen last stays."""
        self._refreshed = time.monotonic()
        self._jobs, self._pods = self._reflected_jobs.objects(), self._reflected_pods.objects()
        self._asked_about = set()
        problems = list(self._problems())
        for problem, pod in problems:
            if self._tell(problem) and pod is not None and not problem.passing:
                self._namespace.add_condition(pod, _told(problem))
        present = {problem.key for problem, _ in problems} | {_waiting_key(item) for item in (*self._jobs, *self._pods)}
        self._since = {key: since for key, since in self._since.items() if key in present}
        for pod in self._pods:
            self._clear_if_lost(pod)

    def close(self) -> None:
        self._reflected_jobs.close()
        self._reflected_pods.close()

    def refresh_now_and_then(self) -> None:
        """For loops that wait for something else: an API server that does not answer is asked again the next time."""
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            try:
                self.refresh()
            except ApiUnreachable as error:
                log.debug("%s", error)

    def jobs(self, stage: str) -> list[Object]:
        """The stage's Jobs as they were at the last refresh, the oldest first."""
        return sorted((job for job in self._jobs if job["metadata"]["labels"].get(COMPONENT) == stage), key=_created)

    def phases(self, job: Object) -> list[str]:
        """Of the Job's pods."""
        return [pod["status"].get("phase", "Pending") for pod in self.pods_of(job)]

    def has_ended_well(self, job: Object) -> bool:
        """Whether all that the Job waits for has succeeded; the pods tell some seconds before the Job does."""
        return self.phases(job).count("Succeeded") >= completions(job)

    def pods_of(self, job: Object) -> list[Object]:
        """The Job's pods as they were at the last refresh, the oldest first."""
        return sorted((pod for pod in self._pods if _job_of(pod) == job["metadata"]["name"]), key=_created)

    def _problems(self) -> Iterator[tuple[Problem, Object | None]]:
        """Each with the pod whose status tells it, if one does, without what a pipeline before this one has told."""
        values = {job["metadata"]["name"]: job["metadata"].get("annotations", {}).get(VALUES) for job in self._jobs}
        running = {_job_of(pod) for pod in self._pods if pod["status"].get("phase") == "Running"}
        for pod in self._pods:
            if pod["metadata"]["labels"].get(COMPONENT) == "pipeline":  # ourselves, or who came before us
                continue
            found = list(pod_problems(pod, values.get(_job_of(pod)), others_run=_job_of(pod) in running))
            yield from ((problem, pod) for problem in found if _told(problem)["type"] not in _conditions(pod))
            if not found and pod["status"].get("phase") == "Pending" and self._asks_for_events(pod):
                yield from self._event_problems(pod)
        for job in self._jobs:
            if job_state(job) == "queued":
                name = job["metadata"]["name"]
                text = f"job {name} is held back until its queue admits it"
                yield Problem(f"{_waiting_key(job)}/queued", text, level="info"), None
            elif is_live(job) and not job["status"].get("active") and self._asks_for_events(job):
                yield from self._event_problems(job)

    def _event_problems(self, item: Object) -> Iterator[tuple[Problem, None]]:
        for problem in event_problems(item, self._namespace.events(item["metadata"]["name"])):
            yield problem, None

    def _asks_for_events(self, item: Object) -> bool:
        """Whether it has waited long enough, and its events were not asked for lately: each asking is a request.

        In one look only those of one pod of each Job are asked for: a thousand pods that wait have the same reason.
        """
        key, now = _waiting_key(item), time.monotonic()
        about = _job_of(item) or key
        lately = now - max(self._since.setdefault(key, now), self._asked.get(key, 0.0)) < EVENTS_SECONDS
        if lately or about in self._asked_about:
            return False
        self._asked[key] = now
        self._asked_about.add(about)
        return True

    def _tell(self, problem: Problem) -> bool:
        """Whether it was told just now."""
        now = time.monotonic()
        since = self._since.setdefault(problem.key, now)
        if problem.passing and now - since < GRACE_SECONDS:
            return False
        told = self._told.get(problem.key)
        level = logging.INFO if problem.level == "info" else logging.WARNING
        if told is not None and not (problem.passing and level == logging.WARNING and now - told > REPEAT_SECONDS):
            return False
        self._told[problem.key] = now
        log.log(level, "%s", problem.text)
        return True

    def _clear_if_lost(self, pod: Object) -> None:
        """A pod whose node does not answer stays forever, and its Job makes no other in its place.

        A worker's pod is removed: its lease has run out by then, and whatever it still writes is discarded. What a
        pod of another stage still writes is not discarded, so that a person has to say that the node is gone.
        """
        metadata = pod["metadata"]
        deleted = metadata.get("deletionTimestamp")
        if deleted is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            return
        overdue = (datetime.now(UTC) - datetime.fromisoformat(deleted)).total_seconds()
        if overdue <= self._lease_seconds:
            return
        name, node = metadata["name"], pod["spec"].get("nodeName", "?")
        if metadata["labels"].get(COMPONENT) == "sweep":
            log.warning("pod %s has not ended in time, its node %s is lost; it is removed", name, node)
            self._namespace.delete_lost_pod(pod)
        else:
            command = f"kubectl -n {self._namespace.name} delete pod {name} --force"
            text = f"pod {name} has not ended in time; if its node {node} is lost for good: {command}"
            self._tell(Problem(f"{metadata['uid']}/lost", text))


def _without_managers(item: Object) -> Object:
    """Without the half of an object that says who has written which field."""
    item["metadata"].pop("managedFields", None)
    return item


def _essentials(pod: Object) -> Object:
    """What is looked at of a pod: of a thousand, the rest would be megabytes."""
    spec = pod.get("spec", {})
    containers = [{"name": each["name"], "resources": each.get("resources", {})} for each in spec.get("containers", ())]
    return {**_without_managers(pod), "spec": {"nodeName": spec.get("nodeName"), "containers": containers}}


def _told(problem: Problem) -> Object:
    """The condition of a pod by which the next pipeline knows that this has been told."""
    _, _, what = problem.key.partition("/")
    return {"type": f"resnet-sweep/{what}", "status": "True", "reason": "Told"}


def _conditions(pod: Object) -> set[str]:
    return {condition["type"] for condition in pod["status"].get("conditions") or ()}


def _waiting_key(item: Object) -> str:
    return str(item["metadata"]["uid"])


def _job_of(pod: Object) -> str | None:
    name: str | None = pod["metadata"]["labels"].get(JOB_NAME)
    return name


def _created(item: Object) -> str:
    created: str = item["metadata"]["creationTimestamp"]
    return created
