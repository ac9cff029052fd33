"""Builds the image with every version of torch that the chart's README names, and trains a small study in each.

    python -m tests.cluster.images.versions          # by hand: some 6 GB and several minutes a version
    python -m tests.cluster.images.versions 2.15.0   # only this one

With Docker where there is one, over the base image that the Dockerfile names; otherwise with buildah over one of Debian's
packages, as the root of a Debian. The study runs as a user without a name, on a root file system that cannot be written to.
"""

import random
import re
import shutil
import subprocess
import sys

from tests.cluster.images import buildah
from tests.cluster.images.build import REPOSITORY

README = REPOSITORY / "charts/resnet-sweep/README.md"
TABLE_ROW = re.compile(r"^\| (?:none \(torch (?P<default>[\d.]+)\)|`TORCH_VERSION=(?P<other>[\d.]+)`) \|", re.MULTILINE)
STUDY = [
    "local", "--preset=quick", "--runs=/tmp/runs", "--workers=2", "--set=sweep.trials=3", "--set=sweep.epochs=2",
    "--set=finalTrain.epochs=2", "--set=data.limit=300",
]  # fmt: skip


def named_versions() -> list[str]:
    """Of torch, as the README's table has them; the first is what comes without a build argument."""
    return [row["default"] or row["other"] for row in TABLE_ROW.finditer(README.read_text())]


def has_docker() -> bool:
    return shutil.which("docker") is not None and _run("docker", "info", capture_output=True).returncode == 0


def try_with_docker(version: str) -> bool:
    tag = f"resnet-sweep:torch-{version}"
    built = _run("docker", "build", f"--build-arg=TORCH_VERSION={version}", f"--tag={tag}", str(REPOSITORY))
    read_only = ["--read-only", "--tmpfs=/tmp", f"--user={_nobody()}"]
    return built.returncode == 0 and _run("docker", "run", "--rm", *read_only, tag, *STUDY).returncode == 0


def try_with_buildah(version: str) -> bool:
    name = f"resnet-sweep-torch-{version}"
    tag = buildah.build(name, REPOSITORY, REPOSITORY / "Dockerfile", {"TORCH_VERSION": version})
    return buildah.run(tag, ["python", "-m", "jobs", *STUDY], user=_nobody()) == 0


def _nobody() -> str:
    """A user and a group that no image knows."""
    number = random.randrange(100_000, 2**31)
    return f"{number}:{number}"


def _run(*command: str, capture_output: bool = False) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=capture_output, check=False)


def main(versions: list[str]) -> None:
    docker = has_docker()
    if not docker and (obstacle := buildah.obstacle()):
        sys.exit(f"no Docker, and {obstacle}")
    failed = []
    for version in versions or named_versions():
        print(f"torch {version}", flush=True)
        if not (try_with_docker if docker else try_with_buildah)(version):
            failed.append(version)
    sys.exit(f"does not work: torch {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
