"""From the start of a training process to its first step, stage by stage.

    python tests/benchmarks/startup.py [--rounds N] [--device auto|cpu|cuda]

Runs `sweep` of the preset quick on SQLite and a folder, each time in a new process that ends after its first step. A
stage is stamped where the project's own functions begin and end, on the clock that all processes share, so that what
Python itself takes to start counts too. The files have been read before: an image that a node pulls anew takes longer.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        place = {
            "DATABASE_URL": f"sqlite:///{folder}/study.db",
            "ARTIFACTS_URL": f"{folder}/runs",
            "DEVICE": options.device,
            "PYTHONPATH": str(ROOT),
        }
        environment = {**os.environ, **place}
        started = time.monotonic()
        _run([sys.executable, "-m", "jobs", "prepare", "--preset", "quick"], environment)
        prepared = time.monotonic() - started
        rounds = [_one_start(environment) for _ in range(options.rounds)]
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}, device {options.device}; `prepare` before it: {prepared:.1f} s\n"
    )
    print(f"| stage of the start | seconds, median of {len(rounds)} (min to max) |\n|---|---|")
    for stage in rounds[0]:
        print(_row(stage, [stages[stage] for stages in rounds]))
    print(_row("**process start to first step**", [sum(stages.values()) for stages in rounds]))


def _one_start(environment: dict[str, str]) -> dict[str, float]:
    """Seconds of each stage, in order."""
    read, write = os.pipe()
    watched = [sys.executable, "-m", "tests.benchmarks.startup_stamps", str(write)]
    started = time.monotonic()
    _run(watched, environment, expected=75, pass_fds=(write,))
    os.close(write)
    with os.fdopen(read) as stream:
        stamps = [json.loads(line) for line in stream]
    moments = [started, *(moment for _, moment in stamps)]
    return {name: moment - before for (name, moment), before in zip(stamps, moments, strict=False)}


def _run(command: list[str], environment: dict[str, str], expected: int = 0, pass_fds: tuple[int, ...] = ()) -> None:
    done = subprocess.run(
        command, check=False, env=environment, pass_fds=pass_fds, capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode != expected:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")


def _row(stage: str, seconds: list[float]) -> str:
    return f"| {stage} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) |"


if __name__ == "__main__":
    main()
