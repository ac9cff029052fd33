"""Several processes that train at once on one device, each a trial of its own."""

import multiprocessing
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import torch

from resnet_core.cores import threads_each
from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.train import train
from tests.benchmarks.training_setup import NETWORKS, Bench, print_table

COUNTS = (1, 2, 4, 8)
WAIT_SECONDS = 600


def run(bench: Bench) -> None:
    print(
        f"\nProcesses that train at once, the cores and the GPU's memory divided among them; {bench.rounds} epochs each.\n"
    )
    head = ["network", *(f"{count}: images/s" for count in COUNTS)]
    print_table(head, ([name, *(f"{_rate(bench, name, count):,.1f}" for count in COUNTS)] for name in NETWORKS))


def _rate(bench: Bench, name: str, count: int) -> float:
    """Images a second of all together, from when the last of them is warm to when the last has done."""
    context = multiprocessing.get_context("spawn")
    barrier, spans = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_train, args=(bench, name, count, barrier, spans)) for _ in range(count)]
    for process in processes:
        process.start()
    ends = [spans.get(timeout=WAIT_SECONDS) for _ in processes]
    for process in processes:
        process.join()
    begun, ended = min(begin for begin, _ in ends), max(end for _, end in ends)
    return count * bench.rounds * bench.used / (ended - begun)


def _train(bench: Bench, name: str, count: int, barrier: Barrier, spans: "Queue[tuple[float, float]]") -> None:
    torch.set_num_threads(threads_each(count))
    if bench.on_gpu:
        torch.cuda.set_per_process_memory_fraction(1 / count, bench.device)
    begun: list[float] = []

    def wait_when_warm(result: EpochResult, _evaluated: ResNet) -> None:
        if result.epoch == 1:
            barrier.wait(WAIT_SECONDS)
            begun.append(time.time())

    train(bench.network(name), bench.recipe, bench.data(), 1 + bench.rounds, seed=0, on_epoch=wait_when_warm)
    spans.put((begun[0], time.time()))
