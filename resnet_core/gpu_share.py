"""Several processes on one GPU: the share that each may use."""

import logging
from pathlib import Path

import torch

# Memory of the GPU that a process takes beside torch's tensors: the CUDA context with the kernels of cuDNN and cuBLAS,
# 300 to 500 MB depending on the GPU and the version of CUDA.
CONTEXT_BYTES = 512 * 2**20

log = logging.getLogger(__name__)


def share_gpu(device: torch.device, processes: int, mps_pipes: Path) -> float:
    """Limits this process to its share of the GPU's memory. Returns its share of the GPU, which is 0 on the CPU.

    A trial that needs too much memory then fails itself, and not the trial of another process.

    Args:
        device: the device of this process.
        processes: how many processes share the GPU, this one included.
        mps_pipes: the folder in which the daemon of NVIDIA's Multi-Process Service, if it runs, has its pipes.

    Raises:
        ValueError: the GPU's memory does not even suffice for the CUDA contexts of so many processes.

    """
    if device.type != "cuda":
        return 0.0
    if processes > 1:
        total = torch.cuda.get_device_properties(device).total_memory
        share = memory_share(total, processes)
        torch.cuda.set_per_process_memory_fraction(share, device)
        memory = share * total / 2**30
        log.info("one of %d processes on the GPU: %.1f GiB of its memory; %s", processes, memory, _turns(mps_pipes))
    return 1 / processes


def memory_share(total_bytes: int, processes: int) -> float:
    """The fraction of a GPU's memory that each of its processes has for tensors, beside its CUDA context.

    Raises:
        ValueError: the contexts alone take all of it.

    """
    own = total_bytes / processes - CONTEXT_BYTES
    if own <= 0:
        most = (total_bytes - 1) // CONTEXT_BYTES
        raise ValueError(
            f"{processes} processes on one GPU: each takes {CONTEXT_BYTES // 2**20} MiB before its first tensor, "
            f"of {total_bytes / 2**30:.1f} GiB; at most {most}"
        )
    return own / total_bytes


def _turns(mps_pipes: Path) -> str:
    if has_mps(mps_pipes):
        return f"they compute at once, by the Multi-Process Service at {mps_pipes}"
    return f"they compute in turn, for there is no Multi-Process Service at {mps_pipes}"


def has_mps(mps_pipes: Path) -> bool:
    """Whether the service runs. CUDA then uses it without being told."""
    return (mps_pipes / "control").exists()
