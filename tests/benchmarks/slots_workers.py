"""What a worker process of the slots benchmark runs, ours or plain Optuna's, with its operations timed from outside."""

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - Optuna imports this with its first connection
import optuna
import sqlalchemy.dialects.postgresql.psycopg2  # noqa: F401 - and SQLAlchemy this
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import MaxTrialsCallback, _optimize
from optuna.trial import TrialState

from jobs.artifacts.checkpoints import Checkpoints
from jobs.experiment.experiment import Experiment
from jobs.queue.claimed_trial import ClaimedTrial
from jobs.queue.study import load_study, suggest
from jobs.runtime import interrupt
from jobs.runtime.settings import Settings
from jobs.stages.sweep.attempt import Attempt
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from tests.support.reporting import Reporting, artifacts


@dataclass(frozen=True)
class Load:
    """What the workers of a run have to do, ours and plain ones alike."""

    workers: int
    trials: int
    steps: int
    step_seconds: float
    lease_seconds: float = 60
    renewal_seconds: float = 15

    @property
    def trial_seconds(self) -> float:
        return self.steps * self.step_seconds

    @property
    def ideal_seconds(self) -> float:
        return self.trials * self.trial_seconds / self.workers


class Journal:
    """Operations and their seconds in a file of this process's own, line by line: a SIGKILL loses at most one.

    A cycle is all that a worker does for one trial, from asking for it to asking for the next. The first is left out:
    the process makes its connections and compiles its statements in it, which is the price of a start.
    """

    def __init__(self, folder: Path, started: float) -> None:
        self._file = (folder / f"{os.getpid()}.journal").open("a", buffering=1)
        self._started = self._cycle_began = started
        self._stepped = self._in_trial = self._warm = False

    def note(self, operation: str, since: float) -> None:
        if self._warm:
            self._write(operation, since)

    def next_cycle(self) -> None:
        if self._in_trial:
            self.note("cycle", self._cycle_began)
            self._warm = True
        self._cycle_began, self._in_trial = time.monotonic(), False

    def step_begins(self) -> None:
        if not self._stepped:
            self._write("first step", self._started)
        if not self._in_trial:
            self.note("begin", self._cycle_began)
        self._stepped = self._in_trial = True

    def _write(self, operation: str, since: float) -> None:
        self._file.write(f"{operation}\t{time.monotonic() - since}\n")

    def time_calls(self, owner: Any, name: str, operation: str) -> None:
        """Replaces a method or function by one that also notes how long each successful call took."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.monotonic()
            result = function(*args, **options)
            self.note(operation, began)
            return result

        setattr(owner, name, timed)

    def begin_cycles_at(self, owner: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def beginning(*args: Any, **options: Any) -> Any:
            self.next_cycle()
            return function(*args, **options)

        setattr(owner, name, beginning)


class Steps(Reporting):
    """The body of our trials."""

    def __init__(self, load: Load, journal: Journal) -> None:
        super().__init__(load.steps, load.step_seconds)
        self._load, self._timing = load, journal

    def _train(self, run: RunningTrial) -> None:
        self._timing.step_begins()
        run.step()
        time.sleep(self._load.step_seconds)
        run.step()


def work_ours(sweep: Experiment, settings: Settings, load: Load, folder: Path, started: float) -> None:
    """One of our workers to its end."""
    _keep_messages(folder)
    journal = Journal(folder, started)
    journal.time_calls(Worker, "_claim", "claim")
    journal.begin_cycles_at(Worker, "_claim")
    journal.time_calls(ClaimedTrial, "attach", "create")
    journal.time_calls(ClaimedTrial, "report", "report")
    journal.time_calls(Checkpoints, "save", "checkpoint")
    journal.time_calls(Attempt, "_settle", "settle")
    journal.time_calls(Worker, "_tidy_in_turn", "after")
    interrupt.listen()
    Worker(sweep, settings, artifacts(settings, sweep)).work(Steps(load, journal))
    journal.next_cycle()


def work_plain(sweep: Experiment, url: str, index: int, load: Load, folder: Path, started: float) -> None:
    """One process of `study.optimize` to its end, with all that Optuna has against failures."""
    _keep_messages(folder)
    warnings.simplefilter("ignore")  # heartbeats are experimental
    journal = Journal(folder, started)
    journal.begin_cycles_at(_optimize, "_run_trial")
    journal.time_calls(_optimize, "_tell_with_warning", "settle")
    journal.time_calls(MaxTrialsCallback, "__call__", "after")
    storage = RDBStorage(
        url,
        heartbeat_interval=max(round(load.renewal_seconds), 1),
        grace_period=round(load.lease_seconds),
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
    )
    study = load_study(sweep, storage, index)

    def objective(trial: optuna.Trial) -> float:
        suggest(trial, sweep, {})
        for step in range(1, load.steps + 1):
            journal.step_begins()
            time.sleep(load.step_seconds)
            began = time.monotonic()
            trial.report(step / (step + 1), step)
            stops = trial.should_prune()
            journal.note("report", began)
            if stops:
                raise optuna.TrialPruned
        return load.steps / (load.steps + 1)

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    study.optimize(objective, callbacks=[MaxTrialsCallback(load.trials, states)])
    journal.next_cycle()


def _keep_messages(folder: Path) -> None:
    """Warnings and tracebacks, of threads too, go to a file and not between the tables."""
    with (folder / "messages").open("ab") as messages:
        os.dup2(messages.fileno(), 2)
