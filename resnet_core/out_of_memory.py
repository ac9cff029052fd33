"""Running out of memory, on whatever device."""

import gc

import torch

# What torch, cuDNN and cuBLAS say where they have no exception of its own for it.
WORDS = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def describe_out_of_memory(error: BaseException, device: torch.device, doing: str, advice: str) -> str:
    """One line: where, doing what, why, and what to change."""
    return f"out of memory on {device} {doing}: {_reason(error)}; {advice}"


def _reason(error: BaseException) -> str:
    """What the error says, on one line; torch's advice for its developers stays away."""
    text = " ".join(str(error).split())
    if "DefaultCPUAllocator" in text:
        text = text[text.index("DefaultCPUAllocator") :]
    text = text.partition(" If reserved but unallocated")[0].partition(" Error code")[0]
    return text.rstrip(".") or type(error).__name__


def free_memory() -> None:
    """Gives back what no object holds any more; to be called when the exception is gone, whose frames hold objects."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
