"""What is said where a training has run out of memory."""

import torch

from resnet_core.out_of_memory import reason


def told(error: Exception, device: torch.device, batch_size: int, parameters: float | None, advice: str) -> str:
    """One line: where, with what, why, and what to change. `parameters` is None where that is not known."""
    network = "" if parameters is None else f" and a network of {parameters:,} parameters"
    return f"out of memory on {device} with batches of {batch_size}{network}: {reason(error)}; {advice}"
