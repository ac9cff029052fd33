"""Where the time of a step goes, by torch's profiler: the plain loop and ours."""

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from resnet_core.epoch import EpochResult
from resnet_core.model import ResNet
from resnet_core.train import train
from tests.benchmarks.training_loops import plain_loop
from tests.benchmarks.training_setup import NETWORKS, Bench, print_table

LARGEST = 6


def run(bench: Bench) -> None:
    print(f"\nThe {LARGEST} largest costs of an epoch after another, as shares of the time of all kernels.\n")
    print_table(["network, loop", *(f"{place}." for place in range(1, LARGEST + 1))], _rows(bench))


def _rows(bench: Bench) -> list[list[str]]:
    rows = []
    for name in NETWORKS:
        for loop, profiled in (("plain", _plain), ("ours", _ours)):
            profiler = profile(activities=[ProfilerActivity.CUDA if bench.on_gpu else ProfilerActivity.CPU])
            profiled(bench, name, profiler)
            rows.append([f"{name}, {loop}", *_costs(bench, profiler)])
    return rows


def _plain(bench: Bench, name: str, profiler: profile) -> None:
    epoch = plain_loop(bench.network(name), bench.data(), bench.device)
    epoch()
    with profiler:
        bench.timed(epoch)


def _ours(bench: Bench, name: str, profiler: profile) -> None:
    def profile_second(result: EpochResult, _evaluated: ResNet) -> None:
        (profiler.start if result.epoch == 1 else profiler.stop)()

    train(bench.network(name), bench.recipe, bench.data(), 2, seed=0, on_epoch=profile_second)


def _costs(bench: Bench, profiler: profile) -> list[str]:
    times = {}
    for event in profiler.key_averages():
        if bench.on_gpu and event.device_type == DeviceType.CUDA:
            times[event.key] = event.self_device_time_total
        elif not bench.on_gpu and event.key.startswith("aten::"):
            times[event.key.removeprefix("aten::")] = event.self_cpu_time_total
    whole = sum(times.values())
    largest = sorted(times.items(), key=lambda item: -item[1])[:LARGEST]
    return [f"{name[:40]} {time / whole:.0%}" for name, time in largest]
