"""The sweep's Jobs: workers as long as there are trials for them, another Job where one was not enough."""

import logging
import time
from collections.abc import Callable

from jobs.queue.status import SweepStatus
from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.manifests import failure_reason, is_live, job_state, round_of
from jobs.runners.kubernetes.stage_jobs import POLL_SECONDS, StageFailed, Stages
from jobs.runtime import interrupt

log = logging.getLogger(__name__)

LEAVE_SECONDS = 30  # what workers get to leave by themselves when no trial is left
FRUITLESS_ROUNDS = 3  # Jobs in a row that settle no trial
FINAL_REASONS = ("PodFailurePolicy", "DeadlineExceeded")  # why a Job fails that another would not change


class Workers:
    def __init__(self, stages: Stages, lease_seconds: float) -> None:
        self._stages, self._watcher, self._lease_seconds = stages, stages.watcher, lease_seconds
        self._settled_before, self._fruitless = -1, 0
        self._made, self._has_ended = "", False  # the Job that was made last
        self._idle_since: float | None = None

    def see_to(self, status: SweepStatus, count_claimable: Callable[[], int]) -> None:
        """Makes a Job when none works and there are trials to claim; to be called again and again.

        Raises:
            StageFailed: Jobs end and settle nothing, or one has failed as another would.

        """
        self._stages.refresh()
        jobs = self._watcher.jobs("sweep")
        if any(is_live(job) for job in jobs) and not self._hang(jobs, status):
            return
        self._has_ended = self._has_ended or any(job["metadata"]["name"] == self._made for job in jobs)
        for job in jobs:
            if self._stages.is_of_now(job) and failure_reason(job)[0] in FINAL_REASONS:
                raise StageFailed(self._stages.why("sweep", job))
        claimable = count_claimable()
        if not claimable:  # a lease has to run out first
            return
        if self._made and not self._has_ended:
            log.warning("job %s was removed before it had ended", self._made)
        elif status.settled == self._settled_before:
            self._fruitless += 1
        if status.settled > self._settled_before:
            self._settled_before, self._fruitless = status.settled, 0
        if self._fruitless >= FRUITLESS_ROUNDS:
            why = f"; {self._stages.why('sweep', jobs[-1])}" if jobs and job_state(jobs[-1]) == "failed" else ""
            raise StageFailed(f"{self._fruitless} sweep Jobs in a row settled no trial ({status.line()}){why}")
        sweep, round_ = self._stages["sweep"], 1 + max((round_of(job) for job in jobs), default=0)
        workers = min(sweep.workers, -(-claimable // sweep.processes))
        self._made, self._has_ended = sweep.name(round_), False
        log.info("job %s: %d workers for %d trials", self._made, workers, claimable)
        self._stages.create("sweep", round_, workers)

    def let_leave(self) -> None:
        """Waits for the workers to leave by themselves, and removes those that hang or never found a node."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while staying := [job for job in self._watcher.jobs("sweep") if is_live(job) and self._has_pods(job)]:
            if time.monotonic() > deadline:
                self._stages.remove(staying, "no trial is left for its workers")
                return
            interrupt.pause(POLL_SECONDS)
            self._stages.refresh()

    def _hang(self, jobs: list[Object], status: SweepStatus) -> bool:
        """Whether workers run, and the leases of all trials that are held ran out two leases ago.

        That happens when the healthy workers had left before the leases of hung ones ran out. Where no trial is held,
        workers may still be fetching their images and data; one that hangs then is found by its probe.
        """
        phases = [phase for job in jobs if is_live(job) for phase in self._watcher.phases(job)]
        leases = [trial.lease_left for trial in status.running if trial.lease_left is not None]
        if not leases or max(leases) > 0 or "Running" not in phases or "Pending" in phases:
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or time.monotonic()
        idle = time.monotonic() - self._idle_since
        if idle < 2 * self._lease_seconds:
            return False
        log.warning("workers run, but none has held a trial for %.0f s: others are to take over", idle)
        self._idle_since = None
        return True

    def _has_pods(self, job: Object) -> bool:
        return not {"Succeeded", "Failed"}.issuperset(self._watcher.phases(job))
