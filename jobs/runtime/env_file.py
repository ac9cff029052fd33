"""Environment variables that are only known once a process of the same container has found them out.

The environment of a container stays as it was when it started. What is found out later is written into the file that
ENV_FILE names, and every process of ours that starts in the container reads it, such as one that `kubectl exec` starts.
"""

import os
from collections.abc import Mapping
from pathlib import Path


def read_env_file() -> None:
    """Adds what the file has to the environment of this process, which wins where it has a variable already."""
    name = os.environ.get("ENV_FILE")
    if name and Path(name).is_file():
        for line in Path(name).read_text().splitlines():
            variable, _, value = line.partition("=")
            _set(variable, value)


def write_env_file(file: Path | None, variables: Mapping[str, str]) -> None:
    """Adds the variables, of one line each, to the environment of this process, and writes the file if one is named."""
    for variable, value in variables.items():
        _set(variable, value)
    if file is not None:
        partial = file.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text("".join(f"{variable}={value}\n" for variable, value in variables.items()))
        partial.replace(file)


def _set(variable: str, value: str) -> None:
    if not os.environ.get(variable):
        os.environ[variable] = value
