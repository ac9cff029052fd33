"""The stages' Jobs in the cluster: made, found, removed, and why one has failed."""

import logging
from collections.abc import Iterable

from jobs.runners.kubernetes import Object
from jobs.runners.kubernetes.api import Namespace
from jobs.runners.kubernetes.job_failure import why_failed
from jobs.runners.kubernetes.manifests import REVISION, SPEC, StageJob, is_live, job_state
from jobs.runners.kubernetes.watcher import Watcher
from jobs.runtime import interrupt
from jobs.runtime.errors import Failure
from jobs.runtime.retry import Patience

log = logging.getLogger(__name__)

STAGES = ("prepare", "sweep", "final-train", "evaluate")
POLL_SECONDS = 1.0


class StageFailed(Failure):
    """A stage has failed for good."""


class Stages:
    """Waits out an API server that does not answer, as long as the patience lasts."""

    def __init__(
        self, namespace: Namespace, watcher: Watcher, jobs: dict[str, StageJob], revision: str, patience: Patience
    ) -> None:
        self._namespace, self.watcher, self._jobs = namespace.waiting(patience), watcher, jobs
        self._revision, self._patience = revision, patience

    def take_over(self, owner: str) -> None:
        """All Jobs are owned by the ConfigMap `owner` from now on, so that they vanish with it.

        The Job of this revision's pipeline is, too: after a refused upgrade Helm's newest manifest names another
        pipeline, and an uninstall would leave this one behind. Pipelines that are older are removed, where that which
        deploys the release has not done it.
        """
        self._owner = self._namespace.owner_reference(owner)
        self.refresh()
        older: list[Object] = []
        for job in self.watcher.jobs("pipeline"):  # the oldest first
            name = job["metadata"]["name"]
            if name.endswith(f"-{self._revision}"):
                if "ownerReferences" not in job["metadata"]:
                    self._namespace.adopt_job(name, self._owner)
                self.remove(older, "the release has changed")
            elif "deletionTimestamp" not in job["metadata"]:
                older.append(job)

    def __getitem__(self, stage: str) -> StageJob:
        return self._jobs[stage]

    def refresh(self) -> None:
        self._patience.get_through(self.watcher.refresh, self._namespace.location)

    def find(self, stage: str) -> Object | None:
        """The stage's Job as it was at the last refresh."""
        name = self._jobs[stage].name()
        return next((job for job in self.watcher.jobs(stage) if job["metadata"]["name"] == name), None)

    def create(self, stage: str, round_: int = 1, workers: int | None = None) -> None:
        self._namespace.create_job(self._jobs[stage].build(self._owner, self._revision, round_, workers))

    def remove(self, jobs: Iterable[Object], reason: str) -> None:
        for name in [job["metadata"]["name"] for job in jobs]:
            log.info("job %s is removed: %s", name, reason)
            self._namespace.delete_job(name)

    def clear_way(self, stage: str) -> None:
        """Removes former Jobs of the stage, and Jobs of later stages whose input it is going to change.

        It waits until they are gone. Workers go on, since trials that are added are theirs, too.
        """
        former = [job for job in self.watcher.jobs(stage) if self._is_in_the_way(stage, job)]
        for later in STAGES[STAGES.index(stage) + 1 :]:
            if later != "sweep":
                former += filter(is_live, self.watcher.jobs(later))
        self.remove(former, "the release has changed, or what it did is gone")
        names = {job["metadata"]["name"] for job in former}
        while names & {job["metadata"]["name"] for some in STAGES for job in self.watcher.jobs(some)}:
            interrupt.pause(POLL_SECONDS)
            self.refresh()

    def is_of_now(self, job: Object) -> bool:
        """Whether this revision of the release has made it."""
        return bool(job["metadata"].get("annotations", {}).get(REVISION) == self._revision)

    def why(self, stage: str, job: Object) -> str:
        return f"stage {stage}: {why_failed(job, self.watcher.pods_of(job))}"

    def _is_in_the_way(self, stage: str, job: Object) -> bool:
        """Whether a former Job of the stage differs from the one wanted now, or has ended without what it was for."""
        if stage == "sweep" and not is_live(job):
            return False  # what it did is in the slots
        if job["metadata"]["labels"].get(SPEC) != self._jobs[stage].spec_hash:
            return True
        stands = job_state(job) == "failed" and self.is_of_now(job)  # its failure is this revision's
        return not (is_live(job) or stands)
