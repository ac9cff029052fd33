"""Checkpoints of one training among the artifacts."""

import re
from typing import Any

import torch
from torch.serialization import default_restore_location

from jobs.artifacts import Artifacts


class Checkpoints:
    """The newest checkpoint under a prefix. Each owner writes under its own fence, so that none overwrites others."""

    def __init__(self, artifacts: Artifacts, prefix: str, fence: int = 0) -> None:
        self._artifacts, self._prefix = artifacts, prefix
        self._own = f"{prefix}/checkpoint-{fence}.pt"

    def save(self, checkpoint: dict[str, Any]) -> None:
        with self._artifacts.writing(self._own) as path:
            torch.save(checkpoint, path)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved under the highest fence; None before the first.

        Tensors come back to the CPU where they were there (an optimizer counts its steps on it), else to `device`.
        """
        keys = self._keys()
        if not keys:
            return None
        with self._artifacts.reading(keys[-1]) as path:
            checkpoint: dict[str, Any] = torch.load(
                path,
                map_location=lambda storage, saved_on: default_restore_location(
                    storage, "cpu" if saved_on == "cpu" else str(device)
                ),
                weights_only=True,
            )
        return checkpoint

    def remove(self) -> None:
        for key in self._keys():
            self._artifacts.remove(key)

    def _keys(self) -> list[str]:
        fences = {}
        for key in self._artifacts.listing(self._prefix):
            if match := re.search(r"/checkpoint-(\d+)\.pt$", key):
                fences[int(match[1])] = key
        return [fences[fence] for fence in sorted(fences)]
