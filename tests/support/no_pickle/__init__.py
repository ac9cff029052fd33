"""Processes in which nothing can be unpickled."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def environment() -> dict[str, str]:
    """Of a process that runs sitecustomize.py as it starts."""
    return {**os.environ, "PYTHONPATH": f"{FOLDER}{os.pathsep}{FOLDER.parents[2]}"}
