"""The ranks of one training: whether all GPUs of this machine, or two processes on the CPU, can add up gradients."""

import time

import torch

from resnet_core.device_check.processes import ProcessFailed, started
from resnet_core.device_check.rates import finish
from resnet_core.device_check.row import NotApplicable, Wrong
from resnet_core.distributed import Ranks
from resnet_core.loopback import HERE, free_port

NUMBERS = 5_000_000  # as many as a network may have parameters by default
TIMES = 5
ADVICE = {
    "nccl": "NCCL_DEBUG=INFO makes NCCL say why; it needs room in /dev/shm, 1 GiB is enough",
    "gloo": f"see whether processes may connect to each other at {HERE}",
}


def find_ranks(device: torch.device) -> str:
    """How long the ranks take to add up the gradients of a network."""
    size = torch.cuda.device_count() if device.type == "cuda" else 2
    if size < 2:
        raise NotApplicable("one GPU has one rank")
    backend = "nccl" if device.type == "cuda" else "gloo"
    devices = [f"cuda:{rank}" if device.type == "cuda" else "cpu" for rank in range(size)]
    with free_port() as port:
        address = f"{HERE}:{port}"
        with started("ranks", [[name, str(rank), str(size), address] for rank, name in enumerate(devices)]) as ranks:
            try:
                seconds = max(float(rank.read()) for rank in ranks)
            except ProcessFailed as failure:
                raise Wrong(f"{backend}: {failure}", ADVICE[backend]) from None
    megabytes = 4 * NUMBERS / 1e6
    return f"{size} processes add up {megabytes:.0f} MB in {1000 * seconds:.1f} ms by {backend}"


def add_up(device: torch.device, rank: int, size: int, address: str) -> float:
    """Seconds that one sum over the ranks takes.

    Raises:
        RuntimeError: the sum is wrong.

    """
    ranks = Ranks(device, lambda: None, rank=rank, size=size, address=address)
    gradients = torch.empty(NUMBERS, device=device)
    seconds = []
    for _ in range(TIMES):
        gradients.fill_(rank + 1)
        finish(device)
        started_at = time.perf_counter()
        ranks.sum(gradients)
        finish(device)
        seconds.append(time.perf_counter() - started_at)
        if not bool((gradients == size * (size + 1) / 2).all()):
            raise RuntimeError(f"the sum over {size} ranks is wrong: {gradients[0].item()}")
    ranks.close()
    return min(seconds)
