"""Workers whose trials only report: the protocol without the training, in processes that fork in milliseconds."""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa

from jobs.artifacts import Artifacts, open_artifacts
from jobs.artifacts.keys import IDENTITY
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment, load_experiment
from jobs.queue import claims
from jobs.queue import fenced_storage as storage_module
from jobs.queue.claim import Claim
from jobs.queue.confirmations import create_confirmation_study, extend_confirmations
from jobs.queue.create import create_study_and_slots
from jobs.queue.database import Database
from jobs.queue.exclusive import RESULT, exclusively
from jobs.queue.fenced_storage import create_tables
from jobs.queue.schema import upgrade_tables
from jobs.queue.slots import create_sweep
from jobs.queue.study import create_study
from jobs.queue.tables import SlotState
from jobs.runtime import interrupt
from jobs.runtime.settings import Settings, read_settings
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.support.databases import commit, opened

VALIDATION_IMAGES = 216  # of the preset `quick`
LEASE, RENEWAL = 1.2, 0.3  # seconds: faults are found soon

Guard = Literal["fence", "lock", "clock"]

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.support.preload"])


def experiment(trials: int, epochs: int, *overrides: str) -> Experiment:
    return load_experiment(
        "quick", None, [f"sweep={{trials: {trials}, epochs: {epochs}, earlyStopping: {{name: none}}}}", *overrides]
    )


def place(url: str, folder: Path | str, **limits: Any) -> Settings:
    times = {"lease_seconds": LEASE, "renewal_seconds": RENEWAL, "outage_deadline_seconds": 60}
    times |= {"database_timeout_seconds": 0.28, "storage_timeout_seconds": 0.28, "max_crashes": 50}
    return read_settings(**{"database_url": url, "artifacts_url": str(folder), **times, **limits})


def prepare(sweep: Experiment, url: str) -> None:
    """Study and slots, as the stage `prepare` makes them, without a data set."""
    create_tables(url)
    database = opened(url)
    add_study(sweep, database)
    database.close()


def extend(sweep: Experiment, database: Database, folder: Path) -> tuple[int, int]:
    """Study and slots, as the stage `prepare` makes them in tables that are there."""
    settings, identity = place(database.url, folder), "0" * 32
    artifacts(settings, sweep).write_text(IDENTITY, identity)
    with exclusively(database, settings, sweep.study_name, RESULT) as hold:
        return create_study_and_slots(sweep, database, hold.claim, identity, VALIDATION_IMAGES)


def add_study(sweep: Experiment, database: Database) -> None:
    upgrade_tables(database.engine)
    create_study(sweep, database.storage)
    create_confirmation_study(sweep, database)
    fixed = sweep.fixed_parameters()
    commit(database.engine, create_sweep, sweep.study_name, dump_experiment(sweep), fixed, None, VALIDATION_IMAGES)
    commit(database.engine, extend_confirmations, sweep, None)


class Reporting:
    """A trial whose epochs last `seconds` and end in a checkpoint; each epoch is noted in a journal."""

    def __init__(
        self,
        epochs: int,
        seconds: float,
        journal: Path | None = None,
        *,
        fatal_slot: int | None = None,
        failing_slot: int | None = None,
    ) -> None:
        self._epochs, self._seconds, self._journal = epochs, seconds, journal
        self._fatal_slot, self._failing_slot = fatal_slot, failing_slot

    def __call__(self, run: RunningTrial) -> None:
        done = run.resume(lambda path: json.loads(path.read_text()))
        if done:
            run.take_up([EpochResult(**row) for row in done])
        if run.slot == self._fatal_slot:
            os.kill(os.getpid(), signal.SIGSEGV)
        if run.slot == self._failing_slot:
            raise RuntimeError("this one always fails")
        with run.checkpoint_writer(written) as writer:
            for epoch in range(len(run.epochs) + 1, self._epochs + 1):
                self._train(run)
                if self._journal is not None:
                    with self._journal.open("a") as file:
                        file.write(f"{os.getpid()} {run.slot} {epoch}\n")
                accuracy = epoch / (epoch + 1 + run.parameters.get("dropout", 0.0))
                result = EpochResult(epoch, 0.1, 1 / epoch, accuracy, 1 / epoch, accuracy, self._seconds)
                writer.save([*run.epochs, result])
                writer.wait()
                run.finish_epoch(result)

    def _train(self, run: RunningTrial) -> None:
        until = time.monotonic() + self._seconds
        run.step()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.02))
            run.step()


def written(epochs: list[EpochResult]) -> Callable[[Path], None]:
    text = json.dumps([vars(row) for row in epochs])

    def write(path: Path) -> None:
        path.write_text(text)

    return write


@contextlib.contextmanager
def removed(guard: Guard | None) -> Iterator[None]:
    """The protocol without one of its guards."""
    with pytest.MonkeyPatch.context() as patch:
        if guard == "fence":
            patch.setattr(storage_module, "check_fence", lambda _connection, _held: None)
            patch.setattr(claims, "_update", _update_without_fence)
            patch.setattr(claims, "read_own", _read_whatever)
        elif guard == "lock":
            patch.setattr(sa.sql.selectable.Select, "with_for_update", lambda select, **_options: select)
        elif guard == "clock":
            patch.setattr(claims, "database_now", lambda _connection: sa.literal(time.time()))
        yield


def _update_without_fence(connection: sa.Connection, held: Claim, **values: Any) -> bool:
    row = sa.and_(claims.slots.c.study == held.study, claims.slots.c.slot == held.slot)
    return connection.execute(sa.update(claims.slots).where(row).values(**values)).rowcount == 1


def _read_whatever(_connection: sa.Connection, held: Claim) -> tuple[SlotState, int | None]:
    return SlotState.RUNNING, held.trial_id


def work(
    sweep: Experiment, settings: Settings, body: Reporting, clock_offset: float = 0, guard: Guard | None = None
) -> None:
    """One worker process to its end."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(message)s")
    interrupt.listen()
    if clock_offset:
        true = time.time
        time.time = lambda: true() + clock_offset
    with removed(guard):
        try:
            Worker(sweep, settings, artifacts(settings, sweep)).work(body)
        except interrupt.Interrupted:
            raise SystemExit(interrupt.EXIT_INTERRUPTED) from None


def artifacts(settings: Settings, sweep: Experiment) -> Artifacts:
    return open_artifacts(settings).under(sweep.study_name)


def start(
    sweep: Experiment, settings: Settings, body: Reporting, clock_offset: float = 0, guard: Guard | None = None
) -> BaseProcess:
    process = forks.Process(target=work, args=(sweep, settings, body, clock_offset, guard))
    process.start()
    return process


def kill(process: BaseProcess, number: int = signal.SIGKILL) -> None:
    """A signal, unless the process is gone."""
    assert process.pid is not None
    signal_process(process.pid, number)


def signal_process(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
