"""The local runner: every stage in a process of its own, on SQLite and a folder."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.keys import DATABASE
from jobs.experiment.experiment import Experiment
from jobs.queue.confirmations import count_claimable_at
from jobs.queue.database import Database
from jobs.queue.status_reader import StatusReader
from jobs.runners.display import Display
from jobs.runtime import interrupt, logs
from jobs.runtime.child_processes import ChildProcess, ChildProcesses
from jobs.runtime.database_url import sqlite_url
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.identity import workplace_here
from jobs.runtime.settings import LOCAL_LEASE, Settings, read_settings
from jobs.runtime.webhook import told
from resnet_core.cores import threads_each, usable_cores

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
GRACE_SECONDS = 30  # between SIGTERM and SIGKILL
FRUITLESS_FAILURES = 10  # worker processes that may fail in a row without a trial being settled


class StageFailed(Exception):
    """A stage ended with an exit code other than 0; what it wrote to its error stream has been shown."""

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"{command} failed with exit code {exit_code}")
        self.exit_code = exit_code


def run_all(experiment: Experiment, source: list[str], runs: Path, workers: int | None) -> None:
    """Runs every stage that is not done yet; `source` are the options that name the experiment.

    Raises:
        ConfigurationError: fewer than one worker, or a variable of the environment that is not allowed.
        Interrupted: SIGTERM or Ctrl-C; the same command continues where this one stopped.
        StageFailed: a stage failed for good.

    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"--workers={workers}: at least 1")
    interrupt.listen()
    study = FolderArtifacts(runs / experiment.study_name)
    place = _place(runs, experiment.study_name)
    settings = read_settings(**place)
    with told(settings.notify_url, experiment.study_name) as tell:
        with Display(settings.log_format) as display:
            local = _Local(experiment, settings, place, display)
            local.stage("prepare", source)
            stored = ["--config", str(study.root / "experiment.yaml")]
            local.sweep(stored, workers)
            local.stage("final-train", stored, lambda: display.final_training(study, experiment.final_train))
            local.stage("evaluate", stored)
        tell(display.result(study))


class _Local:
    def __init__(self, experiment: Experiment, settings: Settings, place: dict[str, str], display: Display) -> None:
        self.experiment, self.settings, self.display = experiment, settings, display
        self.variables = {name.upper(): value for name, value in place.items()} | {"JOB_COMPLETION_INDEX": ""}

    def stage(self, command: str, source: list[str], show: Callable[[], None] = lambda: None) -> None:
        """Runs a stage that is one process. On a terminal `show` updates the bars; elsewhere its own lines are seen."""
        log.info("stage %s", command)
        with self._children() as children:
            relay = logs.relayed(command) if self.display.live else None
            child = children.start(0, [command, *source], self.variables, relay)
            while not children.take_ended():
                if self.display.live:
                    show()
                interrupt.pause(POLL_SECONDS)
        _check_exit_code(child, command)

    def sweep(self, source: list[str], workers: int | None) -> None:
        """Keeps up to `workers` processes running as long as there are trials to claim.

        The default is one for each GPU, or one for each CPU core, because two processes of one thread each get more
        done than one process of two threads.
        """
        gpus = _gpus(self.settings.device)
        workers = workers or len(gpus) or usable_cores()
        database = Database.of(self.settings)
        reader = StatusReader(database, self.experiment.study_name)
        log.info("stage sweep")
        failures = settled = 0
        try:
            with self._children() as children:
                while True:
                    status = reader.read()
                    self.display.sweep(status, self.experiment.sweep.epochs)
                    if status.settled > settled:
                        settled, failures = status.settled, 0
                    if not status.unsettled:
                        break
                    for index, child in children.take_ended().items():
                        if child.returncode:
                            failures += 1
                            log.warning("worker %d ended with exit code %d", index, child.returncode)
                            if failures > FRUITLESS_FAILURES:
                                _check_exit_code(child, "sweep")
                    started = 0
                    for index in [index for index in range(workers) if index not in children.running]:
                        if started >= self._claimable_by(index, database):
                            continue
                        started += 1
                        variables = self.variables | self._share(index, workers, gpus)
                        children.start(index, ["sweep", *source], variables, logs.relayed(f"worker {index}"))
                    interrupt.pause(POLL_SECONDS)
        finally:
            database.close()
        log.info("%s", status.line())

    def _claimable_by(self, index: int, database: Database) -> int:
        """How many trials and confirmations the worker of this index could claim."""
        place, lease_seconds = workplace_here(index), self.settings.lease_seconds
        study = self.experiment.study_name
        return database.read(lambda connection: count_claimable_at(connection, study, place, lease_seconds))

    def _children(self) -> ChildProcesses:
        return ChildProcesses(GRACE_SECONDS, self.settings.heartbeat_dir)

    def _share(self, index: int, workers: int, gpus: list[str]) -> dict[str, str]:
        """The variables by which a worker knows its share of the machine; the workers take the GPUs in turn."""
        threads = self.settings.threads or threads_each(workers * self.settings.processes)
        share = {"JOB_COMPLETION_INDEX": str(index), "THREADS": str(threads)}
        if gpus:
            first = index % len(gpus)
            share |= {"DEVICE": gpus[first], "GPU_PROCESSES": str(len(range(first, workers, len(gpus))))}
        return share


def _check_exit_code(child: ChildProcess, command: str) -> None:
    if child.returncode == interrupt.EXIT_INTERRUPTED:
        raise interrupt.Interrupted
    if child.returncode:
        sys.stderr.write(child.error_text)
        raise StageFailed(command, child.returncode)


def _place(runs: Path, study: str) -> dict[str, str]:
    """A SQLite file beside the results, and short leases unless the environment has others."""
    lease = {} if "LEASE_SECONDS" in os.environ else LOCAL_LEASE
    return {"database_url": local_database(runs, study), "artifacts_url": str(runs.absolute()), **lease}


def local_database(runs: Path, study: str) -> str:
    return sqlite_url((runs / study / DATABASE).absolute())


def _gpus(device: str) -> list[str]:
    """Those that the workers may use, by the names that DEVICE takes."""
    if device != "auto":
        return [] if device == "cpu" else [device]
    import torch  # noqa: PLC0415 - importing it takes seconds, and `prepare` may find the experiment wrong before

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
