"""Problem in words, from what a real API server shows of such pods."""

from typing import Any

import pytest

from jobs.runners.kubernetes.diagnosis import Problem, event_problems, last_words, pod_problems

Object = dict[str, Any]


def pod(**status: Any) -> Object:
    requests = {"cpu": "1", "nvidia.com/gpu": "8"}
    return {
        "metadata": {"name": "run1-sweep-1a2b3c4d-0-x7k2p", "uid": "3f", "labels": {}},
        "spec": {"containers": [{"name": "sweep", "resources": {"requests": requests}}]},
        "status": status,
    }


def container(**state: Any) -> Object:
    return {"name": "sweep", "image": "registry.example/resnet-sweep:9", "restartCount": 0, "state": state}


def only(found: list[Problem]) -> Problem:
    assert len(found) == 1, found
    return found[0]


def unschedulable(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(phase="Pending", conditions=[condition])


def test_container_that_failed_is_told_with_its_node() -> None:
    ended = pod(phase="Failed", containerStatuses=[container(terminated={"exitCode": 1, "message": "no GPU"})])
    ended["spec"]["nodeName"] = "node-7"
    text = "pod run1-sweep-1a2b3c4d-0-x7k2p on node node-7 ended with exit code 1: no GPU"
    assert only(list(pod_problems(ended))).text == text


def test_pod_that_asks_for_more_than_any_node_has_names_resource_amount_and_value() -> None:
    message = (
        "0/3 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    problem = only(list(pod_problems(unschedulable(message), "worker")))
    assert problem.passing
    assert problem.text.startswith(
        "pod run1-sweep-1a2b3c4d-0-x7k2p cannot be scheduled: it asks for 1 cpu (worker.resources.requests.cpu); "
        "it asks for 8 nvidia.com/gpu (worker.gpus); 0/3 nodes are available"
    )
    assert "Preemption is not helpful" not in problem.text


def test_pod_that_waits_for_others_of_its_job_is_no_warning() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    (alone,) = pod_problems(unschedulable(message), "finalTrain")
    (among_others,) = pod_problems(unschedulable(message), "finalTrain", others_run=True)
    assert (alone.level, among_others.level) == ("warning", "info")
    assert alone.key == among_others.key


def test_pod_that_no_node_takes_for_another_reason_shows_the_schedulers_words() -> None:
    message = "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    assert only(list(pod_problems(unschedulable(message), "worker"))).text == (
        "pod run1-sweep-1a2b3c4d-0-x7k2p cannot be scheduled: 0/1 nodes are available: 1 node(s) had untolerated taint(s)"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example/x:9"'}},
            "image registry.example/resnet-sweep:9 cannot be had: Back-off pulling",
        ),
        ({"waiting": {"reason": "ErrImageNeverPull"}}, "see image.repository, image.tag and imagePullSecrets"),
        (
            {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "nope" not found'}},
            'container sweep cannot start: secret "nope" not found',
        ),
        (
            {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            "more memory than its limit: raise worker.resources.limits.memory",
        ),
        ({"terminated": {"exitCode": 137, "reason": "Error"}}, "was killed (SIGKILL)"),
        (
            {
                "terminated": {
                    "exitCode": 1,
                    "message": "13:00:00 INFO    on it\n13:00:01 ERROR   sweep failed: no GPU\n",
                }
            },
            "ended with exit code 1: sweep failed: no GPU",
        ),
        (
            {"terminated": {"exitCode": 1, "message": '{"level": "error", "message": "sweep failed: no GPU"}\n'}},
            "ended with exit code 1: sweep failed: no GPU",
        ),
    ],
)
def test_container_that_cannot_start_or_has_failed_says_why(state: Object, words: str) -> None:
    assert (
        words in only(list(pod_problems(pod(phase="Pending", containerStatuses=[container(**state)]), "worker"))).text
    )


@pytest.mark.parametrize(
    "state",
    [
        {"running": {}},
        {"waiting": {"reason": "ContainerCreating"}},
        {"terminated": {"exitCode": 0}},
        {"terminated": {"exitCode": 75, "message": "interrupted"}},
    ],
)
def test_what_is_in_order_is_no_trouble(state: Object) -> None:
    assert list(pod_problems(pod(phase="Running", containerStatuses=[container(**state)]))) == []


def test_drained_pod_is_no_failure_whatever_its_exit_code() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    killed = container(terminated={"exitCode": 137, "reason": "Error"})
    problem = only(list(pod_problems(pod(phase="Failed", conditions=[condition], containerStatuses=[killed]))))
    assert problem.level == "info"
    assert "evicted, as when a node is drained; its work goes on in another pod" in problem.text


def test_pod_evicted_by_its_node_shows_what_the_node_was_short_of() -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."}
    assert only(list(pod_problems(pod(**status)))).text.endswith("low on resource: ephemeral-storage.")


def test_events_tell_of_volumes_and_of_pods_that_may_not_be_made() -> None:
    mount = [
        {"reason": "Scheduled"},
        {"reason": "FailedMount", "message": 'MountVolume failed: configmap "x" not found'},
    ]
    assert only(list(event_problems(pod(phase="Pending"), mount))).text.endswith('configmap "x" not found')
    job = {"metadata": {"name": "run1-sweep", "uid": "4"}, "spec": {"template": {}}}
    quota = [{"reason": "FailedCreate", "message": "pods is forbidden: exceeded quota: gpus"}]
    assert only(list(event_problems(job, quota))).text == (
        "job run1-sweep gets no pod: pods is forbidden: exceeded quota: gpus"
    )


def test_same_trouble_has_the_same_key_and_another_end_another() -> None:
    def failed(restarts: int) -> str:
        status = {**container(terminated={"exitCode": 1}), "restartCount": restarts}
        return only(list(pod_problems(pod(phase="Running", containerStatuses=[status])))).key

    assert failed(0) == failed(0) != failed(1)


def test_last_words_are_those_of_the_container_that_has_ended() -> None:
    assert last_words(pod(containerStatuses=[container(running={})])) is None
    ended = container(terminated={"exitCode": 78, "message": "resnet-sweep: data.limit=9: too few\n"})
    assert last_words(pod(containerStatuses=[ended])) == (78, "resnet-sweep: data.limit=9: too few")
