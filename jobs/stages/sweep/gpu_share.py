"""Several processes on one GPU: what each may take of it."""

import logging
from pathlib import Path

import torch

log = logging.getLogger(__name__)


def share_gpu(device: torch.device, processes: int, mps_pipes: Path) -> float:
    """How much of a GPU this process holds, 0 on the CPU; torch takes no more than that of the GPU's memory.

    So a trial that wants too much fails by itself, instead of the one beside it.

    Args:
        device: the process's own.
        processes: how many share the GPU, this one included.
        mps_pipes: where the control daemon of NVIDIA's Multi-Process Service has its pipes, if there is one.

    """
    if device.type != "cuda":
        return 0.0
    if processes > 1:
        torch.cuda.set_per_process_memory_fraction(1 / processes, device)
        memory = torch.cuda.get_device_properties(device).total_memory / processes / 2**30
        log.info("one of %d processes on the GPU: %.1f GiB of its memory; %s", processes, memory, _turns(mps_pipes))
    return 1 / processes


def _turns(mps_pipes: Path) -> str:
    if has_mps(mps_pipes):
        return f"they compute at once, by the Multi-Process Service at {mps_pipes}"
    return f"they compute in turn, for there is no Multi-Process Service at {mps_pipes}"


def has_mps(mps_pipes: Path) -> bool:
    """CUDA uses the service by itself where it finds it."""
    return (mps_pipes / "control").exists()
