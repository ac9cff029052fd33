"""Sweeps with confirmations, in which the first place was luck: the confirmations turn its order round."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.experiment.confirmation import CONFIRM
from jobs.experiment.experiment import Experiment
from jobs.queue.status import SweepStatus
from jobs.queue.status_reader import sweep_status
from jobs.runtime.settings import Settings
from jobs.stages.sweep.running_trial import RunningTrial
from resnet_core.epoch import EpochResult
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.reporting import written

EPOCHS = 2
DROPOUT = "searchSpace={batchSize: null, lr: null, optimizer: null, dropout: {low: 0.0, high: 0.3}}"
At = Callable[[RunningTrial, int], None]


def experiment(trials: int, confirm: str | None, *overrides: str) -> Experiment:
    return reporting.experiment(trials, EPOCHS, DROPOUT, f"sweep.confirm={confirm or 'null'}", *overrides)


def is_confirmation(run: RunningTrial) -> bool:
    return run.experiment.study_name.endswith(f"/{CONFIRM}")


def undisturbed(_run: RunningTrial, _epoch: int) -> None:
    pass


class Judged:
    """Reports its epochs. In the sweep less dropout is better, in the confirmations more is.

    `at` is called before each epoch.
    """

    def __init__(self, at: At = undisturbed) -> None:
        self._at = at

    def __call__(self, run: RunningTrial) -> None:
        done = run.resume(lambda path: json.loads(path.read_text()))
        if done:
            run.take_up([EpochResult(**row) for row in done])
        dropout = run.parameters["dropout"]
        accuracy = 0.5 + dropout + run.slot / 1000 if is_confirmation(run) else 0.9 - dropout
        with run.checkpoint_writer(written) as writer:
            for epoch in range(len(run.epochs) + 1, EPOCHS + 1):
                self._at(run, epoch)
                run.step()
                result = EpochResult(epoch, 0.1, 1.0, accuracy, 1.0, accuracy * epoch / EPOCHS, 0.01)
                writer.save([*run.epochs, result])
                writer.wait()
                run.finish_epoch(result)


class KilledOnce:
    """Kills its process before each epoch of each confirmation, the first time that it comes there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, run: RunningTrial, epoch: int) -> None:
        mark = self._folder / f"killed-{run.slot}-{epoch}"
        if is_confirmation(run) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Held:
    """The trial of one slot waits until there is a file `go`."""

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder, self._slot = folder, slot

    def __call__(self, run: RunningTrial, _epoch: int) -> None:
        if is_confirmation(run) or run.slot != self._slot:
            return
        (self._folder / "held").touch()
        while not (self._folder / "go").exists():
            run.step()
            time.sleep(0.02)


def checked(settings: Settings, sweep: Experiment, confirmations: int) -> SweepStatus:
    """The sweep, in which every promise was kept."""
    database = opened(settings.database_url)
    check_sweep(database, sweep.study_name, sweep.sweep.trials, confirmations)
    status = sweep_status(database, sweep.study_name)
    database.close()
    return status


def told(status: SweepStatus) -> list[tuple[Any, ...]]:
    """What the confirmations have come to, whoever trained them."""
    return [(one.slot, one.state, one.parameters, one.accuracy) for one in status.confirmations]
