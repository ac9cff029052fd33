"""How fast the device multiplies in fp32 and in bf16."""

import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

SECONDS = 0.3  # that each rate is measured for, and no less than one call
PRECISIONS: dict[torch.dtype, Literal["fp32", "bf16"]] = {torch.float32: "fp32", torch.bfloat16: "bf16"}

Kernel = tuple[Callable[[], Tensor], float]  # and how many floating-point operations it takes


def find_rate(kernel: Callable[[torch.device, torch.dtype], Kernel], device: torch.device) -> str:
    """The rates of a kernel in both precisions."""
    rates = []
    for dtype, name in PRECISIONS.items():
        call, operations = kernel(device, dtype)
        rates.append(f"{operations / _seconds_of(call, device) / 1e9:,.0f} GFLOP/s in {name}")
    return ", ".join(rates)


def product(device: torch.device, dtype: torch.dtype) -> Kernel:
    """A product of square matrices, and its operations."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: left @ right, 2.0 * side**3


def convolution(device: torch.device, dtype: torch.dtype) -> Kernel:
    """A 3x3 convolution of 128 channels with 16x16 pixels, as ResNet-18's second stage has them, and its operations."""
    images, channels, side = (1024, 128, 16) if device.type == "cuda" else (16, 128, 16)
    x = torch.randn(images, channels, side, side, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    return lambda: F.conv2d(x, weight, padding=1), 2.0 * images * side**2 * channels**2 * 9


@torch.inference_mode()
def _seconds_of(call: Callable[[], Tensor], device: torch.device) -> float:
    """Seconds of one call, in the mean over `SECONDS`, after a first one that chooses the kernel."""
    call()
    finish(device)
    started, calls, taken = time.perf_counter(), 0, 0.0
    while taken < SECONDS:
        call()
        finish(device)
        calls, taken = calls + 1, time.perf_counter() - started
    return taken / calls


def finish(device: torch.device) -> None:
    """Waits until the device has computed what it was given; a CPU has, when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
