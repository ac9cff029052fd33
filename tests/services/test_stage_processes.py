"""The stages as a cluster runs them: processes that find PostgreSQL and a bucket in their environment."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.artifacts.keys import model_key
from jobs.artifacts.manifest import read_manifest, verify
from jobs.artifacts.s3 import S3Artifacts
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.queue.status_reader import sweep_status
from jobs.runtime.settings import Settings, read_settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny
from tests.support.bucket_server import Bucket
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.place import Place

SAMPLED_ALONE = "sweep={trials: 3, epochs: 4, sampler: {name: random}, earlyStopping: {name: none}}"


@dataclass
class Cluster:
    """A database and a bucket."""

    place: Place
    bucket: Bucket

    def environment(self) -> dict[str, str]:
        times = {
            "lease_seconds": "6",
            "renewal_seconds": "2",
            "outage_deadline_seconds": "120",
            "checkpoint_seconds": "0",
        }
        names = {"database_url": self.place.url(), "threads": "1", **times, **self.bucket.settings()}
        return {**os.environ, **{name.upper(): value for name, value in names.items()}}

    def settings(self) -> Settings:
        return read_settings(database_url=self.place.url(), **self.bucket.settings())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jobs", *arguments]
        return subprocess.Popen(
            command, env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out, error

    def stage(self, name: str, file: Path) -> None:
        code, _out, error = self.run(name, "--config", str(file))
        assert code == 0, error

    def results(self, experiment: Experiment) -> list[tuple[object, object]]:
        """What each trial was and came to."""
        status = sweep_status(self.place.opened, experiment.study_name)
        return [(trial.parameters, trial.accuracy) for trial in status.trials]


@pytest.fixture
def cluster(place: Place, bucket: Bucket) -> Cluster:
    return Cluster(place, bucket)


def written(experiment: Experiment, folder: Path) -> Path:
    file = folder / f"{experiment.study_name}.yaml"
    file.write_text(dump_experiment(experiment))
    return file


def test_stages_end_with_a_result_that_verifies_and_can_be_fetched(cluster: Cluster, tmp_path: Path) -> None:
    experiment = tiny("study.name=whole", "sweep.trials=4", "finalTrain.epochs=2")
    file = written(experiment, tmp_path)
    cluster.stage("prepare", file)
    workers = [cluster.start("sweep", "--config", str(file)) for _ in range(2)]
    for worker in workers:
        _out, error = worker.communicate(timeout=PATIENCE_SECONDS)
        assert worker.returncode == 0, error
    cluster.stage("final-train", file)
    cluster.stage("evaluate", file)
    cluster.place.check(experiment)
    result = f"{cluster.bucket.url}/whole"
    code, out, error = cluster.run("verify", result)
    assert code == 0, error
    assert "all as the manifest says" in out

    fetched = tmp_path / "fetched"
    code, out, error = cluster.run("fetch", result, "--to", str(fetched))
    assert code == 0, error
    objects = json.loads((fetched / "manifest.json").read_text())["objects"]
    assert all((fetched / key).stat().st_size == entry["size"] for key, entry in objects.items())
    assert {log.name.split("-")[0] for log in (fetched / "logs").iterdir()} == {"prepare", "sweep", "final", "evaluate"}

    secrets = ("p@ss:w", "s3cret")
    for log in (fetched / "logs").iterdir():
        assert not any(secret in log.read_text() for secret in secrets)

    study = cluster.bucket.artifacts().under("whole")
    study.write_text("final/seed-0/model.json", study.read_text("final/seed-0/model.json") + " ")
    study.remove("evaluation/metrics.json")
    study.write_text("evaluation/other.txt", "")
    code, out, _error = cluster.run("verify", result)
    assert code == 1
    assert [line.split(" (")[0] for line in out.splitlines()[:3]] == [
        "missing: evaluation/metrics.json",
        "extra: evaluation/other.txt",
        "changed: final/seed-0/model.json",
    ]


def test_interrupted_sweep_comes_to_the_very_same_results(cluster: Cluster, tmp_path: Path) -> None:
    """In fp32, for which nothing is measured that could turn out otherwise in another process."""
    undisturbed, terminated, killed = (
        tiny(SAMPLED_ALONE, "training.precision=fp32", f"study.name={name}")
        for name in ("undisturbed", "terminated", "killed")
    )
    for experiment in (undisturbed, terminated, killed):
        prepare.run(experiment, cluster.settings(), cluster.bucket.artifacts())
    sweep.run(undisturbed, cluster.settings(), cluster.bucket.artifacts())
    for disturbed, number, expected in ((terminated, signal.SIGTERM, 75), (killed, signal.SIGKILL, -9)):
        interrupt_sweep(cluster, disturbed, written(disturbed, tmp_path), number, expected)
        sweep.run(disturbed, cluster.settings(), cluster.bucket.artifacts())
        cluster.place.check(disturbed)
        assert any(change.fence > 1 for change in cluster.place.ledger(disturbed)), "it was not interrupted in a trial"
        assert cluster.results(disturbed) == cluster.results(undisturbed)


def interrupt_sweep(cluster: Cluster, disturbed: Experiment, file: Path, number: signal.Signals, expected: int) -> None:
    """A worker gets a signal in a trial and ends with that exit code; returns once another can go on."""
    worker = cluster.start("sweep", "--config", str(file))
    epochs = cluster.bucket.artifacts().under(disturbed.study_name)
    until(lambda: any("checkpoint" in key for key in epochs.listing("trials")))
    worker.send_signal(number)
    started = time.monotonic()
    _out, error = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == expected, error
    assert time.monotonic() - started < 20
    if number == signal.SIGTERM:
        assert not any(row.state == "running" for row in cluster.place.rows(disturbed)), "the lease is not given back"
    until(lambda: cluster.place.claimable(disturbed) == 3 - settled(cluster, disturbed))


class Cut(S3Artifacts):
    """A bucket whose service dies when an object is about to be sent, as `die` decides by its name."""

    die: Callable[[str], None]

    def under(self, prefix: str) -> "Cut":
        found = Cut(self._client, self._bucket, self._name(prefix))
        found.die = self.die
        return found

    def write(self, key: str, write: Callable[[Path], object]) -> None:
        def write_and_die(path: Path) -> None:
            write(path)
            self.die(self._name(key))

        super().write(key, write_and_die)


def test_service_that_dies_in_an_upload_of_the_result_is_waited_for(cluster: Cluster) -> None:
    experiment = tiny("study.name=cut", "sweep={trials: 1, epochs: 1}", "finalTrain.epochs=1")
    names = ["/model.safetensors", f"/{model_key(0)}", "/evaluation/metrics.json", "/manifest.json"]
    server, deaths = cluster.bucket.server, []

    def die(object_name: str) -> None:
        for name in set(names) - set(deaths):
            if object_name.endswith(name):
                deaths.append(name)
                server.stop()
                threading.Timer(1.5, server.start).start()

    root = cluster.bucket.artifacts()
    cut = Cut(root._client, root._bucket, root._prefix)
    cut.die = die
    for stage in (prepare, sweep, final_train, evaluate):
        stage.run(experiment, cluster.settings(), cut)
    assert deaths == names
    study = root.under("cut")
    assert verify(study, read_manifest(study)) == []


def settled(cluster: Cluster, experiment: Experiment) -> int:
    return sum(row.state.settled for row in cluster.place.rows(experiment))
