"""Where the time of a step goes, by torch's profiler: the plain loop and ours."""

from collections.abc import Callable

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.training_loops import our_loop, plain_loop
from tests.benchmarks.training_setup import NETWORKS, Bench, print_table

LARGEST = 6


def run(bench: Bench) -> None:
    print(f"\nThe {LARGEST} largest costs of an epoch, as shares of the time of all kernels.\n")
    print_table(["network, loop", *(f"{place}." for place in range(1, LARGEST + 1))], _rows(bench))


def _rows(bench: Bench) -> list[list[str]]:
    rows = []
    for name in NETWORKS:
        data = bench.data()
        for loop, epoch in (
            ("plain", plain_loop(bench.network(name), data, bench.device)),
            ("ours", our_loop(bench, bench.network(name), data)),
        ):
            epoch()
            rows.append([f"{name}, {loop}", *_costs(bench, epoch)])
    return rows


def _costs(bench: Bench, epoch: Callable[[], object]) -> list[str]:
    on_gpu = bench.device.type == "cuda"
    activities = [ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        bench.timed(epoch)
    times = {}
    for event in profiler.key_averages():
        if on_gpu and event.device_type == DeviceType.CUDA:
            times[event.key] = event.self_device_time_total
        elif not on_gpu and event.key.startswith("aten::"):
            times[event.key.removeprefix("aten::")] = event.self_cpu_time_total
    whole = sum(times.values())
    largest = sorted(times.items(), key=lambda item: -item[1])[:LARGEST]
    return [f"{name[:40]} {time / whole:.0%}" for name, time in largest]
