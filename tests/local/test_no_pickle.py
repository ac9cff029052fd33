"""No pickle is opened: whoever could write one, into the database or among the artifacts, would run code in a worker.

That of all stages none opens one is seen in test_command_line.py, whose whole runs are made under the same prohibition.
"""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from jobs.experiment.sweep_config import SamplerConfig
from tests.support.no_pickle import environment
from tests.support.patience import PATIENCE_SECONDS
from tests.support.sweeps import COMPLETE, prepared, states

SAMPLERS = get_args(SamplerConfig.model_fields["name"].annotation)
SEARCH = ["searchSpace={lr: {low: 0.001, high: 0.3, log: true}, dropout: {low: 0.0, high: 0.5}}"]
GRID = ["searchSpace={dropout: {choices: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, optimizer: {choices: [sgd, adamw]}}"]
MANUAL = ["searchSpace={}", f"sweep.configurations={[{'dropout': n / 20} for n in range(12)]}"]
TRIALS = 12  # two at random, and then more than one generation of CMA-ES

WORK = """
import sys
from tests.support.reporting import Reporting, experiment
from tests.support.sweeps import place, work
url, runs, *overrides = sys.argv[1:]
sweep = experiment(12, 2, *overrides)
work(sweep, place(url, runs), Reporting(2, 0))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_pickle_that_is_opened_ends_these_processes() -> None:
    assert "UnpicklingForbidden" in run("-c", "import pickle; pickle.loads(pickle.dumps(1))").stderr


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_opens_a_pickle(runs: Path, sampler: str) -> None:
    overrides = {"grid": GRID, "manual": MANUAL}.get(sampler, [*SEARCH, "sweep.sampler.startupTrials=2"])
    overrides = [*overrides, f"sweep.sampler.name={sampler}"]
    _, settings = prepared(runs, TRIALS, *overrides)
    worker = run("-c", WORK, settings.database_url, str(runs), *overrides)
    assert worker.returncode == 0, worker.stderr
    assert states(settings) == [COMPLETE] * TRIALS
