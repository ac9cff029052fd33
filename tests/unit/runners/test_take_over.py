"""A pipeline that starts: which other pipelines' Jobs it removes, and whose its own is."""

from typing import Any

from jobs.runners.kubernetes.stage_jobs import Stages
from jobs.runners.kubernetes.watcher import Watcher
from jobs.runtime.retry import Patience
from tests.support.api_server import api_server


def pipeline(revision: str, second: int) -> dict[str, Any]:
    return {
        "kind": "Job",
        "metadata": {
            "name": f"run1-pipeline-{revision}",
            "uid": revision,
            "labels": {"app.kubernetes.io/instance": "run1", "app.kubernetes.io/component": "pipeline"},
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
        },
        "spec": {},
        "status": {"active": 1},
    }


def taken_over(jobs: list[dict[str, Any]], revision: str) -> list[str]:
    with api_server(jobs) as namespace:
        watcher = Watcher(namespace, "run1", 60)
        Stages(namespace, watcher, {}, revision, Patience(1)).take_over("run1-stages")
        watcher.close()
    return [job["metadata"]["name"] for job in jobs]


def test_older_pipelines_are_removed() -> None:
    jobs = [pipeline("aaaaaaaa", 1), pipeline("bbbbbbbb", 3), pipeline("cccccccc", 2)]
    assert taken_over(jobs, "bbbbbbbb") == ["run1-pipeline-bbbbbbbb"]
    assert jobs[0]["metadata"]["ownerReferences"][0]["name"] == "run1-stages"


def test_one_that_is_being_removed_is_left_alone() -> None:
    jobs = [pipeline("aaaaaaaa", 1), pipeline("bbbbbbbb", 2)]
    jobs[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:03Z"
    assert taken_over(jobs, "bbbbbbbb") == ["run1-pipeline-aaaaaaaa", "run1-pipeline-bbbbbbbb"]


def test_a_pipeline_that_starts_again_leaves_a_newer_one_alone() -> None:
    jobs = [pipeline("aaaaaaaa", 1), pipeline("bbbbbbbb", 2)]
    assert taken_over(jobs, "aaaaaaaa") == ["run1-pipeline-aaaaaaaa", "run1-pipeline-bbbbbbbb"]
