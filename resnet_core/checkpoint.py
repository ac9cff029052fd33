"""Checkpoints as files."""

from pathlib import Path
from typing import Any

import torch


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    torch.save(checkpoint, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Loads all tensors to the CPU."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
