"""Several worker processes of one `sweep`, and the signs of life of each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.queue.tables import SlotState
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from resnet_core.cores import threads_each
from tests.local.conftest import tiny
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.sweeps import states

TRIALS = 40  # so many that one process is still at them when the lease of the other, killed one has run out
ENDLESS = 200  # so many that the sweep has to be ended


class Sweep:
    """`sweep` with two processes on a prepared study."""

    def __init__(self, experiment: Experiment, settings: Settings, folder: Path) -> None:
        self.heartbeats = folder / "heartbeats"
        config = folder / "experiment.yaml"
        config.write_text(dump_experiment(experiment))
        place = {
            "DATABASE_URL": settings.database_url,
            "ARTIFACTS_URL": settings.artifacts_url,
            "LEASE_SECONDS": "3",
            "RENEWAL_SECONDS": "1",
            "PROCESSES": "2",
            "HEARTBEAT_DIR": str(self.heartbeats),
        }
        command = [sys.executable, "-m", "jobs", "sweep", "--config", str(config)]
        self.process = subprocess.Popen(
            command, env={**os.environ, **place}, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def children(self) -> list[int]:
        """The processes that have given a sign of life."""
        return sorted(int(file.name) for file in self.heartbeats.glob("*"))

    def until(self, condition: Callable[[], bool]) -> None:
        until(condition, self.process, lambda: self.process.stderr and self.process.stderr.read())

    def end(self) -> tuple[int, str]:
        _, error = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, error


@pytest.fixture
def trials() -> int:
    return TRIALS


@pytest.fixture
def sweep(settings: Settings, root: FolderArtifacts, tmp_path: Path, trials: int) -> Iterator[Sweep]:
    experiment = tiny(f"sweep={{trials: {trials}, epochs: 4, earlyStopping: {{name: none}}}}")
    prepare.run(experiment, settings, root)
    running = Sweep(experiment, settings, tmp_path)
    yield running
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
    assert running.process.stderr is not None
    running.process.stderr.close()


def test_killed_process_is_started_anew_and_every_trial_is_settled(sweep: Sweep, settings: Settings) -> None:
    sweep.until(lambda: SlotState.RUNNING in states(settings) and len(sweep.children()) == 2)
    killed, other = sweep.children()
    os.kill(killed, signal.SIGKILL)
    sweep.until(lambda: killed not in sweep.children())  # else a probe would take it for one that hangs
    sweep.until(lambda: len(sweep.children()) == 2)
    share = {f"THREADS={threads_each(2)}", "GPU_PROCESSES=2", "PROCESSES=1"}
    for process in (other, *(child for child in sweep.children() if child != other)):
        environment = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
        assert share <= set(environment)
    code, error = sweep.end()
    assert code == 0
    assert "was ended by signal 9 and is started anew" in error
    assert error.count("on CPU, ") == error.count(f"on CPU, {threads_each(2)} threads") >= 2
    assert states(settings) == [SlotState.COMPLETE] * TRIALS
    assert sweep.children() == []


@pytest.mark.parametrize("trials", [ENDLESS])
def test_frozen_process_lets_its_file_grow_old_and_once_it_thaws_sigterm_ends_it_as_the_other(
    sweep: Sweep, settings: Settings
) -> None:
    def age(process: int) -> float:
        return time.time() - (sweep.heartbeats / str(process)).stat().st_mtime

    sweep.until(lambda: len(sweep.children()) == 2)
    frozen, other = sweep.children()
    os.kill(frozen, signal.SIGSTOP)
    try:
        sweep.until(lambda: age(frozen) > 6)
        assert age(other) < 5
    finally:
        os.kill(frozen, signal.SIGCONT)

    sweep.until(lambda: states(settings).count(SlotState.RUNNING) == 2 and age(frozen) < 2)
    sweep.process.send_signal(signal.SIGTERM)
    code, _ = sweep.end()
    assert code == 75
    assert SlotState.RUNNING not in states(settings)
    assert sweep.children() == []
