"""Running out of memory, on whatever device."""

import gc

import torch

# Words in the messages of torch, cuDNN and cuBLAS where they raise a plain RuntimeError for it.
WORDS = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
# What torch raises once cuDNN has tried all its ways to compute a convolution: "FIND was …" or "GET was unable to …".
# It does not say why: there was no memory for a workspace, or the GPU is too old for this torch, which warns of that.
NO_ENGINE = "unable to find an engine to execute this computation"


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in (*WORDS, NO_ENGINE))


def describe_out_of_memory(error: BaseException, device: torch.device, doing: str, advice: str) -> str:
    """One line that says on which device it happened, what it was doing, the reason, and what to change."""
    return f"out of memory on {device} {doing}: {_reason(error)}; {advice}"


def _reason(error: BaseException) -> str:
    """The error's message on one line, without torch's advice for its developers."""
    text = " ".join(str(error).split())
    if "DefaultCPUAllocator" in text:
        text = text[text.index("DefaultCPUAllocator") :]
    text = text.partition(" If reserved but unallocated")[0].partition(" Error code")[0]
    if NO_ENGINE in text:
        return f"cuDNN was {NO_ENGINE}, which it says when there is no room for its workspace"
    return text.rstrip(".") or type(error).__name__


def free_memory() -> None:
    """Gives back memory that no object uses any more.

    To be called outside the `except` block: until that ends, the exception keeps the objects of the failed code alive.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
