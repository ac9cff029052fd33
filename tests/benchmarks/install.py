"""From `helm install` to the first training step, by the time stamps of the pods' logs.

    python tests/benchmarks/install.py [--rounds 3] [OPTION of helm install…]

On the cluster of KUBECONFIG, with kubectl and helm on PATH and the images on the node; each round is a release in a
namespace of its own, with the preset `quick` on the CPU. tests/README.md says how to start a cluster and how its images
are named to helm, such as `--set image.repository=127.0.0.1:5000/resnet-sweep,image.tag=test`.
"""

import argparse
import re
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

CHART = Path(__file__).parents[2] / "charts/resnet-sweep"
ON_THE_CPU = "worker.gpus=0,finalTrain.gpus=0,evaluate.gpus=0"
STEPS = {  # what is told of each, and the line of which component tells it
    "the pipeline runs": ("pipeline", r"secret \S+ made"),
    "PostgreSQL answers, the Job of `prepare` is made": ("pipeline", "stage prepare: job"),
    "`prepare` has read the data set": ("prepare", "data: "),
    "data set, study and slots are written": ("prepare", "study run1: "),
    "the pod has ended, the sweep's Job is made": ("pipeline", r"job run1-sweep-\S+ \d+ workers"),
    "a worker has its device and its images": ("sweep", "worker run1-sweep"),
    "the first trial has its parameters": ("sweep", "trial 0 begins"),
    "its network is pruned, the first step begins": ("sweep", "training computes in"),
}


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def log_of(namespace: str, component: str) -> str:
    selector = f"--selector=app.kubernetes.io/component={component}"
    done = subprocess.run(
        ["kubectl", f"--namespace={namespace}", "logs", selector, "--tail=-1", "--timestamps"],
        capture_output=True,
        text=True,
        check=False,  # as long as no container runs
    )
    return done.stdout


def one_round(namespace: str, options: list[str]) -> dict[str, float]:
    """Seconds after the command until each step."""
    run("kubectl", "create", "namespace", namespace)
    try:
        started = datetime.now(UTC)
        run("helm", "install", "run1", str(CHART), f"--namespace={namespace}", f"--set={ON_THE_CPU}", *options)
        while "training computes in" not in log_of(namespace, "sweep"):
            time.sleep(1)
        logs = {component: log_of(namespace, component) for component, _ in STEPS.values()}
    finally:
        run("helm", "uninstall", "run1", f"--namespace={namespace}", "--wait")
        run("kubectl", "delete", "namespace", namespace)
    found = {}
    for step, (component, words) in STEPS.items():
        stamps = re.findall(rf"^(\S{{26}})\S*Z .*{words}", logs[component], re.MULTILINE)
        first = min(datetime.fromisoformat(stamp).replace(tzinfo=UTC) for stamp in stamps)
        found[step] = (first - started).total_seconds()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options, of_helm = parser.parse_known_args()
    rounds = [one_round(f"install-{number}", of_helm) for number in range(options.rounds)]
    print(f"| after the command, median of {len(rounds)} (min to max) | what |\n|---:|---|")
    for step in STEPS:
        seconds = [found[step] for found in rounds]
        print(f"| {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}) | {step} |")


if __name__ == "__main__":
    main()
