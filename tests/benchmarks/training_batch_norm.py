"""Batch norm of odd widths on a CPU, as torch does it and by groups of pixels."""

import statistics
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_core.cpu import batch_norm
from resnet_core.cpu.memory import memory_kept
from tests.benchmarks.training_setup import BATCH, Bench, print_table

# channels, side
SHAPES = ((14, 32), (14, 16), (14, 8), (53, 32), (58, 32), (56, 32), (83, 16), (53, 8), (205, 8), (53, 4), (359, 4))
REPEATS = 20


def run(bench: Bench) -> None:
    if bench.on_gpu:
        print("\nOnly CPUs have two ways.\n")
        return
    threads = torch.get_num_threads()
    print(
        f"\nMilliseconds of forward and backward pass, batch {BATCH}, channels_last; medians of {REPEATS}, in turn.\n"
    )
    counts = {"1 thread": 1, f"{threads} threads": threads}
    head = ["channels", "side", "pixels", *(f"{way}, {label}" for label in counts for way in ("torch", "ours"))]
    with memory_kept():
        print_table(head, (_row(bench, channels, side, counts.values()) for channels, side in SHAPES))
    torch.set_num_threads(threads)


def _row(bench: Bench, channels: int, side: int, thread_counts: Iterable[int]) -> list[str]:
    x = torch.randn(BATCH, channels, side, side, dtype=bench.precision).to(memory_format=torch.channels_last)
    gradient = torch.randn_like(x)
    x.requires_grad_()
    weight, bias = (torch.ones(channels, requires_grad=True) for _ in range(2))
    running = torch.zeros(channels), torch.ones(channels)
    ways: tuple[Callable[[], Tensor], ...] = (
        lambda: F.batch_norm(x, *running, weight, bias, training=True),
        lambda: batch_norm.batch_norm(x, weight, bias, *running, momentum=0.1, eps=1e-5),
    )
    times = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        rounds = [[bench.timed(lambda way=way: way().backward(gradient)) for way in ways] for _ in range(REPEATS)]
        times += [statistics.median(column) * 1000 for column in zip(*rounds, strict=True)]
    return [str(channels), str(side), f"{BATCH * side**2:,}", *(f"{milliseconds:.2f}" for milliseconds in times)]
