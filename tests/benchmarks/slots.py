"""Our workers beside plain `study.optimize` on one PostgreSQL, in turn in one run: what the slots cost and hold.

    python tests/benchmarks/slots.py [--form scale|small|all] [--workers N] [--trials N] [--trial-seconds 60]

Trials only report: five steps of sleep, each followed by a value. Ours also save a checkpoint of a few hundred bytes
at every step. Plain is all that Optuna has: RDBStorage with heartbeat_interval and grace_period as long as our renewal
and lease, RetryHeartbeatStaleTrialCallback (once RetryFailedTrialCallback) and MaxTrialsCallback. Sampler and early
stopping are the same for both. All workers fork from one server process that has the modules imported. Operations are
timed by wrapping them in the worker; of each worker's first trial only the way to its first step counts.

**Scale.** 64 workers, once with trials of a minute, once with no sleep at all. The overhead of a trial is the time
from asking for it to the same worker's asking for the next, less the time it sleeps: claim or ask, reports,
checkpoints, settlement and what comes after, and the lag of a busy machine. With `--trial-seconds 60` that is measured
at the very rate of requests that it is meant for; shorter trials ask more often, so that their overhead, put in
relation to 60 s, is an upper bound. Goals: below 2 % of a minute, at most two connections a worker.

**Small.** 100 trials of 5 steps of 0.2 s by 8 workers, ideally 12.5 s: undisturbed, with 8 workers killed at random
moments, with PostgreSQL 3 s down. A worker that fails is started again after a second; when all of ours have ended
and slots are left, others are started, as the pipeline does. Memory is what a worker has of its own (anonymous pages)
beyond a process that only imported the modules. Goals: exactly 100 trials each time, no slower than plain, the first
step within 3 s of a worker's start, below 90 MB.
"""

import argparse
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.experiment.experiment import Experiment
from tests.benchmarks.slots_crew import Crew, Disturbance, Observed, Ours, Plain, idle_megabytes
from tests.benchmarks.slots_workers import Load
from tests.support.postgres import Postgres
from tests.support.reporting import experiment, kill

STEPS = 5
SMALL_STEP_SECONDS = 0.2
KILLS, DOWN_SECONDS = 8, 3
OPERATIONS = {
    "claim the slot": "claim",
    "make the trial, draw its parameters": "create",
    "from asking to the first step": "begin",
    "report a value": "report",
    "save a checkpoint": "checkpoint",
    "settle, tell": "settle",
    "after the trial (tidy up, count)": "after",
}
SMALL_COLUMNS = (
    "run",
    "workers",
    "lease",
    "asked for",
    "COMPLETE, FAIL, RUNNING, WAITING",
    "killed, died of an exception",
    "all done after",
    "all ended after",
    "first step after s, median (most)",
    "MB, median (most)",
)


def run_both(
    server: Postgres, sweep: Experiment, load: Load, disturbances: Sequence[Disturbance] = ()
) -> list[Observed]:
    observed = []
    for kind in (Ours, Plain):
        with tempfile.TemporaryDirectory(prefix="slots-") as folder:
            arm = kind(server, sweep, load, Path(folder))
            observed.append(Crew(server, arm, load, Path(folder)).run(disturbances))
            if isinstance(arm, Ours):
                arm.check()
    return observed


def scale(server: Postgres, options: argparse.Namespace, idle: float) -> None:
    workers = options.workers or 64
    for trial_seconds, rounds in ((options.trial_seconds, 3), (0.0, 10)):
        load = Load(workers, options.trials or rounds * workers, STEPS, trial_seconds / STEPS)
        print_scale(run_both(server, make_sweep(load, options), load), idle)


def small(server: Postgres, options: argparse.Namespace, idle: float) -> None:
    calm = Load(options.workers or 8, options.trials or 100, STEPS, SMALL_STEP_SECONDS)
    quick = Load(calm.workers, calm.trials, STEPS, SMALL_STEP_SECONDS, lease_seconds=5, renewal_seconds=1.5)
    draw = random.Random(0)
    kills = [(draw.uniform(0.5, calm.ideal_seconds), partial(kill_one, draw.random())) for _ in range(KILLS)]
    down = calm.ideal_seconds / 3
    outage = [(down, lambda crew: crew.server.stop()), (down + DOWN_SECONDS, lambda crew: crew.server.start())]
    size = f"{calm.workers} workers, {calm.trials} trials of {calm.trial_seconds:g} s, {STEPS} steps each"
    print(f"\n### {size} (ideal {calm.ideal_seconds:g} s)\n")
    print_row(*SMALL_COLUMNS)
    print_row("---", "---", *["---:"] * (len(SMALL_COLUMNS) - 2))
    for name, load, disturbances in (
        ("undisturbed", calm, []),
        (f"{KILLS} kills", quick, kills),
        (f"{DOWN_SECONDS} s without database", calm, outage),
    ):
        for observed in run_both(server, make_sweep(load, options), load, disturbances):
            print_small(name, observed, idle)


def kill_one(share: float, crew: Crew) -> None:
    """The worker at `share` (0 to 1) of those that run."""
    alive = [process for process in crew.processes.values() if process.is_alive()]
    if alive:
        kill(alive[int(share * len(alive))])


def make_sweep(load: Load, options: argparse.Namespace) -> Experiment:
    return experiment(
        load.trials,
        load.steps,
        f"sweep.sampler.name={options.sampler}",
        f"sweep.earlyStopping.name={options.early_stopping}",
    )


def print_scale(both: list[Observed], idle: float) -> None:
    load = both[0].load
    kind = f"of {load.trial_seconds:g} s" if load.trial_seconds else "without sleep"
    print(f"\n### {load.workers} workers, {load.trials} trials {kind}, {load.steps} steps each\n")
    print_row("", *(observed.arm for observed in both))
    print_row("---", *["---:"] * len(both))
    print_row("trials asked for, made", *(f"{load.trials}, {observed.trials.total()}" for observed in both))
    print_row("so many done after", *(seconds(observed.finished_after) for observed in both))
    print_row("all workers ended after", *(seconds(observed.ended_after) for observed in both))
    print_row("trials/s", *(rate(observed) for observed in both))
    print_row("workers died", *(str(deaths(observed)) for observed in both))
    print_row("most connections at once", *(str(observed.connections) for observed in both))
    print_row("first step of a worker: s, median (most)", *(first_step(observed) for observed in both))
    print_row("MB beyond the imports: median (most)", *(megabytes(observed, idle) for observed in both))
    for text, operation in OPERATIONS.items():
        print_row(f"{text}: ms, median (p99)", *(milliseconds(observed.seconds.get(operation)) for observed in both))
    print_row("overhead of a trial: ms, median (p99)", *(milliseconds(observed.overheads) for observed in both))
    if load.trial_seconds:
        print_row("overhead in 60 s: median (mean)", *(share_of_a_minute(observed.overheads) for observed in both))


def print_small(name: str, observed: Observed, idle: float) -> None:
    load = observed.load
    print_row(
        name,
        observed.arm,
        f"{load.lease_seconds:g} s",
        str(load.trials),
        ", ".join(str(observed.trials[state]) for state in ("COMPLETE", "FAIL", "RUNNING", "WAITING")),
        f"{observed.exit_codes[-signal.SIGKILL]}, {deaths(observed)}",
        seconds(observed.finished_after),
        seconds(observed.ended_after),
        first_step(observed),
        megabytes(observed, idle),
    )


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def deaths(observed: Observed) -> int:
    """Workers that ended by an exception."""
    return sum(count for code, count in observed.exit_codes.items() if code > 0)


def rate(observed: Observed) -> str:
    return "-" if observed.finished_after is None else f"{observed.load.trials / observed.finished_after:.1f}"


def seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def first_step(observed: Observed) -> str:
    after = observed.seconds["first step"]
    return f"{statistics.median(after):.2f} ({max(after):.2f})"


def megabytes(observed: Observed, idle: float) -> str:
    beyond = [megabytes - idle for megabytes in observed.megabytes.values() if megabytes]
    return f"{statistics.median(beyond):.0f} ({max(beyond):.0f})" if beyond else "-"


def milliseconds(values: list[float] | None) -> str:
    if not values or len(values) < 2:
        return "-"
    p99 = statistics.quantiles(values, n=100, method="inclusive")[98]
    return f"{statistics.median(values) * 1000:.1f} ({p99 * 1000:.1f})"


def share_of_a_minute(values: list[float]) -> str:
    return f"{statistics.median(values) / 60:.2%} ({statistics.fmean(values) / 60:.2%})"


def print_place(server: Postgres, options: argparse.Namespace) -> None:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    ((postgres,),) = server.execute("SHOW server_version")
    versions = ", ".join(f"{name} {version(name)}" for name in ("optuna", "sqlalchemy", "psycopg2-binary"))
    print(f"{date.today()}, {model.partition(':')[2].strip()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.")
    print(f"Python {platform.python_version()}, {versions}, PostgreSQL {postgres} with fsync off.")
    print(f"Sampler {options.sampler}, early stopping {options.early_stopping}. A fresh process imports", end=" ")
    print(
        " and ".join(
            f"`{module}` in {import_seconds(module):.1f} s" for module in ("jobs.stages.sweep.stage", "optuna")
        )
        + "."
    )


def import_seconds(module: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.monotonic() - began


@contextmanager
def running_server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:  # a socket's path may have 107 characters
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=["scale", "small", "all"], default="all")
    parser.add_argument("--workers", type=int, help="default: 64 at scale, 8 in the small form")
    parser.add_argument("--trials", type=int, help="default: 3 a worker, without sleep 10; 100 in the small form")
    parser.add_argument("--trial-seconds", type=float, default=60, help="of a trial at scale")
    parser.add_argument("--sampler", choices=["random", "tpe"], default="random")
    parser.add_argument("--early-stopping", choices=["none", "median", "halving"], default="none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with running_server() as server:
        print_place(server, options)
        idle = idle_megabytes()
        if options.form in ("scale", "all"):
            scale(server, options, idle)
        if options.form in ("small", "all"):
            small(server, options, idle)


if __name__ == "__main__":
    main()
