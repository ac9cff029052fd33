"""What many workers at once ask of the servers: the whole protocol on PostgreSQL and MinIO, without the training.

    python tests/benchmarks/scale_workers.py [--workers 1000] [--epochs 4] [--seconds 50] [--start 150] [--sessions 40]

Each worker has connections, leases and checkpoints of its own, and is a thread of one of a few processes, so that a
thousand fit on a small machine. They start one after the other within `--start` seconds, as pods do, and each runs a trial
of `--epochs` that last so many seconds: for some minutes all of them run. They reach the database over the chart's PgBouncer
with `--sessions`, and in a second run by themselves. In the end the ledger is checked: each trial once, by one owner at a
time. Memory is what the kernel counts of the servers' processes, a shared page once.
"""

import argparse
import contextlib
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.artifacts.keys import IDENTITY
from jobs.experiment.experiment import Experiment
from jobs.runtime import retry
from jobs.runtime.settings import read_settings
from jobs.stages.sweep.running_trial import RunningTrial
from jobs.stages.sweep.worker import Worker
from resnet_core.epoch import EpochResult
from tests.support import reporting
from tests.support.bucket_server import Bucket, Minio
from tests.support.checker import check_sweep
from tests.support.databases import opened
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Postgres, running_postgres
from tests.support.reporting import Reporting

PROCESSES = 4  # that the workers are threads of
STEP_SECONDS = 5.0  # at which a trial says that it goes on
LOOK_SECONDS = 5.0  # between two looks at the servers' memory
ROWS = {
    "seconds": "all trials settled after, s",
    "report": "an epoch's report, median, ms",
    "slowest": "99 of 100 reports, ms",
    "connections": "connections of PostgreSQL, peak",
    "postgresql": "its memory, peak, MiB",
    "pooler": "the pooler's memory, peak, MiB",
    "outages": "times that a worker could not reach a server",
    "lost": "leases lost",
}


class Paced(Reporting):
    """Trials whose epochs take time and no computing; how long their reports take is noted."""

    def __init__(self, epochs: int, seconds: float) -> None:
        super().__init__(epochs, seconds)
        self.reports: list[float] = []

    def __call__(self, run: RunningTrial) -> None:
        finish = run.finish_epoch

        def timed(epoch: EpochResult) -> None:
            started = time.perf_counter()
            finish(epoch)
            self.reports.append(time.perf_counter() - started)

        run.finish_epoch = timed
        super().__call__(run)

    def _train(self, run: RunningTrial) -> None:
        until = time.monotonic() + self._seconds
        while (left := until - time.monotonic()) > 0:
            run.step()
            time.sleep(min(left, STEP_SECONDS))


def sweep_of(trials: int, epochs: int) -> Experiment:
    """Drawn at random: what TPE computes for a thousand workers would take this one machine's time from them."""
    return reporting.experiment(trials, epochs, "sweep.sampler.name=random")


def work(given: dict[str, Any]) -> dict[str, Any]:
    """One process with its share of the workers, to their end."""
    gc.disable()  # one collection takes seconds of the hundreds of workers that share this process
    sweep = sweep_of(given["all_trials"], given["epochs"])
    body, errors = Paced(given["epochs"], given["seconds"]), list[BaseException]()

    def one(index: int) -> None:
        settings = read_settings(**given["settings"], job_completion_index=index)
        try:
            worker = Worker(sweep, settings, reporting.artifacts(settings, sweep))
            worker.work(body)
            worker.close()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=one, args=(index,)) for index in given["indices"]]
    for thread in threads:
        thread.start()
        time.sleep(given["pause"])
    for thread in threads:
        thread.join()
    return {"reports": body.reports, "outages": retry.OUTAGES.count, "errors": [repr(error) for error in errors]}


def memory(parents: list[int]) -> float:
    """MiB of these processes and their children."""
    total, pids = 0, list(parents)
    while pids:
        folder = Path(f"/proc/{pids.pop()}")
        with contextlib.suppress(OSError, ValueError):
            pids += map(int, (folder / f"task/{folder.name}/children").read_text().split())
            (line,) = [row for row in (folder / "smaps_rollup").read_text().splitlines() if row.startswith("Pss:")]
            total += int(line.split()[1])
    return total / 1024


@contextlib.contextmanager
def peaks(server: Postgres, database: str, pooler: list[int]) -> Iterator[dict[str, float]]:
    """What the servers take at most while the block runs."""
    found, over = {"postgresql": 0.0, "pooler": 0.0, "connections": 0.0}, threading.Event()
    assert server._server is not None
    postgres = [server._server.pid]

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
            now = {"postgresql": memory(postgres), "pooler": memory(pooler)}
            now["connections"] = float(str(server.execute(query)[0][0]))
            found.update({name: max(found[name], value) for name, value in now.items()})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def measure(server: Postgres, bucket: Bucket, options: argparse.Namespace, *, pooled: bool) -> dict[str, float]:
    trials, database = options.workers, server.new_database()
    sweep = sweep_of(trials, options.epochs)
    clients = 4 * options.workers + 60  # as the chart has it
    with contextlib.ExitStack() as stack:
        url, pids = server.url(database), list[int]()
        reporting_database = opened(url)
        stack.callback(reporting_database.close)
        prepare(sweep, url, bucket)
        if pooled:
            before = children()
            url = stack.enter_context(pgbouncer(server, database, options.sessions, clients))
            pids = list(children() - before)
        settings = {**bucket.settings(), "database_url": url}
        pause = options.start * PROCESSES / options.workers
        given = {"all_trials": trials, "epochs": options.epochs, "seconds": options.seconds, "pause": pause}
        given["settings"] = settings
        started = time.perf_counter()
        with peaks(server, database, pids) as found:
            processes = [
                start({**given, "indices": list(range(index, options.workers, PROCESSES))})
                for index in range(PROCESSES)
            ]
            results = [json.loads(process.communicate()[0]) for process in processes]
        seconds = time.perf_counter() - started
        assert not any(result["errors"] for result in results), [result["errors"][:3] for result in results]
        check_sweep(reporting_database, sweep.study_name, trials)
        lost = "SELECT count(*) FROM resnet_sweep_slots WHERE fence > 1"
        reports = sorted(1000 * value for result in results for value in result["reports"])
        return {
            "seconds": seconds,
            "report": statistics.median(reports),
            "slowest": reports[int(0.99 * len(reports))],
            "outages": sum(result["outages"] for result in results),
            "lost": float(str(server.execute(lost, database)[0][0])),
            **found,
        }


def prepare(sweep: Experiment, url: str, bucket: Bucket) -> None:
    reporting.prepare(sweep, url)
    settings = read_settings(database_url=url, **bucket.settings())
    reporting.artifacts(settings, sweep).write_text(IDENTITY, "0" * 32)


def start(given: dict[str, Any]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--of", json.dumps(given)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def children() -> set[int]:
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1_000, help="that work at once (1000)")
    parser.add_argument("--epochs", type=int, default=4, help="of each trial (4)")
    parser.add_argument("--seconds", type=float, default=50, help="of each epoch (50)")
    parser.add_argument("--start", type=float, default=150, help="seconds within which the workers start (150)")
    parser.add_argument("--sessions", type=int, default=40, help="of PostgreSQL that the pooler has (40)")
    parser.add_argument("--only", choices=["straight", "pooled"], help="one of the two ways to the database")
    parser.add_argument("--of", type=json.loads, help=argparse.SUPPRESS)  # one of the processes of the workers
    options = parser.parse_args()
    if options.of:
        print(json.dumps(work(options.of)))
        return
    columns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        minio = Minio(Path(folder))
        minio.start()
        try:
            for way in ("pooled", "straight"):
                if options.only in (None, way):
                    with running_postgres() as server:
                        server.set("max_connections", str(4 * options.workers + 60))
                        server.restart()
                        columns[way] = measure(server, minio.new_bucket(), options, pooled=way == "pooled")
        finally:
            minio.stop()
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores: {options.workers:,} workers, a trial "
        f"each, {options.epochs} epochs of {options.seconds:g} s\n"
    )
    print(f"| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for key, text in ROWS.items():
        print(f"| {text} | {' | '.join(f'{values[key]:,.0f}' for values in columns.values())} |")


if __name__ == "__main__":
    main()
