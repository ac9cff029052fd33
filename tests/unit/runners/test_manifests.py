"""A stage's Job, from its manifest to what the API server is given."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.runners.kubernetes.manifests import (
    LEAST_WORKERS,
    StageJob,
    failure_reason,
    job_state,
    read_stage_job,
    round_of,
)
from jobs.runtime.errors import Failure

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "run1-stages", "uid": "7"}


def manifest(image: str = "resnet-sweep:1", processes: str = "1") -> dict[str, Any]:
    container = {"name": "sweep", "image": image, "env": [{"name": "PROCESSES", "value": processes}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "run1-sweep", "labels": {"app.kubernetes.io/instance": "run1"}},
        "spec": {"completions": 8, "parallelism": 8, "template": {"spec": {"containers": [container]}}},
    }


def test_name_changes_with_the_spec_alone() -> None:
    relabelled = manifest()
    relabelled["metadata"]["labels"]["helm.sh/chart"] = "resnet-sweep-9"
    assert StageJob("sweep", manifest()).name() == StageJob("sweep", relabelled).name()
    assert StageJob("sweep", manifest()).name() != StageJob("sweep", manifest("resnet-sweep:2")).name()


def test_smaller_sweep_of_a_later_round_is_the_same_spec_under_another_name() -> None:
    stage = StageJob("sweep", manifest())
    first, second = stage.build(OWNER, 3), stage.build(OWNER, 3, 2, 5)
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["labels"]["resnet-sweep/spec"] == second["metadata"]["labels"]["resnet-sweep/spec"]
    assert (first["spec"]["completions"], second["spec"]["completions"], second["spec"]["parallelism"]) == (8, 5, 5)
    assert (round_of(first), round_of(second)) == (1, 2)
    assert second["metadata"]["ownerReferences"] == [OWNER]
    assert stage.manifest == manifest()


def test_worker_that_is_alone_is_not_offered_to_kueue_in_part() -> None:
    """Kueue refuses a Job that could not have fewer pods than it asks for."""
    partial = manifest()
    partial["metadata"]["annotations"] = {LEAST_WORKERS: "1"}
    stage = StageJob("sweep", partial)
    offered = [LEAST_WORKERS in stage.build(OWNER, 1, 1, workers)["metadata"]["annotations"] for workers in (8, 2, 1)]
    assert offered == [True, True, False]


def test_workers_and_their_processes_are_read_from_the_manifest() -> None:
    stage = StageJob("sweep", manifest(processes="3"))
    assert (stage.workers, stage.processes, stage.release) == (8, 3, "run1")


@pytest.mark.parametrize(
    ("spec", "conditions", "state"),
    [
        ({}, [], "running"),
        ({"suspend": True}, [], "queued"),
        ({}, [{"type": "FailureTarget", "status": "True"}], "running"),  # its pods are still being ended
        ({}, [{"type": "Complete", "status": "True"}], "complete"),
        ({}, [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}], "failed"),
    ],
)
def test_state_of_a_job_is_what_its_conditions_say(spec: Any, conditions: Any, state: str) -> None:
    job = {"spec": spec, "status": {"conditions": conditions}}
    assert job_state(job) == state
    assert failure_reason(job) == (("BackoffLimitExceeded", "m") if state == "failed" else ("", ""))


def test_manifest_that_is_missing_or_no_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"sweep-job.yaml: .*No such file"):
        read_stage_job(tmp_path, "sweep")
    (tmp_path / "sweep-job.yaml").write_text("kind: Pod")
    with pytest.raises(Failure, match=r"sweep-job.yaml: the manifest of a Job expected"):
        read_stage_job(tmp_path, "sweep")
    (tmp_path / "sweep-job.yaml").write_text(yaml.safe_dump(manifest()))
    assert read_stage_job(tmp_path, "sweep").manifest == manifest()
