"""Worker processes of the slots benchmark: started, disturbed, replaced as a Job would, and watched until they end."""

import contextlib
import multiprocessing
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import psycopg2
from optuna.storages import RDBStorage

from jobs.experiment.experiment import Experiment
from jobs.queue.claims import claimable
from jobs.queue.study import create_study
from jobs.queue.tables import slots
from jobs.runtime.settings import read_settings
from tests.benchmarks.slots_workers import Load, work_ours, work_plain
from tests.support import reporting
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.postgres import Postgres

LOOK_SECONDS, MEMORY_SECONDS = 0.05, 3
RESTART_SECONDS = 1  # until a worker that failed is replaced; Kubernetes waits 10 s, and then ever longer
GRACE_SECONDS = 120

os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # where the fork server finds what it preloads
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__])


class Arm(Protocol):
    """A way to run N trials on a database of its own."""

    name: str
    database: str
    finished: str  # query for the number of trials that are done, whoever asks for N has N of these
    until_finished: bool  # whether another Job is started when all workers have ended and trials are left

    def start(self, index: int) -> BaseProcess: ...

    def claimable(self) -> int:
        """How many trials a worker of another Job would find."""


class Ours:
    name = "ours"
    finished = f"SELECT count(*) FROM {slots.name} WHERE state NOT IN ('waiting', 'running')"
    until_finished = True  # as the pipeline does

    def __init__(self, server: Postgres, sweep: Experiment, load: Load, folder: Path) -> None:
        self.database = server.new_database()
        self._sweep, self._load, self._folder = sweep, load, folder
        self._url = server.url(self.database) + "?application_name="
        self._settings = read_settings(
            database_url=f"{self._url}worker",
            artifacts_url=str(folder / "artifacts"),
            lease_seconds=load.lease_seconds,
            renewal_seconds=load.renewal_seconds,
        )
        reporting.prepare(sweep, f"{self._url}prepare")

    def start(self, _index: int) -> BaseProcess:
        arguments = (self._sweep, self._settings, self._load, self._folder, time.monotonic())
        return _started(work_ours, arguments)

    def claimable(self) -> int:
        database = opened(f"{self._url}crew")
        try:
            return database.read(lambda connection: claimable(connection, self._sweep.study_name))
        finally:
            database.close()

    def check(self) -> None:
        """Raises Violation unless each slot is settled once."""
        database = opened(f"{self._url}check")
        try:
            check_sweep(database, self._sweep.study_name, self._load.trials)
        finally:
            database.close()


class Plain:
    name = "plain"
    finished = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
    until_finished = False

    def __init__(self, server: Postgres, sweep: Experiment, load: Load, folder: Path) -> None:
        self.database = server.new_database()
        self._sweep, self._load, self._folder = sweep, load, folder
        address = server.url(self.database).partition("://")[2]
        self._url = f"postgresql+psycopg2://{address}?application_name=worker"
        storage = RDBStorage(self._url)
        create_study(sweep, storage)
        storage.engine.dispose()

    def start(self, index: int) -> BaseProcess:
        arguments = (self._sweep, self._url, index, self._load, self._folder, time.monotonic())
        return _started(work_plain, arguments)

    def claimable(self) -> int:
        return 0


@dataclass
class Observed:
    """What a run came to. Times in seconds from the start of the first process, memory in MB."""

    arm: str
    load: Load
    finished_after: float | None = None  # None: never were so many trials done as asked for
    ended_after: float = 0
    connections: int = 0
    exit_codes: Counter[int] = field(default_factory=Counter)
    megabytes: dict[int, float] = field(default_factory=dict)  # of each process
    trials: Counter[str] = field(default_factory=Counter)  # Optuna's states
    seconds: dict[str, list[float]] = field(default_factory=dict)  # of each operation

    @property
    def overheads(self) -> list[float]:
        """What the cycles took beyond the trials' own time."""
        return [cycle - self.load.trial_seconds for cycle in self.seconds.get("cycle", [])]


Disturbance = tuple[float, Callable[["Crew"], None]]  # seconds after the start, what happens then


class Crew:
    def __init__(self, server: Postgres, arm: Arm, load: Load, folder: Path) -> None:
        self.server = server
        self._arm, self._load, self._folder = arm, load, folder
        self._observed = Observed(arm.name, load)
        self._connection: psycopg2.extensions.connection | None = None
        self._began = self._memory_seen = 0.0
        self._finished = 0
        self._restarts: list[tuple[float, int]] = []
        self.processes: dict[int, BaseProcess] = {}

    def run(self, disturbances: Sequence[Disturbance] = ()) -> Observed:
        """Starts the workers and returns when they have ended and no Job would start any more."""
        waiting = sorted(disturbances, key=lambda disturbance: disturbance[0])
        self._began = time.monotonic()
        try:
            for index in range(self._load.workers):
                self.processes[index] = self._arm.start(index)
            while self._goes_on():
                while waiting and waiting[0][0] <= self._elapsed():
                    waiting.pop(0)[1](self)
                self._look()
                self._replace()
                time.sleep(LOOK_SECONDS)
                if self._elapsed() > 4 * self._load.ideal_seconds + self._load.trials + GRACE_SECONDS:
                    raise TimeoutError(f"{self._arm.name}: {self._finished} of {self._load.trials} trials finished")
        finally:
            for process in self.processes.values():
                process.kill()
            if self._connection is not None:
                self._connection.close()
        self._observed.ended_after = self._elapsed()
        self._observed.trials = trial_states(self.server, self._arm.database)
        self._observed.seconds = read_journals(self._folder)
        return self._observed

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _look(self) -> None:
        activity = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'worker'"
        try:
            if self._connection is None:
                self._connection = psycopg2.connect(self.server.url(self._arm.database))
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(f"SELECT ({self._arm.finished}), (SELECT count(*) {activity})")
                ((self._finished, connections),) = cursor.fetchall()
        except psycopg2.Error:  # the server is down
            self._connection = None
            return
        self._observed.connections = max(self._observed.connections, connections)
        if self._finished >= self._load.trials and self._observed.finished_after is None:
            self._observed.finished_after = self._elapsed()
        if self._elapsed() - self._memory_seen > MEMORY_SECONDS:
            self._memory_seen = self._elapsed()
            self._weigh()

    def _weigh(self) -> None:
        known = self._observed.megabytes
        for process in self.processes.values():
            assert process.pid is not None
            known[process.pid] = max(known.get(process.pid, 0), anonymous_megabytes(process.pid))

    def _replace(self) -> None:
        for index, process in list(self.processes.items()):
            if process.exitcode is not None:
                del self.processes[index]
                self._observed.exit_codes[process.exitcode] += 1
                if process.exitcode:
                    self._restarts.append((self._elapsed() + RESTART_SECONDS, index))
        for due in [restart for restart in self._restarts if restart[0] <= self._elapsed()]:
            self._restarts.remove(due)
            self.processes[due[1]] = self._arm.start(due[1])
        if not (self.processes or self._restarts) and self._goes_on():  # a lease may have run out since
            for index in range(min(self._arm.claimable(), self._load.workers)):
                self.processes[index] = self._arm.start(index)

    def _goes_on(self) -> bool:
        left = self._arm.until_finished and self._finished < self._load.trials
        return bool(self.processes or self._restarts or left)


def idle_megabytes() -> float:
    """What a process has that did nothing but import the modules."""
    process = _started(time.sleep, (600,))
    try:
        time.sleep(2)
        assert process.pid is not None
        return anonymous_megabytes(process.pid)
    finally:
        process.kill()
        process.join()


def anonymous_megabytes(pid: int) -> float:
    """Memory that is no file's, shared with the parent since the fork or not; 0 when the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) / 1024
    return 0


def trial_states(server: Postgres, database: str) -> Counter[str]:
    rows = server.execute("SELECT state, count(*) FROM trials GROUP BY state", database)
    return Counter({str(state): int(str(count)) for state, count in rows})


def read_journals(folder: Path) -> dict[str, list[float]]:
    """The seconds of every operation, of all processes of a run."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for journal in folder.glob("*.journal"):
        for line in journal.read_text().splitlines():
            operation, _, took = line.partition("\t")
            seconds[operation].append(float(took))
    return seconds


def _started(work: Callable[..., None], arguments: tuple[object, ...]) -> BaseProcess:
    process = forks.Process(target=work, args=arguments)
    process.start()
    return process
