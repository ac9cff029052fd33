"""What a sweep of ten thousand trials costs those that work at it and those that look at it, and what a thousand workers do.

    python tests/benchmarks/scale.py [--trials 10000] [--epochs 25] [--running 1000] [--before CHECKOUT] [--workers 1000]

A sweep is written into a real PostgreSQL as workers leave it: `--trials` that are settled and `--running` that run, each
of `--epochs` at most. Every row is then measured in a process of its own, and with `--before` also by the code of an
earlier checkout on a sweep of its own. What `local` does is measured on SQLite, with 3,000 trials and 2 that run.
A second table is that of scale_workers.py beside this, with `--workers` that work at once.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.postgres import Postgres, running_postgres

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
LOCAL_TRIALS, LOCAL_RUNNING = 3_000, 2
ROWS = {  # a measurement, what it says of it, and its goal
    ("first_read", "seconds"): ("first reading of a worker, s", "3"),
    ("first_read", "MiB"): ("its memory, MiB", "100"),
    ("begin", "seconds"): ("a trial begins (claim, TPE), s", "0.5"),
    ("prune", "ms"): ("`median` after an epoch, ms of CPU", "20"),
    ("status", "seconds"): ("`status`, s", "1"),
    ("look", "ms"): ("a look of the pipeline, ms", ""),
    ("pipeline", "MiB"): ("its memory with 1,000 pods, MiB", "200"),
    ("local", "ms"): (f"a look of `local` at {LOCAL_TRIALS:,} trials, ms", "50"),
    ("report", "seconds"): ("report, s", "30"),
    ("report", "MiB"): ("its memory, MiB", "500"),
    ("report", "MB"): ("its page, MB", "3"),
}


def run(checkout: Path, script: str, *arguments: str) -> str:
    """What one of the scripts beside this prints, with the modules of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def measure(checkout: Path, server: Postgres, options: argparse.Namespace) -> dict[tuple[str, str], float]:
    """Every row of the table, each on the same sweep."""
    all_trials, epochs = str(options.trials + options.running + 100), str(options.epochs)
    url = server.url(server.new_database())
    run(checkout, "scale_study.py", url, all_trials, epochs, str(options.trials), str(options.running))
    found: dict[tuple[str, str], float] = {}
    for name in ("first_read", "status", "look", "pipeline", "begin", "prune", "report"):
        print(f"{checkout}: {name}", file=sys.stderr, flush=True)
        if name == "pipeline" and not (checkout / "jobs/runners/kubernetes/reflection.py").exists():
            continue  # an earlier version, which reads all pods at each look
        values = json.loads(run(checkout, "scale_measures.py", name, url, all_trials, epochs))
        found |= {(name, unit): value for unit, value in values.items()}
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        file, count = f"sqlite:///{folder}/study.db", str(LOCAL_TRIALS)
        run(checkout, "scale_study.py", file, count, epochs, str(LOCAL_TRIALS - LOCAL_RUNNING), str(LOCAL_RUNNING))
        found["local", "ms"] = json.loads(run(checkout, "scale_measures.py", "look", file, count, epochs))["ms"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="that are settled (10000)")
    parser.add_argument("--epochs", type=int, default=25, help="of each (25)")
    parser.add_argument("--running", type=int, default=1_000, help="trials that run (1000)")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="of an earlier commit, which is measured beside"
    )
    parser.add_argument("--workers", type=int, default=1_000, help="of the second table, 0: none (1000)")
    options = parser.parse_args()
    with running_postgres() as server:
        columns = {"now": measure(REPOSITORY, server, options)}
        if options.before:
            columns = {"before": measure(options.before.resolve(), server, options), **columns}
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Optuna "
        f"{version('optuna')}: {options.trials:,} trials settled, {options.running:,} running, {options.epochs} epochs\n"
    )
    print(f"| | {' | '.join(columns)} | goal |\n|---|{'---:|' * (len(columns) + 1)}")
    for key, (text, goal) in ROWS.items():
        cells = [f"{values[key]:.3g}" if key in values else "" for values in columns.values()]
        print(f"| {text} | {' | '.join(cells)} | {goal} |")
    if options.workers:
        print(f"\n{run(REPOSITORY, 'scale_workers.py', f'--workers={options.workers}')}")


if __name__ == "__main__":
    main()
