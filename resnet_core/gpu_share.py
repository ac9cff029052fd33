"""Several processes on one GPU: the share that each may use."""

import logging
from pathlib import Path

import torch

log = logging.getLogger(__name__)


def share_gpu(device: torch.device, processes: int, mps_pipes: Path) -> float:
    """Limits this process to its share of the GPU's memory. Returns the share, which is 0 on the CPU.

    A trial that needs too much memory then fails itself, and not the trial of another process.

    Args:
        device: the device of this process.
        processes: how many processes share the GPU, this one included.
        mps_pipes: the folder in which the daemon of NVIDIA's Multi-Process Service, if it runs, has its pipes.

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
    """Whether the service runs. CUDA then uses it without being told."""
    return (mps_pipes / "control").exists()
