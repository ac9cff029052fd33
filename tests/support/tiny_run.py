"""A whole run of the local runner on a tiny network, as the command that a user types."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.local.conftest import TINY
from tests.support import no_pickle
from tests.support.patience import PATIENCE_SECONDS

# Two runs compute the same bits where nothing is measured.
OVERRIDES = (*TINY, "finalTrain.seeds=2", "training.precision=fp32")
ARGUMENTS = ["--workers", "1", *(f"--set={override}" for override in OVERRIDES)]


@dataclass(frozen=True)
class TinyRun:
    """The study's folder, and the process that is over."""

    study: Path
    process: subprocess.CompletedProcess[str]


def local_command(runs: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs", "local", "--runs", str(runs), *arguments]


def run_local(runs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """All stages, in processes that end if they open a pickle."""
    command = local_command(runs, *arguments)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=no_pickle.environment()
    )
