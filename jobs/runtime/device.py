"""The device of this process."""

import torch

from jobs.runtime.settings import Settings
from resnet_core import device


def select_device(settings: Settings) -> torch.device:
    """Raises ValueError where the device that DEVICE names is not there."""
    try:
        return device.select_device(settings.device, settings.own_rank)
    except ValueError as error:
        raise ValueError(f"DEVICE={error}") from None
