"""`check --device`: whether a device does what trainings need of it. Asks for no database and no bucket."""

import os
from pathlib import Path

from jobs.runtime.settings import read_settings
from jobs.runtime.terminal import say
from resnet_core.device import use_threads
from resnet_core.device_check import Row, State, check_device

NO_PIPES = "/nonexistent"


def check(device: str) -> bool:
    """Prints a row for all that is looked at, and returns whether none has failed.

    Raises:
        ConfigurationError: that is no name of a device.

    """
    settings = read_settings(database_url="sqlite:///", artifacts_url=str(Path.cwd()), device=device)
    use_threads(settings.threads)
    without_mps = {**os.environ, "CUDA_MPS_PIPE_DIRECTORY": NO_PIPES}
    well = True
    for row in check_device(device, settings.cuda_mps_pipe_directory, without_mps):
        say(line(row))
        well &= row.state is not State.FAILED
    return well


def line(row: Row) -> str:
    """The row as one line of the table."""
    return f"{row.state:<6}  {row.name:<14}  {row.found}{f'; {row.advice}' if row.advice else ''}"
