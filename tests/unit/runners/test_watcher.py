"""What the pipeline tells of pods, and what it leaves untold since another has told it."""

import logging
from typing import Any

import pytest

from jobs.runners.kubernetes.watcher import Watcher
from tests.support.api_server import api_server

Object = dict[str, Any]


def dead_pod(number: int, **status: Any) -> Object:
    """A worker's, whose process was killed."""
    ended = {"terminated": {"exitCode": 137, "reason": "Error"}}
    return {
        "metadata": {"name": f"pod-{number}", "uid": str(number), "labels": {"app.kubernetes.io/component": "sweep"}},
        "spec": {"containers": [{"name": "sweep"}]},
        "status": {
            "phase": "Failed",
            "containerStatuses": [{"name": "sweep", "image": "i", "restartCount": 0, "state": ended}],
            **status,
        },
    }


def told_by_another_pipeline(pods: list[Object], caplog: pytest.LogCaptureFixture) -> list[str]:
    """What one tells that has just started, in two looks at these pods."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    with api_server([], pods) as namespace:
        watcher = Watcher(namespace, "run1", lease_seconds=60)
        watcher.refresh()
        watcher.refresh()
        watcher.close()
    return [record.message for record in caplog.records]


def test_death_is_told_once_however_often_the_pipeline_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    pods = [dead_pod(1)]
    assert told_by_another_pipeline(pods, caplog) == ["pod pod-1 was killed (SIGKILL)"]
    assert told_by_another_pipeline(pods, caplog) == []
    pods.append(dead_pod(2))  # while no pipeline ran
    assert told_by_another_pipeline(pods, caplog) == ["pod pod-2 was killed (SIGKILL)"]
    assert told_by_another_pipeline(pods, caplog) == []


def test_each_death_of_a_pod_that_starts_again_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pod = dead_pod(1)
    assert len(told_by_another_pipeline([pod], caplog)) == 1
    pod["status"]["containerStatuses"][0]["restartCount"] = 1
    assert len(told_by_another_pipeline([pod], caplog)) == 1
    assert told_by_another_pipeline([pod], caplog) == []


def test_other_conditions_of_the_pod_stay(caplog: pytest.LogCaptureFixture) -> None:
    evicted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    pod = dead_pod(1, conditions=[evicted])
    (told,) = told_by_another_pipeline([pod], caplog)
    assert "evicted, as when a node is drained" in told
    assert evicted in pod["status"]["conditions"]
    assert told_by_another_pipeline([pod], caplog) == []


def test_events_are_asked_for_of_one_waiting_pod_of_a_job_in_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.runners.kubernetes.watcher.EVENTS_SECONDS", 0)
    labels = {"app.kubernetes.io/component": "sweep", "batch.kubernetes.io/job-name": "run1-sweep"}
    pods = [
        {"metadata": {"name": f"pod-{number}", "uid": str(number), "labels": labels}, "status": {"phase": "Pending"}}
        for number in range(20)
    ]
    asked: list[str] = []
    with api_server([], pods, events_asked=asked) as namespace:
        watcher = Watcher(namespace, "run1", lease_seconds=60)
        watcher.refresh()
        assert len(asked) == 1
        watcher.refresh()
        watcher.close()
    assert len(asked) == 2
