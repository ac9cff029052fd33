"""Final trainings whose batches are shared by two ranks, real processes that meet over gloo on the CPU."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.artifacts import FolderArtifacts, keys
from jobs.artifacts.final_training import read_epochs
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep
from tests.local.conftest import tiny
from tests.support import two_ranks
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.processes import is_gone
from tests.support.studies import Studies
from tests.support.trained_result import weights_of

EPOCHS = 30  # enough for the networks to be good, and for a signal to come before they are
TRAINING = ("data.limit=600", "sweep={trials: 1, epochs: 1}", "training={optimizer: adamw, lr: 0.02, batchSize: 64, ema: 0.5, precision: fp32}", "searchSpace={}", f"finalTrain={{epochs: {EPOCHS}}}")  # fmt: skip
CHECKPOINTS = "final/seed-0/trial-0"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks has found in all cases of `two_ranks`."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    command = [sys.executable, "-W", "error", "-m", "tests.support.two_ranks", str(folder)]
    ranks = [subprocess.Popen([*command, str(rank), address]) for rank in range(2)]
    assert [rank.wait(timeout=PATIENCE_SECONDS) for rank in ranks] == [0, 0]
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(2)]


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def test_fifty_steps_of_two_ranks_are_those_of_one_process(found: list[dict[str, Any]]) -> None:
    """Where no image depends on its batch, all that differs is the order in which float32 gradients are added up."""
    alone = two_ranks.trained(two_ranks.FIXED, two_ranks.STEPS // 5, fixed=True)
    for ours, theirs in zip(found[0]["fixed"]["results"], alone["results"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for name, tensor in alone["weights"].items():
        torch.testing.assert_close(found[0]["fixed"]["weights"][name], tensor, rtol=1e-3, atol=1e-5)


def test_ranks_go_on_in_an_epoch_that_one_process_began(found: list[dict[str, Any]]) -> None:
    """Its losses and hits so far count once."""
    case = found[0]["joined"]
    for ours, theirs in zip(case["ranks"], case["alone"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_all_ranks_compute_in_what_the_first_has_chosen(found: list[dict[str, Any]]) -> None:
    ways = dict.fromkeys(("winograd", "grouped_batch_norm", "product_gradient"), False)
    expected = {"precision": "bfloat16", **ways}
    assert [rank["chosen"] for rank in found] == [expected] * 2


def test_all_ranks_end_with_the_same_network_and_the_first_alone_saves(found: list[dict[str, Any]]) -> None:
    for case in ("fixed", "free"):
        assert_equal(found[0][case]["weights"], found[1][case]["weights"])
    assert len(found[0]["free"]["checkpoints"]) == 3 + 1  # before each epoch, and at the end
    assert found[1]["free"]["checkpoints"] == []


def test_ranks_that_resume_end_bit_for_bit_equal(found: list[dict[str, Any]]) -> None:
    assert_equal(found[0]["free"]["weights"], found[0]["resumed"]["weights"])
    assert found[0]["free"]["results"][1:] == found[0]["resumed"]["results"]


def test_ranks_end_before_the_same_step_when_one_is_asked_to(found: list[dict[str, Any]]) -> None:
    assert [rank["asked"] for rank in found] == [8, 8]


def test_ranks_diverge_together(found: list[dict[str, Any]]) -> None:
    assert found[0]["diverged"] == found[1]["diverged"]
    assert found[0]["diverged"].startswith("the training loss of epoch 1 is ")


class Training:
    """A study that is ready for its final training, and processes that run it."""

    def __init__(self, experiment: Experiment, settings: Settings, folder: Path) -> None:
        self.study, self.heartbeats = FolderArtifacts(folder).under("quick"), folder / "heartbeats"
        self._config = folder / "experiment.yaml"
        self._config.write_text(dump_experiment(experiment))
        self._place = {
            "DATABASE_URL": settings.database_url,
            "ARTIFACTS_URL": settings.artifacts_url,
            "RANKS": "2",
            "DEVICE": "cpu",
            "THREADS": "1",
            "CHECKPOINT_SECONDS": "0",
            "HEARTBEAT_DIR": str(self.heartbeats),
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jobs", "final-train", "--config", str(self._config)]
        environment = {**os.environ, **self._place}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.started.append(process)
        return process

    def start_and_save(self) -> tuple[subprocess.Popen[str], list[int]]:
        """Once the first epoch is saved: what was started, and its ranks."""
        process = self.start()
        until(lambda: self.study.listing(CHECKPOINTS) or process.poll() is not None)
        assert process.poll() is None
        return process, self.ranks()

    def ranks(self) -> list[int]:
        """The processes that have given a sign of life."""
        return sorted(int(file.name) for file in self.heartbeats.glob("*"))


@pytest.fixture
def training(settings: Settings, root: FolderArtifacts, studies: Studies, tmp_path: Path) -> Iterator[Training]:
    experiment = tiny(*TRAINING)
    studies.copy(experiment, after=sweep, to=root)
    trainings = Training(experiment, settings, tmp_path)
    yield trainings
    for process in trainings.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_interrupted_ranks_go_on_to_the_same_network_as_good_as_that_of_one_process(
    training: Training, settings: Settings, root: FolderArtifacts
) -> None:
    study = training.study
    process, ranks = training.start_and_save()
    process.terminate()
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 75, error
    assert error.count("interrupted; the progress is saved") == 1
    assert "Traceback" not in error
    assert len(ranks) == 2
    assert all(map(is_gone, ranks))
    assert training.ranks() == []
    assert study.listing(CHECKPOINTS)

    def finish() -> tuple[str, float]:
        process = training.start()
        _, error = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, error
        assert error.count(f"final training epoch {EPOCHS}/{EPOCHS}") == 1
        assert [epoch.epoch for epoch in read_epochs(study, 0)] == list(range(1, EPOCHS + 1))
        return study.sha256(weights_of(study)), accuracy(study)

    resumed = finish()
    for key in study.listing("final"):
        study.remove(key)
    assert finish() == resumed  # without an interruption
    assert study.read_json(keys.model_key(0))["ranks"] == 2
    for key in study.listing("final"):
        study.remove(key)
    final_train.run(tiny(*TRAINING), settings, root)
    assert accuracy(study) == pytest.approx(resumed[1], abs=0.2)  # three standard errors: two times 90 images


def accuracy(study: FolderArtifacts) -> float:
    found: float = study.read_json(keys.model_key(0))["validationAccuracy"]
    return found


def test_killed_rank_ends_the_others_and_is_named(training: Training) -> None:
    process, ranks = training.start_and_save()
    os.kill(ranks[1], signal.SIGKILL)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 137
    assert " of 2 was ended by signal 9" in error.splitlines()[-1]
    assert all(map(is_gone, ranks))
    assert training.ranks() == []


def test_ranks_end_with_the_process_that_has_started_them(training: Training) -> None:
    process, ranks = training.start_and_save()
    process.kill()
    until(lambda: all(map(is_gone, ranks)))


def test_batch_that_two_ranks_cannot_share_is_refused_in_one_line(
    settings: Settings, root: FolderArtifacts, tmp_path: Path
) -> None:
    experiment = tiny(*TRAINING, "training.batchSize=33")
    for stage in (prepare, sweep):
        stage.run(experiment, settings, root)
    process = Training(experiment, settings, tmp_path).start()
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert error == ("resnet-sweep: training.batchSize=33: a multiple of finalTrain.gpus=2, 2 images a GPU or more\n")
    assert process.returncode == 78
