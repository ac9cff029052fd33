"""A release of the chart in a namespace: installed, watched, and its outcome checked from outside."""

import base64
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from jobs.artifacts import Artifacts, open_artifacts
from jobs.artifacts.manifest import read_manifest, verify
from jobs.runtime.settings import read_settings
from tests.cluster.kubernetes_cluster import CommandFailed, Namespace
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.patience import PATIENCE_SECONDS, poll

CHART = Path(__file__).parents[2] / "charts/resnet-sweep"
NAME = "run1"
LEASE_SECONDS = 12
SMALL = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}  # three releases fit on two cores
POLL_SECONDS = 2.0  # each look starts a kubectl or two, which take a tenth of a second of a core

TRIALS = 8
# A network that is trained in seconds, all trials to the end: there is time to do harm, and not much more.
EXPERIMENT: dict[str, Any] = {
    "data": {"limit": 300},
    "model": {"depths": [1, 1], "width": 8, "strides": [2, 2]},
    "pruning": {"method": "none", "target": None},
    "sweep": {"trials": TRIALS, "epochs": 20, "earlyStopping": {"name": "none"}},
    "finalTrain": {"epochs": 4},
}


POOLED: dict[str, Any] = {"pooler": {"aboveWorkers": 0}}  # values of `postgresql`: as before many workers


class Release:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.pipelines: list[str] = []  # names of their Jobs, as Helm has printed them
        self._main_processes: dict[str, int] = {}  # by the names of their pods, which may be gone before they are
        images = namespace.cluster.images
        ours = images.resnet_sweep
        self.values: dict[str, Any] = {
            "image": {"repository": ours.repository, "tag": ours.tag, "digest": ours.digest},
            "postgresql": {"image": str(images.postgresql), "pooler": {"image": str(images.postgresql)}},
            "bucket": {"image": str(images.versitygw)},
            "dashboard": {"image": str(images.dashboard)},
            "prepare": {"resources": SMALL},
            "worker": {"gpus": 0, "resources": SMALL},
            "finalTrain": {"gpus": 0, "resources": SMALL},
            "evaluate": {"gpus": 0, "resources": SMALL},
            "lease": {"seconds": LEASE_SECONDS, "renewalSeconds": 4},
            "terminationGracePeriodSeconds": 20,
        }

    def install(self, **values: Any) -> str:
        return self._helm("install", values)

    def upgrade(self, **values: Any) -> str:
        return self._helm("upgrade", values)

    def apply(self, **values: Any) -> str:
        """Without Helm in the cluster, as Argo CD does it: what is rendered is applied, and what is no longer in it removed."""
        _merge(self.values, values)
        values_file = yaml.safe_dump(self.values)
        rendered = self.namespace.helm(
            "template", NAME, str(CHART), "--no-hooks", "--values=-", standard_input=values_file
        )
        self.pipelines += re.findall(rf"^  name: ({NAME}-pipeline-\w+)$", rendered, re.MULTILINE)
        prune = ("--prune", f"--selector=app.kubernetes.io/instance={NAME}")
        return self.namespace.kubectl("apply", *prune, "--filename=-", standard_input=rendered)

    def uninstall(self) -> str:
        return self.namespace.helm("uninstall", NAME, "--wait")

    def _helm(self, command: str, values: dict[str, Any]) -> str:
        _merge(self.values, values)
        said = self.namespace.helm(command, NAME, str(CHART), "--values=-", standard_input=yaml.safe_dump(self.values))
        self.pipelines += re.findall(rf"job/({NAME}-pipeline-\w+)", said)
        return said

    # What goes on.

    def log(self) -> str:
        """What the newest pipeline has said, in all its pods."""
        pods = self.pods("pipeline", f"batch.kubernetes.io/job-name={self.pipelines[-1]}")
        return "".join(self.log_of(pod["metadata"]["name"]) for pod in pods)

    def log_of(self, pod: str) -> str:
        try:
            return self.namespace.kubectl("logs", pod)
        except CommandFailed as failed:  # it has not begun
            return failed.output

    def pods(self, component: str, *selectors: str) -> list[dict[str, Any]]:
        """The oldest first."""
        selector = ",".join((f"app.kubernetes.io/component={component}", *selectors))
        pods: list[dict[str, Any]] = self.namespace.get("pods", f"--selector={selector}")["items"]
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def running(self, component: str) -> list[str]:
        """The names of its pods that run."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(component)
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def metrics(self) -> str:
        """What the pipeline serves to Prometheus."""
        (pod,) = self.running("pipeline")
        return self.namespace.kubectl(
            "get", "--raw", f"/api/v1/namespaces/{self.namespace.name}/pods/{pod}:9464/proxy/metrics"
        )

    def jobs(self) -> dict[str, str]:
        """Each Job's condition, Complete or Failed, or nothing while it runs."""
        found = {}
        for job in self.namespace.get("jobs")["items"]:
            conditions = [c["type"] for c in job["status"].get("conditions", ()) if c["status"] == "True"]
            found[job["metadata"]["name"]] = next((c for c in conditions if c in ("Complete", "Failed")), "")
        return found

    def until(self, what: str, condition: Callable[[], Any]) -> None:
        """An API server that does not answer for a moment is part of what is tried here."""
        failed: CommandFailed | None = None

        def reached() -> bool:
            nonlocal failed
            try:
                return bool(condition())
            except CommandFailed as error:
                failed = error
                return False

        assert poll(reached, PATIENCE_SECONDS, POLL_SECONDS), f"{what}: {failed}; the log:\n{self.log()}"

    def until_log_has(self, pattern: str) -> str:
        """The newest pipeline's log, once it has the pattern."""
        self.until(f"{pattern!r} in the log", lambda: re.search(pattern, self.log()))
        return self.log()

    def until_done(self) -> str:
        """The newest pipeline's log, once its Job is over."""
        self.until("the pipeline's end", self.outcome)
        assert self.outcome() == "Complete", self.log()
        return self.log()

    def outcome(self) -> str:
        """Of the newest pipeline: Complete, Failed, or nothing while it runs."""
        return self.jobs().get(self.pipelines[-1], "")

    def until_half_way(self) -> None:
        """Trials are settled, others run."""
        self.until_log_has(r"trial \d+ (complete|stopped early)")
        self.until("a worker", lambda: self.running("sweep"))

    def until_all_work(self) -> list[str]:
        """The names of the workers' pods, each of which has begun a trial."""
        self.until_half_way()
        pods = [pod["metadata"]["name"] for pod in self.pods("sweep")]
        self.until("a trial of every worker", lambda: all("begins" in self.log_of(pod) for pod in pods))
        return pods

    def signal(self, pod: str, number: signal.Signals) -> None:
        """To the main process of a pod on this very machine, which a signal from within its container would not reach."""
        if pod not in self._main_processes:
            self._main_processes[pod] = _main_process(self.namespace.get("pod", pod)["metadata"]["uid"])
        os.kill(self._main_processes[pod], number)

    # What has come of it.

    def check(self, trials: int, study: str = NAME) -> None:
        """So many trials settled, each once, and a result that is as its manifest says."""
        with self.services() as (database, artifacts):
            swept = opened(database)
            try:
                check_sweep(swept, study, trials)
            finally:
                swept.close()
            result = artifacts.under(study)
            assert verify(result, read_manifest(result)) == []

    def secret(self, service: str) -> dict[str, str]:
        data = self.namespace.get("secret", f"{NAME}-{service}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    @contextmanager
    def services(self) -> Iterator[tuple[str, Artifacts]]:
        """URL of the database and the bucket, as they are reached from here."""
        with ExitStack() as stack:
            postgresql = stack.enter_context(self.forwarded("postgresql", 5432))
            bucket = stack.enter_context(self.forwarded("bucket", 9000))
            password, keys = self.secret("postgresql")["POSTGRES_PASSWORD"], self.secret("bucket")
            settings = read_settings(
                database_url=f"postgresql://sweep:{password}@127.0.0.1:{postgresql}/sweeps",
                artifacts_url="s3://sweeps",
                aws_endpoint_url=f"http://127.0.0.1:{bucket}",
                aws_ca_bundle=None,
                aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                s3_addressing="path",
            )
            yield settings.database_url, open_artifacts(settings)

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """A port here that leads to the service."""
        cluster = self.namespace.cluster
        command = [
            *cluster.kubectl_command, f"--kubeconfig={cluster.kubeconfig}", f"--namespace={self.namespace.name}",
            "port-forward", f"service/{NAME}-{service}", f":{port}",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            assert found, line
            yield int(found[1])
        finally:
            process.terminate()
            process.communicate()


def _main_process(uid: str) -> int:
    """The number of the process of ours in the pod with this uid: others of its name run in other namespaces."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            cgroup, command = (folder / "cgroup").read_text(), (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if uid in cgroup.replace("_", "-") and b"jobs" in command:
            return int(folder.name)
    raise AssertionError(f"no process of pod {uid} on this machine")


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
