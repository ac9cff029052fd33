"""One measurement of the scale benchmark, in a process of its own: prints what it found as JSON.

    python tests/benchmarks/scale_measures.py NAME URL TRIALS EPOCHS

The modules are those of the checkout that PYTHONPATH names first, so that an earlier version is measured alike.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))  # for the tests' own modules, after an earlier checkout

import optuna

from jobs.experiment.experiment import Experiment
from jobs.queue.claimed_trial import ClaimedTrial
from jobs.queue.claims import claim
from jobs.queue.database import Database
from jobs.queue.study import load_study
from jobs.runtime.retry import Patience

try:
    from jobs.queue.status_reader import StatusReader, read_trials, sweep_status
except ImportError:  # of an earlier version
    from jobs.queue.status import read_trials, sweep_status

    class StatusReader:  # type: ignore[no-redef]
        def __init__(self, database: Database, study: str) -> None:
            self._given = database, study

        def read(self) -> Any:
            return sweep_status(*self._given)


BEGUN, LOOKS, EPOCHS_ASKED = 5, 5, 8
PODS, PIPELINE_LOOKS = 1_000, 20


def seconds_of(action: Callable[[], Any]) -> float:
    """Of this process's own computing and waiting for the database."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def megabytes() -> float:
    """Of this process, in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def first_read(database: Database, sweep: Experiment) -> dict[str, float]:
    database.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
    before = megabytes()
    return {"seconds": seconds_of(lambda: read_trials(database, sweep.study_name)), "MiB": megabytes() - before}


def begin(database: Database, sweep: Experiment) -> dict[str, float]:
    """A claim, a trial, its parameters drawn; the first, which reads all trials, is left out."""
    found = []
    for number in range(BEGUN + 1):

        def one(owner: str = f"benchmark-{number}") -> None:
            held = database.write(lambda connection: claim(connection, sweep.study_name, owner, 60))
            assert held is not None
            ClaimedTrial(database, sweep, held).attach()

        found.append(seconds_of(one))
    return {"seconds": statistics.median(found[1:])}


def prune(database: Database, sweep: Experiment) -> dict[str, float]:
    """The answer of `median` after an epoch, less the report itself; CPU of this process."""
    study = load_study(sweep, database.cached_storage)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    trial, found = study.ask(), []
    for epoch in range(1, EPOCHS_ASKED + 1):
        trial.report(0.5, epoch)
        started = time.process_time()
        trial.should_prune()
        found.append(1000 * (time.process_time() - started))
    return {"ms": statistics.median(found[3:])}


def status(database: Database, sweep: Experiment) -> dict[str, float]:
    return {"seconds": seconds_of(lambda: sweep_status(database, sweep.study_name).line())}


def look(database: Database, sweep: Experiment) -> dict[str, float]:
    """Of the pipeline, or of `local`, after its first."""
    reader = StatusReader(database, sweep.study_name)
    reader.read()
    return {"ms": 1000 * statistics.median(seconds_of(lambda: reader.read().line()) for _ in range(LOOKS))}


def pipeline(database: Database, sweep: Experiment) -> dict[str, float]:
    """Of a process that looks at the pods of many workers while they start, and at the sweep."""
    from jobs.runners.kubernetes import pipeline as _  # noqa: PLC0415, for what it imports
    from jobs.runners.kubernetes.watcher import Watcher  # noqa: PLC0415
    from tests.support.api_server import namespace_at  # noqa: PLC0415

    command = [sys.executable, Path(__file__).parent / "scale_pods.py", str(PODS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        watcher = Watcher(namespace_at(server.stdout.readline().strip()), "run1", 60)
        reader = StatusReader(database, sweep.study_name)
        for _ in range(PIPELINE_LOOKS):
            watcher.refresh()
            reader.read().line()
            time.sleep(1)
        server.stdin.close()
    return {"MiB": _peak()}


def report(_database: Database, sweep: Experiment) -> dict[str, float]:
    """Of a study that is invented, since the report takes its results from the artifacts, too."""
    from jobs.report.study.report_page import write_report  # noqa: PLC0415
    from tests.support.invented import COMPLETE, STOPPED_EARLY, Ran, store, study_results  # noqa: PLC0415

    draw, ran = random.Random(0), []
    for _ in range(sweep.sweep.trials):
        state, top = (STOPPED_EARLY, 0.6) if draw.random() < 0.55 else (COMPLETE, 0.95)
        last = draw.uniform(0.3, top)
        ran.append(Ran(state, tuple(last * (epoch / sweep.sweep.epochs) for epoch in range(1, sweep.sweep.epochs + 1))))
    results = study_results(sweep, ran)
    with tempfile.TemporaryDirectory() as place:
        artifacts = store(Path(place), results)
        before = megabytes()
        taken = seconds_of(lambda: write_report(artifacts, results))
        size = (Path(place) / sweep.study_name / "evaluation/report.html").stat().st_size
    return {"seconds": taken, "MiB": _peak() - before, "MB": size / 1e6}


def _peak() -> float:
    (line,) = [row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


MEASURES = {measure.__name__: measure for measure in (first_read, begin, prune, status, look, pipeline, report)}

if __name__ == "__main__":
    from scale_study import sweep_of  # beside this: an earlier checkout has none

    name, url, trials, epochs = sys.argv[1:]
    print(json.dumps(MEASURES[name](Database(url, Patience(30)), sweep_of(int(trials), int(epochs)))))
