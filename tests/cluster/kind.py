"""A cluster in Docker. Its nodes are privileged containers: where those are not to be had, this cannot run."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.images.build import REPOSITORY, Image, Images, build_all

NAME = "resnet-sweep-test"
GPUS = 2


def answers() -> bool:
    """Whether there is a kind, and a Docker that it can use."""
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def running(kubeconfig: Path, kubectl: tuple[str, ...], binaries: Path) -> Iterator[Images]:
    """The cluster that runs, or a new one, which is deleted afterwards."""
    was_up = NAME in _output("kind", "get", "clusters").split()
    if was_up:
        kubeconfig.write_text(_output("kind", "get", "kubeconfig", f"--name={NAME}"))
    else:
        configuration = REPOSITORY / "k8s/kind.yaml"
        _output(
            "kind",
            "create",
            "cluster",
            f"--name={NAME}",
            f"--config={configuration}",
            f"--kubeconfig={kubeconfig}",
            "--wait=3m",
        )
    try:
        patch = [{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": str(GPUS)}]
        nodes = _output(*kubectl, f"--kubeconfig={kubeconfig}", "get", "nodes", "--output=name").split()
        how = ("--subresource=status", "--type=json", f"--patch={json.dumps(patch)}")
        _output(*kubectl, f"--kubeconfig={kubeconfig}", "patch", *nodes, *how)
        yield build_all(_build_and_load, binaries)
    finally:
        if not was_up:
            _output("kind", "delete", "cluster", f"--name={NAME}", f"--kubeconfig={kubeconfig}")


def _build_and_load(name: str, folder: Path, containerfile: Path, arguments: Mapping[str, str]) -> Image:
    image = Image(f"localhost/{name}", "test")
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    _output("docker", "build", *options, f"--tag={image}", f"--file={containerfile}", str(folder))
    _output("kind", "load", "docker-image", f"--name={NAME}", str(image))
    return image


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout
