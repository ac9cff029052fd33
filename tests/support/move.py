"""Moves a file of so many MiB into a bucket and back, and prints the peak of this process's memory in bytes."""

import resource
import sys
from pathlib import Path

from jobs.artifacts import open_artifacts
from jobs.runtime.settings import read_settings


def fill(path: Path, mebibytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(2**20))


def main(url: str, mebibytes: str) -> None:
    artifacts = open_artifacts(read_settings(database_url="sqlite:///", artifacts_url=url))
    artifacts.write("moved", lambda path: fill(path, int(mebibytes)))
    assert artifacts.read("moved", lambda path: path.stat().st_size) == int(mebibytes) * 2**20
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


main(*sys.argv[1:])
