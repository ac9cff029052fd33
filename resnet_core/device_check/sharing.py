"""Two processes that train on one GPU at once, against one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

import torch

from resnet_core.device_check.processes import ProcessFailed, started
from resnet_core.device_check.row import NotApplicable
from resnet_core.device_check.training_step import Training, times_of
from resnet_core.gpu_share import has_mps

STEPS = 100


def find_sharing(device: torch.device, mps_pipes: Path, without_mps: Mapping[str, str]) -> str:
    """How many steps two processes make in the time in which one makes one, with MPS if it runs, and without."""
    if device.type != "cuda":
        raise NotApplicable("not applicable on a CPU")
    torch.cuda.empty_cache()
    if not has_mps(mps_pipes):
        alone = f"no MPS at {mps_pipes}: `nvidia-cuda-mps-control -d` starts it"
        return f"two processes make {gain_of_two(device):.2f} times the steps of one; {alone}"
    found = f"with MPS at {mps_pipes} two processes make {gain_of_two(device):.2f} times the steps of one"
    try:
        return f"{found}, without it {gain_of_two(device, environment=without_mps):.2f} times"
    except ProcessFailed as failure:  # where the GPU is in exclusive mode, nothing reaches it but MPS
        return f"{found}, without it they cannot run ({failure})"


def gain_of_two(device: torch.device, steps: int = STEPS, environment: Mapping[str, str] | None = None) -> float:
    """Steps of two processes that train at once in the time of one step of a process alone: 1 where they take turns.

    Raises:
        ProcessFailed: one of them cannot use the device.

    """
    with started("sharing", [[str(device), str(steps)]] * 2, environment) as (first, second):
        for process in (first, second):
            assert process.read() == "ready"
        first.go_on()
        alone = float(first.read())
        for process in (first, second):
            process.go_on()
        return sum(alone / float(process.read()) for process in (first, second))


def serve(device: torch.device, steps: int, orders: Iterable[str]) -> None:
    """Measures a training step for each order, and prints its seconds."""
    training = Training(device, graphed=device.type == "cuda")
    times_of(training, steps=1)  # makes ready what the first steps of a process need
    print("ready", flush=True)
    for _order in orders:
        print(fmean(times_of(training, steps)), flush=True)
