"""What goes on among a release's pods and Jobs: said once when it is trouble, cleared away when it is lost."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.api import ApiUnreachable, Namespace
from jobs.runners.kubernetes.diagnosis import Trouble, event_troubles, pod_troubles
from jobs.runners.kubernetes.manifests import COMPONENT, INSTANCE, VALUES, completions, is_live, job_state

log = logging.getLogger(__name__)

LOOK_SECONDS = 5  # between two looks while something else is waited for
GRACE_SECONDS = 5  # trouble that passes sooner is none
REPEAT_SECONDS = 300
EVENTS_SECONDS = 15  # a pod that has not started by then: the events may say why
JOB_NAME = "batch.kubernetes.io/job-name"


class Lookout:
    def __init__(self, namespace: Namespace, release: str, lease_seconds: float) -> None:
        self._namespace, self._release, self._lease_seconds = namespace, release, lease_seconds
        self._jobs: list[Object] = []
        self._pods: list[Object] = []
        self._looked = float("-inf")
        self._since: dict[str, float] = {}  # what is waited for or wrong, and since when
        self._told: dict[str, float] = {}
        self._asked: dict[str, float] = {}  # when the events about an object were read last

    def look(self) -> None:
        """Raises ApiUnreachable when the API server does not answer; what was seen last stays."""
        self._looked = time.monotonic()
        selector = f"{INSTANCE}={self._release}"
        self._jobs, self._pods = self._namespace.jobs(selector), self._namespace.pods(selector)
        troubles = [*self._troubles()]
        for trouble in troubles:
            self._tell(trouble)
        present = {trouble.key for trouble in troubles} | {_waiting_key(item) for item in (*self._jobs, *self._pods)}
        self._since = {key: since for key, since in self._since.items() if key in present}
        for pod in self._pods:
            self._clear_if_lost(pod)

    def look_now_and_then(self) -> None:
        """For loops that wait for something else. An API server that does not answer is no matter here."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            try:
                self.look()
            except ApiUnreachable as error:
                log.debug("%s", error)

    def jobs(self, stage: str) -> list[Object]:
        """The stage's Jobs as they were at the last look, the oldest first."""
        return sorted((job for job in self._jobs if job["metadata"]["labels"].get(COMPONENT) == stage), key=_created)

    def phases(self, job: Object) -> list[str]:
        """Of the Job's pods."""
        return [pod["status"].get("phase", "Pending") for pod in self.pods_of(job)]

    def has_ended_well(self, job: Object) -> bool:
        """Whether all that the Job waits for has succeeded; the pods tell some seconds before the Job does."""
        return self.phases(job).count("Succeeded") >= completions(job)

    def pods_of(self, job: Object) -> list[Object]:
        """As they were at the last look, the oldest first."""
        return sorted((pod for pod in self._pods if _job_of(pod) == job["metadata"]["name"]), key=_created)

    def _troubles(self) -> Iterator[Trouble]:
        values = {job["metadata"]["name"]: job["metadata"].get("annotations", {}).get(VALUES) for job in self._jobs}
        running = {_job_of(pod) for pod in self._pods if pod["status"].get("phase") == "Running"}
        for pod in self._pods:
            if pod["metadata"]["labels"].get(COMPONENT) == "pipeline":  # ourselves, or who came before us
                continue
            found = list(pod_troubles(pod, values.get(_job_of(pod)), others_run=_job_of(pod) in running))
            yield from found
            if not found and pod["status"].get("phase") == "Pending" and self._asks_for_events(pod):
                yield from event_troubles(pod, self._namespace.events(pod["metadata"]["name"]))
        for job in self._jobs:
            if job_state(job) == "queued":
                name = job["metadata"]["name"]
                text = f"job {name} is held back until its queue admits it"
                yield Trouble(f"{_waiting_key(job)}/queued", text, level="info")
            elif is_live(job) and not job["status"].get("active") and self._asks_for_events(job):
                yield from event_troubles(job, self._namespace.events(job["metadata"]["name"]))

    def _asks_for_events(self, item: Object) -> bool:
        """Whether it has waited for so long, and nobody has asked for so long: each asking is a request."""
        key, now = _waiting_key(item), time.monotonic()
        if now - max(self._since.setdefault(key, now), self._asked.get(key, 0.0)) < EVENTS_SECONDS:
            return False
        self._asked[key] = now
        return True

    def _tell(self, trouble: Trouble) -> None:
        now = time.monotonic()
        since = self._since.setdefault(trouble.key, now)
        if trouble.passing and now - since < GRACE_SECONDS:
            return
        told = self._told.get(trouble.key)
        level = logging.INFO if trouble.level == "info" else logging.WARNING
        if told is None or (trouble.passing and level == logging.WARNING and now - told > REPEAT_SECONDS):
            self._told[trouble.key] = now
            log.log(level, "%s", trouble.text)

    def _clear_if_lost(self, pod: Object) -> None:
        """A pod whose node does not answer stays forever, and a Job makes no other in its place until it has ended.

        A worker's lease has run out by then, and whatever it may still write is discarded. What another stage still
        writes would not be: it is for a person to say that the node is gone.
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
            log.warning("pod %s has not ended in time, its node %s is lost; it is taken out of the books", name, node)
            self._namespace.delete_lost_pod(pod)
        else:
            command = f"kubectl -n {self._namespace.name} delete pod {name} --force"
            text = f"pod {name} has not ended in time; if its node {node} is lost for good: {command}"
            self._tell(Trouble(f"{metadata['uid']}/lost", text))


def _waiting_key(item: Object) -> str:
    return str(item["metadata"]["uid"])


def _job_of(pod: Object) -> str | None:
    name: str | None = pod["metadata"]["labels"].get(JOB_NAME)
    return name


def _created(item: Object) -> str:
    created: str = item["metadata"]["creationTimestamp"]
    return created
