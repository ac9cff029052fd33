"""The stages' Jobs: from the manifests that the chart has rendered to what the API server is given."""

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from jobs.runners.kubernetes import Object
from jobs.runtime.errors import Failure

COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
SPEC = "resnet-sweep/spec"  # label: hash of the spec, before the number of workers is fitted
REVISION = "resnet-sweep/revision"  # annotation: hash of the release's values when the Job was made
VALUES = "resnet-sweep/values"  # annotation: the block of the chart's values that shapes its pods
LEAST_WORKERS = "kueue.x-k8s.io/job-min-parallelism"  # annotation: with fewer pods Kueue lets a Job wait
ROUND = "resnet-sweep/round"  # annotation: how often a sweep was topped up, from 1
HASH_LENGTH = 8


@dataclass(frozen=True)
class StageJob:
    """A stage's Job as the chart has it."""

    stage: str
    manifest: Object

    @property
    def release(self) -> str:
        release: str = self.manifest["metadata"]["labels"][INSTANCE]
        return release

    @property
    def spec_hash(self) -> str:
        text = json.dumps(self.manifest["spec"], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]

    @property
    def workers(self) -> int:
        return completions(self.manifest)

    @property
    def processes(self) -> int:
        """Workers in one pod."""
        for variable in self.manifest["spec"]["template"]["spec"]["containers"][0].get("env", ()):
            if variable["name"] == "PROCESSES":
                return int(variable["value"])
        return 1

    def name(self, round_: int = 1) -> str:
        """The same for the same manifest, and for no other."""
        numbered = f"-{round_}" if round_ > 1 else ""
        return f"{self.manifest['metadata']['name']}{numbered}-{self.spec_hash}"

    def build(self, owner: Object, revision: str, round_: int = 1, workers: int | None = None) -> Object:
        """The Job to create, which vanishes with its owner; with so many workers instead of the chart's."""
        job = copy.deepcopy(self.manifest)
        metadata, spec = job["metadata"], job["spec"]
        metadata["name"] = self.name(round_)
        metadata.setdefault("labels", {})[SPEC] = self.spec_hash
        metadata.setdefault("annotations", {}).update({REVISION: revision, ROUND: str(round_)})
        metadata["ownerReferences"] = [owner]
        if workers is not None:
            spec["completions"] = spec["parallelism"] = workers
            if workers == 1:  # Kueue refuses a Job that could not have fewer
                metadata["annotations"].pop(LEAST_WORKERS, None)
        return job


def read_stage_job(folder: Path, stage: str) -> StageJob:
    """The manifest `<stage>-job.yaml`.

    Raises:
        Failure: it is not there, or no Job.

    """
    file = folder / f"{stage}-job.yaml"
    manifest = read_yaml(file)
    if not isinstance(manifest, dict) or manifest.get("kind") != "Job":
        raise Failure(f"{file}: the manifest of a Job expected")
    return StageJob(stage, manifest)


def read_yaml(file: Path) -> Any:
    """What the file holds. Raises Failure: it is not there, or no YAML."""
    try:
        return yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Failure(f"{file}: {' '.join(str(error).split())}") from None


def completions(job: Object) -> int:
    """How many pods have to succeed."""
    return int(job["spec"].get("completions", 1))


def job_state(job: Object) -> Literal["queued", "running", "complete", "failed"]:
    """How a Job is; queued while a controller such as Kueue holds it back."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            return "complete" if condition["type"] == "Complete" else "failed"
    return "queued" if job["spec"].get("suspend") else "running"


def failure_reason(job: Object) -> tuple[str, str]:
    """Kubernetes' own word and message for why a Job has failed."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] == "Failed" and condition["status"] == "True":
            return condition.get("reason", ""), condition.get("message", "")
    return "", ""


def is_live(job: Object) -> bool:
    return job_state(job) in ("queued", "running")


def round_of(job: Object) -> int:
    return int(job["metadata"].get("annotations", {}).get(ROUND, 1))
