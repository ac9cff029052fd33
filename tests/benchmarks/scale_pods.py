"""An API server with many pods of a sweep that start one after the other, as the pipeline sees them.

    python tests/benchmarks/scale_pods.py PODS

Prints its address, and serves until its input ends.
"""

import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from tests.support.api_server import CREATED, api_server

FIELDS = 60  # whose managers the server names in each pod: with them it is of some 5 kB, as in a cluster
A_SECOND = 20  # pods that start


def pod(index: int) -> dict[str, Any]:
    """One that waits for its image."""
    name = f"run1-sweep-0123abcd-{index}-abcde"
    labels = {
        "app.kubernetes.io/instance": "run1",
        "app.kubernetes.io/component": "sweep",
        "batch.kubernetes.io/job-name": "run1-sweep-0123abcd",
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    managed = [
        {"manager": "kubelet", "fieldsV1": {f'f:env{{"name":"VARIABLE_{field}"}}': {} for field in range(FIELDS)}}
    ]
    metadata = {"name": name, "uid": f"uid-{index}", "creationTimestamp": CREATED, "labels": labels}
    environment = [{"name": f"VARIABLE_{field}", "value": "some text"} for field in range(30)]
    container = {"name": "sweep", "resources": {"requests": {"cpu": "1"}}, "env": environment}
    conditions = [
        {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "PodReadyToStartContainers")
    ]
    return {
        "kind": "Pod",
        "metadata": {**metadata, "managedFields": managed},
        "spec": {"nodeName": f"node{index % 100}", "containers": [container]},
        "status": {"phase": "Pending", "conditions": conditions},
    }


def start(pods: list[dict[str, Any]]) -> None:
    for item in pods:
        item["status"] = {**item["status"], "phase": "Running"}
        time.sleep(1 / A_SECOND)


if __name__ == "__main__":
    pods = [pod(index) for index in range(int(sys.argv[1]))]
    with api_server([], pods) as namespace:
        print(namespace.location.rpartition(" ")[2], flush=True)
        Thread(target=start, args=(pods,), daemon=True).start()
        sys.stdin.read()
