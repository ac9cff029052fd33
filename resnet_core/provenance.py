"""The device and the versions of packages that a result was computed with."""

import platform
from importlib import metadata
from pathlib import Path

import torch

from resnet_core.device import describe

PACKAGES = ("resnet-sweep", "torch", "torchvision", "torch-pruning", "optuna", "numpy")


def describe_environment(device: torch.device) -> dict[str, str]:
    """Device, processor, and the versions of Python and of the packages on which a result depends."""
    return {
        "device": describe(device),
        "processor": _processor(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # platform.processor() is empty on most Linux systems
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
