"""The local runner: every stage as a process of its own, on SQLite and a folder."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.artifacts import Artifacts, FolderArtifacts
from jobs.experiment.experiment import Experiment
from jobs.queue.claims import claimable
from jobs.queue.database import Database
from jobs.queue.status import sweep_status
from jobs.runners.display import Display
from jobs.runtime import interrupt
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.settings import Settings, read_settings
from resnet_core.cores import threads_each, usable_cores

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
STOP_SECONDS = 30  # what a process gets between SIGTERM and SIGKILL
FRUITLESS_FAILURES = 10  # worker processes that may fail in a row without a trial being settled


class StageFailed(Exception):
    """A stage ended with an exit code other than 0; its last lines have been shown."""

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"{command} failed with exit code {exit_code}")
        self.exit_code = exit_code


def run_all(experiment: Experiment, source: list[str], runs: Path, workers: int | None) -> None:
    """Runs every stage that is not done yet; `source` are the options that name the experiment.

    Raises:
        ConfigurationError: fewer than one worker, or a variable of the environment that is not allowed.
        Interrupted: SIGTERM or Ctrl-C; the same command goes on.
        StageFailed: a stage failed for good.

    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"--workers={workers}: at least 1")
    interrupt.listen()
    study = FolderArtifacts(runs / experiment.study_name)
    place = _place(runs, experiment.study_name)
    settings = read_settings(**place)
    with Display(settings.log_format) as display:
        local = _Local(experiment, settings, place, study, display)
        local.stage("prepare", source)
        stored = ["--config", str(study.root / "experiment.yaml")]
        local.sweep(stored, workers)
        local.final_train(stored)
        local.stage("evaluate", stored)
    display.result(study)


class _Local:
    def __init__(
        self, experiment: Experiment, settings: Settings, place: dict[str, str], study: Artifacts, display: Display
    ) -> None:
        self.experiment, self.settings, self.place = experiment, settings, place
        self.study, self.display = study, display

    def stage(self, command: str, source: list[str]) -> None:
        log.info("stage %s", command)
        with self._process(command, source) as process:
            while process.poll() is None:
                interrupt.pause(POLL_SECONDS)
            self._check(process, command)

    def final_train(self, source: list[str]) -> None:
        log.info("stage final-train")
        with self._process("final-train", source) as process:
            while process.poll() is None:
                if self.display.live:  # else its own lines are seen
                    self.display.final_training(self.study, self.experiment.final_train)
                interrupt.pause(POLL_SECONDS)
            self._check(process, "final-train")

    def sweep(self, source: list[str], workers: int | None) -> None:
        """Keeps up to `workers` processes running as long as there are trials to claim.

        By default one a GPU, or one a CPU core: two processes of one thread get more done than one of two.
        """
        gpus = _gpus(self.settings.device)
        workers = workers or len(gpus) or usable_cores()
        database = Database.of(self.settings)
        log.info("stage sweep")
        running: dict[int, _Process] = {}
        failures = settled = 0
        try:
            while True:
                status = sweep_status(database, self.experiment.study_name)
                self.display.sweep(status, self.experiment.sweep.epochs)
                if status.settled > settled:
                    settled, failures = status.settled, 0
                if not status.unsettled:
                    break
                for index, process in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[index]
                    if process.poll():
                        failures += 1
                        log.warning("worker %d ended with exit code %d", index, process.poll())
                        if failures > FRUITLESS_FAILURES:
                            self._check(process, "sweep")
                waiting = database.read(lambda connection: claimable(connection, self.experiment.study_name))
                for index in [index for index in range(workers) if index not in running][:waiting]:
                    share = self._share(index, workers, gpus)
                    running[index] = _Process("sweep", source, self._environment(index, share))
                interrupt.pause(POLL_SECONDS)
        finally:
            _stop(list(running.values()))
            database.close()
        log.info("%s", status.line())

    @contextmanager
    def _process(self, command: str, source: list[str]) -> Iterator["_Process"]:
        process = _Process(command, source, self._environment(), inherit=not self.display.live)
        try:
            yield process
        finally:
            _stop([process])

    def _check(self, process: "_Process", command: str) -> None:
        code = process.poll()
        if code == interrupt.EXIT_INTERRUPTED:
            raise interrupt.Interrupted
        if code:
            process.show_errors()
            raise StageFailed(command, code)

    def _share(self, index: int, workers: int, gpus: list[str]) -> dict[str, str]:
        """What one of so many workers has of the machine; they take the GPUs in turn."""
        threads = self.settings.threads or threads_each(workers * self.settings.processes)
        share = {"THREADS": str(threads)}
        if gpus:
            first = index % len(gpus)
            share |= {"DEVICE": gpus[first], "GPU_PROCESSES": str(len(range(first, workers, len(gpus))))}
        return share

    def _environment(self, index: int | None = None, share: dict[str, str] | None = None) -> dict[str, str]:
        names = {"JOB_COMPLETION_INDEX": "" if index is None else str(index), **(share or {})}
        return {**os.environ, **{name.upper(): value for name, value in self.place.items()}, **names}


class _Process:
    """A stage in a process of its own; what it writes to its error stream is kept for when it fails."""

    def __init__(self, command: str, source: list[str], environment: dict[str, str], *, inherit: bool = False) -> None:
        self._errors = None if inherit else tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "jobs", command, *source],
            stdin=subprocess.DEVNULL,
            stderr=self._errors,
            env=environment,
        )

    def poll(self) -> int | None:
        return self._popen.poll()

    def stop(self, deadline: float) -> None:
        try:
            self._popen.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def terminate(self) -> None:
        self._popen.terminate()

    def show_errors(self) -> None:
        if self._errors is not None:
            self._errors.seek(0)
            sys.stderr.write(self._errors.read().decode(errors="replace"))


def _stop(processes: list[_Process]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.stop(deadline)


def _place(runs: Path, study: str) -> dict[str, str]:
    """A SQLite file beside the results, and leases short enough to notice a killed worker soon."""
    quick = {} if "LEASE_SECONDS" in os.environ else {"lease_seconds": "15", "renewal_seconds": "5"}
    return {"database_url": local_database(runs, study), "artifacts_url": str(runs.absolute()), **quick}


def local_database(runs: Path, study: str) -> str:
    return f"sqlite:///{(runs / study / 'study.db').absolute()}"


def _gpus(device: str) -> list[str]:
    """Those that the workers may use, by the names that DEVICE takes."""
    if device != "auto":
        return [] if device == "cpu" else [device]
    import torch  # noqa: PLC0415 - not before `prepare` has found nothing wrong

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
