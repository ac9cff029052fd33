"""What the machine has: its threads and its device."""

import torch

from resnet_core.cores import usable_cores


def use_threads(threads: int | None) -> None:
    """Sets how many threads torch uses. By default it takes as many as it would itself, up to `usable_cores()`."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def select_device(name: str = "auto", rank: int = 0) -> torch.device:
    """The device called `name`; `auto` is a CUDA GPU, or the CPU where there is none. fp32 is IEEE's from then on.

    A CUDA device always has an index, without which some functions of torch refuse it: 0 unless the name has another.
    Of several ranks on CUDA GPUs, each gets the GPU of its own number.

    Raises:
        ValueError: this machine does not have that CUDA device.

    """
    _use_ieee_fp32()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type != "cuda":
        return device
    device = torch.device("cuda", rank or device.index or 0)
    if device.index >= torch.cuda.device_count():
        raise ValueError(f"{device}: this machine has {torch.cuda.device_count()} CUDA devices")
    torch.cuda.set_device(device)  # streams and captures are those of the current device
    return device


def _use_ieee_fp32() -> None:
    """Makes CUDA compute products of fp32 numbers in fp32 in this process.

    By default torch lets cuDNN round the inputs of convolutions to the 10 bits of TF32 (not those of matrix products,
    unless TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is set, as it is in NVIDIA's images). These are the older of torch's two
    ways to say so: torch.export asks by them, and they raise once the newer ones (`fp32_precision`) were used.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe(device: torch.device) -> str:
    """The device in words, for logs and reports."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"
    return f"CPU, {torch.get_num_threads()} threads"
