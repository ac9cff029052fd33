"""Learning curves of real sweeps, and early-stopping rules replayed over them."""

import heapq
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.queue.status_reader import read_trials, sweep_status
from jobs.queue.study import create_study, load_study
from jobs.queue.tables import SlotState
from jobs.runners.local import local_database
from tests.support.databases import opened

Curve = list[float]  # validation accuracy after each epoch that was run
ENDS = (SlotState.COMPLETE, SlotState.STOPPED_EARLY, SlotState.DIVERGED)


@dataclass(frozen=True)
class Outcome:
    """What a sweep has run and found: the epochs of each trial, and the final accuracies of the complete ones."""

    epochs: list[int]
    finals: list[float]

    @property
    def best(self) -> float:
        return max(self.finals)


def run_sweep(experiment: Experiment, runs: Path) -> list[Curve]:
    """The curves of all trials in the order of their slots, by the stages themselves and one worker.

    A sweep that is there already is read, one that was interrupted goes on.
    """
    folder = runs / experiment.study_name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "asked.yaml"
    file.write_text(dump_experiment(experiment))
    url = local_database(runs, experiment.study_name)
    place = {"DATABASE_URL": url, "ARTIFACTS_URL": str(runs.absolute()), "THREADS": os.environ.get("THREADS", "1")}
    for stage in ("prepare", "sweep"):
        command = [sys.executable, "-m", "jobs", stage, "--config", str(file)]
        done = subprocess.run(command, env=os.environ | place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{stage} of {experiment.study_name} failed:\n{done.stderr}")
    database = opened(url)
    status = sweep_status(database, experiment.study_name)
    trials = read_trials(database, experiment.study_name)
    database.close()
    failed = [trial.slot for trial in status.trials if trial.state not in ENDS]
    if failed:
        raise RuntimeError(f"{experiment.study_name}: slots {failed} have no result")
    numbers = [trial.number for trial in status.trials if trial.number is not None]
    return [list(trials[number].intermediate_values.values()) for number in numbers]


def ended(curves: Sequence[Curve], epochs: int) -> Outcome:
    """Of trials that were run as they stand here; those shorter than `epochs` were stopped or have diverged."""
    return Outcome([len(curve) for curve in curves], [curve[-1] for curve in curves if len(curve) == epochs])


def replay(experiment: Experiment, curves: Sequence[Curve], paces: Sequence[float], workers: int) -> Outcome:
    """What the experiment's early stopping leaves of whole curves.

    `workers` trials run side by side; whoever is through takes the next curve. An epoch of a trial takes as long as
    its pace says. As in a worker, a value is reported and the rule asked after each epoch but the last.
    """
    storage, epochs = InMemoryStorage(), experiment.sweep.epochs
    create_study(experiment, storage)
    study = load_study(experiment, storage, slot=0)
    trials, kept = {}, [[] for _ in curves]
    waiting = iter(range(len(curves)))
    reports: list[tuple[float, int]] = []  # when, and of which trial: the soonest first

    def begin(now: float) -> None:
        index = next(waiting, None)
        if index is not None:
            trials[index] = study.ask()
            heapq.heappush(reports, (now + paces[index], index))

    for _ in range(workers):
        begin(0.0)
    while reports:
        now, index = heapq.heappop(reports)
        trial, curve = trials[index], kept[index]
        if len(curve) == len(curves[index]):  # diverged within this epoch
            study.tell(trial, state=TrialState.PRUNED)
        else:
            curve.append(curves[index][len(curve)])
            trial.report(curve[-1], len(curve))
            if len(curve) == epochs:
                study.tell(trial, curve[-1])
            elif trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
            else:
                heapq.heappush(reports, (now + paces[index], index))
                continue
        begin(now)
    return ended(kept, epochs)


def finals(curves: Sequence[Curve], epochs: int) -> list[float]:
    """The accuracy that each trial ends with, 0 where it has diverged."""
    return [curve[-1] if len(curve) == epochs else 0.0 for curve in curves]


def expected_best(finals: Sequence[float], count: float) -> float:
    """The mean over all choices of `count` of the trials of the best among them; between whole numbers, linear."""
    low = min(max(math.floor(count), 1), len(finals))
    high = min(low + 1, len(finals))
    share = min(max(count - low, 0.0), 1.0)
    return (1 - share) * _expected_best(finals, low) + share * _expected_best(finals, high)


def _expected_best(finals: Sequence[float], count: int) -> float:
    ways = math.comb(len(finals), count)
    return sum(value * math.comb(rank, count - 1) / ways for rank, value in enumerate(sorted(finals)))
