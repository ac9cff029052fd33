"""How the threads of a training wait for each other, on a machine of one's own and on one that computes for others, too.

    python tests/benchmarks/training_waiting.py

GNU's OpenMP has a thread that waits go round in circles for some milliseconds, which others could compute in. Each row
is a process of its own, since OpenMP reads its environment once; the loads in turn, each of them a process for each core
that computes without end. Milliseconds a training step, the median of a process's steps, and of it the best and the
worst process.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

WAYS = {
    "OpenMP's default": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
NETWORKS = {
    "of `quick`": ["training.batchSize=64"],
    "64, 256 and 256 channels": ["pruning={method: none, target: null}", "model.widths=[64, 256, 256]", "model.strides=[2, 2, 2]", "budget.parameters=3000000"],
}  # fmt: skip
STEPS = 24


def measure(overrides: list[str], threads: int) -> float:
    """Milliseconds of a step of this process."""
    import torch  # noqa: PLC0415 - after the environment of this process

    from jobs.experiment.load import load_experiment  # noqa: PLC0415
    from resnet_core.batches import TrainingData  # noqa: PLC0415
    from resnet_core.build import build_network  # noqa: PLC0415
    from resnet_core.data import Images  # noqa: PLC0415
    from resnet_core.train import train  # noqa: PLC0415

    torch.set_num_threads(threads)
    experiment = load_experiment("quick", None, ["training.precision=fp32", *overrides])
    size = experiment.training.batch_size
    images = Images(torch.randint(256, (STEPS * size, 3, 32, 32), dtype=torch.uint8), torch.arange(STEPS * size) % 10)
    few = Images(images.images[:10], images.labels[:10])
    data = TrainingData(images, few, torch.zeros(3) + 0.5, torch.zeros(3) + 0.25)
    network = build_network(experiment.model, experiment.pruning, 10, dropout=0, seed=0)
    began: list[float] = []
    train(network, experiment.training, data, 1, seed=0, on_step=lambda: began.append(time.perf_counter()))
    return 1000 * statistics.median(after - before for before, after in itertools.pairwise(began))


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(measure(options.measure, options.threads))
        return
    cores = len(os.sched_getaffinity(0))
    found: dict[tuple[str, int, str], list[float]] = {}
    for _, busy, name in itertools.product(range(options.rounds), (0, cores), NETWORKS):
        for way, threads in [("one thread", 1), *((way, cores) for way in WAYS)]:
            command = [sys.executable, __file__, "--threads", str(threads), "--measure", *NETWORKS[name]]
            with load(busy):
                done = subprocess.run(command, env=os.environ | WAYS.get(way, {}), capture_output=True, check=True)
            found.setdefault((name, busy, way), []).append(float(done.stdout))
    print(f"{date.today()}, {cores} threads\n")
    print("| network | other processes | how threads wait | ms a step (best to worst) |\n|---|---:|---|---:|")
    for (name, busy, way), times in found.items():
        print(f"| {name} | {busy} | {way} | {statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f}) |")


if __name__ == "__main__":
    main()
