"""A cluster as the tests use it: kubectl and helm, whose failure is told in their own words, and images' names."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.images.build import Images
from tests.cluster.single_node.cluster import SingleNode
from tests.support.patience import PATIENCE_SECONDS, poll


class CommandFailed(AssertionError):
    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}:\n{output.strip()}")
        self.code, self.output = code, output


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    kubectl_command: tuple[str, ...]
    helm_command: str
    images: Images
    single_node: SingleNode | None = None  # for the faults that only a cluster of our own can have

    def kubectl(self, *arguments: str, standard_input: str | None = None) -> str:
        """What it prints; raises CommandFailed with what it says when it fails."""
        return _run([*self.kubectl_command, f"--kubeconfig={self.kubeconfig}", *arguments], standard_input)

    def helm(self, *arguments: str, standard_input: str | None = None) -> str:
        """As kubectl."""
        return _run([self.helm_command, f"--kubeconfig={self.kubeconfig}", *arguments], standard_input)


@dataclass(frozen=True)
class Namespace:
    """One namespace of a cluster, to which all commands go."""

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, standard_input: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, standard_input=standard_input)

    def helm(self, *arguments: str, standard_input: str | None = None) -> str:
        return self.cluster.helm(f"--namespace={self.name}", *arguments, standard_input=standard_input)

    def create(self, *objects: dict[str, Any]) -> None:
        self.kubectl(
            "create", "--filename=-", standard_input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object, or the list of them with its `items`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def wait(self, what: str, condition: str) -> None:
        """Until `what` (as kubectl names it) has `condition`; with what it is instead when it has not in time.

        It need not be there yet: what has been deleted takes a moment to be made again.
        """
        try:
            for awaited in ("create", condition):
                self.kubectl("wait", what, f"--for={awaited}", f"--timeout={PATIENCE_SECONDS:.0f}s")
        except CommandFailed as failed:
            raise CommandFailed(
                ["wait", what, condition], failed.code, failed.output + self.kubectl("describe", what)
            ) from None

    def log_of_finished(self, pod: str) -> str:
        """What a pod has printed that succeeds; raises CommandFailed with it, and how it is, when it does not in time."""

        def phase() -> str:
            return str(self.get("pod", pod)["status"]["phase"])

        ended = poll(lambda: phase() in ("Succeeded", "Failed"), PATIENCE_SECONDS, pause=1.0)
        if ended and phase() == "Succeeded":
            return self.kubectl("logs", pod)
        log = self.kubectl("logs", pod) if ended else ""
        raise CommandFailed(["pod", pod], 1, log + self.kubectl("describe", "pod", pod))

    def dump(self, folder: Path) -> None:
        """All that tells why a test failed: objects, events, the logs of every container there is."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "objects").write_text(self.kubectl("get", "all,persistentvolumeclaims,configmaps", "--output=wide"))
        (folder / "events").write_text(self.kubectl("get", "events", "--sort-by=.lastTimestamp"))
        (folder / "pods").write_text(self.kubectl("describe", "pods"))
        for pod in self.get("pods")["items"]:
            for container in _containers(pod["status"]):
                file = f"{pod['metadata']['name']}.{container['name']}.log"
                if container["restartCount"]:
                    self._dump_log(folder / f"{file}.previous", pod, container, "--previous")
                self._dump_log(folder / file, pod, container)

    def _dump_log(self, file: Path, pod: dict[str, Any], container: dict[str, Any], *options: str) -> None:
        try:
            log = self.kubectl("logs", pod["metadata"]["name"], f"--container={container['name']}", *options)
        except CommandFailed as failed:  # it has not begun, or its log is gone
            log = str(failed)
        file.write_text(log)


def _containers(status: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _run(command: list[str], standard_input: str | None) -> str:
    done = subprocess.run(command, input=standard_input, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(command, done.returncode, done.stdout + done.stderr)
    return done.stdout
