"""What is wrong with a pod or a Job, in words that say what to do about it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jobs.runners.kubernetes import Object
from jobs.runtime.interrupt import EXIT_INTERRUPTED

# Why a container cannot start, by the kubelet's word for it.
IMAGE = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
SETUP = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
MOUNTING = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume"}
# Why a pod was taken away, by the reason of its condition DisruptionTarget.
DISRUPTIONS = {
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByTaintManager": "taken from its node, which is tainted or does not answer",
    "EvictionByEvictionAPI": "evicted, as when a node is drained",
    "DeletionByPodGC": "deleted, since its node is gone",
    "TerminationByKubelet": "ended by its node",
}
KILLED = 128 + 9


@dataclass(frozen=True)
class Problem:
    """`key` stays the same as long as the problem does; one that is `passing` may be gone after a moment."""

    key: str
    text: str
    level: Literal["info", "warning"] = "warning"
    passing: bool = False


def pod_problems(pod: Object, values: str | None = None, *, others_run: bool = False) -> Iterator[Problem]:
    """What the pod's own status says.

    Args:
        pod: as the API has it.
        values: the block of the chart's values that shapes it.
        others_run: whether pods of the same Job do; where they leave room, this one finds a place.

    """
    name, status = pod["metadata"]["name"], pod.get("status", {})
    key = f"{pod['metadata']['uid']}/"
    disruption = _condition(pod, "DisruptionTarget")
    if disruption is not None and disruption["status"] == "True":
        reason = disruption.get("reason", "")
        text = f"pod {name} was {DISRUPTIONS.get(reason, f'disrupted ({reason})')}; its work goes on in another pod"
        yield Problem(key + "disrupted", text, level="info")
    if status.get("reason") == "Evicted":
        yield Problem(key + "evicted", f"pod {name} was evicted: {_line(status.get('message'))}")
        return
    scheduled = _condition(pod, "PodScheduled")
    if status.get("phase") == "Pending" and scheduled is not None and scheduled["status"] == "False":
        if scheduled.get("reason") == "Unschedulable":
            text = _unschedulable(pod, scheduled.get("message", ""), values)
            yield Problem(key + "unschedulable", text, "info" if others_run else "warning", passing=True)
        return
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        yield from _container_problems(
            f"{name}{on_node(pod)}", key, container, values, disrupted=disruption is not None
        )


def event_problems(item: Object, events: list[Object]) -> Iterator[Problem]:
    """What only the events about a pod or a Job tell: volumes that cannot be mounted, pods that may not be made."""
    name, kind = item["metadata"]["name"], "job" if "template" in item.get("spec", {}) else "pod"
    for event in events[-1:]:
        key, message = f"{item['metadata']['uid']}/{event.get('reason')}", _line(event.get("message"))
        if event.get("reason") in MOUNTING:
            yield Problem(key, f"{kind} {name} waits: {message}")
        elif event.get("reason") == "FailedCreate":
            yield Problem(key, f"{kind} {name} gets no pod: {message}")


def on_node(pod: Object) -> str:
    """Where the pod runs, to be put behind its name; empty before it has a node."""
    node = pod.get("spec", {}).get("nodeName")
    return f" on node {node}" if node else ""


def last_words(pod: Object) -> tuple[int, str] | None:
    """The exit code of the pod's container and what it said last; None while it runs, or when it was lost."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        ended = container.get("state", {}).get("terminated")
        if ended is not None:
            return ended["exitCode"], _last_line(ended.get("message", ""))
    return None


def _container_problems(
    pod: str, key: str, container: Object, values: str | None, *, disrupted: bool
) -> Iterator[Problem]:
    state, name = container.get("state", {}), container["name"]
    waiting = state.get("waiting")
    if waiting is not None and waiting.get("reason") in IMAGE:
        message = _line(waiting.get("message")) or waiting["reason"]
        yield Problem(
            key + "image",
            f"pod {pod}: image {container['image']} cannot be had: {message}; see image.repository, image.tag and "
            f"imagePullSecrets",
            passing=True,
        )
    elif waiting is not None and waiting.get("reason") in SETUP:
        message = _line(waiting.get("message")) or waiting["reason"]
        yield Problem(key + "setup", f"pod {pod}: container {name} cannot start: {message}", passing=True)
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if ended is None or ended["exitCode"] in (0, EXIT_INTERRUPTED):
        return
    key += f"ended-{container.get('restartCount', 0)}"
    if ended.get("reason") == "OOMKilled":
        advice = f": raise {values}.resources.limits.memory" if values else ""
        yield Problem(key, f"pod {pod} was killed for using more memory than its limit{advice}")
    elif not disrupted:
        said = _last_line(ended.get("message", ""))
        how = "was killed (SIGKILL)" if ended["exitCode"] == KILLED else f"ended with exit code {ended['exitCode']}"
        yield Problem(key, f"pod {pod} {how}{said and f': {said}'}")


def _unschedulable(pod: Object, message: str, values: str | None) -> str:
    """The scheduler's message, and which value asked for what no node has."""
    name = pod["metadata"]["name"]
    lacking = list(dict.fromkeys(re.findall(r"Insufficient ([\w./-]*\w)", message)))
    asked = []
    for resource in lacking:
        amounts = [
            container.get("resources", {}).get("requests", {}).get(resource) for container in pod["spec"]["containers"]
        ]
        amount = next((amount for amount in amounts if amount is not None), "some")
        block = "gpus" if "/" in resource else f"resources.requests.{resource}"  # devices have a vendor's prefix
        key = f" ({values}.{block})" if values else ""
        asked.append(f"it asks for {amount} {resource}{key}")
    reason = _line(message.split(" preemption:", maxsplit=1)[0]).rstrip(".")
    return f"pod {name} cannot be scheduled: {'; '.join([*asked, reason])}"


def _condition(item: Object, kind: str) -> Object | None:
    conditions: list[Object] = item.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == kind), None)


def _last_line(log: str) -> str:
    """The last line a container wrote, without the formatting of our own logs."""
    lines = [line.strip() for line in log.strip().splitlines()]
    if not lines:
        return ""
    try:
        line = json.loads(lines[-1])
        return str(line["message"])
    except (ValueError, TypeError, KeyError):
        return re.sub(r"^\d\d:\d\d:\d\d (ERROR|WARNING|INFO) +", "", lines[-1])


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
