"""Whether a device does what trainings need of it, found out by using it for less than a minute."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from resnet_core.device_check.hardware import find_device, find_driver, find_memory, find_torch
from resnet_core.device_check.ranks import find_ranks
from resnet_core.device_check.rates import convolution, find_rate, product
from resnet_core.device_check.row import Row, State, look
from resnet_core.device_check.sharing import find_sharing
from resnet_core.device_check.training_step import find_captured_step, find_padded_widths, find_precision, find_step

__all__ = ["Row", "State", "check_device"]

BROKEN = (
    "run it again with CUDA_LAUNCH_BLOCKING=1; if it fails alone on this machine, the driver or the GPU is at fault"
)


def check_device(name: str, mps_pipes: Path, without_mps: Mapping[str, str]) -> Iterator[Row]:
    """The rows of the check, each as soon as it is known. What fails ends no other check, unless there is no device.

    Args:
        name: as `select_device` takes it.
        mps_pipes: the folder in which the daemon of NVIDIA's Multi-Process Service, if it runs, has its pipes.
        without_mps: the environment of a process that is not to use this service.

    """
    cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    yield look("driver", partial(find_driver, cuda=cuda), "install NVIDIA's driver, or give the container the GPU")
    yield look("torch", partial(find_torch, cuda=cuda), "install a torch with CUDA")
    found: list[torch.device] = []
    yield look("device", partial(find_device, name, found), "see the rows above, and whether nvidia-smi lists the GPU")
    if not found:
        return
    device = found[0]
    yield look("memory", partial(find_memory, device), "see what nvidia-smi says")
    yield look("matrix product", partial(find_rate, product, device), BROKEN)
    yield look("convolution", partial(find_rate, convolution, device), BROKEN)
    yield look("training step", partial(find_step, device), BROKEN)
    yield look("captured step", partial(find_captured_step, device), BROKEN)
    yield look("padded widths", partial(find_padded_widths, device), BROKEN)
    yield look("precision", partial(find_precision, device), BROKEN)
    yield look("shared", partial(find_sharing, device, mps_pipes, without_mps), "let one process use a GPU at a time")
    yield look(
        "ranks", partial(find_ranks, device), "train on one device; NCCL_DEBUG=INFO makes NCCL say what is wrong"
    )
