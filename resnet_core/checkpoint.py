"""Checkpoints as files."""

from pathlib import Path
from typing import Any

import torch
from torch.serialization import default_restore_location


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    torch.save(checkpoint, path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Loads tensors to `device`, except those that were on the CPU, where an optimizer counts its steps."""
    checkpoint: dict[str, Any] = torch.load(
        path,
        map_location=lambda storage, saved_on: default_restore_location(
            storage, "cpu" if saved_on == "cpu" else str(device)
        ),
        weights_only=True,
    )
    return checkpoint
