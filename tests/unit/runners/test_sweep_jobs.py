"""How often the pipeline makes another Job for a sweep."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.queue.ledger import Usage
from jobs.queue.status import SweepStatus, TrialStatus
from jobs.queue.tables import SlotState
from jobs.runners.kubernetes.manifests import StageJob
from jobs.runners.kubernetes.stage_jobs import StageFailed, Stages
from jobs.runners.kubernetes.sweep_jobs import FRUITLESS_ROUNDS, Workers
from jobs.runners.kubernetes.watcher import Watcher
from jobs.runtime.retry import Patience
from tests.support.api_server import Object, api_server
from tests.support.patience import PATIENCE_SECONDS, poll

TRIALS = 9
LEASE_SECONDS = 0.05
LABELS = {"app.kubernetes.io/instance": "run1", "app.kubernetes.io/component": "sweep"}


def manifest() -> dict[str, Any]:
    spec = {"completions": 2, "parallelism": 2, "template": {"spec": {"containers": [{"name": "sweep", "env": []}]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run1-sweep", "labels": LABELS}, "spec": spec}


def status(settled: int, *lease_left: float) -> SweepStatus:
    """So many trials settled, a running one for each lease, and the rest waiting."""
    left = [*[None] * settled, *lease_left, *[None] * (TRIALS - settled - len(lease_left))]
    states = [SlotState.COMPLETE] * settled + [SlotState.RUNNING] * len(lease_left) + [SlotState.WAITING] * TRIALS
    told = {"parameters": {}, "epoch": 1, "accuracy": 0.5, "seconds": 1.0}
    trials = [
        TrialStatus(slot=slot, number=slot, state=states[slot], lease_left=seconds, **told)
        for slot, seconds in enumerate(left)
    ]
    return SweepStatus(trials, Usage(0, 0, {}))


class Sweep:
    """A sweep whose Jobs all end at once; how many trials they have settled by then is what a test says."""

    def __init__(self, workers: Workers, watcher: Watcher, jobs: list[Object], pods: list[Object]) -> None:
        self.workers, self.watcher, self.jobs, self.pods = workers, watcher, jobs, pods

    def see_to(self, status: SweepStatus, count_claimable: Callable[[], int]) -> None:
        """Once the watch has told what the test has changed."""
        assert poll(self._is_seen, PATIENCE_SECONDS, 0.01)
        self.workers.see_to(status, count_claimable)

    def _is_seen(self) -> bool:
        self.watcher.refresh()
        jobs = self.watcher.jobs("sweep")
        pods = [pod for job in jobs for pod in self.watcher.pods_of(job)]
        return _states(jobs) == _states(self.jobs) and _states(pods) == _states(self.pods)

    def goes_on_with(self, settled: int) -> None:
        self.see_to(status(settled), lambda: TRIALS - settled)
        for job in self.jobs:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def runs(self) -> None:
        """Two workers of the only Job do, and none of it has ended."""
        self.jobs[0]["status"] = {"active": 2}
        name, now = self.jobs[0]["metadata"]["name"], "2026-01-01T00:00:00Z"
        labels = {**LABELS, "batch.kubernetes.io/job-name": name}
        for index in range(2):
            metadata = {"name": f"{name}-{index}", "uid": str(index), "labels": labels, "creationTimestamp": now}
            self.pods.append({"metadata": metadata, "status": {"phase": "Running"}})


@pytest.fixture
def sweep() -> Iterator[Sweep]:
    jobs: list[Object] = []
    pods: list[Object] = []
    with api_server(jobs, pods) as namespace:
        watcher = Watcher(namespace, "run1", lease_seconds=60)
        stages = Stages(namespace, watcher, {"sweep": StageJob("sweep", manifest())}, "1", Patience(1))
        stages.take_over("run1-stages")
        yield Sweep(Workers(stages, lease_seconds=LEASE_SECONDS), watcher, jobs, pods)
        watcher.close()


def _states(items: list[Object]) -> list[tuple[str, Object]]:
    return sorted((item["metadata"]["uid"], item.get("status", {})) for item in items)


def test_jobs_that_settle_no_trial_end_the_sweep_after_three(sweep: Sweep) -> None:
    for _ in range(3):
        sweep.goes_on_with(settled=4)
    assert len(sweep.jobs) == FRUITLESS_ROUNDS == 3
    with pytest.raises(StageFailed, match=r"^3 sweep Jobs in a row settled no trial \(4/9 trials settled, "):
        sweep.goes_on_with(settled=4)
    assert len(sweep.jobs) == 3


def test_job_that_settles_a_trial_begins_the_count_anew(sweep: Sweep) -> None:
    for settled in (0, 0, 0, 1, 1, 1):
        sweep.goes_on_with(settled)
    assert len(sweep.jobs) == 6
    assert [job["metadata"]["annotations"]["resnet-sweep/round"] for job in sweep.jobs] == list("123456")
    with pytest.raises(StageFailed, match="3 sweep Jobs in a row"):
        sweep.goes_on_with(1)


def test_job_that_somebody_removes_is_made_again_and_was_not_fruitless(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    for removed in range(1, 2 * FRUITLESS_ROUNDS):
        sweep.see_to(status(4), lambda: TRIALS - 4)
        assert len(sweep.jobs) == 1
        sweep.jobs.clear()
        assert caplog.text.count("was removed before it had ended") == removed - 1
    for _ in range(3):
        sweep.goes_on_with(settled=4)
    with pytest.raises(StageFailed, match="3 sweep Jobs in a row"):
        sweep.goes_on_with(settled=4)


def test_job_that_has_ended_and_is_removed_afterwards_counts(sweep: Sweep) -> None:
    """As when it is older than ttlSecondsAfterFinished while leases have yet to run out."""
    for _ in range(3):
        sweep.goes_on_with(settled=4)
        sweep.see_to(status(4), lambda: 0)
        sweep.jobs.clear()
    with pytest.raises(StageFailed, match="3 sweep Jobs in a row"):
        sweep.goes_on_with(settled=4)


def test_workers_whose_leases_have_all_run_out_are_joined_by_others(sweep: Sweep) -> None:
    sweep.see_to(status(4), lambda: TRIALS - 4)
    sweep.runs()
    for lease_left in (-1.0, -2.0):
        sweep.see_to(status(4, lease_left), lambda: TRIALS - 4)
        assert len(sweep.jobs) == 1
        time.sleep(LEASE_SECONDS)
    sweep.see_to(status(4, -3.0), lambda: TRIALS - 4)
    assert len(sweep.jobs) == 2


@pytest.mark.parametrize("leases", [(), (-1.0, 1.0)], ids=["none holds a trial yet", "one of two works"])
def test_workers_that_have_yet_to_begin_or_work_stay_alone(sweep: Sweep, leases: tuple[float, ...]) -> None:
    sweep.see_to(status(4), lambda: TRIALS - 4)
    sweep.runs()
    for _ in range(4):
        sweep.see_to(status(4, *leases), lambda: TRIALS - 4)
        time.sleep(LEASE_SECONDS)
    assert len(sweep.jobs) == 1
