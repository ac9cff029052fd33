"""A worker that can run nothing, because of its node or its device, does not eat the sweep."""

from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from torch import nn

from jobs.artifacts import FolderArtifacts
from jobs.queue.tables import SlotState
from jobs.runtime.settings import Settings
from jobs.stages import prepare
from jobs.stages.sweep import stage as sweep
from jobs.stages.sweep.running_trial import DeviceFailed, RunningTrial
from jobs.stages.sweep.worker import WorkerBroken
from tests.local.conftest import tiny
from tests.support import reporting, sweeps
from tests.support.reporting import Reporting
from tests.support.studies import Studies

TRIALS = 12
ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"


class Broken(Reporting):
    def __call__(self, run: RunningTrial) -> None:
        raise RuntimeError(f"no trial can be run here, and so not slot {run.slot}")


def test_worker_that_can_run_nothing_costs_no_trial(tmp_path: Path) -> None:
    experiment = reporting.experiment(TRIALS, 2)
    url = f"sqlite:///{tmp_path}/study.db"
    reporting.prepare(experiment, url)
    broken, healthy = (reporting.place(url, tmp_path, lease_seconds=5, job_completion_index=n) for n in (0, 1))
    bodies = {0: Broken(2, 0), 1: Reporting(2, 0.1)}

    def start(index: int) -> BaseProcess:
        return reporting.start(experiment, (broken, healthy)[index], bodies[index])

    bad = start(0)
    bad.join()
    assert bad.exitcode == 1
    good, bad = start(1), start(0)
    while good.is_alive():
        bad.join(0.1)
        if not bad.is_alive():  # as its Job does, it is started again and again
            bad = start(0)
    bad.kill()
    good.join()
    assert good.exitcode == 0
    rows = sweeps.rows(url)
    assert [row.state for row in rows] == [SlotState.COMPLETE] * TRIALS
    assert sum(row.attempts for row in rows) >= 3


def test_worker_that_is_alone_says_that_it_can_run_nothing(tmp_path: Path) -> None:
    experiment, settings = sweeps.prepared(tmp_path, TRIALS)
    settings = settings.model_copy(update={"max_attempts": 2})
    with pytest.raises(
        WorkerBroken, match=r"^3 different trials failed here in a row and none was settled \(slots 0, 1, 2\)"
    ):
        sweeps.work(experiment, settings, Broken(2, 0))
    assert sweeps.states(settings) == [SlotState.WAITING] * TRIALS


def test_failures_between_trials_that_are_settled_are_the_trials_own(tmp_path: Path) -> None:
    experiment, settings = sweeps.prepared(tmp_path, TRIALS)
    settings = settings.model_copy(update={"max_attempts": 2})
    good = Reporting(2, 0.01)

    def every_other_fails(run: RunningTrial) -> None:
        if run.slot % 2:
            raise RuntimeError("this one always fails")
        good(run)

    sweeps.work(experiment, settings, every_other_fails)
    assert sweeps.states(settings) == [SlotState.COMPLETE, SlotState.FAILED] * (TRIALS // 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(ILLEGAL),
        RuntimeError(ILLEGAL),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_failure_of_the_device_ends_the_worker_and_costs_the_trial_nothing(
    settings: Settings, root: FolderArtifacts, studies: Studies, error: RuntimeError
) -> None:
    experiment = tiny("sweep={trials: 1, epochs: 1}")
    studies.copy(experiment, after=prepare, to=root)

    def fail(_module: nn.Module, _inputs: object) -> None:
        raise error

    hook = nn.modules.module.register_module_forward_pre_hook(fail)
    try:
        with pytest.raises(DeviceFailed, match=r"^cpu has failed: (CUDA error: an illegal|cuDNN error: )[^\n]*$"):
            sweep.run(experiment, settings, root)
    finally:
        hook.remove()
    (row,) = sweeps.rows(settings.database_url)
    assert (row.state, row.attempts, row.crashes, row.owner) == (SlotState.WAITING, 0, 0, None)
    assert row.message is not None
    sweep.run(experiment, settings, root)  # the next worker
    assert sweeps.states(settings) == [SlotState.COMPLETE]


def test_what_a_device_cannot_do_is_a_fault_of_the_trial(
    settings: Settings, root: FolderArtifacts, studies: Studies
) -> None:
    experiment = tiny("sweep={trials: 1, epochs: 1}")
    studies.copy(experiment, after=prepare, to=root)

    def fail(_module: nn.Module, _inputs: object) -> None:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear for such a shape")

    hook = nn.modules.module.register_module_forward_pre_hook(fail)
    try:
        sweep.run(experiment, settings.model_copy(update={"max_attempts": 2}), root)
    finally:
        hook.remove()
    (row,) = sweeps.rows(settings.database_url)
    assert (row.state, row.attempts) == (SlotState.FAILED, 1)
