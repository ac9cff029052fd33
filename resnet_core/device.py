"""What the machine can do: threads, the device, and the arithmetic that pays on it."""

from typing import Literal

import torch

from resnet_core.cores import usable_cores


def use_threads(threads: int | None) -> None:
    """So many threads for torch; by default what it would take itself, but no more than the cores there are for it."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def select_device(name: str = "auto", rank: int = 0) -> torch.device:
    """The device called `name`; `auto` is a CUDA GPU, or the CPU where there is none. Each rank has a GPU of its own.

    Raises:
        ValueError: a CUDA device is asked for that is not there.

    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if rank and device.type == "cuda":
        device = torch.device("cuda", rank)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"DEVICE={device}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products run faster than those of fp32: CUDA from Ampere on, x86 with AMX.

    AVX512-BF16 alone is not enough: an Intel Xeon whose AMX is hidden from the virtual machine multiplies half as
    fast in bf16 as in fp32 (tests/benchmarks/RESULTS.md).
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_amx_tile_supported()


def select_precision(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> torch.dtype:
    if precision == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def describe(device: torch.device) -> str:
    """The device in words, for logs and reports."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"
    return f"CPU, {torch.get_num_threads()} threads{', bf16 in AMX' if has_fast_bf16(device) else ''}"
