"""Why a Job has failed: told from the pods that made it fail, whichever others have ended, too."""

from typing import Any

import pytest

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.job_failure import why_failed
from jobs.runners.kubernetes.manifests import completions

INDEXES = {"reason": "FailedIndexes", "message": "Job has failed indexes"}


def job(condition: dict[str, str], *, seeds: int = 1, **status: Any) -> Object:
    return {
        "metadata": {"name": "run1-final-train-1234"},
        "spec": {"completionMode": "Indexed", "completions": seeds},
        "status": {"conditions": [{"type": "Failed", "status": "True", **condition}], **status},
    }


def pod(index: int, code: int | None, said: str = "", name: str = "") -> Object:
    """One that has ended with this exit code, or runs."""
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "message": said}}
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {"name": name or f"run1-final-train-1234-{index}-x", "annotations": annotations},
        "spec": {"nodeName": "node-7"},
        "status": {"containerStatuses": [{"name": "final-train", "state": state}]},
    }


def test_only_pod_tells_why_without_its_index() -> None:
    limit = {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
    why = "job run1-final-train-1234 failed on node node-7 with exit code 1: no GPU"
    assert why_failed(job(limit), [pod(0, 1, "on it\nno GPU\n")]) == why
    assert why_failed(job(INDEXES, failedIndexes="0"), [pod(0, 1, "no GPU")]) == why


@pytest.mark.parametrize(
    ("failed", "where"),
    [
        ("1", "at index 1"),
        ("1,3", "at indexes 1,3, the last at index 1"),
        ("0-2", "at indexes 0-2, the last at index 1"),
    ],
)
def test_index_that_was_given_up_is_named_and_not_those_that_failed_in_passing(failed: str, where: str) -> None:
    pods = [
        pod(1, 1, "first"),
        pod(4, 0),
        pod(1, 1, "the loss is not finite"),
        pod(4, 1, "once"),
        pod(5, 75),
        pod(6, None),
    ]
    why = f"job run1-final-train-1234 failed {where} on node node-7 with exit code 1: the loss is not finite"
    assert why_failed(job(INDEXES, seeds=7, failedIndexes=failed), pods) == why


def test_pod_that_failed_the_whole_job_tells_why_and_not_those_that_were_ended_with_it() -> None:
    rule = "Container final-train for pod lab/the-one failed with exit code 78 matching FailJob rule at index 2"
    pods = [pod(0, 78, "budget.parameters=9: too few", name="the-one"), pod(1, 75, "interrupted"), pod(2, 137)]
    why = why_failed(job({"reason": "PodFailurePolicy", "message": rule}, seeds=3), pods)
    assert (
        why
        == "job run1-final-train-1234 failed at index 0 on node node-7 with exit code 78: budget.parameters=9: too few"
    )


def test_kubernetes_tells_why_where_no_pod_can() -> None:
    lost = [pod(0, 0), pod(1, 75, "interrupted")]
    assert why_failed(job(INDEXES, seeds=2, failedIndexes="1"), lost) == (
        "job run1-final-train-1234 failed at index 1: Job has failed indexes"
    )
    assert why_failed(job({"reason": "Evil", "message": ""}), []) == "job run1-final-train-1234 failed: Evil"


def test_deadline_is_named_by_its_field() -> None:
    late = job({"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}, seeds=2)
    assert why_failed(late, [pod(0, 137), pod(1, 75)]) == (
        "job run1-final-train-1234 ran longer than it may (activeDeadlineSeconds)"
    )


def test_job_waits_for_one_pod_unless_it_says_otherwise() -> None:
    assert completions({"spec": {}}) == 1
    assert completions(job(INDEXES, seeds=3)) == 3
